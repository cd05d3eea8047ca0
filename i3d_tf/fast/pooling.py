"""Pools in TensorFlow's operations, with the right gradient in every type."""

import functools

import keras
import tensorflow as tf


def for_gradients(layer):
    """What to call in place of a pooling layer in training; other layers as they are.

    Which kernels TensorFlow has is asked of the default device.
    """
    if isinstance(layer, keras.layers.MaxPooling3D):
        right = _has_kernels(layer.compute_dtype) and not _gradient_counts_ties(
            layer.compute_dtype
        )
        return (AxisPooling if right else MaximumPooling)(layer)
    return where_kernels_are_missing(layer)


def where_kernels_are_missing(layer):
    """A layer that TensorFlow can run on the default device, or the layer itself.

    On CPUs it has no 3D pools of float16.
    """
    pools = keras.layers.MaxPooling3D, keras.layers.AveragePooling3D
    if not isinstance(layer, pools) or _has_kernels(layer.compute_dtype):
        return layer
    if isinstance(layer, keras.layers.MaxPooling3D):
        return MaximumPooling(layer)
    return _Float32AveragePooling(layer)


class _Pooling(keras.layers.Layer):
    def __init__(self, pool):
        super().__init__(name=pool.name, dtype=pool.dtype_policy)
        self.window, self.strides = pool.pool_size, pool.strides
        self.padding = pool.padding.upper()


class AxisPooling(_Pooling):
    """MaxPooling3D over height and width first, then over time.

    The maxima are the same, the gradient looks at 9 + 3 values and not at 27.
    """

    def call(self, x):
        (time, *sides), (step, *steps) = self.window, self.strides
        x = _max_pool(x, (1, *sides), (1, *steps), self.padding)
        if time > 1:
            x = _max_pool(x, (time, 1, 1), (step, 1, 1), self.padding)
        return x


class MaximumPooling(_Pooling):
    """The same where TensorFlow's gradient of max-pooling is wrong or missing.

    Of equal values each gets the whole gradient from TensorFlow's own CPU kernel. In
    the pool of a pool many are equal, being one value seen twice, and gradients of
    the first layers come out twice as large and more. oneDNN and XLA choose one of the
    values, and so does `maximum`.
    """

    def call(self, x):
        for axis, (size, step) in enumerate(
            zip(self.window, self.strides, strict=True), start=1
        ):
            if size > 1:
                x = _maximum_along(x, axis, size, step)
        return x


class _Float32AveragePooling(_Pooling):
    """AveragePooling3D by way of float32."""

    def call(self, x):
        y = tf.cast(x, tf.float32)
        y = tf.nn.avg_pool3d(y, self.window, self.strides, self.padding)
        return tf.cast(y, x.dtype)


def _max_pool(x, window, strides, padding):
    """`tf.nn.max_pool3d` with a gradient that does not depend on the graph around it.

    oneDNN's gradient wants the pool's node. In a graph with a loop TensorFlow finds it
    in some traces only (2.21, which goes through the nodes in the order of pointers)
    and takes its own kernel, which is wrong, in the others. So the two have a graph of
    their own here, at the price of the pool once more.
    """

    @tf.custom_gradient
    def pool(x):
        y = tf.nn.max_pool3d(x, window, strides, padding)
        return y, lambda dy: _pool_gradient(x, dy, window, strides, padding)

    return pool(x)


@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _pool_gradient(x, dy, window, strides, padding):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.nn.max_pool3d(x, window, strides, padding)
    return tape.gradient(y, x, dy)


def _maximum_along(x, axis, size, step):
    """Maxima of `size` neighbours along an axis, every `step`, SAME padding."""
    # XLA wants to know the paddings, so they are numbers where the length is.
    length = x.shape[axis] or tf.shape(x)[axis]
    steps = -(-length // step)
    missing = (steps - 1) * step + size - length
    missing = max(missing, 0) if isinstance(missing, int) else tf.maximum(missing, 0)
    paddings = [
        [missing // 2, missing - missing // 2] if index == axis else [0, 0]
        for index in range(len(x.shape))
    ]
    x = tf.pad(x, paddings, constant_values=x.dtype.min)
    all_before = (slice(None),) * axis
    return functools.reduce(
        tf.maximum,
        [
            x[(*all_before, slice(first, first + (steps - 1) * step + 1, step))]
            for first in range(size)
        ],
    )


@functools.cache
def _has_kernels(dtype):
    """Whether TensorFlow has 3D pools of this type."""
    try:
        tf.nn.max_pool3d(tf.ones([1, 1, 1, 1, 1], dtype), 1, 1, "VALID")
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError):
        return False
    return True


@functools.cache
def _gradient_counts_ties(dtype):
    """Whether max-pooling two equal values gives each of them the whole gradient.

    It depends on the type: oneDNN has bfloat16 on processors with AVX-512 alone.
    """

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.max_pool3d(x, [1, 1, 2], [1, 1, 2], "VALID")
        return tape.gradient(y, x)

    return float(tf.reduce_sum(gradient(tf.ones([1, 1, 1, 2, 1], dtype)))) > 1
