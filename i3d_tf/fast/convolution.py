"""Convolutions whose gradient TensorFlow gets wrong, so that it is right."""

import functools

import keras
import numpy as np
import tensorflow as tf


def for_gradients(layer):
    """What to call in place of a convolution in training; other layers as they are.

    In bfloat16 with oneDNN the gradient of a 3x3x3 kernel is wrong where a clip has two
    time steps, as in Mixed_5b and 5c if it has 9 to 16 frames: another one in each
    call, not finite in some (TensorFlow 2.21 on processors with AVX-512).
    """
    if (
        isinstance(layer, keras.layers.Conv3D)
        and layer.kernel_size[0] == 3
        and layer.compute_dtype != "float32"
        and _gradient_is_wrong(layer.compute_dtype)
    ):
        return ThreeStepConvolution(layer)
    return layer


class ThreeStepConvolution(keras.layers.Layer):
    """The convolution of two time steps as of three, the last one zero and left out."""

    def __init__(self, convolution):
        super().__init__(name=convolution.name, dtype=convolution.dtype_policy)
        self.convolution = convolution

    def call(self, x):
        # A number where it is known, which XLA wants.
        steps = x.shape[1]
        added = int(steps == 2)
        if steps is None:
            steps = tf.shape(x)[1]
            added = tf.cast(steps == 2, tf.int32)
        # SAME padding adds one step at either end, of two steps and of three.
        padded = tf.pad(x, [[0, 0], [0, added], [0, 0], [0, 0], [0, 0]])
        return self.convolution(padded)[:, :steps]


@functools.cache
def _gradient_is_wrong(dtype):
    """Whether the default device gets the kernel's gradient of two time steps wrong."""
    generator = np.random.default_rng(0)
    x = generator.integers(-2, 3, [4, 2, 1, 1, 16]).astype(np.float32)

    @tf.function
    def gradient(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = tf.nn.conv3d(x, kernel, [1] * 5, "SAME")
        return tape.gradient(y, kernel, tf.ones_like(y))

    kernel = tf.zeros([3, 3, 3, 16, 16])
    # Sums of small whole numbers, which every type holds exactly.
    wanted = gradient(tf.constant(x), kernel)
    got = gradient(tf.cast(x, dtype), tf.cast(kernel, dtype))
    return not bool(tf.reduce_all(tf.cast(got, tf.float32) == wanted))
