"""The same networks in TensorFlow's operations: faster, and right where ties occur.

Both functions return a second view of a model, for use in this process: what is
saved as `.keras` is the model itself, which stays stock layers. Figures are in
experiments/benchmarks/README.md.
"""

import functools

import keras
import tensorflow as tf


def for_inference(model):
    """A copy with each BatchNorm folded into the convolution before it.

    Logits agree with the model's to float rounding; convolution, bias and ReLU run
    as one operation. The copy has kernels of its own, in the type of the
    computation: later changes of the model do not reach it.

    Args:
      model: a functional model in which `<unit>-batch_norm` follows
        `<unit>-conv_3d`, as in `build_i3d`'s.
    """
    batch_norms = {
        layer.name: layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }

    def folded(layer, inputs, **options):
        if layer.name in batch_norms:
            return inputs
        batch_norm = batch_norms.get(layer.name.replace("-conv_3d", "-batch_norm"))
        if batch_norm is not None:
            return _FoldedConvolution(layer, batch_norm)(inputs)
        return layer(inputs, **options)

    return _with_calls(model, folded)


def for_training(model):
    """A view of the model that shares all its variables: training it trains both.

    BatchNorm runs as TensorFlow's fused operation, moving statistics included, and
    max-pools axis by axis, with gradients that are right where values are equal.
    """

    pooling = _MaximumPooling if _pool_gradient_counts_ties() else _AxisPooling

    def replaced(layer, inputs, **options):
        if isinstance(layer, keras.layers.BatchNormalization):
            return _FusedBatchNorm(layer)(inputs)
        if isinstance(layer, keras.layers.MaxPooling3D):
            return pooling(layer)(inputs)
        return layer(inputs, **options)

    return _with_calls(model, replaced)


def _with_calls(model, call):
    """The model with call(layer, inputs, **options) for layer(inputs, **options)."""
    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )


class _FoldedConvolution(keras.layers.Layer):
    """conv(x, kernel / deviation) + (beta - mean / deviation)."""

    def __init__(self, convolution, batch_norm):
        super().__init__(name=convolution.name, dtype=convolution.dtype_policy)
        self.strides = convolution.strides
        self.padding = convolution.padding.upper()
        scale = tf.math.rsqrt(batch_norm.moving_variance.value + batch_norm.epsilon)
        bias = batch_norm.beta.value - batch_norm.moving_mean.value * scale
        self.kernel = self._constant("kernel", convolution.kernel.value * scale)
        self.bias = self._constant("bias", bias)

    def _constant(self, name, value):
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=self.compute_dtype,
            initializer=lambda shape, dtype: tf.cast(value, dtype),
            trainable=False,
        )

    def call(self, x):
        y = tf.nn.conv3d(x, self.kernel, [1, *self.strides, 1], self.padding)
        # Not `+`: BiasAdd is what TensorFlow joins with the convolution.
        return tf.nn.bias_add(y, self.bias)


class _FusedBatchNorm(keras.layers.Layer):
    """A BatchNormalization layer through FusedBatchNorm, on `[B*T, H, W, C]`."""

    def __init__(self, batch_norm):
        super().__init__(name=batch_norm.name, dtype=batch_norm.dtype_policy)
        self.batch_norm = batch_norm

    def call(self, x, training=None):
        layer = self.batch_norm
        if not training or not layer.trainable:
            return layer(x, training=False)
        frames = tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0))
        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=frames,
            scale=tf.ones_like(layer.beta.value),
            offset=layer.beta.value,
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=layer.epsilon,
            is_training=True,
        )
        # It tells the unbiased variance; Keras's layer keeps the biased one.
        count = tf.cast(tf.size(frames[..., 0]), tf.float32)
        variance *= (count - 1) / count
        for moving, value in (
            (layer.moving_mean, mean),
            (layer.moving_variance, variance),
        ):
            moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
        return tf.reshape(normalised, tf.shape(x))


class _AxisPooling(keras.layers.Layer):
    """MaxPooling3D over height and width first, then over time.

    The maxima are the same, the gradient looks at 9 + 3 values and not at 27.
    """

    def __init__(self, pool):
        super().__init__(name=pool.name, dtype=pool.dtype_policy)
        self.window, self.strides = pool.pool_size, pool.strides
        self.padding = pool.padding.upper()

    def call(self, x):
        (time, *sides), (step, *steps) = self.window, self.strides
        x = tf.nn.max_pool3d(x, [1, *sides], [1, *steps], self.padding)
        if time > 1:
            x = tf.nn.max_pool3d(x, [time, 1, 1], [step, 1, 1], self.padding)
        return x


class _MaximumPooling(_AxisPooling):
    """The same where TensorFlow's gradient of max-pooling is wrong.

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


def _maximum_along(x, axis, size, step):
    """Maxima of `size` neighbours along an axis, every `step`, SAME padding."""
    length = tf.shape(x)[axis]
    steps = -(-length // step)
    missing = tf.maximum((steps - 1) * step + size - length, 0)
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
def _pool_gradient_counts_ties():
    """Whether max-pooling two equal values gives each of them the whole gradient."""

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.max_pool3d(x, [1, 1, 2], [1, 1, 2], "VALID")
        return tape.gradient(y, x)

    return float(tf.reduce_sum(gradient(tf.ones([1, 1, 1, 2, 1])))) > 1
