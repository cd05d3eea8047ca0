"""One update: against its formula, and the same however the clips are spread."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
import tiny

from i3d_tf import FLOW, clips, training
from i3d_tf.config import StreamTraining
from i3d_tf.fast import for_training
from i3d_tf.training.results import MADE, NOT_FINITE, SCALED_DOWN
from i3d_tf.training.state import make_averaged_weights, new_stream_state
from i3d_tf.training.strategies import distribute
from i3d_tf.training.updates import make_updates, passes_of

pytestmark = pytest.mark.usefixtures("shallow_network")

# Two replicas without a second device; possible only before TensorFlow's first use.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

PLAIN = StreamTraining(steps=9, learning_rates=(0.1,), weight_decay=1e-3, dropout=0.0)


def random_batches(config, count=1, seed=0):
    """Clips of noise: on the ramps of the tiny videos BatchNorm's gradients explode."""
    generator = np.random.default_rng(seed)
    data = config.data
    shape = [config.batch_size, data.num_frames, data.size, data.size]
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    return [
        (
            {
                stream.name: generator.normal(size=[*shape, stream.channels])
                .clip(-1, 1)
                .astype(np.float32)
                for stream in config.streams
            },
            labels,
        )
        for _ in range(count)
    ]


# One of a kind: TensorFlow takes the collectives of a second MirroredStrategy on the
# same devices for those of the first.
strategy_of = functools.cache(training.make_strategy)


class Training:
    """A stream's state, and updates of it from batches."""

    def __init__(self, config, strategy="one", **options):
        self.config = config
        self.strategy = strategy_of(strategy)
        with self.strategy.scope():
            self.states = {
                stream.name: new_stream_state(stream, config, 3)
                for stream in config.streams
            }
        (self.state, *_) = self.states.values()
        self.updates = make_updates(self.strategy, config, self.states, **options)
        self.step = 0

    def run(self, batches, at_once=1):
        """Updates of all streams; returns the Figures of each call."""
        names = tuple(self.states)
        _, size = passes_of(self.config, self.strategy.num_replicas_in_sync)
        whole = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
        iterator = distribute(
            self.strategy,
            lambda: tf.data.Dataset.from_tensor_slices(whole).batch(
                size, drop_remainder=True
            ),
        )
        found = []
        for _ in range(0, len(batches), at_once):
            found.append(self.updates(iterator, self.step, at_once, names))
            self.step += at_once
        return found

    def weights(self):
        return {
            f"{name}/{weight.path}": weight.numpy()
            for name, state in self.states.items()
            for weight in state.model.weights
        }


def loss_and_gradients(model, clips, labels):
    """Returns the mean cross-entropy of a training pass and its gradients, in NumPy.

    The network is the view that updates use, as stock layers round differently: with
    AVX2 one input of a ReLU is 3e-6 there and -2e-5 in float64, and with it gradients
    of the layers before it change by up to 5 %. test_fast.py compares the view's
    gradients with float64.
    """
    variables = [variable.value for variable in model.trainable_variables]
    network = for_training(model)

    @tf.function
    def compute(clips, labels):
        with tf.GradientTape() as tape:
            logits = network(clips, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, variables)

    loss, gradients = compute(clips, labels)
    return float(loss), [gradient.numpy() for gradient in gradients]


def assert_close(got, wanted, tolerance):
    """Of each weight, to a share of its largest value."""
    assert got.keys() == wanted.keys()
    for path, value in wanted.items():
        atol = tolerance * np.abs(value).max() + 1e-7
        np.testing.assert_allclose(got[path], value, atol=atol, err_msg=path)


def assert_moved(before, got, wanted, tolerance=2e-3):
    """Compares what each weight has moved by, which is far less than the weight.

    By norms: the last bit of an activation can turn a ReLU around, which changes single
    values of a kernel by percents and its norm hardly.
    """
    assert got.keys() == wanted.keys() == before.keys()
    for path, value in before.items():
        moved, error = wanted[path] - value, got[path] - wanted[path]
        limit = tolerance * np.linalg.norm(moved) + 1e-7
        assert np.linalg.norm(error) < limit, (path, np.linalg.norm(error), limit)


