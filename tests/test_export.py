"""The exported model answers as the networks, without this project."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from tiny import call, raw_clips

from i3d_tf.config import Data
from i3d_tf.export import export
from i3d_tf.exported import read_assets
from i3d_tf.streams import FLOW, RGB

pytestmark = pytest.mark.usefixtures("shallow_network")

LABELS = ["Hürdenlauf", "playing cricket", "跑步"]
SEVEN = [f"class {number}" for number in range(7)]
DATA = Data("x", num_frames=12, size=32, smaller_side=40)


def _signature(path):
    return tf.saved_model.load(str(path)).signatures["serving_default"]


@pytest.fixture(scope="module")
def models():
    return tiny.networks(3, (RGB, FLOW))


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "made" / "model"
    export(models, LABELS, DATA, path)
    return path


@pytest.fixture(scope="module")
def signature(exported):
    return _signature(exported)


def test_inputs_and_outputs(signature):
    args, inputs = signature.structured_input_signature
    assert args == ()
    assert {
        name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()
    } == {
        "rgb": (tf.uint8, [None, None, 32, 32, 3]),
        "flow": (tf.float32, [None, None, 32, 32, 2]),
    }
    outputs = signature.structured_outputs
    assert {
        name: (spec.dtype, spec.shape.as_list()) for name, spec in outputs.items()
    } == {
        "rgb_logits": (tf.float32, [None, 3]),
        "flow_logits": (tf.float32, [None, 3]),
        "logits": (tf.float32, [None, 3]),
        "probabilities": (tf.float32, [None, 3]),
        "classes": (tf.string, [None, 3]),
        "scores": (tf.float32, [None, 3]),
    }


@pytest.mark.parametrize("batch, frames", [(1, 9), (3, 17)])
def test_answers_as_the_networks_do(models, signature, batch, frames):
    clips = raw_clips(batch, frames)
    got = call(signature, **clips)
    rgb = models["rgb"](clips["rgb"].astype(np.float32) / 127.5 - 1).numpy()
    flow = models["flow"](clips["flow"] / np.float32(20)).numpy()
    np.testing.assert_allclose(got["rgb_logits"], rgb, atol=1e-5)
    np.testing.assert_allclose(got["flow_logits"], flow, atol=1e-5)
    logits = (rgb + flow) / 2
    np.testing.assert_allclose(got["logits"], logits, atol=1e-5)
    powers = np.exp(logits)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got["probabilities"], probabilities, atol=1e-5)
    # Far enough from each other for a swapped stream to show.
    assert np.abs(rgb - flow).max() > 0.1


def test_the_best_classes_come_first(signature):
    got = call(signature, **raw_clips(4, 9, seed=1))
    order = np.argsort(-got["probabilities"], axis=1)
    np.testing.assert_array_equal(
        got["scores"], np.take_along_axis(got["probabilities"], order, 1)
    )
    assert (np.diff(got["scores"], axis=1) < 0).all()
    assert [[name.decode() for name in row] for row in got["classes"]] == [
        [LABELS[index] for index in row] for row in order
    ]


def test_flow_beyond_20_px_is_cut(signature):
    clips = raw_clips(1, 9)
    sign = np.sign(clips["flow"])
    at_bound, beyond, within = (
        call(signature, **{**clips, "flow": sign * np.float32(px)})["flow_logits"]
        for px in (20, 35.5, 19)
    )
    np.testing.assert_array_equal(at_bound, beyond)
    assert np.abs(at_bound - within).max() > 1e-3


@pytest.mark.parametrize("short", ["rgb", "flow"])
def test_short_clips_are_refused(signature, short):
    clips = raw_clips(1, 9)
    clips[short] = clips[short][:, :8]
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        call(signature, **clips)
    assert f"{short}: expected [B >= 1, T >= 9, 32, 32, " in str(error.value)


def test_assets(exported):
    labels, preprocessing = read_assets(exported)
    assert labels == LABELS
    assert preprocessing == {
        "streams": ["rgb", "flow"],
        "fps": 25,
        "smaller_side": 40,
        "size": 32,
        "num_frames": 12,
        "dtype": "float32",
    }
    text = (exported / "assets" / "labels.txt").read_bytes()
    assert text == "Hürdenlauf\nplaying cricket\n跑步\n".encode()
    assert json.loads((exported / "assets" / "preprocessing.json").read_text()) == (
        preprocessing
    )


def test_nothing_else_is_written(exported):
    assert [path.name for path in exported.parent.iterdir()] == ["model"]
    assert {path.name for path in (exported / "assets").iterdir()} == {
        "labels.txt",
        "preprocessing.json",
    }


TENSORFLOW_ALONE = """
import sys
for name in ("i3d_tf", "flow", "experiments", "keras"):
    sys.modules[name] = None  # an import of it would fail
import numpy as np
import tensorflow as tf

