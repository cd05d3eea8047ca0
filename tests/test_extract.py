"""Flow of a folder of videos: every state of the report, and the command."""

import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from flow import extract
from flow.code import decode
from flow.extract import Settings, extract_folder, flow_path
from flow.flow_video import describe_flow_video, read_flow_video
from flow.pool import map_videos
from flow.tvl1 import TVL1
from flow.video import VideoError, find_videos

SETTINGS = Settings(smaller_side=48)
LEFT, TOP, SIDE = 16, 12, 24


def moving_square(moves):
    """A textured square that is moved by (dx, dy) px in each frame: `[T, H, W, 3]`.

    48x64 px, so at a smaller side of 48 no pixel is resized.
    """
    rng = np.random.default_rng(3)
    ground, texture = (
        cv2.GaussianBlur(rng.normal(0, 1, size), (0, 0), 1.5)
        for size in ((48, 64), (SIDE, SIDE))
    )
    frames = []
    for dx, dy in moves:
        picture = 128 + ground / np.abs(ground).max() * 60
        place = np.s_[TOP + dy : TOP + dy + SIDE, LEFT + dx : LEFT + dx + SIDE]
        picture[place] = 128 + texture / np.abs(texture).max() * 127
        frames.append(np.rint(picture).astype(np.uint8))
    return np.repeat(np.stack(frames)[..., None], 3, axis=-1)


@pytest.fixture
def videos(tmp_path, write_video):
    """Two videos that work, one of a single frame, and a text file."""
    folder = tmp_path / "videos"
    write_video(folder / "b" / "right.avi", moving_square([(0, 0), (2, 0), (4, 0)]))
    write_video(folder / "a down.mkv", moving_square([(0, 0), (0, 1)]))
    write_video(folder / "b" / "one.avi", moving_square([(0, 0)]))
    (folder / "b" / "text.avi").write_text("this is no video")
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def states(report):
    return {entry["video"]: entry["state"] for entry in report}


def test_report_and_files(tmp_path, videos, capsys):
    output = tmp_path / "flow"
    report = extract_folder(videos, output, SETTINGS, workers=1)
    assert report == json.loads((output / "report.json").read_text("utf-8"))
    seconds = [entry.pop("seconds") for entry in report]
    assert all(value >= 0 for value in seconds)
    text = videos / "b" / "text.avi"
    assert report[3].pop("reason").startswith(f"{text}: cannot be decoded")
    assert report == [
        {
            "video": "a down.mkv",
            "state": "done",
            "reason": None,
            "frames": 2,
            "flow_frames": 1,
        },
        {
            "video": "b/one.avi",
            "state": "failed",
            "reason": f"{videos / 'b' / 'one.avi'}: 1 frame at 25 fps; flow needs at "
            "least 2",
            "frames": 0,
            "flow_frames": 0,
        },
        {
            "video": "b/right.avi",
            "state": "done",
            "reason": None,
            "frames": 3,
            "flow_frames": 2,
        },
        {"video": "b/text.avi", "state": "failed", "frames": 0, "flow_frames": 0},
    ]
    assert list(contents(output)) == ["a down.mkv", "b/right.mkv", "report.json"]
    assert "failed: " in capsys.readouterr().out


def test_flow_k_leads_from_frame_k_minus_1_to_frame_k(tmp_path, write_video):
    # The square stands still in frames 0 to 3, moves right into frame 4, up into 6.
    moves = [(0, 0)] * 4 + [(3, 0)] * 2 + [(3, -2)] * 2
    write_video(tmp_path / "videos" / "a.avi", moving_square(moves))
    extract_folder(tmp_path / "videos", tmp_path / "flow", SETTINGS, workers=1)
    codes = list(read_flow_video(tmp_path / "flow" / "a.mkv"))
    assert len(codes) == 7
    inside = np.s_[TOP + 4 : TOP + SIDE - 4, LEFT + 6 : LEFT + SIDE - 4]
    motions = [np.median(decode(frame)[inside], axis=(0, 1)) for frame in codes]
    expected = [(0, 0), (0, 0), (0, 0), (3, 0), (0, 0), (0, -2), (0, 0)]
    np.testing.assert_allclose(motions, expected, atol=0.2)