def test_an_update_is_sgd_with_weight_decay():
    """w' = w - 0.1 * (gradient + 0.001 w), the last part for kernels alone."""
    config = tiny.config(rgb=None, flow=PLAIN)
    run = Training(config)
    before = run.weights()
    ((inputs, labels),) = batches = random_batches(config)
    (figures,) = run.run(batches)
    model = new_stream_state(FLOW, config, 3).model
    loss, gradients = loss_and_gradients(model, inputs["flow"], labels)
    assert figures.values["flow_loss"].shape == (1, 4)
    assert figures.values["flow_loss"].mean() == pytest.approx(loss, rel=1e-5)
    assert figures.outcomes["flow"].tolist() == [MADE]
    wanted = {f"flow/{w.path}": w.numpy() for w in model.weights}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        path = f"flow/{variable.path}"
        decay = 1e-3 * before[path] if path.endswith("kernel") else 0.0
        wanted[path] = before[path] - 0.1 * (gradient + decay)
    assert_moved(before, run.weights(), wanted)


@pytest.mark.slow
def test_codes_are_normalised_in_the_step():
    config = tiny.config(rgb=None, flow=PLAIN)
    ((inputs, labels),) = random_batches(config)
    codes = np.rint(inputs["flow"] * FLOW.scale + FLOW.zero).astype(np.uint8)
    first, second = Training(config), Training(config)
    (figures,) = first.run([({"flow": codes}, labels)])
    (same,) = second.run([({"flow": clips.normalise(codes, FLOW).numpy()}, labels)])
    np.testing.assert_allclose(
        figures.values["flow_loss"], same.values["flow_loss"], rtol=1e-5
    )
    # The last bit of a clip may differ, and the gradients then in the third digit.
    assert_close(first.weights(), second.weights(), 2e-3)


def test_momentum_clipping_smoothing_averages_and_a_step_left_out():
    """Three updates against a reference in numpy; the second batch has a NaN."""
    stream = dataclasses.replace(
        PLAIN,
        schedule="cosine",
        warmup_steps=2,
        clip_norm=0.5,
        label_smoothing=0.3,
        ema_decay=0.6,
    )
    config = tiny.config(rgb=None, flow=stream)
    batches = random_batches(config, 4)
    batches[1][0]["flow"][2, 3, 4, 5, 1] = np.nan
    run = Training(config)
    found = run.run(batches[:2]) + run.run(batches[2:], at_once=2)
    outcomes = [figures.outcomes["flow"].tolist() for figures in found]
    assert outcomes == [[MADE], [NOT_FINITE], [MADE, MADE]]
    assert np.isnan(found[1].values["flow_loss"][0, 2])
    assert [figures.traced for figures in found] == [True, False, False]
    assert all(0 < figures.waited < figures.seconds for figures in found)
    assert [(f.updates, f.clips) for f in found] == [(1, 4), (1, 4), (2, 8)]

    model = new_stream_state(FLOW, config, 3).model
    variables = model.trainable_variables
    values = [variable.numpy().astype(np.float64) for variable in variables]
    velocities = [np.zeros_like(value) for value in values]
    averages = [value.copy() for value in values]
    clipped = []
    for step in (0, 2, 3):
        inputs, labels = batches[step]
        _, gradients = loss_and_gradients(model, inputs["flow"], labels * 0.7 + 0.1)
        gradients = [
            g + 1e-3 * v * variable.path.endswith("kernel")
            for g, v, variable in zip(gradients, values, variables, strict=True)
        ]
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        clipped.append(norm > 0.5)
        rate = 0.1 * (1 + np.cos(np.pi * step / 9)) / 2 * min((step + 1) / 2, 1)
        decay = min(0.6, (step + 1) / (step + 10))
        for number, gradient in enumerate(gradients):
            gradient = gradient * min(1, 0.5 / norm)
            velocities[number] = 0.9 * velocities[number] - rate * gradient
            values[number] = values[number] + velocities[number]
            averages[number] = decay * averages[number] + (1 - decay) * values[number]
            variables[number].assign(values[number])
    assert any(clipped)
    names = [f"flow/{variable.path}" for variable in variables]
    start = Training(config).weights()
    statistics = {f"flow/{w.path}": w.numpy() for w in model.non_trainable_weights}
    wanted = dict(zip(names, values, strict=True))
    assert_moved(start, run.weights(), {**wanted, **statistics}, 1e-2)
    trained = run.weights()
    with make_averaged_weights(run.strategy, run.states)():
        averaged = run.weights()
    wanted = dict(zip(names, averages, strict=True))
    assert_moved(start, averaged, {**wanted, **statistics}, 1e-2)
    # And they are taken back.
    for path, value in run.weights().items():
        np.testing.assert_array_equal(value, trained[path], err_msg=path)


