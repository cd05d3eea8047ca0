"""Folded inference and fast training against the layers, and against float64."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_networks import with_exact_pools

from i3d_tf import FLOW, RGB, build_i3d, build_inception_v1
from i3d_tf.config import Config, Data, StreamTraining
from i3d_tf.fast import convolution, for_evaluation, for_inference, for_training
from i3d_tf.training.state import new_stream_state

OPTIONS = {"size": 64, "width": 1 / 4, "seed": 0}


def build(stream=RGB, num_classes=10, **options):
    """A network whose statistics are those of no fresh BatchNorm."""
    model = build_i3d(stream, num_classes, **{**OPTIONS, **options})
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.beta.shape
            layer.beta.assign(generator.normal(0, 0.1, shape))
            layer.moving_mean.assign(generator.normal(0, 0.1, shape))
            layer.moving_variance.assign(generator.uniform(0.5, 2, shape))
    return model


def clips(stream=RGB, batch=2, frames=16, size=64):
    shape = [batch, frames, size, size, stream.channels]
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def difference(got, expected):
    """Largest difference, relative to the largest expected value."""
    return np.abs(got - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("stream", [RGB, FLOW], ids=lambda stream: stream.name)
def test_folded_network_gives_the_same_logits(stream):
    model = build(stream)
    folded = for_inference(model)
    expected = model(clips(stream), training=False).numpy()
    logits = tf.function(folded)(clips(stream), training=False).numpy()
    assert difference(logits, expected) < 1e-5
    # Two weights a unit and the head's; nothing of BatchNorm is left.
    assert len(folded.weights) == 2 * 57 + 2
    assert not any("batch_norm" in weight.path for weight in folded.weights)


def test_folded_network_keeps_its_weights_when_the_model_is_trained():
    model = build()
    folded = for_inference(model)
    before = folded(clips(), training=False).numpy()
    for layer in model.layers:
        if layer.name.endswith(("-conv_3d", "-batch_norm")):
            for weight in layer.weights:
                weight.assign(weight * 1.5)
    np.testing.assert_array_equal(folded(clips(), training=False), before)


@pytest.mark.parametrize(
    "dtype, tolerance",
    [("float32", 1e-5), ("mixed_bfloat16", 0.1), ("mixed_float16", 0.01)],
)
def test_evaluation_follows_the_model(dtype, tolerance):
    model = build(size=32, dtype=dtype)
    exact = build(size=32)
    view = for_evaluation(model)
    assert {id(v) for v in view.variables} == {id(v) for v in model.variables}
    evaluate = tf.function(view)
    for factor in (1.0, 1.2):
        for layer in (*model.layers, *exact.layers):
            if layer.name.endswith(("-conv_3d", "-batch_norm")):
                for weight in layer.weights:
                    weight.assign(weight * factor)
        expected = exact(clips(size=32), training=False).numpy()
        logits = evaluate(clips(size=32), training=False).numpy()
        assert difference(logits, expected) < tolerance
    assert evaluate.experimental_get_tracing_count() == 1


def test_folded_kernels_have_the_type_of_the_computation():
    folded = for_inference(build(dtype="mixed_bfloat16"))
    kernel = folded.get_layer("Conv3d_2c_3x3-conv_3d").kernel
    assert kernel.dtype == "bfloat16"
    assert folded(clips(), training=False).dtype == tf.float32


def test_folded_network_agrees_in_bfloat16():
    expected = build()(clips(), training=False).numpy()
    logits = for_inference(build(dtype="mixed_bfloat16"))(clips()).numpy()
    cosine = np.sum(logits * expected, 1) / (
        np.linalg.norm(logits, axis=1) * np.linalg.norm(expected, axis=1)
    )
    assert np.all(cosine > 0.999)


def gradients(model, network, clip):
    """Of the mean loss with respect to the model's trainable variables, in a graph."""
    labels = tf.one_hot(np.arange(len(clip)), 10)

    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            logits = tf.cast(network(clip, training=True), tf.float32)
            loss = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    return [gradient.numpy() for gradient in compute()]


def in_float64(model):
    """Returns (model, view) of the same weights in float64, with exact pools."""
    exact = build_i3d(RGB, 10, **OPTIONS, dtype="float64")
    exact.set_weights([np.asarray(weight, "float64") for weight in model.get_weights()])
    return exact, with_exact_pools(exact)


