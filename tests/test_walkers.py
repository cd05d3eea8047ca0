"""Walks over many videos go on after an error of one, also one nobody expected."""

import os
import pathlib
import subprocess
import sys
import tempfile
import types

import numpy as np
import pytest

from flow import extract_folder as runs
from flow import import_images, unexpected
from flow.import_images import ImportSettings, import_video
from flow.settings import Settings
from i3d_tf import feature_folder
from i3d_tf.datasets.listing import Listed
from i3d_tf.datasets.outcomes import outcome_of
from i3d_tf.features import Features

TOLD = "unexpected TypeError: no number; the traceback is in "


@pytest.fixture(autouse=True)
def tracebacks(tmp_path_factory, monkeypatch):
    """The folder of the files with tracebacks."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(unexpected, "_written", {})
    return folder


def bug(*_):
    raise TypeError("no number")


@pytest.fixture
def videos(tmp_path):
    """A folder of files with names of videos, which no one decodes."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.avi").write_bytes(b"video")
    return folder


class Extractor:
    """Features of zeros, and an error for the second video."""

    def __init__(self, error):
        self._error = error

    def description(self):
        return {"endpoint": "none"}

    def __call__(self, video):
        if video.name == "b.avi":
            raise self._error
        return Features({"rgb": np.zeros([3, 4], np.float32)}, np.zeros([3, 2]))


def test_features_of_a_folder(tmp_path, videos, tracebacks):
    error = TypeError("no number")
    report = feature_folder.extract_folder(videos, tmp_path / "out", Extractor(error))
    assert [entry["state"] for entry in report] == ["done", "failed", "done"]
    assert report[1]["reason"].startswith(f"{videos / 'b.avi'}: {TOLD}{tracebacks}/")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("a.npz", "c.npz", "report.json")
    }


def test_features_on_a_full_disk_end_the_walk(tmp_path, videos):
    error = OSError(28, "No space left on device", "b.npz")
    with pytest.raises(OSError, match="No space left"):
        feature_folder.extract_folder(videos, tmp_path / "out", Extractor(error))


def test_flow_of_a_folder(tmp_path, videos, tracebacks):
    processes = types.SimpleNamespace(call=bug)
    progress = types.SimpleNamespace(is_todo=lambda video: True)
    video = pathlib.Path("a.avi")
    look_after = (processes, progress, videos, tmp_path, Settings(), True, video)
    found, entry = runs._look_after(*look_after)
    assert found == video
    assert entry["state"] == "failed" and entry["video"] == "a.avi"
    assert entry["reason"].startswith(f"{videos / 'a.avi'}: {TOLD}{tracebacks}/")


def test_imported_flow(tmp_path, monkeypatch, tracebacks):
    monkeypatch.setattr(import_images, "list_pairs", bug)
    places = types.SimpleNamespace(trees=[tmp_path])
    settings = ImportSettings(20.0, None, None, None)
    names = pathlib.Path("a"), None
    entry = import_video(places, None, tmp_path, settings, True, names)
    assert entry["state"] == "failed"
    assert entry["reason"].startswith(f"{tmp_path / 'a'}: {TOLD}{tracebacks}/")


def test_records(tracebacks):
    entry = Listed("videos/a.avi", "run", "train")
    outcome = outcome_of(entry, bug)
    assert outcome.present and outcome.example is None
    assert outcome.reason.startswith(f"videos/a.avi: {TOLD}{tracebacks}/")


PREDICT = """
import sys, types

class Predictor:
    made_for = {"streams": ["rgb"]}
    def __init__(self, model, engine):
        pass
    def __call__(self, video):
        raise TypeError("no number") if video.name == "b.avi" else ValueError("bad")

sys.modules["i3d_tf.prediction"] = types.SimpleNamespace(Predictor=Predictor)
from experiments import predict
sys.argv[0] = "i3d-predict"
predict.cli()
"""


def test_predictions(videos, tracebacks):
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, "--model", "none", "--video", videos],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
        env={**os.environ, "TMPDIR": str(tracebacks)},
    )
    (path,) = tracebacks.glob("i3d-traceback-*.txt")
    assert [line for line in done.stderr.splitlines() if "error:" in line] == [
        "error: bad",
        f"error: classifying {videos}/b.avi: {TOLD}{path}",
        "error: bad",
        "error: 3 of 3 videos could not be classified",
    ]
    assert done.returncode == 1
