"""Dropout by the clips' own seeds."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_networks import clips

from i3d_tf import RGB, build_i3d
from i3d_tf.fast import dropout_seeds, for_training

SEEDS = np.array([[1, 2], [3, 4], [5, 6], [1, 3]], np.int32)
SHAPE = [9, 32, 32, 4]


def view(rate=0.5, dtype="float32"):
    inputs = keras.Input(SHAPE)
    dropout = keras.layers.Dropout(rate, seed=0, dtype=dtype)
    return for_training(keras.Model(inputs, dropout(inputs)))


def dropped(network, seeds, x=None, jit_compile=False):
    x = tf.ones([len(seeds), *SHAPE]) if x is None else x

    @tf.function(jit_compile=jit_compile)
    def run(x, seeds):
        with dropout_seeds(seeds):
            return network(x, training=True)

    return run(x, tf.constant(seeds)).numpy()


def test_a_clip_has_its_mask_wherever_it_stands():
    network = view()
    expected = dropped(network, SEEDS)
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(dropped(network, SEEDS[order]), expected[order])
    for clip, seed in zip(expected, SEEDS, strict=True):
        np.testing.assert_array_equal(dropped(network, [seed])[0], clip)
    # Another seed, another mask: half of the values are alike by chance.
    for a, b in ((0, 1), (0, 3), (1, 2)):
        assert 0.48 < np.mean(expected[a] == expected[b]) < 0.52


def test_mask_is_that_of_philox_and_the_seed():
    key, counter = SEEDS[1]
    generator = tf.random.Generator.from_state([0, counter, key], alg="philox")
    integers = generator.uniform_full_int([9 * 32 * 32 * 4], tf.int32).numpy()
    numbers = integers.reshape(SHAPE) / 2**32 + 0.5
    expected = np.where(numbers >= 0.25, np.float32(1 / 0.75), 0)
    np.testing.assert_array_equal(dropped(view(0.25), SEEDS)[1], expected)


def test_xla_draws_the_same():
    network = view()
    np.testing.assert_array_equal(
        dropped(network, SEEDS, jit_compile=True), dropped(network, SEEDS)
    )


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("rate", [0.25, 0.5, 0.8])
def test_share_and_scale(rate, dtype):
    values = dropped(view(rate, dtype), SEEDS)
    kept = values != 0
    assert abs(np.mean(~kept) - rate) < 0.005
    scale = tf.cast(1 / (1 - rate), values.dtype).numpy()
    np.testing.assert_array_equal(values[kept], scale)


def test_gradient_passes_where_values_do():
    network, x = view(0.25), tf.ones([4, *SHAPE])

    @tf.function
    def run():
        with tf.GradientTape() as tape, dropout_seeds(SEEDS):
            tape.watch(x)
            y = network(x, training=True)
        return y, tape.gradient(y, x)

    values, gradient = run()
    np.testing.assert_array_equal(gradient, values)


def test_without_seeds_the_layer_draws():
    network = view()
    before = network.layers[-1].dropout.seed_generator.state.numpy()
    first = network(tf.ones([4, *SHAPE]), training=True).numpy()
    assert np.any(network.layers[-1].dropout.seed_generator.state.numpy() != before)
    assert np.any(dropped(network, SEEDS) != first)
    with dropout_seeds(SEEDS):
        np.testing.assert_array_equal(network(tf.ones([4, *SHAPE])), 1)


def test_seeds_are_of_one_thread():
    network, x, results = view(), tf.ones([4, *SHAPE]), {}

    def run(name, seeds):
        with dropout_seeds(seeds):
            inside.wait()
            results[name] = network(x, training=True).numpy()

    inside = threading.Barrier(2)
    other = SEEDS + 7
    threads = [
        threading.Thread(target=run, args=arguments)
        for arguments in (("a", SEEDS), ("b", other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results["a"], dropped(network, SEEDS))
    np.testing.assert_array_equal(results["b"], dropped(network, other))


def test_recomputed_network_drops_the_same():
    model = build_i3d(RGB, 3, size=32, width=1 / 8, dropout=0.5, seed=0)
    logits = [
        dropped(for_training(model, recompute=recompute), SEEDS, clips(4))
        for recompute in (False, True)
    ]
    np.testing.assert_array_equal(*logits)
    others = dropped(for_training(model), SEEDS + 1, clips(4))
    assert np.abs(others - logits[0]).max() > 1e-3


@pytest.mark.parametrize("seeds", [[1, 2], [[1, 2, 3]], [[1.0, 2.0]]])
def test_other_seeds_are_refused(seeds):
    with pytest.raises(ValueError, match="they must be integers"):
        with dropout_seeds(seeds):
            pass


def test_a_seed_too_few_is_refused():
    with pytest.raises(ValueError, match="3 dropout seeds for a batch of 4 clips"):
        dropped(view(), SEEDS[:3], tf.ones([4, *SHAPE]))
