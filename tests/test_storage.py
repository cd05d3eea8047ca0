"""Paths in object storage, with buckets on this machine: `gs://` by TensorFlow,
`s3://` by fsspec."""

import json
import pathlib
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tiny
from etils.epath import backend, gpath
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from flow import extract, files
from flow.extract import extract_video
from flow.extract_folder import find_sources
from flow.flow_video import describe_flow_video, read_flow_video
from flow.settings import Settings
from flow.video import VideoError, read_video
from flow.video_files import find_others, find_videos
from i3d_tf import feature_files
from i3d_tf.config import Data
from i3d_tf.export import export
from i3d_tf.exported import ExportedModel
from i3d_tf.feature_folder import extract_folder
from i3d_tf.features import FeatureExtractor, FeatureSettings
from i3d_tf.prediction import Predictor
from i3d_tf.streams import RGB

SETTINGS = Settings(engine="opencv", smaller_side=16)


class Bucket(MemoryFileSystem):
    """fsspec's memory, for paths that begin with `s3://`."""

    protocol = "s3"
    store = {}
    pseudo_dirs = [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("s3:/"))

    def listdir(self, path, **kwargs):
        # S3 lists a folder's own marker too, which its console makes.
        return [*super().listdir(path, **kwargs), f"{self._strip_protocol(path)}/"]


class GFile:
    """`tf.io.gfile` with a local folder as `gs://`, which behaves as a bucket does."""

    def __init__(self, folder):
        self._folder = folder

    def __getattr__(self, name):
        function = getattr(tf.io.gfile, name)
        return lambda *paths, **options: function(*map(self._local, paths), **options)

    def _local(self, path):
        return str(path).replace("gs:/", str(self._folder))

    def copy(self, source, target, overwrite):
        tf.io.gfile.makedirs(self._local(target.rpartition("/")[0]))
        tf.io.gfile.copy(self._local(source), self._local(target), overwrite)

    def listdir(self, folder):
        folder = self._local(folder)
        return [
            f"{name}/" if tf.io.gfile.isdir(f"{folder}/{name}") else name
            for name in tf.io.gfile.listdir(folder)
        ]


@pytest.fixture(params=["gs", "s3"])
def bucket(request, monkeypatch, tmp_path):
    """The path of an empty bucket."""
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: request.param == "gs")
    monkeypatch.setattr(gpath, "_is_zonal_gcs_bucket", lambda _: False)
    gfile = GFile(tmp_path / "gs")
    monkeypatch.setattr(type(backend.tf_backend), "gfile", gfile)
    systems = {"s3": Bucket(), "file": LocalFileSystem()}
    monkeypatch.setattr(backend.fsspec_backend, "_get_filesystem", systems.get)
    yield files.as_path(f"{request.param}://bucket")
    Bucket.store.clear()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def put(path, content=b""):
    with files.written_aside(path) as aside:
        aside.write_bytes(content)


def test_paths():
    path = files.as_path("gs://bucket/a.b/c.mp4")
    assert files.is_remote(path) and files.is_remote("s3://bucket")
    assert str(path) == "gs://bucket/a.b/c.mp4"
    assert str(path.with_suffix(".mkv")) == "gs://bucket/a.b/c.mkv"
    assert str(path.relative_to("gs://bucket")) == "a.b/c.mp4"
    assert str(path.parent / pathlib.Path("d/e.mkv")) == "gs://bucket/a.b/d/e.mkv"
    assert str(pickle.loads(pickle.dumps(path))) == str(path)
    for local in ("a/b", "/gs/a", "gs:/a", pathlib.Path("gs://a")):
        assert not files.is_remote(local)
        assert type(files.as_path(local)) is type(pathlib.Path())
    with pytest.raises(ValueError, match="ftp://a/b: files at ftp:// cannot be read"):
        files.as_path("ftp://a/b")


def test_a_file_goes_there_and_back(bucket, temporary):
    path = bucket / "a" / "b.json"
    content = np.random.default_rng(0).bytes(3_000_000)
    assert not files.exists(path)
    with files.written_aside(str(path)) as aside:
        assert aside.suffix == ".json" and not files.is_remote(aside)
        aside.write_bytes(content)
        assert not files.exists(path)
    assert files.exists(path)
    assert files.size_and_time(path)[0] == len(content)
    with files.local_copy(str(path)) as local:
        assert local.suffix == ".json" and not files.is_remote(local)
        assert local.read_bytes() == content
    put(path, b"other")
    with files.local_copy(path) as local:
        assert local.read_bytes() == b"other"
    assert list(temporary.iterdir()) == []


def test_an_error_leaves_what_was_there(bucket, temporary):
    put(bucket / "old", b"old")
    for name in ("old", "new"):
        with pytest.raises(RuntimeError, match="half way"):
            with files.written_aside(bucket / name) as aside:
                aside.write_bytes(b"half")
                raise RuntimeError("half way")
    with files.local_copy(bucket / "old") as local:
        assert local.read_bytes() == b"old"
    assert not files.exists(bucket / "new")
    assert list(temporary.iterdir()) == []


def test_local_files_are_not_copied(tmp_path):
    with files.local_copy(str(tmp_path / "none")) as local:
        assert local == tmp_path / "none"


def test_write_json(bucket):
    files.write_json(bucket / "a.json", {"a": "ü"})
    with files.local_copy(bucket / "a.json") as local:
        assert json.loads(local.read_text("utf-8")) == {"a": "ü"}