def test_gradients_agree_with_float64():
    # Rounding turns some ReLUs and maxima around: in float64, clips changed by 1e-6
    # move the gradients of half of the variables by 0.2 % and those of one by 2.3 %,
    # by 1e-5 1.4 and 11 %. TensorFlow's own CPU kernel of the max-pools' gradient is
    # off by more than 100 %.
    model = build()
    expected = gradients(*in_float64(model), tf.constant(clips(), tf.float64))
    got = gradients(model, for_training(model), clips())
    errors = [
        np.linalg.norm(a - b) / np.linalg.norm(b)
        for a, b in zip(got, expected, strict=True)
    ]
    assert np.median(errors) < 0.01 and max(errors) < 0.1


def test_moving_statistics_move_as_the_layers():
    results = []
    for view in (lambda model: model, for_training):
        model = build(batch_norm_decay=0.9)
        before = [weight.numpy() for weight in model.non_trainable_weights]
        tf.function(view(model))(clips(), training=True)
        results.append([weight.numpy() for weight in model.non_trainable_weights])
    for old, expected, got in zip(before, *results, strict=True):
        assert np.abs(expected - old).max() > 1e-4
        assert difference(got - old, expected - old) < 1e-3


def test_view_shares_variables_and_dropout_with_the_model():
    model = build(dropout=0.5)
    view = for_training(model)
    assert {id(v) for v in view.variables} == {id(v) for v in model.variables}


def test_frozen_units_use_and_keep_their_statistics():
    model = build()
    for layer in model.layers:
        layer.trainable = False
    view = for_training(model)
    before = [weight.numpy() for weight in model.weights]
    logits = tf.function(view)(clips(), training=True)
    assert difference(logits, model(clips(), training=False).numpy()) < 1e-5
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(ValueError, match="Conv2d_1a_7x7-batch_norm is not of a unit"):
        for_inference(build_inception_v1(size=32, width=1 / 8))


def test_views_refuse_short_clips():
    for view in (for_inference(build()), for_training(build())):
        with pytest.raises(ValueError, match="a clip of 8 frames; at least 9"):
            view(clips(frames=8), training=False)


def test_model_stays_stock_layers_after_training(tmp_path):
    stream = StreamTraining(steps=1, learning_rates=(0.1,))
    config = Config(
        Data("none", size=32, smaller_side=32), rgb=stream, dtype="float32", width=1 / 8
    )
    model = new_stream_state(RGB, config, 3).model
    for_training(model)(clips(size=32), training=True)
    for_inference(model)
    expected = model(clips(size=32), training=False).numpy()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "clips.npy", clips(size=32))
    script = """
import sys, keras, numpy
model = keras.models.load_model("model.keras")
assert "i3d_tf" not in sys.modules
numpy.save("logits.npy", model(numpy.load("clips.npy"), training=False))
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert difference(np.load(tmp_path / "logits.npy"), expected) < 1e-5


@pytest.mark.parametrize("frames", [2, 3, 8])
def test_three_step_convolutions_are_the_convolution(frames):
    """And in bfloat16 the kernel's gradient is exact on small whole numbers."""
    layer = keras.layers.Conv3D(
        16, 3, padding="same", use_bias=False, dtype="mixed_bfloat16"
    )
    rng = np.random.default_rng(0)
    x = rng.integers(-1, 2, (4, frames, 1, 1, 16)).astype(np.float32)
    layer.build(x.shape)
    layer.kernel.assign(rng.integers(-1, 2, layer.kernel.shape))
    call = convolution.ThreeStepConvolution(layer)

    @tf.function
    def run(x, network):
        with tf.GradientTape() as tape:
            y = tf.cast(network(x), tf.float32)
        return y, tape.gradient(y, layer.kernel.value)

    def in_float32(x):
        return tf.nn.conv3d(x, layer.kernel.value, [1] * 5, "SAME")

    y, gradient = run(tf.constant(x), call)
    wanted, wanted_gradient = run(tf.constant(x), in_float32)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(gradient, wanted_gradient)


def test_bfloat16_gradients_of_short_clips_are_the_same_in_each_call():
    """Of 9 frames two time steps are left in Mixed_5b and 5c."""
    model = build(dtype="mixed_bfloat16")
    view, trained = for_training(model), [v.value for v in model.trainable_variables]
    x = tf.constant(clips(frames=9), tf.float32)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(view(x, training=True) ** 2)
        return tape.gradient(total, trained)

    first, second = gradients(), gradients()
    for variable, one, other in zip(trained, first, second, strict=True):
        assert np.isfinite(one).all(), variable.name
        np.testing.assert_array_equal(one, other, err_msg=variable.name)
