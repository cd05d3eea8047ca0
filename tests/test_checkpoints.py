"""Runs on disk -> networks: what was saved last comes back, or a clear error."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.checkpoints import load_workdir, load_workdirs
from i3d_tf.config import Config, Data, StreamTraining
from i3d_tf.config_file import to_dict
from i3d_tf.training.progress import Progress
from i3d_tf.training.state import new_stream_state

LABELS = ["jump", "Läufer", "跑"]
STREAM = StreamTraining(
    steps=9, learning_rates=(0.1, 0.01), boundaries=(5,), dropout=0.5
)
CONFIG = Config(
    Data("two_stream_folder/tiny", num_frames=9, size=32, smaller_side=40),
    rgb=STREAM,
    flow=STREAM,
    dtype="float32",
    width=0.02,
    batch_norm_decay=0.9,
)


def _run(workdir, config, labels=LABELS, steps=(3,)):
    """A workdir as training leaves it; returns the weights of the last checkpoint."""
    workdir.mkdir(parents=True)
    kept = {"config": to_dict(config), "labels": labels}
    (workdir / "config.json").write_text(json.dumps(kept), "utf-8")
    states = {
        stream.name: new_stream_state(stream, config, len(labels))
        for stream in config.streams
    }
    progress = Progress(config, workdir / "checkpoints", states)
    rng = np.random.default_rng(len(workdir.name))
    for step in steps:
        progress.step = step
        for state in states.values():
            for variable in state.model.variables:
                variable.assign(rng.normal(size=variable.shape))
        progress.save()
    return {name: state.model.get_weights() for name, state in states.items()}


def _assert_weights(model, weights):
    assert len(model.variables) == 230
    for variable, value in zip(model.variables, weights, strict=True):
        np.testing.assert_array_equal(
            variable.numpy(), value, err_msg=variable.path, strict=True
        )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(workdirs, weights) of a run of RGB and a run of flow."""
    folder = tmp_path_factory.mktemp("runs")
    configs = {
        "rgb": dataclasses.replace(CONFIG, flow=None),
        "flow": dataclasses.replace(CONFIG, rgb=None, seed=3),
    }
    weights = {}
    for name, config in configs.items():
        weights |= _run(folder / name, config)
    return {name: folder / name for name in configs}, weights


def test_the_last_checkpoint_of_both_streams_comes_back(tmp_path):
    weights = _run(tmp_path / "begun_here", CONFIG, steps=(2, 9, 10))
    # A run may be moved.
    workdir = (tmp_path / "begun_here").rename(tmp_path / "moved")
    assert sorted(path.name for path in (workdir / "checkpoints").glob("*.index")) == [
        "ckpt-10.index",
        "ckpt-9.index",
    ]
    config, labels, models = load_workdir(workdir)
    assert config == CONFIG
    assert labels == LABELS
    assert list(models) == ["rgb", "flow"]
    for name, model in models.items():
        assert model.name == f"i3d_{name}"
        assert model.output_shape == (None, 3)
        _assert_weights(model, weights[name])


def test_a_bfloat16_run_is_loaded_in_float32(tmp_path):
    config = dataclasses.replace(CONFIG, dtype="mixed_bfloat16", rgb=None)
    weights = _run(tmp_path / "run", config)
    kept, _, models = load_workdir(str(tmp_path / "run"))
    assert kept.dtype == "mixed_bfloat16"
    assert models["flow"].get_layer("Mixed_4f").output.dtype == "float32"
    _assert_weights(models["flow"], weights["flow"])
    models = load_workdir(tmp_path / "run", "mixed_bfloat16")[2]
    assert models["flow"].get_layer("Mixed_4f").output.dtype == "bfloat16"
    _assert_weights(models["flow"], weights["flow"])


def test_runs_of_one_stream_each_are_joined(runs):
    workdirs, weights = runs
    config, labels, models = load_workdirs([workdirs["flow"], workdirs["rgb"]])
    assert config.seed == 3  # the first one's
    assert labels == LABELS
    assert list(models) == ["flow", "rgb"]
    for name, model in models.items():
        _assert_weights(model, weights[name])


def test_a_stream_twice_is_refused(runs):
    workdirs, _ = runs
    twins = [workdirs["rgb"], workdirs["flow"], workdirs["rgb"]]
    with pytest.raises(ValueError) as error:
        load_workdirs(twins)
    assert str(error.value) == (
        f"{workdirs['rgb']}: has a stream that {workdirs['rgb']} has too"
    )


def _changed(workdir, copy, change):
    """A copy of a run with `change(kept)` done to its config.json."""
    shutil.copytree(workdir, copy)
    kept = json.loads((copy / "config.json").read_text("utf-8"))
    change(kept)
    (copy / "config.json").write_text(json.dumps(kept), "utf-8")
    return copy


def test_other_labels_are_refused(runs, tmp_path):
    workdirs, _ = runs

    def swap(kept):
        kept["labels"] = kept["labels"][::-1]

    other = _changed(workdirs["flow"], tmp_path / "other", swap)
    with pytest.raises(ValueError) as error:
        load_workdirs([workdirs["rgb"], other])
    assert str(error.value) == (
        f"{other}: 3 classes, {workdirs['rgb']} has 3, or other names"
    )


def test_other_data_are_refused(runs, tmp_path):
    workdirs, _ = runs

    def longer(kept):
        kept["config"]["data"]["num_frames"] = 16

    other = _changed(workdirs["flow"], tmp_path / "other", longer)
    with pytest.raises(ValueError, match="other: config.data differs from .*rgb's$"):
        load_workdirs([workdirs["rgb"], other])


