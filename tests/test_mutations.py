"""Damaged videos: each is used, or lost with a reason, without crash, hang or bloat."""

import collections
import csv
import multiprocessing
import pathlib
import random
import re
import threading
import time

import av
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from mutations import KINDS, mutate, write_valid

from flow.extract import flow_path
from flow.extract_folder import extract_folder
from flow.flow_video import describe_flow_video
from flow.settings import Settings
from flow.video_files import find_videos
from i3d_tf.datasets.coverage import QUARANTINE, read_coverage
from i3d_tf.datasets.folder.builder import TwoStreamFolder

# Not the flow's accuracy is of interest, but what becomes of videos.
SETTINGS = Settings(
    "fast",
    smaller_side=16,
    parameters={"warps": 1, "outer_iterations": 1, "inner_iterations": 1},
)
LIMIT = 60  # seconds without progress in a video
MEMORY = 1.5 * 2**30  # bytes of a process
# Of the flow of as many sound videos as there are in this share of the damaged ones.
DAMAGED_FLOW = 5


class PeakMemory(threading.Thread):
    """`with PeakMemory() as peak:` the most memory of a process started, `peak.bytes`.

    Linux counts the most that a process ever had; it is read ten times a second, as it
    is gone with the process.
    """

    bytes = 0

    def __enter__(self):
        self._ended = threading.Event()
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()

    def run(self):
        while not self._ended.wait(0.1):
            for process in multiprocessing.active_children():
                status = pathlib.Path(f"/proc/{process.pid}/status")
                try:
                    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
                except OSError:
                    continue
                if found:  # not of one that has just ended
                    self.bytes = max(self.bytes, 1024 * int(found[1]))


def valid_videos(folder):
    """{class: bytes} of each kind that this FFmpeg can encode."""
    folder.mkdir()
    found = {}
    for kind, (suffix, codec, pixels) in KINDS.items():
        if codec in av.codecs_available:
            found[kind] = write_valid(folder / f"valid{suffix}", codec, pixels)
    return found


def write_damaged(folder, valid, count, rng):
    """`count` damaged videos, and among them sound ones whose flow is to be damaged."""
    kinds = list(valid)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        path = folder / kind / f"{number:04}{KINDS[kind][0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mutate(valid[kind], rng))
        if number % DAMAGED_FLOW == 0:
            sound = path.with_name(f"sound {number:04}{path.suffix}")
            sound.write_bytes(valid[kind])


@pytest.mark.parametrize("count", [pytest.param(2000, marks=pytest.mark.slow), 40])
def test_every_damaged_video_is_used_or_lost_with_a_reason(tmp_path, count):
    rng = random.Random(0)
    videos, flow = tmp_path / "videos", tmp_path / "flow"
    valid = valid_videos(tmp_path / "valid")
    assert {"mp4 h264", "avi mpeg4", "mkv ffv1", "gif"} <= valid.keys()
    write_damaged(videos, valid, count, rng)
    listed = {path.as_posix() for path in find_videos(videos)}
    assert len(listed) == count + count // DAMAGED_FLOW
    with PeakMemory() as peak:
        began = time.monotonic()
        report = extract_folder(videos, flow, SETTINGS, workers=2, limit=LIMIT)
        extracted = time.monotonic() - began
        failed = check_report(report, listed, videos, flow)
        sound = sorted(video for video in listed if "/sound " in video)
        assert not failed.keys() & set(sound)
        for video in sound:
            path = flow / flow_path(video)
            path.write_bytes(mutate(path.read_bytes(), rng))
        builder = TwoStreamFolder.of(
            videos,
            flow,
            data_dir=tmp_path / "data",
            name="mine",
            workers=2,
            limit=LIMIT,
        )
        began = time.monotonic()
        coverage = builder.build()
        built = time.monotonic() - began
    used = check_records(builder, flow)
    lost = check_coverage(builder, coverage, listed, used)
    for video, reason in lost.items():
        places = f"{videos / video}: ", f"{flow / flow_path(video)}: "
        assert reason.startswith(places) and is_a_reason(reason)
        if video in failed:
            assert reason.endswith(f"is missing; extraction said: {failed[video]}")
    assert lost.keys() >= failed.keys()
    # A damage that nobody sees is one of the pictures alone, as a changed colour.
    assert len(used) > count // 4 and len(failed) > count // 4
    assert any(video in lost for video in sound)
    assert 0 < peak.bytes < MEMORY
    print(
        f"{len(listed)} videos, {len(sound)} of them with damaged flow: {len(used)} "
        f"used, {len(failed)} without flow, {len(lost) - len(failed)} more lost; "
        f"{extracted:.0f} s of extraction, {built:.0f} s of building, at most "
        f"{peak.bytes / 2**20:.0f} MB a process"
    )
    for reason, number in kinds_of(failed, lost).most_common():
        print(f"{number:6} {reason}")


