"""Training views on two replicas against one device with the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_networks import (
    assert_same,
    clips,
    differences,
    loss_and_gradients,
    named,
    network,
    training_pass,
    weights_of_loss,
)

from i3d_tf.fast import dropout_seeds, for_evaluation, for_training

# Two replicas without a second device; possible only before TensorFlow's first use.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def split(strategy, *values):
    """Values of four clips, two for each replica."""
    dataset = tf.data.Dataset.from_tensors(values).unbatch().batch(4)
    return next(iter(strategy.experimental_distribute_dataset(dataset)))


def joined(strategy, values):
    return tf.concat(strategy.experimental_local_results(values), 0)


def mirrored_pass(strategy, end, dtype="float32", **options):
    """As `training_pass` with half of four clips on each replica."""
    with strategy.scope():
        model = network(end, dtype=dtype)
        view = for_training(model, **options)
    factors = weights_of_loss(view.compute_output_shape(clips(4).shape))

    def on_replica(clip, factors):
        outputs, gradients = loss_and_gradients(model, view, clip, factors)
        replica = tf.distribute.get_replica_context()
        return outputs, replica.all_reduce("SUM", gradients)

    @tf.function
    def run(clip, factors):
        return strategy.run(on_replica, args=(clip, factors))

    outputs, gradients = run(*split(strategy, clips(4), factors))
    first = [strategy.experimental_local_results(g)[0] for g in gradients]
    return named(model, joined(strategy, outputs), first)


@pytest.mark.parametrize("recompute", [False, True])
def test_two_replicas_are_one_device_with_the_whole_batch(strategy, recompute):
    end = "MaxPool3d_2a_3x3"
    model = network(end)
    expected = training_pass(model, for_training(model), clips(4))
    options = {"synchronised": True, "recompute": recompute}
    off = differences(mirrored_pass(strategy, end, **options), expected)
    assert max(off.values()) < 1e-5, off


def test_without_synchronisation_they_are_not(strategy):
    end = "MaxPool3d_2a_3x3"
    model = network(end)
    expected = training_pass(model, for_training(model), clips(4))
    off = differences(mirrored_pass(strategy, end), expected)
    assert min(off.values()) > 1e-4 and off["outputs"] > 0.01, off


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_more_layers_of_every_type(strategy, dtype):
    """Compares with one device of the same type.

    Against float32 the bounds would depend on the processor. Where oneDNN has no
    bfloat16, TensorFlow's own convolution adds up in bfloat16, not in float32. Its
    error is ten times that of one rounding, which turns more ReLUs around: the largest
    error of a gradient is 0.52 there and 0.19 with oneDNN.
    """
    end = "MaxPool3d_3a_3x3"
    model = network(end, dtype=dtype)
    exact = training_pass(model, for_training(model), clips(4))
    got = mirrored_pass(strategy, end, dtype, synchronised=True, recompute=True)
    errors = {
        name: np.linalg.norm(got[name] - value) / np.linalg.norm(value)
        for name, value in exact.items()
    }
    limit = {"float32": 1e-4, "mixed_float16": 0.05, "mixed_bfloat16": 0.2}[dtype]
    assert max(errors.values()) < limit, errors


def test_recomputation_on_replicas_changes_no_bit(strategy):
    expected = mirrored_pass(strategy, "Mixed_3b")
    assert_same(mirrored_pass(strategy, "Mixed_3b", recompute=True), expected)


def test_one_replica_is_the_ordinary_view():
    results = []
    for synchronised in (False, True):
        model = network("MaxPool3d_3a_3x3")
        view = for_training(model, synchronised=synchronised)
        results.append(training_pass(model, view, clips()))
    assert_same(*results)


def test_a_loop_around_the_replicas(strategy):
    with strategy.scope():
        model = network("MaxPool3d_2a_3x3")
        view = for_training(model, synchronised=True, recompute=True)
    (clip,) = split(strategy, clips(4))

    @tf.function
    def run(clip):
        for _ in tf.range(3):
            strategy.run(lambda clip: view(clip, training=True), args=(clip,))

    run(clip)
    mean = model.get_layer("Conv3d_1a_7x7-batch_norm").moving_mean.numpy()
    one = network("MaxPool3d_2a_3x3")
    once = training_pass(one, for_training(one), clips(4))
    expected = once["Conv3d_1a_7x7-batch_norm/moving_mean"] * 2.71
    np.testing.assert_allclose(mean, expected, rtol=1e-4)


def test_outside_of_replicas_it_is_refused(strategy):
    with strategy.scope():
        view = for_training(network("MaxPool3d_2a_3x3"), synchronised=True)
        with pytest.raises(ValueError, match="outside of strategy.run"):
            view(clips(), training=True)


def test_dropout_is_that_of_one_device(strategy):
    seeds = np.arange(8, dtype=np.int32).reshape([4, 2])
    inputs = keras.Input([9, 32, 32, 3])
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
    with dropout_seeds(seeds):
        expected = for_training(model)(clips(4), training=True)
    with strategy.scope():
        view = for_training(keras.models.clone_model(model))

    def on_replica(clip, seeds):
        with dropout_seeds(seeds):
            return view(clip, training=True)

    @tf.function
    def run(clip, seeds):
        return strategy.run(on_replica, args=(clip, seeds))

    got = run(*split(strategy, clips(4), seeds))
    np.testing.assert_array_equal(joined(strategy, got), expected)


def test_evaluation_on_replicas_follows_the_training(strategy):
    with strategy.scope():
        model = network()
        view = for_evaluation(model)

    @tf.function
    def run(clip):
        return strategy.run(view, args=(clip,), kwargs={"training": False})

    (clip,) = split(strategy, clips(4))
    for factor in (1.0, 1.5):
        for weight in model.weights:
            weight.assign(weight.numpy() * factor + (factor - 1) / 10)
        expected = model(clips(4), training=False).numpy()
        off = np.abs(joined(strategy, run(clip)) - expected).max()
        assert off < 1e-5 * np.abs(expected).max()
