import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny
from event_files import read_events, scalars

from i3d_tf import FLOW, pipeline, training
from i3d_tf.checkpoints import load_workdir, restore_whole
from i3d_tf.config_file import from_dict
from i3d_tf.datasets import open_dataset
from i3d_tf.training.progress import Progress, keep_config
from i3d_tf.training.state import new_stream_state

pytestmark = pytest.mark.usefixtures("shallow_network")


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
        assert set(entry["test"]) == {
            *(
                "rgb_loss",
                "rgb_top1",
                "rgb_top5",
                "flow_loss",
                "flow_top1",
                "flow_top5",
            ),
            *("fused_top1", "fused_top5"),
        }
        assert entry["skipped"] == {"rgb": 0, "flow": 0}
    assert (workdir / "history.png").stat().st_size > 10_000


def test_events_tell_what_the_history_tells(run):
    workdir, history = run
    events = scalars(workdir / "events")
    for group in ("train", "test", "skipped"):
        for name in history[0][group]:
            wanted = [
                (entry["step"], pytest.approx(entry[group][name]))
                for entry in history
                if name in entry[group]
            ]
            assert events[f"{group}/{name}"] == wanted
    # The last updates: RGB's rate is that of its own last one.
    assert events["learning_rate/rgb"][-1] == (4, pytest.approx(0.02))
    assert events["learning_rate/flow"][-1] == (4, pytest.approx(0.01))
    assert events["updates/flow_loss"][-1][0] == 4
    films = read_events(workdir / "events")["training_clips"]
    assert [step for step, _ in films] == [0, 2]


def test_both_streams_learn(run):
    workdir, _ = run
    trained = weights(workdir)
    assert {name.split("/")[0] for name in trained} == {"rgb", "flow"}
    config = tiny.config()
    for stream in config.streams:
        fresh = new_stream_state(stream, config, len(tiny.LABELS)).model
        for variable in fresh.weights:
            moved = trained[f"{stream.name}/{variable.path}"]
            assert not np.array_equal(moved, variable.numpy()), variable.path


