"""The same networks in TensorFlow's operations: faster, and right where ties occur.

Both functions return a second view of a model, for use in this process: what is
saved as `.keras` is the model itself, which stays stock layers. Figures are in
experiments/benchmarks/README.md.
"""

import functools

import keras
import tensorflow as tf

from i3d_tf.inception import refuse_small_inputs


def for_inference(model):
    """A copy with each BatchNorm folded into the convolution before it.

    Logits agree with the model's to float rounding; convolution, bias and ReLU run
    as one operation. The copy has kernels of its own, in the type of the
    computation: later changes of the model do not reach it.

    Args:
      model: a network of `build_i3d`, or a functional model of such units:
        `<unit>-conv_3d` without bias, then `<unit>-batch_norm` without scale.

    Raises:
      ValueError: a BatchNorm is not of such a unit.
    """
    layers = {layer.name: layer for layer in model.layers}
    batch_norms = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            unit = layer.name.removesuffix("-batch_norm")
            convolution = layers.get(f"{unit}-conv_3d")
            if convolution is None or convolution.use_bias or layer.scale:
                raise ValueError(
                    f"{model.name}: {layer.name} is not of a unit {unit}-conv_3d "
                    "(no bias), -batch_norm (no scale) and cannot be folded"
                )
            batch_norms[convolution.name] = layer

    def folded(layer, inputs, **options):
        if isinstance(layer, keras.layers.BatchNormalization):
            return inputs
        if layer.name in batch_norms:
            return _FoldedConvolution(layer, batch_norms[layer.name])(inputs)
        return layer(inputs, **options)

    return _with_calls(model, folded)


def for_training(model):
    """A view of the model that shares all its variables: training it trains both.

    BatchNorm runs as TensorFlow's fused operation, moving statistics included, and
    max-pools axis by axis, with gradients that are right where values are equal. To
    be called in a `tf.function`; which layers are frozen is read as that is traced.

    Args:
      model: a network of clips, float32 or mixed_bfloat16.
    """

    def replaced(layer, inputs, **options):
        if isinstance(layer, keras.layers.BatchNormalization):
            return _FusedBatchNorm(layer)(inputs)
        if isinstance(layer, keras.layers.MaxPooling3D):
            counts_ties = _pool_gradient_counts_ties(layer.compute_dtype)
            return (_MaximumPooling if counts_ties else _AxisPooling)(layer)(inputs)
        return layer(inputs, **options)

    return _with_calls(model, replaced)


def _with_calls(model, call):
    """The model with call(layer, inputs, **options) for layer(inputs, **options)."""
    view = keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )
    refuse_small_inputs(view)
    return view


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
def _pool_gradient_counts_ties(dtype):
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
