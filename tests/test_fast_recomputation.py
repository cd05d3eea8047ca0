"""Training views that compute activations twice; training compiled by XLA."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_networks import assert_same, clips, differences, network, training_pass

from i3d_tf.fast import for_training

DTYPES = "float32", "mixed_bfloat16", "mixed_float16"


@pytest.mark.parametrize("dtype", DTYPES)
def test_recomputation_changes_no_bit(dtype):
    """Nor the moving statistics, which move once though the forward pass runs twice."""
    results = []
    for options in ({}, {"recompute": True}):
        model = network("Mixed_3c", dtype=dtype)
        before = [weight.numpy() for weight in model.non_trainable_weights]
        results.append(training_pass(model, for_training(model, **options), clips()))
        moved = [weight.numpy() for weight in model.non_trainable_weights]
        assert all(np.any(a != b) for a, b in zip(before, moved, strict=True))
    assert_same(results[1], results[0])
    assert all(np.isfinite(value).all() for value in results[1].values())


def test_the_whole_network_changes_no_bit():
    results = []
    for options in ({}, {"recompute": True}):
        model = network()
        results.append(training_pass(model, for_training(model, **options), clips()))
    assert_same(results[1], results[0])


def test_frozen_layers_stay_as_they_are():
    results = []
    for options in ({}, {"recompute": True}):
        model = network("Mixed_3b")
        frozen = [
            layer
            for layer in model.layers
            if layer.name.startswith(("Conv3d_1a", "Mixed_3b-Branch_1"))
        ]
        for layer in frozen:
            layer.trainable = False
        before = {w.path: w.numpy() for layer in frozen for w in layer.weights}
        assert len(before) == 3 * 4
        view = for_training(model, **options)
        results.append(training_pass(model, view, clips()))
        for path, value in before.items():
            np.testing.assert_array_equal(results[-1][path], value, err_msg=path)
    assert_same(results[1], results[0])


def test_gradients_are_summed_in_a_loop():
    """In the body of a while loop; each of the passes moves the statistics."""
    results = []
    for options in ({}, {"recompute": True}):
        model = network("Mixed_3b")
        view = for_training(model, **options)
        results.append(training_pass(model, view, clips(), passes=3))
    assert_same(results[1], results[0])
    model = network("Mixed_3b")
    once = training_pass(model, for_training(model, recompute=True), clips())
    for name, value in once.items():
        if name.endswith("gradient"):
            np.testing.assert_allclose(
                results[1][name], 3 * value, rtol=1e-4, atol=1e-4 * np.abs(value).max()
            )
    # After three steps of decay 0.9 from 0, of the same batch's mean m: 0.271 m.
    mean = "Conv3d_1a_7x7-batch_norm/moving_mean"
    np.testing.assert_allclose(results[1][mean], once[mean] * 2.71, rtol=1e-4)


@pytest.mark.parametrize("recompute", [False, True])
def test_what_xla_computes_twice(recompute):
    """XLA joins equal operations: the second forward pass has to look different."""
    model = network("MaxPool3d_2a_3x3")
    view, clip = for_training(model, recompute=recompute), tf.constant(clips())

    @tf.function(jit_compile=True)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(view(clip, training=True) ** 2)
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    compiled = gradients.experimental_get_compiler_ir()(stage="optimized_hlo")
    # Forward and the kernel's gradient; the clip's is not asked for.
    convolutions = re.findall(r"= \S+ convolution\(", compiled)
    assert len(convolutions) == (3 if recompute else 2)


def test_view_shares_all_variables():
    model = network()
    view = for_training(model, recompute=True, synchronised=True)
    assert {id(v) for v in view.variables} == {id(v) for v in model.variables}
    assert len(view.trainable_variables) == len(model.trainable_variables)
    logits = view(clips(), training=False)
    np.testing.assert_array_equal(logits, for_training(model)(clips(), training=False))
    with pytest.raises(ValueError, match="a clip of 8 frames; at least 9"):
        view(clips()[:, :8], training=True)


def test_other_networks_are_refused():
    inputs = keras.Input([9, 32, 32, 3])
    model = keras.Model(inputs, keras.layers.ReLU()(inputs), name="other")
    with pytest.raises(ValueError, match="other: no activations can be recomputed"):
        for_training(model, recompute=True)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_xla_gives_the_same(dtype, recompute):
    results = []
    for jit_compile in (False, True):
        model = network("MaxPool3d_3a_3x3", dtype=dtype)
        view = for_training(model, recompute=recompute, synchronised=True)
        results.append(training_pass(model, view, clips(), jit_compile=jit_compile))
    tolerance = {"float32": 1e-4, "mixed_float16": 0.2, "mixed_bfloat16": 0.1}[dtype]
    off = differences(results[1], results[0])
    assert max(off.values()) < tolerance, off


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
def test_xla_compiles_the_whole_network(recompute):
    results = []
    for jit_compile in (False, True):
        model = network()
        view = for_training(model, recompute=recompute)
        results.append(training_pass(model, view, clips(4), jit_compile=jit_compile))
    off = differences(results[1], results[0])
    assert off["outputs"] < 1e-3 and np.median(list(off.values())) < 0.01, off


def test_float16_agrees_with_float32():
    results = []
    for dtype in ("mixed_float16", "float32"):
        model = network("Mixed_3c", dtype=dtype)
        results.append(training_pass(model, for_training(model), clips()))
    errors = [
        np.linalg.norm(got - expected) / np.linalg.norm(expected)
        for got, expected in zip(*(r.values() for r in results), strict=True)
    ]
    assert np.median(errors) < 0.02 and max(errors) < 0.3, errors
