"""Runs that are ended from outside, at any moment, and started again."""

import dataclasses
import random
import signal
import time

import pytest
import tensorflow as tf
import tiny
from processes import start_training

from i3d_tf.checkpoints import saved_checkpoints

KILLS = 10
STEPS = 120


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("kills")
    tiny.build(folder, write_video)
    return folder / "data"


def config(**changes):
    """60 epochs of two updates, evaluated every third; a checkpoint at every update."""
    recipe = tiny.config(rgb=None, checkpoint_steps=1, evaluate_epochs=3, **changes)
    flow = dataclasses.replace(
        recipe.flow, steps=STEPS, learning_rates=(1e-3,), boundaries=(), ema_decay=0.9
    )
    return dataclasses.replace(recipe, flow=flow)


def variables(workdir):
    """All that the last checkpoint holds, as bytes."""
    reader = tf.train.load_checkpoint(saved_checkpoints(workdir / "checkpoints")[0])
    shapes = reader.get_variable_to_shape_map()
    names = [name for name in shapes if "OBJECT_GRAPH" not in name]
    assert len(names) > 300
    return {name: reader.get_tensor(name).tobytes() for name in sorted(names)}


def state_of(workdir):
    """The newest checkpoint and the history's size: what changes as a run goes on."""
    history = workdir / "history.json"
    size = history.stat().st_size if history.is_file() else 0
    return saved_checkpoints(workdir / "checkpoints")[:1], size


def assert_same_runs(workdir, wanted):
    assert variables(workdir) == variables(wanted)
    history = (wanted / "history.json").read_bytes()
    assert (workdir / "history.json").read_bytes() == history


@pytest.mark.slow
def test_kills_leave_no_trace(data_folder, tmp_path):
    """SIGKILL at random moments: the same bits of weights, momenta and history."""
    whole = start_training(config(), tmp_path / "whole", data_folder)
    assert whole.wait() == 0, (tmp_path / "whole.log").read_text()[-3000:]
    generator = random.Random(0)
    killed_at = []
    workdir = tmp_path / "killed"
    while len(killed_at) < KILLS:
        before = state_of(workdir)
        process = start_training(config(), workdir, data_folder)
        for _ in range(generator.randint(1, 6)):
            while state_of(workdir) == before:
                assert process.poll() is None, workdir.with_suffix(".log").read_text()
                time.sleep(0.01)
            before = state_of(workdir)
        # Anywhere between two checkpoints, or while one is written.
        time.sleep(generator.uniform(0, 0.1))
        process.kill()
        if process.wait() != -signal.SIGKILL:
            break
        killed_at.append(state_of(workdir))
    print("killed at", killed_at)
    assert len(killed_at) == KILLS, "the run ended too early for all kills"
    assert start_training(config(), workdir, data_folder).wait() == 0
    assert workdir.with_suffix(".log").read_text().count("continues after") == KILLS
    assert_same_runs(workdir, tmp_path / "whole")


@pytest.mark.slow
def test_sigterm_saves_first(data_folder, tmp_path):
    """Where no checkpoint was due, at the step that it tells of; and it goes on."""
    rare = dataclasses.replace(config(), checkpoint_steps=10_000, evaluate_epochs=0)
    # Ten epochs, which take some seconds, where the signal takes a moment.
    rare = dataclasses.replace(rare, flow=dataclasses.replace(rare.flow, steps=20))
    workdir = tmp_path / "stopped"
    process = start_training(rare, workdir, data_folder)
    while not saved_checkpoints(workdir / "checkpoints"):
        assert process.poll() is None, workdir.with_suffix(".log").read_text()[-3000:]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    log = workdir.with_suffix(".log").read_text()
    step = int(log.rpartition("stopped by SIGTERM, saved at step ")[2].split(";")[0])
    assert saved_checkpoints(workdir / "checkpoints")[0].endswith(f"ckpt-{step}")
    assert 0 < step < 20
    assert start_training(rare, workdir, data_folder).wait() == 0
    assert saved_checkpoints(workdir / "checkpoints")[0].endswith("ckpt-20")
