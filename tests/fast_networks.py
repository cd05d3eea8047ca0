"""Beginnings of a narrow network, and what one training pass of a view gives."""

import keras
import numpy as np
import tensorflow as tf

from i3d_tf import RGB, build_i3d
from i3d_tf.fast.views import with_calls

FRAMES = 9


def network(end=None, *, size=32, dtype="float32", seed=0):
    """An eighth as wide, up to the endpoint `end` or whole, of 3 classes."""
    model = build_i3d(
        RGB, 3, size=size, width=1 / 8, batch_norm_decay=0.9, dtype=dtype, seed=seed
    )
    return keras.Model(model.input, model.get_layer(end).output) if end else model


def with_exact_pools(model):
    """Returns a view of the model whose pools have the right gradient everywhere.

    It is the reference for gradients. TensorFlow has no 3D pools of float64, and on
    some processors the gradient of its `max_pool3d` is wrong where values are equal.
    """

    def call(layer, inputs, **options):
        if isinstance(layer, keras.layers.MaxPooling3D):
            return ExactMaxPooling(layer)(inputs)
        if isinstance(layer, keras.layers.AveragePooling3D):
            # The only one has a window of two steps and of whole frames.
            pairs = (inputs[:, :-1] + inputs[:, 1:]) / 2
            return keras.ops.mean(pairs, axis=(2, 3), keepdims=True)
        return layer(inputs, **options)

    return with_calls(model, call)


class ExactMaxPooling(keras.layers.Layer):
    """A max-pool with SAME padding, made of elementary operations.

    `reduce_max` shares the gradient among equal values. These are copies of one value
    where a pool follows a pool, and zeros after a ReLU, which pass no gradient on.
    """

    def __init__(self, pool):
        super().__init__(name=pool.name, dtype=pool.dtype_policy)
        self.window, self.strides = pool.pool_size, pool.strides

    def call(self, x):
        sizes = zip(self.window, self.strides, strict=True)
        for axis, (size, step) in enumerate(sizes, start=1):
            length = x.shape[axis] or tf.shape(x)[axis]
            steps = -(-length // step)
            missing = tf.maximum((steps - 1) * step + size - length, 0)
            paddings = [[0, 0] for _ in x.shape]
            paddings[axis] = [missing // 2, missing - missing // 2]
            x = tf.pad(x, paddings, constant_values=x.dtype.min)
            before = (slice(None),) * axis
            ends = [first + (steps - 1) * step + 1 for first in range(size)]
            neighbours = [
                x[(*before, slice(first, end, step))] for first, end in enumerate(ends)
            ]
            x = tf.reduce_max(tf.stack(neighbours), 0)
        return x


def clips(batch=2, size=32):
    shape = [batch, FRAMES, size, size, 3]
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def weights_of_loss(shape):
    """What the outputs of a view are multiplied by and then summed."""
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def loss_and_gradients(model, view, clip, factors):
    """(outputs, gradients of the sum of outputs times factors), in a graph."""
    with tf.GradientTape() as tape:
        outputs = tf.cast(view(clip, training=True), tf.float32)
        loss = tf.reduce_sum(outputs * factors)
    variables = [variable.value for variable in model.trainable_variables]
    return outputs, tape.gradient(loss, variables)


def training_pass(model, view, clip, *, jit_compile=False, passes=1):
    """{"outputs", "<path>/gradient", path of what is not trained: its value after}.

    With several passes gradients are summed in a loop.
    """
    clip = tf.constant(clip)
    shape = view.compute_output_shape(clip.shape)
    factors = weights_of_loss(shape)

    @tf.function(jit_compile=jit_compile)
    def once():
        return loss_and_gradients(model, view, clip, factors)

    @tf.function
    def looped():
        outputs = tf.zeros(factors.shape)
        sums = [tf.zeros(variable.shape) for variable in model.trainable_variables]
        for _ in tf.range(passes):
            outputs, gradients = loss_and_gradients(model, view, clip, factors)
            sums = [total + new for total, new in zip(sums, gradients, strict=True)]
        return outputs, sums

    outputs, gradients = once() if passes == 1 else looped()
    return named(model, outputs, gradients)


def named(model, outputs, gradients):
    variables = model.trainable_variables
    return {
        "outputs": outputs.numpy(),
        **{
            f"{variable.path}/gradient": gradient.numpy()
            for variable, gradient in zip(variables, gradients, strict=True)
        },
        **{weight.path: weight.numpy() for weight in model.non_trainable_weights},
    }


def differences(got, expected):
    """{name: largest difference, relative to the largest expected value}."""
    assert got.keys() == expected.keys()
    return {
        name: np.abs(got[name] - value).max() / np.abs(value).max()
        for name, value in expected.items()
    }


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
