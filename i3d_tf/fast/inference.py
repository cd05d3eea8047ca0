"""Networks that are not trained: each BatchNorm folded into its convolution."""

import keras
import tensorflow as tf

from i3d_tf.fast.pooling import where_kernels_are_missing
from i3d_tf.fast.views import with_calls


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
    return _folded(model, _FoldedUnit)


def for_evaluation(model):
    """A view that folds as `for_inference` does, anew in each call.

    It shares all variables with the model, so that one traced `tf.function` follows
    the training; the fold costs a product and a sum for each weight. On replicas each
    reads its own copy of the variables.

    Args, errors: as of `for_inference`.
    """
    return _folded(model, _FoldingUnit)


def _folded(model, make_unit):
    """The model with make_unit(convolution, batch_norm) for each pair of them."""
    batch_norms = _batch_norms(model)

    def call(layer, inputs, **options):
        if isinstance(layer, keras.layers.BatchNormalization):
            return inputs
        if layer.name in batch_norms:
            return make_unit(layer, batch_norms[layer.name])(inputs)
        return where_kernels_are_missing(layer)(inputs, **options)

    return with_calls(model, call)


def _batch_norms(model):
    """{name of a convolution: the BatchNorm after it}."""
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
    return batch_norms


class _Unit(keras.layers.Layer):
    """conv(x, kernel / deviation) + (beta - mean / deviation)."""

    def __init__(self, convolution):
        # Of float32, so that weights are read as they are stored and rounded once.
        super().__init__(name=convolution.name, dtype="float32", autocast=False)
        self.type = convolution.compute_dtype
        self.strides = convolution.strides
        self.padding = convolution.padding.upper()

    def call(self, x):
        x, kernel, bias = (tf.cast(value, self.type) for value in (x, *self.folded()))
        y = tf.nn.conv3d(x, kernel, [1, *self.strides, 1], self.padding)
        # Not `+`: BiasAdd is what TensorFlow joins with the convolution.
        return tf.nn.bias_add(y, bias)


class _FoldingUnit(_Unit):
    """Folds in each call."""

    def __init__(self, convolution, batch_norm):
        super().__init__(convolution)
        self.convolution, self.batch_norm = convolution, batch_norm

    def folded(self):
        return _fold(self.convolution, self.batch_norm)


class _FoldedUnit(_Unit):
    """Folded once, into weights of its own."""

    def __init__(self, convolution, batch_norm):
        super().__init__(convolution)
        kernel, bias = _fold(convolution, batch_norm)
        self.kernel = self._constant("kernel", kernel)
        self.bias = self._constant("bias", bias)

    def _constant(self, name, value):
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=self.type,
            initializer=lambda shape, dtype: tf.cast(value, dtype),
            trainable=False,
        )

    def folded(self):
        return self.kernel.value, self.bias.value


def _fold(convolution, batch_norm):
    """(kernel, bias) of both, in the type of the variables."""
    scale = tf.math.rsqrt(batch_norm.moving_variance.value + batch_norm.epsilon)
    bias = batch_norm.beta.value - batch_norm.moving_mean.value * scale
    return convolution.kernel.value * scale, bias
