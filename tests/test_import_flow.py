"""Import of flow pictures: exact flow, the pairing with the video, what is refused."""

import json
import pathlib
import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
from flow_pictures import picture
from tiny_flow import contents, errors, moving_square, states

from flow import code
from flow.flow_video import describe_flow_video, read_flow_video
from flow.import_folder import _call, import_folder
from flow.import_images import ImportSettings
from flow.pool import ProcessDied
from flow.stored_frames import Source, pairs_in_time, tidy_rate
from flow.tvl1 import TVL1, video_flow
from flow.video import VideoError

AT_20, AT_32 = ImportSettings(20.0), ImportSettings(32.0)


def write_pictures(folder, codes, start=1, **size):
    """denseflow's pictures with a code for u and v each: [(u, v), ...]."""
    for number, (u, v) in enumerate(codes, start):
        picture(folder / f"flow_x_{number:05}.jpg", u, **size)
        picture(folder / f"flow_y_{number:05}.jpg", v, **size)


def read(path):
    return np.stack(list(read_flow_video(path)))


def run(images, output, settings=AT_20, **options):
    return import_folder(images, output, settings, workers=1, **options)


def only_reason(report):
    (entry,) = report
    assert entry["state"] == "failed"
    return entry["reason"]


def test_report_tags_and_codes(tmp_path, capsys):
    write_pictures(tmp_path / "in" / "A" / "a.b", [(204, 51), (127, 128), (255, 0)])
    write_pictures(tmp_path / "in" / "A" / "c", [(0, 0), (0, 0)], start=0)
    (tmp_path / "in" / "A" / "c" / "flow_y_00001.jpg").unlink()
    output = tmp_path / "flow"
    report = run(tmp_path / "in", output)
    assert report == json.loads((output / "report.json").read_text("utf-8"))
    assert list(contents(output)) == ["A/a.b.mkv", "report.json"]
    assert all(0 <= entry.pop("seconds") < 60 for entry in report)
    made = {
        "engine": "imported",
        "parameters": {
            "bound": 20.0,
            "fps": None,
            "smaller_side": None,
            "surplus": None,
            "formula": "2 * bound * code / 255 - bound",
        },
        "bound": 20.0,
        "quantiser": "128 + round(v * 127 / 20)",
        "source_bytes": None,
        "source_sha256": None,
        "damage": None,
    }
    path = tmp_path / "in" / "A" / "c" / "flow_x_00001.jpg"
    reason = f"{path}: is without its other half, number 1 of v (y)"
    done = {
        "video": "A/a.b",
        "state": "done",
        "reason": None,
        "fps": 25,
        "smaller_side": 16,
        "frames": 4,
        "flow_frames": 3,
        "duration": 0.16,
        "size": [16, 24],
        "images": "A/a.b",
        "pictures": 3,
        "stored_size": [16, 24],
        "cut": 0.0,
        **made,
    }
    failed = {
        "video": "A/c",
        "state": "failed",
        "reason": reason,
        "fps": None,
        "smaller_side": None,
        "frames": 0,
        "flow_frames": 0,
        "duration": 0,
        "size": None,
        "images": "A/c",
        "pictures": 0,
        "stored_size": None,
        "cut": None,
        **made,
    }
    assert report == [done, failed]
    assert f"failed: {reason}" in capsys.readouterr().out
    tags = describe_flow_video(output / "A" / "a.b.mkv")
    assert tags == {k: v for k, v in done.items() if k not in ("state", "reason")}
    # 12 px and -12 px; at this bound both codes beside zero become zero; +-20 px.
    expected = [(204, 52), (128, 128), (255, 1)]
    found = read(output / "A" / "a.b.mkv")
    np.testing.assert_array_equal(
        found, np.broadcast_to(np.uint8(expected)[:, None, None], (3, 16, 24, 2))
    )


def test_what_is_beyond_20_px_is_cut_and_counted(tmp_path, capsys):
    # At 32 px: 32, -32; 20.2, -19.7 px; zero, rounded to 128 there, is 0.125 px.
    write_pictures(tmp_path / "in" / "a", [(255, 0), (208, 49), (128, 127), (128, 128)])
    (entry,) = run(tmp_path / "in", tmp_path / "flow", AT_32)
    assert entry["cut"] == 3 / 8
    found = read(tmp_path / "flow" / "a.mkv")[:, 0, 0].tolist()
    assert found == [[255, 1], [255, 3], [129, 127], [129, 129]]