def test_flow_is_computed_after_sampling_and_resize(tmp_path, write_video):
    # 50 fps, of which every second frame is read; 2 px a frame at twice the size.
    moves = [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]
    frames = moving_square(moves).repeat(2, axis=1).repeat(2, axis=2)
    write_video(tmp_path / "videos" / "a.avi", frames, fps=50)
    (entry,) = extract_folder(
        tmp_path / "videos", tmp_path / "flow", SETTINGS, workers=1
    )
    assert (entry["frames"], entry["flow_frames"]) == (3, 2)
    inside = np.s_[TOP + 4 : TOP + SIDE - 4, LEFT + 8 : LEFT + SIDE - 4]
    for codes in read_flow_video(tmp_path / "flow" / "a.mkv"):
        assert codes.shape == (48, 64, 2)
        motion = np.median(decode(codes)[inside], axis=(0, 1))
        np.testing.assert_allclose(motion, (2, 0), atol=0.2)


def test_tags_say_how_it_was_made(tmp_path, videos):
    extract_folder(videos, tmp_path / "flow", SETTINGS, workers=1)
    made = describe_flow_video(tmp_path / "flow" / "b" / "right.mkv")
    assert made == {
        "fps": 25,
        "smaller_side": 48,
        "tvl1": TVL1().parameters,
        "bound": 20.0,
        "code": "128 + round(v * 127 / 20)",
        "flow_frames": 2,
    }


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
    assert (report[2]["frames"], report[2]["flow_frames"]) == (3, 2)
    assert kept.stat().st_mtime_ns == 1
    assert lost.read_bytes() == before


def test_without_resume_all_is_written_again(tmp_path, videos):
    output = tmp_path / "flow"
    extract_folder(videos, output, SETTINGS, workers=1)
    kept = output / "b" / "right.mkv"
    os.utime(kept, ns=(1, 1))
    report = extract_folder(videos, output, SETTINGS, workers=1, resume=False)
    assert states(report)["b/right.avi"] == "done"
    assert kept.stat().st_mtime_ns != 1


@pytest.mark.parametrize("other", [Settings(smaller_side=32), Settings(fps=10)])
def test_other_settings_are_refused(tmp_path, videos, other):
    output = tmp_path / "flow"
    extract_folder(videos, output, SETTINGS, workers=1)
    before = (output / "b" / "right.mkv").read_bytes()
    report = extract_folder(videos, output, other, workers=1)
    assert set(states(report).values()) == {"failed"}
    made = {"fps": 25} if other.fps == 10 else {}
    made |= {"smaller_side": 48} if other.smaller_side != 48 else {}
    assert f"b/right.mkv: exists and was made with {made};" in report[2]["reason"]
    assert (output / "b" / "right.mkv").read_bytes() == before


def test_a_foreign_file_in_the_output_is_refused(tmp_path, videos):
    output = tmp_path / "flow"
    (output / "b").mkdir(parents=True)
    (output / "b" / "right.mkv").write_text("mine")
    report = extract_folder(videos, output, SETTINGS, workers=1)
    assert report[2]["state"] == "failed"
    assert "right.mkv: cannot be opened" in report[2]["reason"]
    assert (output / "b" / "right.mkv").read_text() == "mine"


def test_frames_too_small_for_tvl1_are_a_failure_that_is_named(tmp_path, videos):
    report = extract_folder(
        videos, tmp_path / "flow", Settings(smaller_side=8), workers=1
    )
    assert "TV-L1 needs 16 a side" in report[2]["reason"]
    assert list(contents(tmp_path / "flow")) == ["report.json"]