def test_what_concerns_training_clips_alone_may_differ(runs, tmp_path):
    workdirs, _ = runs

    def lighter(kept):
        kept["config"]["data"].update(light=0.3, mirror=False)

    other = _changed(workdirs["flow"], tmp_path / "other", lighter)
    config, _, models = load_workdirs([workdirs["rgb"], other])
    assert set(models) == {"rgb", "flow"} and config.data.light == 0.0


def test_no_run(tmp_path):
    with pytest.raises(ValueError) as error:
        load_workdir(tmp_path / "none")
    assert str(error.value) == (
        f"{tmp_path / 'none'}: no config.json, so nothing was trained there"
    )


def test_no_checkpoint(runs, tmp_path):
    workdirs, _ = runs
    copy = tmp_path / "copy"
    shutil.copytree(workdirs["rgb"], copy)
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(ValueError, match="copy: no checkpoint; train has not saved"):
        load_workdir(copy)


def test_a_stream_that_the_checkpoint_lacks(runs, tmp_path):
    workdirs, _ = runs

    def both(kept):
        kept["config"]["flow"] = kept["config"]["rgb"]

    copy = _changed(workdirs["rgb"], tmp_path / "copy", both)
    with pytest.raises(ValueError) as error:
        load_workdir(copy)
    assert str(error.value) == (
        f"{copy / 'checkpoints' / 'ckpt-3'}: does not hold all of rgb+flow; is it cut "
        "short?"
    )


@pytest.mark.parametrize("kept_bytes", [0, 3000])
def test_a_checkpoint_that_is_cut_short(runs, tmp_path, kept_bytes):
    workdirs, _ = runs
    copy = tmp_path / "copy"
    shutil.copytree(workdirs["rgb"], copy)
    data = copy / "checkpoints" / "ckpt-3.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:kept_bytes])
    with pytest.raises(ValueError, match="ckpt-3: does not hold all of rgb; is it cut"):
        load_workdir(copy)


@pytest.fixture(scope="module")
def released(runs, tmp_path_factory):
    """(path, weights): the RGB network under the released names, 3 classes."""
    workdirs, weights = runs
    _, _, models = load_workdir(workdirs["rgb"])
    names = [_released(variable.path) for variable in models["rgb"].variables]
    path = tmp_path_factory.mktemp("released") / "model.ckpt"
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(value) for value in weights["rgb"]],
    )
    return str(path), weights["rgb"]


def test_released_weights_begin_a_training_with_a_new_classifier(released):
    path, weights = released
    rgb = dataclasses.replace(STREAM, initial_weights=path)
    config = dataclasses.replace(CONFIG, rgb=rgb, flow=None)
    state = new_stream_state(config.streams[0], config, answers=4)
    fresh = new_stream_state(
        config.streams[0], dataclasses.replace(config, rgb=STREAM), answers=4
    )
    got, initial = state.model.get_weights(), fresh.model.get_weights()
    assert got[-1].shape == (4,)
    for value, want in zip(got, [*weights[:-2], *initial[-2:]], strict=True):
        np.testing.assert_array_equal(value, want)


def test_a_frozen_run_comes_back(released, tmp_path):
    """What is frozen changes the optimiser, and what is saved of the network not."""
    rgb = dataclasses.replace(
        STREAM, initial_weights=released[0], freeze_up_to="Mixed_4f"
    )
    config = dataclasses.replace(CONFIG, rgb=rgb, flow=None)
    state = new_stream_state(config.streams[0], config, answers=3)
    trained = [variable.path for variable in state.model.trainable_variables]
    assert trained[0] == "Mixed_5b-Branch_1-Conv3d_0a_1x1-conv_3d/kernel"
    # Two units of six convolutions with a kernel and a beta, and the classifier.
    assert len(trained) == 2 * 6 * 2 + 2
    assert len(state.optimizer.variables) == 2 + len(trained)
    weights = _run(tmp_path / "run", config)
    kept, _, models = load_workdir(tmp_path / "run")
    assert kept == config
    _assert_weights(models["rgb"], weights["rgb"])


def test_random_weights_are_not_frozen():
    rgb = dataclasses.replace(STREAM, freeze_up_to="Mixed_4f")
    config = dataclasses.replace(CONFIG, rgb=rgb, flow=None)
    with pytest.raises(ValueError) as error:
        new_stream_state(config.streams[0], config, answers=3)
    assert str(error.value) == (
        "rgb.freeze_up_to is 'Mixed_4f', but there are no rgb.initial_weights: random "
        "weights would be kept"
    )


def _released(path):
    layer, leaf = path.split("/")
    layer = layer.replace("Logits-Conv3d_0c_1x1", "Logits-Conv3d_0c_1x1-conv_3d")
    leaf = {"kernel": "w", "bias": "b"}.get(leaf, leaf)
    return f"RGB/inception_i3d/{layer.replace('-', '/')}/{leaf}"


def test_optimizer_follows_the_recipe(runs):
    state = new_stream_state(CONFIG.streams[1], CONFIG, answers=3)
    assert state.optimizer.momentum == 0.9
    assert state.model.get_layer("Dropout_0b").rate == 0.5
    assert state.model.get_layer("Conv3d_1a_7x7-batch_norm").momentum == 0.9
    # Built with the network, so that a restore finds its variables: the counter, the
    # rate and 116 momenta.
    assert len(state.optimizer.variables) == 118