def test_trees_of_u_and_v(tmp_path):
    for number, (u, v) in enumerate([(204, 51), (191, 64)], 1):
        picture(tmp_path / "in" / "u" / "a" / f"frame{number:06}.jpg", u)
        picture(tmp_path / "in" / "v" / "a" / f"frame{number:06}.jpg", v)
    (entry,) = run(tmp_path / "in", tmp_path / "flow")
    assert (entry["video"], entry["flow_frames"]) == ("a", 2)
    found = read(tmp_path / "flow" / "a.mkv")[:, 0, 0].tolist()
    # 191: 9.961 px is 63.25 steps; 64: -9.961 px.
    assert found == [[204, 52], [191, 65]]


@pytest.mark.parametrize(
    ("stored", "side", "expected_size", "codes"),
    [
        # 166 is 6.04 px and 108 -3.06 px.
        ((16, 24), None, (16, 24), (166, 109)),
        ((16, 24), 32, (32, 48), (205, 89)),
        # Portrait: the width is the smaller side.
        ((24, 16), 32, (48, 32), (205, 89)),
        ((24, 16), 8, (12, 8), (147, 118)),
    ],
)
def test_resized_without_a_video(tmp_path, stored, side, expected_size, codes):
    size = {"height": stored[0], "width": stored[1]}
    write_pictures(tmp_path / "in" / "a", [(166, 108)], **size)
    settings = ImportSettings(20.0, smaller_side=side)
    (entry,) = run(tmp_path / "in", tmp_path / "flow", settings)
    assert entry["size"] == list(expected_size) and entry["stored_size"] == list(stored)
    found = read(tmp_path / "flow" / "a.mkv")
    assert (found == codes).all()
    assert entry["smaller_side"] == (side or 16)


def test_flow_gets_the_size_of_its_video(tmp_path, write_video):
    """gpu_flow and TSN squash frames: 341 px become 340, or 454."""
    write_video(tmp_path / "videos" / "a.avi", np.zeros((2, 32, 48, 3), np.uint8))
    write_pictures(tmp_path / "in" / "a", [(204, 51)], height=16, width=20)
    (entry,) = run(tmp_path / "in", tmp_path / "flow", videos=tmp_path / "videos")
    assert entry["size"] == [16, 24] and entry["smaller_side"] == 16
    # u is 12 px of 20, so 14.4 of 24; v stays.
    found = read(tmp_path / "flow" / "a.mkv")
    assert (found == [128 + round(14.4 * 6.35), 52]).all()
    settings = ImportSettings(20.0, smaller_side=24)
    (entry,) = run(
        tmp_path / "in", tmp_path / "larger", settings, videos=tmp_path / "videos"
    )
    assert entry["size"] == [24, 36]
    assert entry["cut"] == 0.5  # 12 * 36 / 20 = 21.6 px
    found = read(tmp_path / "larger" / "a.mkv")
    assert (found == [255, 128 - round(18 * 6.35)]).all()


def test_flow_computed_elsewhere_is_that_of_this_project(tmp_path, write_video):
    """Direction, sign and pairing: as the flow that is computed here."""
    frames = moving_square([(0, 0), (2, 0), (2, 2), (0, 2), (0, 2)])
    write_video(tmp_path / "videos" / "C" / "v.avi", frames)
    computed = list(video_flow(frames, TVL1("opencv")))
    for number, flow in enumerate(computed):
        for axis, plane in zip("xy", np.moveaxis(flow, -1, 0), strict=True):
            codes = np.rint(255 * (plane.clip(-20, 20) + 20) / 40).astype(np.uint8)
            path = tmp_path / "in" / "v" / f"flow_{axis}_{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), codes)
    (entry,) = run(tmp_path / "in", tmp_path / "flow", videos=tmp_path / "videos")
    assert entry["video"] == "C/v.avi" and entry["frames"] == 5
    found = code.decode(read(tmp_path / "flow" / "C" / "v.mkv"))
    assert np.abs(found - np.stack(computed)).max() < 0.16  # both codes' half steps
    inside = found[:, 20:28, 24:32].mean(axis=(1, 2))
    np.testing.assert_allclose(inside, [[2, 0], [0, 2], [-2, 0], [0, 0]], atol=0.3)


def source(starts, fps, duration=Fraction(1, 25)):
    frames = [(Fraction(s), duration, i) for i, s in enumerate(starts)]
    return Source(frames, fps, {})


