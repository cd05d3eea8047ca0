import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny

from i3d_tf import FLOW, clips, training, updates
from i3d_tf.checkpoints import load_workdir
from i3d_tf.config import StreamTraining, from_dict
from i3d_tf.progress import keep_config

# Two replicas without a second device; possible only before TensorFlow's first use.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory, write_video):
    """9 training and 3 test videos: two steps of 4 an epoch."""
    folder = tmp_path_factory.mktemp("training")
    tiny.build(folder, write_video)
    return folder / "data"


RUN = tiny.config()
RUN = dataclasses.replace(RUN, rgb=dataclasses.replace(RUN.rgb, steps=2))


@pytest.fixture(scope="module")
def run(data_folder, tmp_path_factory):
    """A finished run of two epochs, RGB in the first alone: (workdir, history)."""
    workdir = tmp_path_factory.mktemp("run")
    return workdir, training.train(RUN, workdir, data_folder)


# A checkpoint at every step; the streams' parts of the loop are alike.
FLOW_RUN = tiny.config(rgb=None, checkpoint_steps=1)


@pytest.fixture(scope="module")
def flow_run(data_folder, tmp_path_factory):
    """A finished run of the flow stream alone: (workdir, history)."""
    workdir = tmp_path_factory.mktemp("flow_run")
    return workdir, training.train(FLOW_RUN, workdir, data_folder)


def weights(workdir):
    _, _, models = load_workdir(workdir)
    return {
        f"{name}/{variable.path}": variable.numpy()
        for name, model in models.items()
        for variable in model.variables
    }


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def without_seconds(history):
    return [{**entry, "seconds": None} for entry in history]


def random_batch(config):
    """Clips of noise: on the ramps of the tiny videos BatchNorm's gradients explode."""
    generator = np.random.default_rng(0)
    data = config.data
    shape = [config.batch_size, data.num_frames, data.size, data.size]
    inputs = {
        stream.name: generator.normal(size=[*shape, stream.channels])
        .clip(-1, 1)
        .astype(np.float32)
        for stream in config.streams
    }
    return inputs, np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]


def one_step(config, strategy, batch=None):
    """({path: weights before}, after, figures) of one update of the flow stream."""
    with strategy.scope():
        state = training.new_stream_state(config.streams[0], config, 3)
    before = {weight.path: weight.numpy() for weight in state.model.weights}
    batch = batch or random_batch(config)
    dataset = tf.data.Dataset.from_tensors(batch).unbatch().batch(4)
    batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
    step = updates.make_step(strategy, config, {"flow": state})
    figures = step(batch, ("flow",))
    updates.average_statistics(strategy, {"flow": state})
    return before, {w.path: w.numpy() for w in state.model.weights}, figures


FLOW_ALONE = StreamTraining(
    steps=1, learning_rates=(0.1,), weight_decay=1e-3, dropout=0.0
)


def loss_and_gradients(model, clips, labels):
    """Mean cross-entropy of a training pass, and its gradients, in numpy."""
    variables = [variable.value for variable in model.trainable_variables]

    # Not eagerly: TensorFlow 2.21 with oneDNN then gets the gradient of a 3D max-pool
    # wrong (by a factor of 2 against finite differences; in a graph it is right).
    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            logits = model(clips, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, variables)

    loss, gradients = compute()
    return float(loss), [gradient.numpy() for gradient in gradients]


def test_history_tells_every_epoch(run):
    workdir, history = run
    assert json.loads((workdir / "history.json").read_text()) == history
    assert [(entry["epoch"], entry["step"]) for entry in history] == [(1, 2), (2, 4)]
    assert [entry["learning_rate"]["flow"] for entry in history] == pytest.approx(
        [0.02, 0.01]
    )
    figures = {"rgb_loss", "rgb_top1", "flow_loss", "flow_top1", "fused_top1"}
    assert set(history[0]["train"]) == figures
    # RGB's two steps are done: it is no longer trained, but still evaluated.
    assert set(history[1]["train"]) == {"flow_loss", "flow_top1"}
    for entry in history:
        assert set(entry["test"]) == {"rgb_top1", "flow_top1", "fused_top1"}
    assert list((workdir / "events").iterdir())


def test_both_streams_learn(run):
    workdir, _ = run
    trained = weights(workdir)
    assert {name.split("/")[0] for name in trained} == {"rgb", "flow"}
    config = tiny.config()
    for stream in config.streams:
        fresh = training.new_stream_state(stream, config, len(tiny.LABELS)).model
        for variable in fresh.weights:
            moved = trained[f"{stream.name}/{variable.path}"]
            assert not np.array_equal(moved, variable.numpy()), variable.path


