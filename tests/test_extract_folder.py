"""Flow of a folder of videos: the report, the command, every odd file."""

import hashlib
import json
import os
import pathlib

import pytest
from tiny_flow import (
    QUICK,
    SETTINGS,
    contents,
    errors,
    moving_square,
    noise,
    start,
    states,
)

from flow.extract import extract_video, flow_path
from flow.extract_folder import extract_folder
from flow.flow_video import describe_flow_video
from flow.tvl1 import TVL1
from flow.video_files import find_videos

A = pathlib.Path("a.avi")


@pytest.fixture
def one_video(tmp_path, write_video):
    """A folder with the video `a.avi`: a square that moves to the right."""
    write_video(tmp_path / "videos" / "a.avi", moving_square([(0, 0), (3, 0), (6, 0)]))
    return tmp_path / "videos"


@pytest.fixture
def videos(tmp_path, write_video):
    """Two videos that work, one of a single frame, and a text file."""
    folder = tmp_path / "videos"
    write_video(folder / "b" / "right.avi", moving_square([(0, 0), (2, 0), (4, 0)]))
    write_video(folder / "a down.mkv", moving_square([(0, 0), (0, 1)]))
    write_video(folder / "b" / "one.avi", moving_square([(0, 0)]))
    (folder / "b" / "text.avi").write_text("this is no video")
    return folder


def source(path):
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return {"source_bytes": len(data), "source_sha256": digest}


def test_report_and_files(tmp_path, videos, capsys):
    output = tmp_path / "flow"
    report = extract_folder(videos, output, SETTINGS, workers=1)
    assert report == json.loads((output / "report.json").read_text("utf-8"))
    seconds = [entry.pop("seconds") for entry in report]
    assert all(0 <= value < 60 for value in seconds)
    one, text = videos / "b" / "one.avi", videos / "b" / "text.avi"
    assert report[3].pop("reason").startswith(f"{text}: cannot be decoded")
    made = {
        "fps": 25,
        "smaller_side": 48,
        "engine": "opencv",
        "parameters": {k: v for k, v in TVL1().parameters.items() if k != "engine"},
        "bound": 20.0,
        "quantiser": "128 + round(v * 127 / 20)",
        "damage": None,
    }
    failed = {"state": "failed", "frames": 0, "flow_frames": 0, "duration": 0}
    failed |= {"size": None, **made}
    done = {"state": "done", "reason": None, "size": [48, 64], **made}
    two_frames = {"frames": 2, "flow_frames": 1, "duration": 0.08}
    three_frames = {"frames": 3, "flow_frames": 2, "duration": 0.12}
    assert report == [
        {
            "video": "a down.mkv",
            **done,
            **two_frames,
            **source(videos / "a down.mkv"),
        },
        {
            "video": "b/one.avi",
            "reason": f"{one}: 1 frame at 25 fps; flow needs at least 2",
            **failed,
            **source(one),
        },
        {
            "video": "b/right.avi",
            **done,
            **three_frames,
            **source(videos / "b" / "right.avi"),
        },
        {"video": "b/text.avi", **failed, **source(text)},
    ]
    assert list(contents(output)) == ["a down.mkv", "b/right.mkv", "report.json"]
    printed = capsys.readouterr()
    assert f"failed: {one}: 1 frame at 25 fps" in printed.out
    # The frames that were computed, of as many, and all four videos.
    last = printed.err.rstrip().split("\r")[-1]
    assert "100%" in last and "3/3 [" in last and " 4/4 videos]" in last


def test_a_second_run_keeps_what_is_there(tmp_path, videos):
    output = tmp_path / "flow"
    extract_folder(videos, output, SETTINGS, workers=1)
    kept, lost = output / "b" / "right.mkv", output / "a down.mkv"
    os.utime(kept, ns=(1, 1))
    before = lost.read_bytes()
    lost.unlink()
    report = extract_folder(videos, output, SETTINGS, workers=1)
    assert states(report) == {
        "a down.mkv": "done",
        "b/one.avi": "failed",
        "b/right.avi": "skipped",
        "b/text.avi": "failed",
    }
    made = describe_flow_video(kept)
    assert {key: report[2][key] for key in made} == made
    assert kept.stat().st_mtime_ns == 1
    assert lost.read_bytes() == before


def test_other_settings_are_refused_before_anything_is_written(tmp_path, videos):
    output = tmp_path / "flow"
    extract_folder(videos, output, SETTINGS, workers=1)
    before = contents(output)
    with pytest.raises(ValueError, match=r"down.mkv: was made with smaller_side 48 \("):
        extract_folder(videos, output, QUICK, workers=1)
    assert contents(output) == before
    # Where some fit, each that does not is told of.
    (output / "a down.mkv").unlink()
    extract_video(videos, output, QUICK, True, pathlib.Path("a down.mkv"))
    report = extract_folder(videos, output, SETTINGS, workers=1)
    assert [e["state"] for e in report] == ["failed", "failed", "skipped", "failed"]
    assert "a down.mkv: was made with smaller_side 16 (" in report[0]["reason"]


def test_an_output_that_cannot_be_written_is_seen_at_once(tmp_path, videos, capsys):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "flow", "/proc/nope"):
        with pytest.raises(OSError, match=f"'{output}'$"):
            extract_folder(videos, output, SETTINGS, workers=1)
    assert capsys.readouterr().err == ""  # no bar yet


