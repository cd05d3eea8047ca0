"""Errors that name a place that cannot be written to, or a damaged file."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny

from flow.files import read_json, written_aside
from i3d_tf import feature_files, pipeline
from i3d_tf.checkpoints import read_config
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.folder.builder import TwoStreamFolder
from i3d_tf.export import export
from i3d_tf.exported import ExportedModel, read_assets
from i3d_tf.features import Features
from i3d_tf.reading import damage_named, read_examples
from i3d_tf.storage import storage_errors
from i3d_tf.streams import RGB
from i3d_tf.training.events import Events
from i3d_tf.training.progress import Progress, history_until, keep_config

DATA = tiny.config().data
FULL = pathlib.Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


def test_errors_of_tensorflow_become_errors_of_a_file(tmp_path):
    with pytest.raises(OSError) as error, storage_errors(tmp_path):
        raise tf.errors.ResourceExhaustedError(
            None, None, "{{node Save}} a.part; No space\nleft on device [Op:SaveV2]"
        )
    assert error.value.filename == str(tmp_path)
    assert error.value.strerror == "a.part; No space left on device"
    assert error.value.errno == errno.ENOSPC


def test_errors_that_a_library_made_of_them_too():
    with pytest.raises(OSError, match="No space: 'data'"), storage_errors("data"):
        try:
            raise tf.errors.ResourceExhaustedError(None, None, "No space")
        except tf.errors.OpError as error:
            raise RuntimeError("cannot be finalised") from error


def test_errors_of_a_caller_are_not_those_of_storage():
    raised = tf.errors.InvalidArgumentError(None, None, "shapes differ")
    with pytest.raises(tf.errors.InvalidArgumentError), storage_errors("data"):
        raise raised


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, FileNotFoundError])
def test_other_errors_pass(kind):
    raised = kind("other")
    with pytest.raises(kind) as error, storage_errors("data"):
        raise raised
    assert error.value is raised


def test_events_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as error:
        Events(tmp_path / "file" / "events")
    assert error.value.filename == str(tmp_path / "file" / "events")


def test_checkpoints_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "checkpoints"
    progress = Progress(tiny.config(), folder, {})
    with pytest.raises(OSError) as error:
        progress.save()
    assert error.value.filename == str(folder)


@needs_full
def test_features_on_a_full_disk(monkeypatch, tmp_path):
    class Full:
        def __init__(self, path):
            pass

        def __enter__(self):
            return FULL

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(feature_files, "written_aside", Full)
    features = Features({"rgb": np.zeros([3, 4], np.float32)}, np.zeros([3, 2]))
    with pytest.raises(OSError, match="No space left on device") as error:
        feature_files.write(tmp_path / "a.tfrecord", features, {})
    assert error.value.filename == str(tmp_path / "a.tfrecord")


@needs_full
def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError) as error, written_aside(tmp_path / "a.txt"):
        FULL.write_bytes(b"x" * 100)
    assert error.value.filename == str(tmp_path / "a.txt")
    assert error.value.strerror == "No space left on device"


def test_a_data_set_on_a_full_disk(tmp_path, write_video, monkeypatch):
    tiny.build(tmp_path, write_video, videos_per_class=2)

    def write(self, record):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.io.TFRecordWriter, "write", write)
    builder = TwoStreamFolder.of(
        *(tmp_path / "videos", tmp_path / "flow"),
        data_dir=tmp_path / "full",
        name="tiny",
        workers=1,
    )
    with pytest.raises(OSError) as error:
        builder.build()
    assert error.value.strerror == "No space left on device"
    assert error.value.filename == os.fspath(builder.data_dir)


@pytest.fixture(scope="module")
def models():
    return tiny.networks(3, (RGB,))


@pytest.mark.parametrize("kind", ["PermissionDeniedError", "FailedPreconditionError"])
def test_export_to_a_folder_that_is_read_only(models, tmp_path, monkeypatch, kind):
    def save(*args, **kwargs):
        raise getattr(tf.errors, kind)(None, None, "Read-only file system")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(OSError) as error:
        export(models, list("abc"), DATA, tmp_path / "model")
    assert error.value.filename == str(tmp_path / "model")
    assert error.value.strerror == "Read-only file system"
    assert list(tmp_path.iterdir()) == []


def test_export_below_a_file(models, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as error:
        export(models, list("abc"), DATA, tmp_path / "file" / "model")
    assert error.value.filename == str(tmp_path / "file")


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(models, list("abc"), DATA, folder)
    return folder


@pytest.fixture
def model_dir(exported, tmp_path):
    """A model that a test may damage."""
    return shutil.copytree(exported, tmp_path / "model")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "saved_model.pb").write_bytes(b""),
        lambda folder: (folder / "saved_model.pb").write_bytes(b"\xff" * 1000),
        lambda folder: (folder / "saved_model.pb").unlink(),
        lambda folder: (folder / "variables" / "variables.index").unlink(),
        lambda folder: _cut(folder / "variables" / "variables.data-00000-of-00001"),
    ],
    ids=["empty", "random", "missing", "no index", "cut variables"],
)
def test_a_damaged_model(model_dir, damage):
    damage(model_dir)
    with pytest.raises(ValueError) as error:
        ExportedModel(model_dir)
    assert str(error.value).startswith(
        f"{model_dir}: cannot be loaded, so a file of this SavedModel is damaged or "
        "missing; export it again ("
    )
    assert len(str(error.value)) < 700


def _cut(path):
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("preprocessing.json", b"{", "is damaged, not JSON ("),
        ("preprocessing.json", b"\xff", "is damaged, not JSON ("),
        (
            "preprocessing.json",
            b'{"size": 32}',
            "is damaged; it must hold num_frames, size, smaller_side, streams; export "
            "the model again",
        ),
        ("preprocessing.json", b"[1]", "is damaged; it must hold num_frames, "),
        ("labels.txt", b"\xff\n", "is damaged ("),
    ],
)
def test_damaged_assets(model_dir, name, content, told):
    path = model_dir / "assets" / name
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_assets(model_dir)
    assert str(error.value).startswith(f"{path}: {told}")


def test_labels_of_another_model(model_dir):
    (model_dir / "assets" / "labels.txt").write_text("a\nb\n")
    with pytest.raises(ValueError) as error:
        ExportedModel(model_dir)
    assert str(error.value) == (
        f"{model_dir}: has 3 classes and assets/labels.txt 2; export the model again"
    )


def test_json_that_is_none(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="a.json: is damaged, not JSON"):
        read_json(path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_damaged_records_are_named(tmp_path, write_video, damage):
    builder = tiny.build(tmp_path, write_video, videos_per_class=2)
    (path,) = map(pathlib.Path, builder.info.splits["test"].filepaths)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "flipped":
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    else:
        path.unlink()

    def read(split):
        for _ in read_examples(builder, split, [RGB]):
            pass

    with damage_named(builder):
        read("train")
    with pytest.raises(ValueError) as error, damage_named(builder):
        read("test")
    assert str(error.value).startswith(f"{path}: is damaged or missing (")
    assert str(error.value).endswith("; build the data set again with --overwrite")


def test_errors_that_are_not_of_records_pass(tmp_path, write_video):
    builder = tiny.build(tmp_path, write_video, videos_per_class=2)
    raised = tf.errors.NotFoundError(None, None, "another file")
    with pytest.raises(tf.errors.NotFoundError) as error, damage_named(builder):
        raise raised
    assert error.value is raised


@pytest.mark.parametrize(
    "name, content",
    [
        ("dataset_info.json", "{"),
        ("features.json", "{}"),
        ("features.json", None),
    ],
)
def test_a_damaged_description_of_a_data_set(tmp_path, write_video, name, content):
    builder = tiny.build(tmp_path, write_video, videos_per_class=2)
    folder = pathlib.Path(builder.data_dir)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(ValueError) as error:
        open_dataset(tmp_path / "data", "two_stream_folder/tiny")
    assert str(error.value).startswith(
        f"{folder}: a file of the data set is damaged or missing; build it again with "
        "--overwrite ("
    )


def test_damage_shows_before_a_training(tmp_path, write_video):
    builder = tiny.build(tmp_path, write_video, videos_per_class=2)
    (path,) = map(pathlib.Path, builder.info.splits["train"].filepaths)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError) as error:
        pipeline.check_fits(builder, DATA)
    assert str(error.value).startswith(
        f"{path}: is damaged or missing (truncated record"
    )


@pytest.mark.parametrize(
    "content, told",
    [
        ("{", "is damaged, not JSON ("),
        ("{}", "is not the config.json of a training"),
        ("[1]", "is not the config.json of a training"),
        ('{"config": 1, "labels": []}', "is not the config.json of a training"),
        ('{"config": {}, "labels": []}', "Config lacks data"),
    ],
)
def test_a_damaged_config_of_a_run(tmp_path, content, told):
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-2.index").touch()
    for read in (
        lambda: read_config(tmp_path),
        lambda: keep_config(tiny.config(), tmp_path, ["a", "b"]),
    ):
        with pytest.raises(ValueError) as error:
            read()
        assert str(error.value).startswith(f"{tmp_path / 'config.json'}: {told}")


def test_a_damaged_history_of_a_run(tmp_path):
    (tmp_path / "history.json").write_text("[")
    with pytest.raises(ValueError, match="history.json: is damaged, not JSON"):
        history_until(tmp_path, 1)


TPU = """
from experiments import command
def main():
    from i3d_tf.training import make_strategy
    make_strategy("tpu")
command.run(main)
"""


def test_a_host_without_a_tpu(tmp_path):
    # In a process of its own, as TensorFlow sets up devices in the attempt.
    done = subprocess.run(
        [sys.executable, "-c", TPU],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert line.startswith("error: strategy tpu: this host has no TPU (")
    assert line.endswith(
        "; run on a host with one, give its name with --tpu, or choose another strategy"
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert list(tmp_path.glob("i3d-traceback-*")) == []