def test_an_update_is_sgd_with_weight_decay():
    """Against the formula, from gradients of the plain loss."""
    config = tiny.config(rgb=None, flow=FLOW_ALONE)
    before, after, figures = one_step(config, training.make_strategy("one"))
    model = training.new_stream_state(config.streams[0], config, 3).model
    inputs, labels = random_batch(config)
    loss, gradients = loss_and_gradients(model, inputs["flow"], labels)
    assert figures["flow_loss"] == pytest.approx(4 * loss, rel=1e-5)
    assert figures["clips"] == 4
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert_updated(variable.path, before, after, gradient)


def test_codes_are_normalised_in_the_step():
    config = tiny.config(rgb=None, flow=FLOW_ALONE)
    inputs, labels = random_batch(config)
    codes = np.rint(inputs["flow"] * FLOW.scale + FLOW.zero).astype(np.uint8)
    (_, after, figures), (_, same, same_figures) = (
        one_step(config, training.make_strategy("one"), ({"flow": batch}, labels))
        for batch in (codes, clips.normalise(codes, FLOW).numpy())
    )
    assert figures == pytest.approx(same_figures, rel=1e-5)
    for path, weight in after.items():
        # The last bit of a clip may differ, and the gradients then in the third digit.
        atol = 2e-3 * np.abs(weight).max() + 1e-7
        np.testing.assert_allclose(weight, same[path], atol=atol, err_msg=path)


def assert_updated(path, before, after, gradient):
    """w' = w - 0.1 * (gradient + 0.001 w), the last part for kernels alone."""
    decay = 1e-3 * before[path] if path.endswith("kernel") else 0.0
    expected = -0.1 * (gradient + decay)
    np.testing.assert_allclose(
        after[path] - before[path],
        expected,
        atol=2e-3 * np.abs(expected).max() + 1e-7,
        err_msg=path,
    )


def break_off_before(step):
    """A Progress.add that is interrupted once, when `step` updates are done."""
    add, interrupted = training.Progress.add, []

    def broken(self, sums):
        if self.step == step and not interrupted:
            interrupted.append(step)
            raise KeyboardInterrupt
        add(self, sums)

    return broken