def test_what_is_missing(bucket):
    with pytest.raises(FileNotFoundError, match="bucket/none.avi"):
        files.size_and_time(bucket / "none.avi")
    with pytest.raises(FileNotFoundError, match="bucket/none.avi"):
        with files.local_copy(bucket / "none.avi"):
            pass
    for reader in (read_video, read_flow_video):
        with pytest.raises(VideoError, match="://bucket/none.avi: cannot be "):
            next(reader(bucket / "none.avi"))
    files.remove_leftovers(bucket / "none")


def test_a_storage_that_fails(bucket, monkeypatch):
    def fail(*_, **__):
        raise tf.errors.UnavailableError(None, None, "try\nlater")

    # By whichever of the two the copy is made.
    monkeypatch.setattr(Bucket, "_open", fail)
    monkeypatch.setattr(GFile, "copy", fail)
    with pytest.raises(OSError, match="try later: '.*://bucket/a'") as caught:
        put(bucket / "a")
    assert caught.value.strerror == "try later"
    assert not files.exists(bucket / "a")


def test_find_videos(bucket):
    for name in ("b/c.d/2.mp4", "b/c.d/1.AVI", "a.mkv", "b/e.txt", "f", "b/.g.mp4"):
        put(bucket / "videos" / name)
    put(bucket / "videos2" / "a.mkv")
    found = find_videos(str(bucket / "videos"))
    assert found == [pathlib.Path(p) for p in ("a.mkv", "b/c.d/1.AVI", "b/c.d/2.mp4")]
    assert {type(path) for path in found} == {type(pathlib.Path())}
    assert find_others(bucket / "videos") == [
        pathlib.Path("b/e.txt"),
        pathlib.Path("f"),
    ]
    with pytest.raises(ValueError, match="://bucket/none: no such folder of videos"):
        find_videos(bucket / "none")
    with pytest.raises(ValueError, match="://bucket/videos/b/e.txt: is no folder$"):
        find_videos(bucket / "videos" / "b" / "e.txt")
    with pytest.raises(ValueError, match="lies inside the videos"):
        find_sources(bucket / "videos", bucket / "videos" / "flow")
    assert find_sources(bucket / "videos", bucket / "videos3") == found


@pytest.fixture(scope="module")
def video(tmp_path_factory, write_video):
    frames = np.random.default_rng(0).integers(0, 256, [3, 16, 24, 3], np.uint8)
    return write_video(tmp_path_factory.mktemp("local") / "a" / "b.avi", frames)


def test_a_flow_video_is_the_local_one(bucket, video, tmp_path, temporary, monkeypatch):
    folder, name = video.parent.parent, pathlib.Path("a/b.avi")
    put(bucket / "videos" / name, video.read_bytes())
    entry = extract_video(bucket / "videos", bucket / "flow", SETTINGS, True, name)
    local = extract_video(folder, tmp_path / "flow", SETTINGS, True, name)
    assert entry["state"] == "done", entry["reason"]
    assert {**entry, "seconds": 0} == {**local, "seconds": 0}
    target = bucket / "flow" / "a" / "b.mkv"
    with files.local_copy(target) as copy:
        assert copy.read_bytes() == (tmp_path / "flow" / "a" / "b.mkv").read_bytes()
    assert describe_flow_video(target)["flow_frames"] == 2
    assert [codes.shape for codes in read_flow_video(target)] == [(16, 24, 2)] * 2
    assert list(temporary.iterdir()) == []
    monkeypatch.setattr(extract, "write_flow", None)
    entry = extract_video(bucket / "videos", bucket / "flow", SETTINGS, True, name)
    assert (entry["state"], entry["flow_frames"]) == ("skipped", 2)


def test_predictions_and_features_of_videos_there(bucket, write_video, tmp_path):
    models = tiny.networks(3, (RGB,))
    data = Data("x", num_frames=9, size=32, smaller_side=40)
    export(models, ["a", "b", "c"], data, tmp_path / "model")
    local = write_video(tmp_path / "v" / "a.avi", tiny.moving_texture(12))
    put(bucket / "videos" / "a.avi", local.read_bytes())
    predictor = Predictor(tmp_path / "model")
    assert predictor(bucket / "videos" / "a.avi").scores == predictor(local).scores

    settings = FeatureSettings(window=9)
    extractor = FeatureExtractor(ExportedModel(tmp_path / "model"), settings)
    output = bucket / "features"
    for state in ("done", "skipped"):
        (entry,) = extract_folder(bucket / "videos", output, extractor)
        assert (entry["state"], entry["video"]) == (state, "a.avi")
    found, _ = feature_files.read(output / "a.npz")
    wanted = extractor(local)
    np.testing.assert_array_equal(found.values["rgb"], wanted.values["rgb"])


def test_a_broken_video_is_named_by_its_own_path(bucket, temporary):
    name = pathlib.Path("a/b.avi")
    put(bucket / "videos" / name, b"this is no video")
    entry = extract_video(bucket / "videos", bucket / "flow", SETTINGS, True, name)
    assert entry["reason"].startswith(f"{bucket}/videos/a/b.avi: cannot be decoded")
    assert str(temporary) not in entry["reason"]
    assert not files.exists(bucket / "flow" / "a" / "b.mkv")
    assert list(temporary.iterdir()) == []