path, clips, answers = sys.argv[1:]
serve = tf.saved_model.load(path).signatures["serving_default"]
with np.load(clips) as file:
    got = serve(**{name: tf.constant(file[name]) for name in file})
np.savez(answers, **{name: value.numpy() for name, value in got.items()})
print(*(name.decode() for name in got["classes"][0].numpy()), sep="|")
"""


def test_runs_on_tensorflow_alone(exported, signature, tmp_path):
    moved = tmp_path / "moved"
    moved.symlink_to(exported)
    clips = raw_clips(2, 12, seed=2)
    np.savez(tmp_path / "clips.npz", **clips)
    done = subprocess.run(
        [
            *(sys.executable, "-X", "utf8", "-c", TENSORFLOW_ALONE),
            *(moved, tmp_path / "clips.npz", tmp_path / "answers.npz"),
        ],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    want = call(signature, **clips)
    assert done.stdout.strip().split("|") == [
        name.decode() for name in want["classes"][0]
    ]
    with np.load(tmp_path / "answers.npz") as got:
        assert set(got) == set(want)
        for name in ("logits", "rgb_logits", "flow_logits", "probabilities", "scores"):
            np.testing.assert_allclose(got[name], want[name], atol=1e-6)


@pytest.fixture(scope="module")
def flow_models():
    return tiny.networks(7, (FLOW,))


@pytest.fixture(scope="module")
def flow_exported(flow_models, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "flow"
    export(flow_models, SEVEN, DATA, str(path))
    return path


def test_one_stream_alone_and_the_five_best_classes(flow_models, flow_exported):
    assert read_assets(flow_exported)[1]["streams"] == ["flow"]
    clip = raw_clips(2, 9)["flow"]
    got = call(_signature(flow_exported), **{"flow": clip})
    assert set(got) == {"flow_logits", "logits", "probabilities", "classes", "scores"}
    want = flow_models["flow"](clip / np.float32(20)).numpy()
    np.testing.assert_allclose(got["logits"], want, atol=1e-5)
    np.testing.assert_array_equal(got["logits"], got["flow_logits"])
    order = np.argsort(-want, axis=1)[:, :5]
    assert [[name.decode() for name in row] for row in got["classes"]] == [
        [SEVEN[index] for index in row] for row in order
    ]
    assert got["scores"].shape == (2, 5)


def test_a_saved_model_is_replaced(flow_models, flow_exported, tmp_path):
    output = tmp_path / "model"
    shutil.copytree(flow_exported, output)
    (output / "variables" / "stale").touch()
    export(flow_models, SEVEN[::-1], DATA, output)
    assert read_assets(output)[0] == SEVEN[::-1]
    assert not (output / "variables" / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def _contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("occupied", ["folder", "empty folder", "file"])
def test_what_is_no_saved_model_is_not_touched(flow_models, tmp_path, occupied):
    output = tmp_path / "photos"
    if occupied == "file":
        output.write_text("mine")
    else:
        output.mkdir()
    if occupied == "folder":
        (output / "holiday.jpg").write_text("mine")
    before = _contents(tmp_path)
    with pytest.raises(ValueError) as error:
        export(flow_models, SEVEN, DATA, output)
    assert str(error.value) == (
        f"{output}: exists and is no SavedModel; choose another name"
    )
    assert _contents(tmp_path) == before
    assert output.exists()


@pytest.mark.parametrize("before", ["nothing", "a model"])
def test_a_failed_export_leaves_nothing_half_written(
    flow_models, tmp_path, monkeypatch, before
):
    output = tmp_path / "model"
    if before == "a model":
        output.mkdir()
        (output / "saved_model.pb").write_text("the old one")
    contents = _contents(tmp_path)

    def fail(module, path, signatures):
        written = tmp_path / path
        assert written.parent == tmp_path and written != output
        written.mkdir()
        (written / "saved_model.pb").write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="no space left on device"):
        export(flow_models, SEVEN, DATA, output)
    assert _contents(tmp_path) == contents
    assert [path.name for path in tmp_path.iterdir()] == (
        ["model"] if before == "a model" else []
    )


def test_other_folders_are_not_models(tmp_path):
    with pytest.raises(ValueError) as error:
        read_assets(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: not a SavedModel of experiments.export (No such file or "
        f"directory: {tmp_path / 'assets' / 'labels.txt'})"
    )


def test_batch_norm_is_folded(exported, models):
    variables = tf.saved_model.load(str(exported)).network_variables
    # A kernel and a bias of each unit of both streams, and of the classifiers.
    layers = [layer for model in models.values() for layer in model.layers]
    convolutions = sum(isinstance(layer, keras.layers.Conv3D) for layer in layers)
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
    assert (convolutions, norms) == (2 * 22, 2 * 21)
    assert len(variables) == 2 * convolutions