@pytest.mark.parametrize("step", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_resume_equals_uninterrupted_training(
    flow_run, data_folder, tmp_path, monkeypatch, step
):
    """Broken off after an epoch, and within one; dropout and momentum included."""
    workdir, history = flow_run
    monkeypatch.setattr(training.Progress, "add", break_off_before(step))
    with pytest.raises(KeyboardInterrupt):
        training.train(FLOW_RUN, tmp_path, data_folder)
    saved = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    assert saved.endswith(f"-{step}")
    resumed = training.train(FLOW_RUN, tmp_path, data_folder)
    assert without_seconds(resumed) == without_seconds(history)
    assert_same_weights(workdir, tmp_path)


def test_a_finished_run_is_left_as_it_is(run, data_folder):
    workdir, history = run
    before = weights(workdir)
    assert training.train(RUN, workdir, data_folder) == history
    for name, value in weights(workdir).items():
        np.testing.assert_array_equal(value, before[name])


def test_two_replicas_take_one_step_together():
    """Against the mean gradient of the two halves of the batch.

    BatchNorm takes each replica's own statistics, so one device with the whole batch
    is not the same; the moving statistics are the mean of the replicas'.
    """
    strategy = training.make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 2
    config = tiny.config(rgb=None, flow=FLOW_ALONE)
    before, after, figures = one_step(config, strategy)
    assert figures["clips"] == 4
    model = training.new_stream_state(config.streams[0], config, 3).model
    inputs, labels = random_batch(config)
    halves, statistics = [], []
    for half in (slice(0, 2), slice(2, 4)):
        for weight in model.weights:
            weight.assign(before[weight.path])
        _, gradients = loss_and_gradients(model, inputs["flow"][half], labels[half])
        halves.append(gradients)
        statistics.append({w.path: w.numpy() for w in model.non_trainable_weights})
    for variable, first, second in zip(model.trainable_variables, *halves, strict=True):
        assert_updated(variable.path, before, after, (first + second) / 2)
    for path, first in statistics[0].items():
        mean = (first + statistics[1][path]) / 2
        np.testing.assert_allclose(
            after[path], mean, rtol=1e-3, atol=1e-5, err_msg=path
        )


@pytest.mark.slow
def test_two_replicas_train_evaluate_and_save(data_folder, tmp_path):
    strategy = training.make_strategy("mirrored")
    config = tiny.config(steps=2, rgb=None)
    (entry,) = training.train(config, tmp_path, data_folder, strategy)
    assert entry["step"] == 2 and 0 <= entry["test"]["flow_top1"] <= 1
    saved = weights(tmp_path)
    assert all(np.isfinite(value).all() for value in saved.values())
    # Trained on from the checkpoint, nothing is left to do.
    assert training.train(config, tmp_path, data_folder, strategy) == [entry]


def test_momentum_and_boundaries():
    """Three steps on one weight: v' = 0.9 v - rate * g, the rate falls after two."""
    stream = StreamTraining(steps=3, learning_rates=(0.5, 0.1), boundaries=(2,))
    config = tiny.config(rgb=None, flow=stream)
    optimizer = training.new_stream_state(config.streams[0], config, 3).optimizer
    bias = optimizer._trainable_variables[-1]
    assert bias.path == "Logits-Conv3d_0c_1x1/bias"
    zeros = [tf.zeros(v.shape) for v in optimizer._trainable_variables[:-1]]
    values = []
    for _ in range(4):
        optimizer.apply([*zeros, tf.ones(bias.shape)])
        values.append(float(bias.numpy()[0]))
    # Velocities -0.5, -0.95, -1.355 (boundary 2: the step after it still has 0.5).
    expected, velocity, value = [], 0.0, 0.0
    for rate in (0.5, 0.5, 0.5, 0.1):
        velocity = 0.9 * velocity - rate
        value += velocity
        expected.append(value)
    assert values == pytest.approx(expected)


def test_another_config_or_data_set_is_refused(run, data_folder):
    workdir, _ = run
    changed = dataclasses.replace(RUN, seed=1)
    with pytest.raises(ValueError, match="another config: seed: 0 -> 1"):
        training.train(changed, workdir, data_folder)
    missing = dataclasses.replace(
        RUN, data=dataclasses.replace(RUN.data, dataset="a/b")
    )
    with pytest.raises(ValueError, match="no data set 'a/b'; there: two_stream_folder"):
        training.train(missing, workdir, data_folder)


def test_a_workdir_of_other_classes_is_refused(run, data_folder, tmp_path):
    workdir, _ = run
    other = tmp_path / "other"
    shutil.copytree(workdir, other)
    kept = json.loads((other / "config.json").read_text())
    kept["labels"] = ["a", "b"]
    (other / "config.json").write_text(json.dumps(kept))
    with pytest.raises(ValueError, match="begun with 2 classes, the data set has 3"):
        training.train(RUN, other, data_folder)


def test_a_start_that_left_no_checkpoint_may_be_repeated_with_other_settings(tmp_path):
    keep_config(RUN, tmp_path, ["a", "b"])
    changed = dataclasses.replace(RUN, batch_size=2)
    keep_config(changed, tmp_path, ["a", "b"])
    kept = json.loads((tmp_path / "config.json").read_text())
    assert kept["config"]["batch_size"] == 2


def test_a_misspelt_test_split_is_told_at_once(data_folder, tmp_path):
    data = dataclasses.replace(RUN.data, test_split="tset")
    with pytest.raises(ValueError, match="no split 'tset'; there are"):
        training.train(dataclasses.replace(RUN, data=data), tmp_path, data_folder)
    assert not list(tmp_path.iterdir())


def test_a_torn_checkpoint_is_told(flow_run, data_folder, tmp_path):
    workdir, _ = flow_run
    torn = tmp_path / "torn"
    shutil.copytree(workdir, torn)
    (newest,) = (torn / "checkpoints").glob("ckpt-4.data*")
    newest.write_bytes(newest.read_bytes()[:1000])
    # The state file names absolute or relative paths; here the copy's must be meant.
    assert tf.train.latest_checkpoint(str(torn / "checkpoints")).startswith(str(torn))
    with pytest.raises(ValueError, match="ckpt-4: does not hold all of this run"):
        training.train(FLOW_RUN, torn, data_folder)


def test_too_few_videos_for_a_batch(data_folder, tmp_path):
    with pytest.raises(ValueError, match="9 training videos do not fill a batch of 10"):
        training.train(tiny.config(batch_size=10), tmp_path, data_folder)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_ends_the_run(data_folder, tmp_path):
    config = tiny.config(flow=None)
    config = dataclasses.replace(
        config,
        rgb=dataclasses.replace(config.rgb, learning_rates=(1e30,), boundaries=()),
    )
    with pytest.raises(ValueError, match="loss is not finite at step"):
        training.train(config, tmp_path, data_folder)


def test_a_run_from_before_a_field_existed_goes_on(run, tmp_path):
    workdir = shutil.copytree(run[0], tmp_path / "run")
    kept = json.loads((workdir / "config.json").read_text())
    del kept["config"]["rgb"]["freeze_up_to"]
    (workdir / "config.json").write_text(json.dumps(kept))
    keep_config(RUN, workdir, kept["labels"])
    kept = json.loads((workdir / "config.json").read_text())
    assert from_dict(kept["config"]) == RUN