PAIRS = [(pathlib.Path("in/a/x"), pathlib.Path("in/a/y"), n) for n in range(9)]


def in_time(count, starts, own, fps=None, surplus=None):
    video = source([Fraction(s, 100) for s in starts], own)
    pairs = pairs_in_time(PAIRS[:count], "v.avi", video, fps or own, surplus)
    return [pair and pair[2] for pair in pairs]


def test_pairs_go_with_the_times_of_the_frames():
    assert in_time(3, (0, 4, 8, 12), 25) == [0, 1, 2]
    # Frame 1 is shown twice: nothing moves into the second.
    assert in_time(3, (0, 4, 12, 16), 25) == [0, None, 1, 2]
    # Flow of these frames at 25 a second, as of a program that goes by the times.
    assert in_time(4, (0, 4, 12, 16), 25) == [0, 1, 2, 3]
    # Of a video at 50 frames a second that were sampled before.
    assert in_time(2, (0, 2, 4, 6, 8), 50, fps=25) == [0, 1]
    # As many flows as frames.
    assert in_time(4, (0, 4, 8, 12), 25, surplus="first") == [1, 2, 3]
    assert in_time(4, (0, 4, 8, 12), 25, surplus="last") == [0, 1, 2]
    assert in_time(3, (0, 4, 8, 12), 25, surplus="last") == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            (4, (0, 4, 8, 12), 25),
            "^in/a: holds 4 flows, where v.avi has 4 frames at 25 fps; N frames give "
            "N - 1 flows, see --surplus$",
        ),
        (
            (4, (0, 2, 4, 6, 8), 50, 25),
            "holds 4 flows, where v.avi has 5 frames at 50 fps and 3 read at 25 fps; N "
            "frames give N - 1 flows$",
        ),
        (
            (4, (0, 4, 6, 8, 12), 25),
            "^v.avi: its frames are not evenly spaced, 25 a second leave out frame 2,",
        ),
    ],
)
def test_pairs_that_do_not_go_with_the_frames(arguments, reason):
    with pytest.raises(VideoError, match=reason):
        in_time(*arguments)


def test_rates():
    assert tidy_rate(25.0) == 25 and isinstance(tidy_rate(Fraction(25)), int)
    assert tidy_rate(Fraction(30000, 1001)) == 29.97
    with pytest.raises(VideoError, match="1/3600 frames per second is too low"):
        tidy_rate(Fraction(1, 3600))