@pytest.mark.slow
def test_updates_do_not_depend_on_how_their_clips_are_spread():
    """Two passes of one device, two replicas; one update a call and two."""
    stream = dataclasses.replace(PLAIN, dropout=0.5, ema_decay=0.5)
    config = tiny.config(rgb=stream, flow=stream, clips_at_once=2)
    batches = random_batches(config, 2)
    one, two = Training(config), Training(config, "mirrored")
    assert passes_of(config, 1) == (2, 2) and passes_of(config, 2) == (1, 2)
    before = one.weights()
    (both,) = one.run(batches, at_once=2)
    first, second = two.run(batches)
    for name, values in both.values.items():
        spread = np.concatenate([first.values[name], second.values[name]])
        np.testing.assert_allclose(values, spread, rtol=1e-4, err_msg=name)
    assert set(both.values) == {
        *("rgb_loss", "rgb_top1", "flow_loss", "flow_top1", "fused_top1")
    }
    assert_close(two.weights(), one.weights(), 1e-5)
    assert all(np.any(one.weights()[path] != v) for path, v in before.items())
    # All replicas hold the same, statistics included.
    for weight in two.state.model.weights:
        first, second = (part.numpy() for part in weight.value.values)
        np.testing.assert_array_equal(first, second, err_msg=weight.path)


def test_passes_are_groups_of_batch_norm_and_their_statistics_are_averaged():
    """Against the mean gradient, and the mean statistics, of the halves.

    Larger clips than elsewhere: BatchNorm over two clips of one place and one step
    amplifies rounding. Against float64 weights there are off by 0.05 %, and by 2 % on
    processors with AMX; with these by 0.01 %.
    """
    config = tiny.config(rgb=None, flow=PLAIN, clips_at_once=2)
    data = dataclasses.replace(config.data, num_frames=17, size=64, smaller_side=64)
    config = dataclasses.replace(config, data=data)
    run = Training(config)
    before = run.weights()
    ((inputs, labels),) = batches = random_batches(config)
    run.run(batches)
    model = new_stream_state(FLOW, config, 3).model
    gradients, halves = [], []
    for half in (slice(0, 2), slice(2, 4)):
        for weight in model.weights:
            weight.assign(before[f"flow/{weight.path}"])
        gradients.append(loss_and_gradients(model, inputs["flow"][half], labels[half]))
        halves.append({f"flow/{w.path}": w.numpy() for w in model.weights})
    wanted = {path: (value + halves[1][path]) / 2 for path, value in halves[0].items()}
    for variable, first, second in zip(
        model.trainable_variables, gradients[0][1], gradients[1][1], strict=True
    ):
        path = f"flow/{variable.path}"
        decay = 1e-3 * before[path] if path.endswith("kernel") else 0.0
        wanted[path] = before[path] - 0.1 * ((first + second) / 2 + decay)
    assert_moved(before, run.weights(), wanted)


@pytest.mark.slow
def test_synchronised_batch_norm_makes_replicas_one_batch():
    """To 1e-5 where weights move by 1e-2: sums are added in another order."""
    stream = dataclasses.replace(PLAIN, dropout=0.5, learning_rates=(0.01,))
    config = tiny.config(rgb=None, flow=stream, synchronised_batch_norm=True)
    one, two = Training(config), Training(config, "mirrored")
    before, batches = one.weights(), random_batches(config)
    one.run(batches)
    two.run(batches)
    got, wanted = two.weights(), one.weights()
    for path, weight in wanted.items():
        np.testing.assert_allclose(got[path], weight, atol=1e-5, err_msg=path)
    assert max(np.abs(wanted[path] - value).max() for path, value in before.items()) > (
        1e-2
    )