@pytest.mark.parametrize("twin", ["a.mp4", "a.AVI"])
def test_twins_are_refused(tmp_path, write_video, twin):
    videos = tmp_path / "videos"
    write_video(videos / "c" / "a.avi", moving_square([(0, 0), (1, 0)]))
    (videos / "c" / twin).write_bytes(b"")
    first, second = sorted(["c/a.avi", f"c/{twin}"])
    message = f"{first} and {second} would have one flow video, c/a.mkv"
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


def test_nothing_is_left_when_a_video_breaks_off(tmp_path, write_video):
    noise = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
    whole = write_video(tmp_path / "whole.avi", noise).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) - 4_000])
    with pytest.raises(VideoError, match="cut.avi: cannot be decoded"):
        extract.write_flow(cut, tmp_path / "flow" / "cut.mkv", SETTINGS)
    assert contents(tmp_path / "flow") == {}


def test_processes_make_no_difference(tmp_path, videos):
    made = {}
    for workers in (1, 2):
        output = tmp_path / f"flow{workers}"
        report = extract_folder(videos, output, SETTINGS, workers=workers)
        assert [entry["video"] for entry in report] == sorted(states(report))
        made[workers] = contents(output)
        made[workers].pop("report.json")
    assert made[1] == made[2]
    assert list(made[1]) == ["a down.mkv", "b/right.mkv"]


def test_map_videos_gives_every_result_once():
    assert list(map_videos(abs, range(-9, 0), 1)) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    with pytest.raises(ValueError, match="workers is 0"):
        list(map_videos(abs, [], 0))


def test_map_videos_in_processes():
    assert sorted(map_videos(abs, iter(range(-9, 0)), 2)) == list(range(1, 10))
    with pytest.raises(TypeError, match="bad operand"):
        list(map_videos(abs, ["text"], 2))


@pytest.mark.parametrize(
    ("video", "expected"),
    [("a/b.avi", "a/b.mkv"), ("a.b.MP4", "a.b.mkv"), ("a b ü.webm", "a b ü.mkv")],
)
def test_flow_path(video, expected):
    assert flow_path(video) == pathlib.Path(expected)


def command(*flags):
    return subprocess.run(
        [sys.executable, "-m", "experiments.extract_flow", *map(str, flags)],
        capture_output=True,
        text=True,
    )


def last_line(text):
    """The last of the lines, the progress bar's own updates apart."""
    return text.rstrip("\n").splitlines()[-1]


def test_command(tmp_path, write_video):
    videos, output = tmp_path / "videos", tmp_path / "flow"
    write_video(videos / "a.avi", moving_square([(0, 0), (2, 0)]))
    flags = ["--videos", videos, "--output", output, "--smaller_side=24", "--workers=1"]
    run = command(*flags)
    assert run.returncode == 0, run.stderr
    assert last_line(run.stdout) == (
        f"{output}: 1 flow videos written, 0 were there, 0 failed"
    )
    assert "error:" not in run.stderr
    assert describe_flow_video(output / "a.mkv")["smaller_side"] == 24
    (videos / "b.avi").write_text("this is no video")
    run = command(*flags)
    assert run.returncode == 1
    assert [line for line in run.stderr.splitlines() if line.startswith("error:")] == [
        f"error: {output}: 0 flow videos written, 1 were there, 1 failed; reasons in "
        f"{output}/report.json"
    ]
    assert last_line(run.stderr).startswith("error: ")
    assert "Traceback" not in run.stderr
    assert [path.name for path in find_videos(output)] == ["a.mkv"]


def test_command_refuses_what_it_cannot_use(tmp_path):
    run = command("--videos", tmp_path / "none", "--output", tmp_path / "flow")
    assert run.returncode == 1
    assert run.stderr == f"error: {tmp_path}/none: no such folder of videos\n"
    assert run.stdout == ""