def check_report(report, listed, videos, flow):
    """{video: reason} of the failed, after each was found to be told of once."""
    assert sorted(entry["video"] for entry in report) == sorted(listed)
    failed = {}
    for entry in report:
        made = flow / flow_path(entry["video"])
        if entry["state"] == "done":
            assert entry["reason"] is None
            assert describe_flow_video(made)["flow_frames"] == entry["flow_frames"] > 0
        else:
            assert entry["state"] == "failed" and not made.exists()
            assert entry["reason"].startswith(f"{videos / entry['video']}: ")
            assert is_a_reason(entry["reason"])
            failed[entry["video"]] = entry["reason"]
    return failed


def is_a_reason(text):
    """One line, and not that a process died or was ended."""
    return "\n" not in text and "its process" not in text


def check_coverage(builder, coverage, listed, used):
    """{video: reason} of the lost, after all numbers were found to add up."""
    counts = [counts for labels in coverage.values() for counts in labels.values()]
    lost = {one["video"]: one["reason"] for c in counts for one in c["lost"]}
    assert used | lost.keys() == listed and not used & lost.keys()
    assert sum(c["listed"] for c in counts) == len(listed)
    assert sum(c["present"] for c in counts) == len(listed)
    assert sum(c["used"] for c in counts) == len(used)
    assert sum(len(c["lost"]) for c in counts) == len(lost)
    assert read_coverage(builder.data_dir) == coverage
    with open(builder.data_path / QUARANTINE, encoding="utf-8", newline="") as file:
        assert {row["video"]: row["reason"] for row in csv.DictReader(file)} == lost
    return lost


def kinds_of(failed, lost):
    """How often each reason comes, without what differs from file to file."""
    reasons = list(failed.values())
    reasons += [f"flow: {lost[video]}" for video in lost.keys() - failed.keys()]
    return collections.Counter(
        re.sub(r"[0-9.]+", "N", re.sub(r"/\S* ?\S*/[^:]*?\.\w+:?", "FILE", reason))
        for reason in reasons
    )


def check_records(builder, flow):
    """The ids of all records, of which each was found to have the promised shape."""
    used = set()
    encoded = dict.fromkeys(("rgb", "flow"), tfds.decode.SkipDecoding())
    for split in builder.info.splits:
        for record in builder.as_dataset(split, decoders=encoded):
            video = record["id"].numpy().decode()
            assert video not in used
            used.add(video)
            made = describe_flow_video(flow / flow_path(video))
            assert len(record["rgb"]) == len(record["flow"]) == made["flow_frames"] > 0
            height, width = made["size"]
            assert (record["height"], record["width"]) == (height, width)
            for frame, planes in zip(
                record["rgb"][-2:], record["flow"][-2:], strict=True
            ):
                assert tf.io.decode_jpeg(frame).shape == [height, width, 3]
                assert tf.io.decode_jpeg(planes).shape == [2 * height, width, 1]
    return used