@pytest.mark.parametrize(
    ("name", "stored", "fps", "frames"),
    [
        # A rate that is no whole number, and a frame that is shown twice.
        ("BaseballPitch/v_BaseballPitch_g01_c01", 107, 29.97, 107),
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01", 164, 25, 165),
    ],
)
def test_real_clips_keep_their_rate(tmp_path, data_dir, name, stored, fps, frames):
    name = pathlib.Path(name)
    codes = [(140 + n // 2, 128) for n in range(stored - 1)]
    # The archive has no class folders.
    write_pictures(tmp_path / "in" / name.name, codes, height=30, width=40)
    videos = data_dir / "clips" / "ucf101"
    report = run(tmp_path / "in", tmp_path / "flow", videos=videos)
    assert sorted(states(report).values()) == ["done", "failed", "failed"]
    made = describe_flow_video(tmp_path / "flow" / name.with_suffix(".mkv"))
    assert (made["fps"], made["frames"], made["size"]) == (fps, frames, [30, 40])
    assert made["source_bytes"] == (videos / name.with_suffix(".avi")).stat().st_size
    found = read(tmp_path / "flow" / name.with_suffix(".mkv"))
    assert (found[..., 1] == 128).all()
    moving = found[:, 0, 0, 0] != 128
    assert (~moving).sum() == frames - stored
    expected = [128 + round((40 * u / 255 - 20) * 6.35) for u, _ in codes]
    assert found[moving, 0, 0, 0].tolist() == expected


def test_names_are_matched(tmp_path, write_video):
    frames = np.zeros((2, 16, 24, 3), np.uint8)
    videos = tmp_path / "videos"
    for name in (
        "HandstandPushups/v_HandStandPushups_g01.avi",
        "B/same.avi",
        "C/same.avi",
        "twins/x.avi",
        "twins/x.mp4.avi",
        "D/alone.avi",
    ):
        write_video(videos / name, frames)
    for folder in (
        "v_HandstandPushups_g01",
        "b/same",
        "C/same.avi",
        "same",
        "E/alone",
        "new",
        "x",
    ):
        write_pictures(tmp_path / "in" / folder, [(128, 128)])
    report = run(tmp_path / "in", tmp_path / "flow", videos=videos)
    images = tmp_path / "in"
    assert {e["video"]: e["reason"] for e in report} == {
        "B/same.avi": None,
        "C/same.avi": None,
        "D/alone.avi": f"{videos}/D/alone.avi: {images} has no flow pictures of it",
        "E/alone": f"{images}/E/alone: has the name of no video in {videos}",
        "HandstandPushups/v_HandStandPushups_g01.avi": None,
        "new": f"{images}/new: has the name of no video in {videos}",
        "same": f"{images}/same: has the name of B/same.avi and C/same.avi",
        "twins/x.avi": None,
        "twins/x.mp4.avi": (
            f"{videos}/twins/x.mp4.avi: {images} has no flow pictures of it"
        ),
    }
    assert [p for p in contents(tmp_path / "flow") if p.endswith(".mkv")] == [
        "B/same.mkv",
        "C/same.mkv",
        "HandstandPushups/v_HandStandPushups_g01.mkv",
        "twins/x.mkv",
    ]


def test_two_folders_of_one_video_are_refused(tmp_path, write_video):
    write_video(tmp_path / "videos" / "B" / "a.avi", np.zeros((2, 16, 24, 3), np.uint8))
    for folder in ("a", "B/a"):
        write_pictures(tmp_path / "in" / folder, [(128, 128)])
    with pytest.raises(ValueError, match="B/a and a are both flow of B/a.avi"):
        run(tmp_path / "in", tmp_path / "flow", videos=tmp_path / "videos")


def test_a_second_run_keeps_what_fits(tmp_path, write_video):
    images, output = tmp_path / "in", tmp_path / "flow"
    write_pictures(images / "a", [(204, 51), (255, 51)])
    (first,) = run(images, output, AT_32)
    before = contents(output)["a.mkv"]
    (entry,) = run(images, output, AT_32)
    assert entry["state"] == "skipped" and entry["cut"] == first["cut"] == 0.25
    again = f"{output}/a.mkv: was made with"
    report = contents(output)["report.json"]
    with pytest.raises(ValueError, match=rf"{again} bound 32.0 \(now 20.0\); choose"):
        run(images, output)
    assert contents(output)["report.json"] == report
    # Had the archive not been unpacked to its end?
    write_pictures(images / "a", [(204, 51)], start=3)
    reason = only_reason(run(images, output, AT_32))
    assert reason.startswith(f"{again} pictures 2 (now 3); choose another output, or")
    write_video(tmp_path / "videos" / "a.avi", np.zeros((4, 16, 24, 3), np.uint8))
    videos = {"videos": tmp_path / "videos"}
    (images / "a" / "flow_x_00003.jpg").unlink()
    (images / "a" / "flow_y_00003.jpg").unlink()
    reason = only_reason(run(images, output, AT_32, **videos))
    assert reason.startswith(f"{again} source_bytes None (now ")
    assert contents(output)["a.mkv"] == before
    write_pictures(images / "a", [(204, 51)], start=3)
    (entry,) = run(images, output, AT_32, resume=False, **videos)
    assert entry["state"] == "done" and entry["pictures"] == 3


def test_damage_leaves_nothing_and_the_rest_goes_on(tmp_path):
    for name in "ab":
        write_pictures(tmp_path / "in" / name, [(128, 128)] * 3)
    damaged = tmp_path / "in" / "a" / "flow_y_00003.jpg"
    damaged.write_bytes(damaged.read_bytes()[:100])
    report = run(tmp_path / "in", tmp_path / "flow")
    assert states(report) == {"a": "failed", "b": "done"}
    assert report[0]["reason"] == f"{damaged}: is no picture, or damaged"
    picture(damaged, width=25)
    picture(damaged.with_name("flow_x_00003.jpg"), width=25)
    (first, _) = run(tmp_path / "in", tmp_path / "flow")
    assert first["reason"].endswith(
        "flow_x_00003.jpg: is 25x16 px, the first was 24x16"
    )
    assert list(contents(tmp_path / "flow")) == ["b.mkv", "report.json"]


def test_what_cannot_be_written_ends_the_run(tmp_path):
    for name in "ab":
        write_pictures(tmp_path / "in" / name, [(128, 128)])
    output = tmp_path / "flow"
    (output / "b.mkv").mkdir(parents=True)
    with pytest.raises(OSError, match="b.mkv"):
        run(tmp_path / "in", output, resume=False)
    report = json.loads((output / "report.json").read_text("utf-8"))
    assert states(report) == {"a": "done"}
    assert sorted(path.name for path in output.iterdir()) == [
        "a.mkv",
        "b.mkv",
        "report.json",
    ]


def test_a_video_that_cannot_be_decoded_is_a_failure(tmp_path):
    write_pictures(tmp_path / "in" / "a", [(128, 128)])
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.avi").write_text("no video")
    report = run(tmp_path / "in", tmp_path / "flow", videos=tmp_path / "videos")
    assert only_reason(report).startswith(f"{tmp_path}/videos/a.avi: cannot be decoded")


def test_a_process_that_dies_is_a_failure_of_one_video(tmp_path):
    class Dying:
        def call(self, function, job):
            raise ProcessDied("its process died 2 times, killed by signal 11")

    job = pathlib.Path("a"), pathlib.Path("C/a.avi")
    entry = _call(Dying(), None, AT_20, job)
    assert (entry["video"], entry["images"], entry["state"]) == (
        "C/a.avi",
        "a",
        "failed",
    )
    assert entry["reason"] == "C/a.avi: its process died 2 times, killed by signal 11"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bound": 0}, "bound is 0; it must be above 0"),
        ({"bound": float("nan")}, "bound is nan"),
        ({"bound": 20, "fps": -1}, "fps is -1"),
        ({"bound": 20, "smaller_side": 0}, "smaller_side is 0"),
        (
            {"bound": 20, "surplus": "both"},
            "surplus is 'both'; known: .'first', 'last'",
        ),
    ],
)
def test_settings_out_of_their_range(settings, message):
    with pytest.raises(ValueError, match=message):
        ImportSettings(**settings)