def test_a_missing_source_is_a_failure_that_is_named(tmp_path):
    (tmp_path / "a.avi").symlink_to(tmp_path / "nowhere.avi")
    output = tmp_path.parent / f"{tmp_path.name}-flow"
    (entry,) = extract_folder(tmp_path, output, QUICK, workers=1)
    assert entry["reason"] == (
        f"{tmp_path}/a.avi: cannot be read (No such file or directory)"
    )


def test_names_that_are_no_utf8(tmp_path, write_video):
    name = os.fsdecode(b"caf\xe9.avi")
    write_video(tmp_path / "videos" / "a.avi", noise(3)).rename(
        tmp_path / "videos" / name
    )
    (tmp_path / "videos" / os.fsdecode(b"n\xe9.avi")).write_text("no video")
    report = extract_folder(tmp_path / "videos", tmp_path / "flow", QUICK, workers=1)
    assert states(report) == {r"caf\xe9.avi": "done", r"n\xe9.avi": "failed"}
    assert r"n\xe9.avi: cannot be decoded" in report[1]["reason"]
    assert (tmp_path / "flow" / os.fsdecode(b"caf\xe9.mkv")).exists()


@pytest.mark.parametrize("twin", ["a.mp4", "a.AVI"])
def test_twins_are_refused(tmp_path, write_video, twin):
    videos = tmp_path / "videos"
    write_video(videos / "c" / "a.avi", moving_square([(0, 0), (1, 0)]))
    (videos / "c" / twin).write_bytes(b"")
    first, second = sorted(["c/a.avi", f"c/{twin}"])
    message = f"{first} and {second} would both become c/a.mkv"
    with pytest.raises(ValueError, match=message):
        extract_folder(videos, tmp_path / "flow", SETTINGS, workers=1)
    assert not (tmp_path / "flow").exists()


@pytest.mark.parametrize("inside", [".", "b", "new/flow", "../videos/flow"])
def test_an_output_inside_the_videos_is_refused(videos, inside):
    before = list(contents(videos))
    with pytest.raises(ValueError, match="lies inside the videos"):
        extract_folder(videos, videos / inside, SETTINGS, workers=1)
    assert list(contents(videos)) == before


def test_folders_without_videos_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no videos found"):
        extract_folder(tmp_path, tmp_path.parent / "flow", SETTINGS)
    with pytest.raises(ValueError, match="no such folder"):
        extract_folder(tmp_path / "none", tmp_path / "flow", SETTINGS)


FAILED = {
    "decord/corrupted.mp4": "cannot be decoded (Invalid data found",
    "derived/audio_only.mp4": "has no video stream",
    "derived/one_frame.mp4": "1 frame at 25 fps; flow needs at least 2",
    "derived/text_named.avi": "cannot be decoded (Invalid data found",
    "derived/truncated_60pct.avi": "a frame is damaged (at 3.80 s)",
    "derived/truncated_no_moov_maybe.mp4": "cannot be decoded (Invalid data found",
    "derived/zero_bytes.avi": "cannot be decoded (Invalid data found",
}


def test_every_odd_file_is_done_or_failed_with_its_reason(tmp_path, data_dir):
    folder = data_dir / "clips" / "odd_files"
    report = extract_folder(folder, tmp_path, QUICK, workers=2)
    assert [entry["video"] for entry in report] == [
        path.as_posix() for path in find_videos(folder)
    ]
    assert len(report) == 41
    for entry in report:
        video = entry["video"]
        if video in FAILED:
            reason = f"{folder / video}: {FAILED[video]}"
            assert entry["state"] == "failed" and entry["reason"].startswith(reason)
            assert not (tmp_path / flow_path(video)).exists()
            continue
        assert (entry["state"], entry["reason"]) == ("done", None), entry
        made = describe_flow_video(
            tmp_path / flow_path(video),
            size=entry["size"],
            flow_frames=entry["frames"] - 1,
        )
        assert min(made["size"]) == 16 and made["frames"] >= 3
    sizes = {entry["video"]: entry["size"] for entry in report}
    # Upright phone videos, a column of 16x4000 px, and 8x8 px of 4:3 made larger.
    assert sizes["derived/rotated90_meta_vfr.mp4"] == [21, 16]
    assert sizes["lpms/vertical-sample.ts"] == [4000, 16]
    assert sizes["derived/tiny_8x8.mp4"] == [16, 21]


def test_command(tmp_path, one_video):
    output = tmp_path / "flow"
    (one_video / "notes.txt").write_text("by hand")
    (one_video / ".hidden.txt").write_text("of other programs")
    run = start(one_video, output, "--smaller_side=24", "--workers=1")
    out, err = run.communicate()
    assert (run.returncode, errors(err)) == (0, [])
    assert out == (
        f"{output}: 1 flow videos written, 0 were there, 0 failed; files that have no "
        "suffix of a video: 1\n"
    )
    assert describe_flow_video(output / "a.mkv")["smaller_side"] == 24
    (one_video / "b.avi").write_text("this is no video")
    (one_video / "notes.txt").unlink()
    run = start(one_video, output, "--smaller_side=24", "--workers=1")
    out, err = run.communicate()
    assert run.returncode == 1
    assert errors(err) == [
        f"error: {output}: 0 flow videos written, 1 were there, 1 failed; reasons in "
        f"{output}/report.json"
    ]
    assert out.rstrip().startswith(f"failed: {one_video}/b.avi: cannot be decoded")
    assert [path.name for path in find_videos(output)] == ["a.mkv"]


def test_command_refuses_what_it_cannot_use(tmp_path):
    run = start(tmp_path / "none", tmp_path / "flow")
    out, err = run.communicate()
    assert run.returncode == 1
    assert err == f"error: {tmp_path}/none: no such folder of videos\n"
    assert out == ""
