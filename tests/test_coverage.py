"""What cannot be used: counted, named with its reason, or an error."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny_datasets
from tiny_datasets import HEIGHT, flow_codes, source_frames, write_flow, write_pair

from i3d_tf.datasets import coverage, open_dataset, outcomes
from i3d_tf.datasets import pairs as pairs_module
from i3d_tf.datasets.folder.builder import TwoStreamFolder

USED = {"listed": 1, "present": 1, "used": 1, "lost": []}


@pytest.fixture
def pairs(tmp_path, write_video):
    tiny_datasets.folder(tmp_path, write_video)
    return tmp_path


def folder_builder(root, **options):
    places = {"data_dir": root / "data", "name": "mine"}
    options = {"workers": 1, **places, **options}
    return TwoStreamFolder.of(root / "videos", root / "flow", **options)


@pytest.fixture
def gaps(pairs, write_video):
    """The pairs and nine more videos of `wave`, of which one can be used.

    Returns (root, CSV file).
    """
    videos, flow = pairs / "videos", pairs / "flow"
    names = "fine flowless long small plain changed short bad".split()
    for seed, name in enumerate(names, 10):
        write_pair(pairs, f"wave/{name}.avi", write_video, seed=seed)
    (flow / "wave/flowless.mkv").unlink()
    write_video(videos / "wave/long.avi", source_frames(6, 0))
    write_video(videos / "wave/small.avi", np.zeros((4, HEIGHT, 40, 3), np.uint8))
    shutil.copy(videos / "wave/plain.avi", flow / "wave/plain.mkv")
    write_flow(flow / "wave/changed.mkv", flow_codes(4, 0), source_sha256="12345678")
    write_video(videos / "wave/short.avi", source_frames(1, 0))
    (flow / "wave/short.mkv").unlink()
    (videos / "wave/bad.avi").write_text("this is no video")
    entries = [{"video": "wave/short.avi", "state": "failed", "reason": "has 1 frame"}]
    entries += [{"video": "wave/a.avi", "state": "done", "reason": None}]
    (flow / "report.json").write_text(json.dumps(entries))
    lines = ["path,label,split", "jump/a.avi,jump,train", "jump/b.avi,jump,test"]
    lines += ["wave/a.avi,wave,train", "wave/b.avi,wave,test", "wave/no.avi,wave,train"]
    lines += [f"wave/{name}.avi,wave,train" for name in names]
    return pairs, tiny_datasets.write_lines(pairs / "lists.csv", lines)


# With two, processes are started, which takes the time of importing TensorFlow.
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_cannot_be_used_is_named_with_its_reason(gaps, workers):
    root, lists = gaps
    found = folder_builder(root, annotations=lists, workers=workers).build()
    assert found["test"] == {"jump": USED, "wave": USED}
    assert found["train"]["jump"] == USED
    wave = found["train"]["wave"]
    # All but no.avi are there; a and fine can be used.
    assert (wave["listed"], wave["present"], wave["used"]) == (10, 9, 2)
    reasons = {lost["video"]: lost["reason"] for lost in wave["lost"]}
    videos, flow = root / "videos/wave", root / "flow/wave"
    small = "frames are [24, 40] px, its flow video's [24, 32]"
    changed = "is not the file that its flow video was made from"
    begins = {
        "no": f"{videos}/no.avi: is missing",
        "flowless": f"{flow}/flowless.mkv: is missing",
        "short": f"{flow}/short.mkv: is missing; extraction said: has 1 frame",
        "long": f"{videos}/long.avi: has more frames than its flow",
        "small": f"{videos}/small.avi: {small}",
        "plain": f"{flow}/plain.mkv: not a flow video",
        "changed": f"{videos}/changed.avi: {changed}",
        "bad": f"{videos}/bad.avi: cannot be decoded",
    }
    assert set(reasons) == {f"wave/{name}.avi" for name in begins}
    for name, begin in begins.items():
        assert reasons[f"wave/{name}.avi"].startswith(begin)
    builder = open_dataset(root / "data", "two_stream_folder/mine")
    ids = {r["id"].decode() for r in tfds.as_numpy(builder.as_dataset("train"))}
    assert ids == {"jump/a.avi", "wave/a.avi", "wave/fine.avi"}
    assert coverage.read_coverage(builder.data_dir) == found
    table = (builder.data_path / "quarantine.csv").read_text("utf-8")
    header, *rows = csv.reader(table.splitlines())
    assert header == ["split", "label", "video", "reason"]
    lost = [["train", "wave", one["video"], one["reason"]] for one in wave["lost"]]
    assert rows == lost


def test_a_process_that_dies_costs_one_video(pairs, monkeypatch):
    class Workers:
        """Of which the process dies at `wave/b.avi`."""

        def __init__(self, count, limit):
            assert (count, limit) == (2, 9)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def call(self, function, entry):
            if entry.video == "wave/b.avi":
                raise outcomes.ProcessDied("its process died 2 times")
            return function(entry)

        def look_after(self, function, items):
            return map(function, items)

    monkeypatch.setattr(outcomes, "Workers", Workers)
    found = folder_builder(pairs, workers=2, limit=9).build()
    reason = "wave/b.avi: its process died 2 times"
    assert found["test"]["wave"] == {
        "listed": 1,
        "present": 1,
        "used": 0,
        "lost": [{"video": "wave/b.avi", "reason": reason}],
    }


def test_strict_refuses_missing_files_before_it_begins(gaps, monkeypatch):
    root, lists = gaps

    def no_work(*_, **__):
        raise AssertionError("a video was encoded")

    monkeypatch.setattr(pairs_module, "encode_pair", no_work)
    message = r"strict: 3 of 13 listed videos cannot be used, as .*no.avi: is missing"
    with pytest.raises(ValueError, match=message):
        folder_builder(root, annotations=lists, strict=True).build()
    assert os.listdir(root / "data/two_stream_folder/mine") == []


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_strict_refuses_a_video_that_cannot_be_read(pairs, workers):
    (pairs / "videos/wave/b.avi").write_text("this is no video")
    message = "strict: a video cannot be used: .*b.avi: cannot be decoded"
    with pytest.raises(ValueError, match=message):
        folder_builder(pairs, strict=True, workers=workers).build()
    assert os.listdir(pairs / "data/two_stream_folder/mine") == []


def test_strict_builds_what_has_no_gap(pairs):
    assert folder_builder(pairs, strict=True).build()["test"] == {
        "jump": USED,
        "wave": USED,
    }


def test_no_usable_video_of_a_split_is_an_error(pairs):
    for name in ("jump", "wave"):
        (pairs / f"flow/{name}/b.mkv").unlink()
    message = "no video of split 'test' can be used; .*b.mkv: is missing"
    with pytest.raises(ValueError, match=message):
        folder_builder(pairs).build()
    with pytest.raises(ValueError, match="no data set"):
        open_dataset(pairs / "data", "two_stream_folder/mine")


def test_totals_and_their_description():
    labels = {
        name: {"listed": 10, "present": 9, "used": used, "lost": []}
        for name, used in zip("abcdefgh", (8, 0, 0, 0, 0, 0, 0, 0), strict=True)
    }
    totals = coverage.total(labels)
    assert totals == {
        "listed": 80,
        "present": 72,
        "used": 8,
        "classes": 8,
        "damaged": 0,
        "unused_classes": list("bcdefgh"),
    }
    assert coverage.describe(totals) == (
        "8 of 80 listed videos used (72 present), 8 classes; no video of b, c, d, e, f "
        "and 2 more"
    )
    assert coverage.describe(coverage.total({"a": labels["a"]})) == (
        "8 of 10 listed videos used (9 present), 1 class"
    )


def test_a_data_set_without_coverage_has_none(tmp_path):
    assert coverage.read_coverage(tmp_path) is None