def test_places_that_cannot_be_used(tmp_path):
    write_pictures(tmp_path / "in" / "a", [(128, 128)])
    with pytest.raises(ValueError, match="flow lies inside .*in$"):
        run(tmp_path / "in", tmp_path / "in" / "flow")
    with pytest.raises(ValueError, match="surplus needs the videos"):
        run(tmp_path / "in", tmp_path / "flow", ImportSettings(20.0, surplus="last"))
    with pytest.raises(OSError, match="'/proc/nope'$"):
        run(tmp_path / "in", "/proc/nope")
    with pytest.raises(ValueError, match="gs://a: pictures are read from this machine"):
        run("gs://a", tmp_path / "flow")
    assert not (tmp_path / "flow").exists()


def command(*flags):
    line = [sys.executable, "-m", "experiments.import_flow", *map(str, flags)]
    return subprocess.run(line, capture_output=True, text=True)


def test_command(tmp_path):
    images, output = tmp_path / "in", tmp_path / "flow"
    for name in "ab":
        write_pictures(images / name, [(255, 128)])
    flags = ["--images", images, "--output", output, "--bound=32", "--workers=2"]
    done = command(*flags, "--fps=29.97")
    assert done.returncode == 0 and errors_of(done) == []
    assert done.stdout == (
        f"{output}: 2 flow videos written, 0 were there, 0 failed; 50.00% of the "
        "values were beyond 20 px and are cut; 2 at 29.97 frames a second, not 25 "
        "(--help says what follows); not compared with videos, as --videos is not "
        "given\n"
    )
    # What is not beyond is not told of.
    done = command(*flags[:2], "--output", tmp_path / "b", "--bound=20", "--workers=1")
    assert done.stdout == (
        f"{tmp_path}/b: 2 flow videos written, 0 were there, 0 failed; not compared "
        "with videos, as --videos is not given\n"
    )
    (images / "b" / "flow_x_00001.jpg").write_text("")
    (output / "b.mkv").unlink()
    done = command(*flags, "--fps=29.97")
    assert done.returncode == 1
    assert errors_of(done)[-1].startswith(
        f"error: {output}: 0 flow videos written, 1 were there, 1 failed; 50.00%"
    )
    assert f"failed: {images}/b/flow_x_00001.jpg: is no picture" in done.stdout


def errors_of(done):
    return [line for line in errors(done.stderr) if not line.startswith("import:")]