def break_off_before(step):
    """A Progress.add that is interrupted once, when `step` updates are done."""
    add, interrupted = Progress.add, []

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
    """Broken off after an epoch, and within one; dropout and momentum included.

    And without the films of clips, which must not change what is trained.
    """
    workdir, history = flow_run
    monkeypatch.setattr("i3d_tf.training.loop.is_filmed", lambda epoch: False)
    monkeypatch.setattr(Progress, "add", break_off_before(step))
    with pytest.raises(KeyboardInterrupt):
        training.train(FLOW_RUN, tmp_path, data_folder)
    saved = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    assert saved.endswith(f"-{step}")
    resumed = training.train(FLOW_RUN, tmp_path, data_folder)
    assert resumed == history
    files = [folder / "history.json" for folder in (workdir, tmp_path)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert_same_weights(workdir, tmp_path)
    steps = [at for at, _ in scalars(tmp_path / "events")["learning_rate/flow"]]
    assert steps == sorted(set(steps)) and {step, 4} <= set(steps)
    assert "training_clips" in read_events(workdir / "events")
    assert "training_clips" not in read_events(tmp_path / "events")


def test_a_finished_run_is_left_as_it_is(run, data_folder):
    workdir, history = run
    before, files = weights(workdir), sorted(workdir.rglob("*"))
    assert training.train(RUN, workdir, data_folder) == history
    assert sorted(workdir.rglob("*")) == files
    for name, value in weights(workdir).items():
        np.testing.assert_array_equal(value, before[name])


def test_raised_steps_of_a_finished_run_are_trained(
    flow_run, data_folder, tmp_path, capsys
):
    """Also if the run ended within an epoch; to the bit as if trained at once."""
    workdir, history = flow_run
    flow = dataclasses.replace(FLOW_RUN.flow, steps=3)
    training.train(dataclasses.replace(FLOW_RUN, flow=flow), tmp_path, data_folder)
    capsys.readouterr()
    raised = training.train(FLOW_RUN, tmp_path, data_folder)
    assert (
        f"{tmp_path}: the steps of flow are raised from 3 to 4"
        in capsys.readouterr().out.splitlines()
    )
    assert [(entry["epoch"], entry["step"]) for entry in raised] == [(1, 2), (2, 4)]
    assert raised[-1]["test"] == history[-1]["test"]
    assert_same_weights(workdir, tmp_path)


def test_steps_cannot_be_lowered(flow_run, data_folder):
    flow = dataclasses.replace(FLOW_RUN.flow, steps=3)
    with pytest.raises(
        ValueError, match="flow.steps: 4 -> 3; .* --set flow.initial_weights="
    ):
        training.train(
            dataclasses.replace(FLOW_RUN, flow=flow), flow_run[0], data_folder
        )


@pytest.mark.parametrize("history", [None, "[]"])
def test_a_finished_run_without_its_history(run, data_folder, tmp_path, history):
    workdir = shutil.copytree(run[0], tmp_path / "run")
    (workdir / "history.json").unlink()
    if history:
        (workdir / "history.json").write_text(history)
    with pytest.raises(ValueError) as error:
        training.train(RUN, workdir, data_folder)
    assert str(error.value) == (
        f"{workdir}: is trained to its end, and its history.json is missing or empty; "
        "evaluate the run, or train again in another workdir"
    )


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


@pytest.mark.parametrize("damage", ["cut", "bit", "no index"])
def test_a_torn_checkpoint_falls_back_to_the_one_before(
    flow_run, tmp_path, damage, capsys
):
    torn = shutil.copytree(flow_run[0] / "checkpoints", tmp_path / "checkpoints")
    newest = torn / "ckpt-4.data-00000-of-00001"
    data = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(data[:1000])
    elif damage == "bit":
        data[len(data) // 2] ^= 1
        newest.write_bytes(data)
    else:
        (torn / "ckpt-4.index").unlink()
    states = {"flow": new_stream_state(FLOW, FLOW_RUN, len(tiny.LABELS))}
    progress = Progress(FLOW_RUN, torn, states)
    assert progress.restore()
    # The epoch's entry in the history is dropped, and it is evaluated again.
    assert (progress.step, progress.epoch) == (3, 1)
    told = "ckpt-4: does not hold all of this run" in capsys.readouterr().out
    assert told == (damage != "no index")
    saved = {"flow": new_stream_state(FLOW, FLOW_RUN, len(tiny.LABELS))}
    restore_whole(tf.train.Checkpoint(**saved), str(torn / "ckpt-3"), "flow")
    for weight, value in zip(
        states["flow"].model.weights, saved["flow"].model.weights, strict=True
    ):
        np.testing.assert_array_equal(weight.numpy(), value.numpy(), weight.path)


def test_no_whole_checkpoint_is_told(flow_run, data_folder, tmp_path):
    torn = shutil.copytree(flow_run[0], tmp_path / "torn")
    for path in (torn / "checkpoints").glob("*.data*"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="ckpt-3: does not hold all of this run"):
        training.train(FLOW_RUN, torn, data_folder)


def test_checkpoints_without_their_config_are_refused(flow_run, data_folder, tmp_path):
    run = shutil.copytree(flow_run[0], tmp_path / "run")
    (run / "config.json").unlink()
    with pytest.raises(ValueError, match="has checkpoints and no config.json"):
        training.train(FLOW_RUN, run, data_folder)


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
    with pytest.raises(ValueError) as error:
        training.train(config, tmp_path, data_folder)
    told = re.match(
        r"rgb: the (loss|gradient) is not finite at step (\d+), of (.*); the last ch",
        str(error.value),
    )
    assert told, error.value
    ids, step = told[3].split(", "), int(told[2])
    builder = open_dataset(data_folder, config.data.dataset)
    # What read_examples gives in that epoch's order, at the place of that update.
    epoch, update = divmod(step - 1, 2)
    order = pipeline.read_examples(builder, "train", (), shuffle=(config.seed, epoch))
    of_batch = [e["id"].numpy().decode() for e in order][4 * update : 4 * update + 4]
    assert ids and set(ids) <= set(of_batch)


def test_steps_that_are_not_finite_are_left_out_and_counted(data_folder, tmp_path):
    config = tiny.config(flow=None, not_finite="skip", steps_at_once=2)
    rgb = dataclasses.replace(config.rgb, learning_rates=(1e30,), boundaries=())
    config = dataclasses.replace(config, rgb=rgb)
    first, second = training.train(config, tmp_path, data_folder)
    # The first update is finite and spoils the weights for all others.
    assert (first["skipped"], second["skipped"]) == ({"rgb": 1}, {"rgb": 2})
    assert set(first["train"]) == {"rgb_loss", "rgb_top1"} and not second["train"]


def test_a_run_from_before_a_field_existed_goes_on(run, tmp_path):
    workdir = shutil.copytree(run[0], tmp_path / "run")
    kept = json.loads((workdir / "config.json").read_text())
    del kept["config"]["rgb"]["freeze_up_to"]
    (workdir / "config.json").write_text(json.dumps(kept))
    keep_config(RUN, workdir, kept["labels"])
    kept = json.loads((workdir / "config.json").read_text())
    assert from_dict(kept["config"]) == RUN
