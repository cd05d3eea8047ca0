"""Names of classes and files in any alphabet: carried unchanged, or refused."""

import csv
import json
import os
import re
import unicodedata

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny_datasets
from tiny_datasets import touch, write_lines
from tiny_flow import QUICK, contents, noise, states

from flow.extract import flow_path
from flow.extract_folder import extract_folder
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.coverage import read_coverage
from i3d_tf.datasets.folder.builder import TwoStreamFolder
from i3d_tf.datasets.folder.listing import list_csv, list_folder
from i3d_tf.datasets.kinetics.listing import list_kinetics
from i3d_tf.datasets.ucf101.listing import list_ucf101

APART = unicodedata.normalize("NFD", "Tür öffnen")
# {class folder: files}; the last of each is for testing.
NAMES = {
    "wave  both hands": ["a b.avi", " outer .avi"],
    unicodedata.normalize("NFC", "Äpfel schälen"): ["ä.avi", "ß ü.avi"],
    APART: [unicodedata.normalize("NFD", "é.avi"), "é.avi"],
    "手を振る": ["動画 1.avi", "視頻.avi"],
    "say \"hi\", 'you'": ['"quoted".avi', "it's, a.avi"],
    "100% %d %s": ["50%.avi", "a%03d.gif"],
    "--strict": ["-v.avi", "--help.avi"],
    "a:b #t=1,2 \\ ~ $HOME": ["12:30.avi", "file:x #t=0,1.avi"],
    "patterns": ["%d.avi", "a%03d.gif"],
    "😀": ["*?[a].avi", "😀.avi"],
}


def write_named(videos, write_video):
    for seed, (folder, files) in enumerate(NAMES.items()):
        for name in files:
            target = videos / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_video(videos / "written.avi", noise(4, seed=seed)).rename(target)


@pytest.mark.parametrize("here", [False, True])
def test_names_are_carried_unchanged(tmp_path, write_video, monkeypatch, here):
    videos, flow = tmp_path / "videos", tmp_path / "flow"
    write_named(videos, write_video)
    before = contents(videos)
    names = {f"{folder}/{name}" for folder, files in NAMES.items() for name in files}
    assert before.keys() == names
    if here:  # With relative paths, a name may come first.
        monkeypatch.chdir(videos)
        videos = "."
    report = extract_folder(videos, flow, QUICK, workers=1)
    assert states(report) == dict.fromkeys(names, "done")
    assert contents(flow).keys() == {
        "report.json", *(flow_path(name).as_posix() for name in names)
    }
    options = {"data_dir": tmp_path / "data", "name": "mine", "workers": 1}
    found = TwoStreamFolder.of(videos, flow, **options).build()
    labels = sorted(
        unicodedata.normalize("NFC", " ".join(folder.split())) for folder in NAMES
    )
    used = {"listed": 1, "present": 1, "used": 1, "lost": []}
    assert found == {
        split: dict.fromkeys(labels, used) for split in ("train", "test")
    }
    builder = open_dataset(tmp_path / "data", "two_stream_folder/mine")
    assert read_coverage(builder.data_dir) == found
    assert builder.info.features["label"].names == labels
    sources = {}
    for split in ("train", "test"):
        for record in tfds.as_numpy(builder.as_dataset(split)):
            assert record["id"] == record["source"]
            made = json.loads(record["flow_metadata"])
            assert made["video"] == record["source"].decode()
            sources[record["source"].decode()] = labels[record["label"]]
    assert sources == {
        f"{folder}/{name}": unicodedata.normalize("NFC", " ".join(folder.split()))
        for folder, files in NAMES.items()
        for name in files
    }
    # Nothing is written beside the flow and the data set.
    assert contents(tmp_path / "videos") == before
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside == {"videos", "flow", "data"}