@pytest.mark.slow
def test_xla_compiles_an_update():
    """What a TPU needs: every shape known, no operation that XLA lacks."""
    stream = dataclasses.replace(PLAIN, dropout=0.5, clip_norm=1.0, ema_decay=0.9)
    config = tiny.config(rgb=None, flow=stream, clips_at_once=2)
    plain, compiled = Training(config), Training(config, compiled=True)
    before, batches = plain.weights(), random_batches(config)
    (figures,) = plain.run(batches)
    (same,) = compiled.run(batches)
    assert same.outcomes["flow"].tolist() == [MADE]
    np.testing.assert_allclose(
        same.values["flow_loss"], figures.values["flow_loss"], rtol=1e-3
    )
    got, wanted = compiled.weights(), plain.weights()
    moved = max(np.abs(wanted[path] - value).max() for path, value in before.items())
    for path, weight in wanted.items():
        np.testing.assert_allclose(got[path], weight, atol=0.02 * moved, err_msg=path)


@pytest.mark.slow
def test_recomputation_changes_nothing():
    stream = dataclasses.replace(PLAIN, dropout=0.5)
    config = tiny.config(rgb=None, flow=stream)
    batches = random_batches(config, 2)
    kept = Training(config)
    again = Training(dataclasses.replace(config, recompute=True))
    kept.run(batches)
    again.run(batches)
    assert_close(again.weights(), kept.weights(), 1e-6)


@pytest.mark.slow
def test_float16_scales_the_loss():
    """Half a too large scale until the gradients are finite, and train on."""
    config = tiny.config(rgb=None, flow=PLAIN, dtype="mixed_float16")
    run = Training(config)
    assert float(run.state.loss_scale) == 2.0**15
    batches = random_batches(config, 2)
    run.state.loss_scale.assign(2.0**40)
    before = run.weights()
    (figures,) = run.run(batches[:1])
    assert figures.outcomes["flow"].tolist() == [SCALED_DOWN]
    assert np.isfinite(figures.values["flow_loss"]).all()
    assert float(run.state.loss_scale) == 2.0**39
    for path, value in run.weights().items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)

    # A loss that is not finite is none of the scale's doing.
    run.state.loss_scale.assign(2.0**10)
    batches[1][0]["flow"][0, 0, 0, 0, 0] = np.nan
    (figures,) = run.run(batches[1:])
    assert figures.outcomes["flow"].tolist() == [NOT_FINITE]
    assert float(run.state.loss_scale) == 2.0**10

    run.state.good_updates.assign(1999)
    (figures,) = run.run(batches[:1])
    assert figures.outcomes["flow"].tolist() == [MADE]
    assert (float(run.state.loss_scale), int(run.state.good_updates)) == (2.0**11, 0)
    # In float32 the same update, but for what float16 rounds.
    plain = Training(dataclasses.replace(config, dtype="float32"))
    plain.run(batches[:1])
    head = "flow/Logits-Conv3d_0c_1x1/bias"
    np.testing.assert_allclose(run.weights()[head], plain.weights()[head], atol=2e-3)


@pytest.mark.parametrize(
    "clips_at_once, replicas, wanted",
    [(None, 1, (1, 384)), (None, 64, (1, 6)), (6, 1, (64, 6)), (6, 8, (8, 6))],
)
def test_passes(clips_at_once, replicas, wanted):
    config = tiny.config(batch_size=384, clips_at_once=clips_at_once)
    assert passes_of(config, replicas) == wanted


@pytest.mark.parametrize("clips_at_once, replicas", [(None, 5), (6, 10), (4, 2)])
def test_clips_that_do_not_divide_are_refused(clips_at_once, replicas):
    config = tiny.config(batch_size=12, clips_at_once=clips_at_once)
    with pytest.raises(ValueError, match=f"12 does not divide into {replicas} repl"):
        passes_of(config, replicas)
