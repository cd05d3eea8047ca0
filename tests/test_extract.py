"""Flow of one video: what it is, what is kept, what is refused."""

import dataclasses
import os
import pathlib
import re
import tempfile
from fractions import Fraction

import numpy as np
import pytest
from tiny_datasets import cut_inside
from tiny_flow import (
    LEFT,
    QUICK,
    SETTINGS,
    SIDE,
    TOP,
    contents,
    moving_square,
    noise,
)

from flow import chunks, extract
from flow.code import decode, encode
from flow.extract import extract_video, flow_path, write_flow
from flow.flow_video import describe_flow_video, read_flow_video, write_flow_video
from flow.settings import Settings
from flow.tvl1 import TVL1
from flow.video import VideoError, to_grey

A = pathlib.Path("a.avi")


@pytest.fixture
def one_video(tmp_path, write_video):
    """A folder with the video `a.avi`: a square that moves to the right."""
    write_video(tmp_path / "videos" / "a.avi", moving_square([(0, 0), (3, 0), (6, 0)]))
    return tmp_path / "videos"


def test_tags_are_the_report(tmp_path, one_video):
    entry = extract_video(one_video, tmp_path, SETTINGS, True, A)
    for key in ("state", "reason", "seconds"):
        del entry[key]
    assert describe_flow_video(tmp_path / "a.mkv") == entry


def test_a_damaged_video_is_used_up_to_its_damage_where_that_is_wanted(
    tmp_path, one_video
):
    video = one_video / "a.avi"
    whole = extract_video(one_video, tmp_path / "whole", SETTINGS, True, A)
    assert whole["damage"] is None
    flow = list(read_flow_video(tmp_path / "whole" / "a.mkv"))
    cut_inside(video, 2)
    target = tmp_path / "flow"
    failed = extract_video(one_video, target, SETTINGS, True, A)
    assert (failed["state"], failed["damage"]) == ("failed", None)
    assert not (target / "a.mkv").exists()

    wanted = dataclasses.replace(SETTINGS, until_damage=True)
    entry = extract_video(one_video, target, wanted, True, A)
    assert (entry["state"], entry["reason"], entry["frames"]) == ("done", None, 2)
    assert entry["damage"] == failed["reason"]
    assert describe_flow_video(target / "a.mkv")["damage"] == failed["reason"]
    (codes,) = read_flow_video(target / "a.mkv")
    np.testing.assert_array_equal(codes, flow[0])

    assert extract_video(one_video, target, wanted, True, A)["state"] == "skipped"
    refused = extract_video(one_video, target, SETTINGS, True, A)
    assert refused["state"] == "failed"
    assert "run with --until_damage to use it" in refused["reason"]


def test_a_video_without_a_frame_before_its_damage_cannot_be_used(tmp_path, one_video):
    video = one_video / "a.avi"
    cut_inside(video, 0)
    wanted = dataclasses.replace(SETTINGS, until_damage=True)
    entry = extract_video(one_video, tmp_path / "flow", wanted, True, A)
    assert (entry["state"], entry["damage"]) == ("failed", None)
    assert not list((tmp_path / "flow").glob("**/*"))


def test_parameters_reach_the_algorithm(tmp_path, one_video):
    first, second, _ = map(to_grey, moving_square([(0, 0), (3, 0), (6, 0)]))
    parameters = {"lambda_": 0.01, "warps": 2}
    settings = Settings("opencv", smaller_side=48, parameters=parameters)
    entry = extract_video(one_video, tmp_path, settings, True, A)
    expected = {"engine": "opencv", **entry["parameters"]}
    assert TVL1("opencv", **parameters).parameters == expected
    codes = next(read_flow_video(tmp_path / "a.mkv"))
    expected = encode(TVL1("opencv", **parameters)(first, second))
    np.testing.assert_array_equal(codes, expected)
    assert (codes != encode(TVL1("opencv")(first, second))).any()


def test_flow_k_leads_from_frame_k_minus_1_to_frame_k(tmp_path, write_video):
    # The square stands still in frames 0 to 3, moves right into frame 4, up into 6.
    moves = [(0, 0)] * 4 + [(3, 0)] * 2 + [(3, -2)] * 2
    write_video(tmp_path / "a.avi", moving_square(moves))
    extract_video(tmp_path, tmp_path / "flow", SETTINGS, True, A)
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
    write_video(tmp_path / "a.avi", frames, fps=50)
    entry = extract_video(tmp_path, tmp_path / "flow", SETTINGS, True, A)
    assert (entry["frames"], entry["flow_frames"]) == (3, 2)
    inside = np.s_[TOP + 4 : TOP + SIDE - 4, LEFT + 8 : LEFT + SIDE - 4]
    for codes in read_flow_video(tmp_path / "flow" / "a.mkv"):
        assert codes.shape == (48, 64, 2)
        motion = np.median(decode(codes)[inside], axis=(0, 1))
        np.testing.assert_allclose(motion, (2, 0), atol=0.2)


@pytest.mark.parametrize("count", [2, 32, 33, 34, 65, 70])
def test_chunks_hold_each_pair_once(tmp_path, write_video, count):
    frames = noise(count)
    video = write_video(tmp_path / "a.avi", frames)
    grey = [to_grey(frame) for frame in frames]
    pairs = []
    for chunk in chunks.grey_chunks(video, QUICK):
        assert chunk.dtype == np.uint8 and 2 <= len(chunk) <= 33
        pairs += zip(chunk[:-1], chunk[1:], strict=True)
    np.testing.assert_array_equal(pairs, list(zip(grey[:-1], grey[1:], strict=True)))


def test_chunks_of_large_frames_are_short(tmp_path, write_video, monkeypatch):
    video = write_video(tmp_path / "a.avi", noise(9))
    for pixels, lengths in ((4, [5, 5]), (1, [2] * 8), (0.5, [2] * 8)):
        monkeypatch.setattr(chunks, "CHUNK_BYTES", int(pixels * 16 * 24))
        read = chunks.grey_chunks(video, QUICK)
        assert [len(chunk) for chunk in read] == lengths


def test_too_large_frames_are_a_failure_that_is_named(tmp_path, write_video):
    video = write_video(tmp_path / "a.avi", noise(2, 4, 1000))
    with pytest.raises(VideoError, match="a.avi: has frames of 64000x256 px where"):
        next(chunks.grey_chunks(video, Settings()))


def test_without_resume_all_is_written_again(tmp_path, one_video):
    extract_video(one_video, tmp_path, SETTINGS, True, A)
    os.utime(tmp_path / "a.mkv", ns=(1, 1))
    entry = extract_video(one_video, tmp_path, SETTINGS, False, A)
    assert entry["state"] == "done"
    assert (tmp_path / "a.mkv").stat().st_mtime_ns != 1


@pytest.mark.parametrize(
    ("other", "made"),
    [
        (Settings("opencv", smaller_side=32), "smaller_side 48 (now 32)"),
        (Settings("opencv", smaller_side=48, fps=10), "fps 25 (now 10)"),
        (
            Settings("fast", smaller_side=32, parameters={"warps": 1}),
            "smaller_side 48 (now 32), engine opencv (now fast)",
        ),
        (
            Settings("opencv", smaller_side=48, parameters={"warps": 1}),
            "warps 5 (now 1)",
        ),
    ],
)
def test_other_settings_are_refused(tmp_path, one_video, other, made):
    extract_video(one_video, tmp_path, SETTINGS, True, A)
    before = contents(tmp_path)
    entry = extract_video(one_video, tmp_path, other, True, A)
    assert entry["state"] == "failed"
    assert entry["reason"] == (
        f"{tmp_path}/a.mkv: was made with {made}; choose another output, or "
        "--noresume to make it again"
    )
    assert contents(tmp_path) == before


def test_a_foreign_file_in_the_output_is_refused(tmp_path, one_video):
    (tmp_path / "a.mkv").write_text("mine")
    entry = extract_video(one_video, tmp_path, SETTINGS, True, A)
    assert entry["state"] == "failed"
    assert f"{tmp_path}/a.mkv: cannot be read" in entry["reason"]
    assert (tmp_path / "a.mkv").read_text() == "mine"


def test_a_flow_video_that_was_cut_is_refused(tmp_path, write_video):
    write_video(tmp_path / "a.avi", noise(9))
    entry = extract_video(tmp_path, tmp_path, QUICK, True, A)
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    again = extract_video(tmp_path, tmp_path, QUICK, True, A)
    assert again["state"] == "failed"
    assert re.fullmatch(
        rf"{tmp_path}/a.mkv: has [1-7] frames, its tags say 8: it was cut or changed; "
        "remove it or run with --noresume",
        again["reason"],
    )
    redone = extract_video(tmp_path, tmp_path, QUICK, False, A)
    assert redone | {"seconds": 0} == entry | {"seconds": 0}
    assert (tmp_path / "a.mkv").read_bytes() == whole


def test_another_source_is_refused(tmp_path, one_video, write_video):
    extract_video(one_video, tmp_path, SETTINGS, True, A)
    size = (one_video / "a.avi").stat().st_size
    write_video(one_video / "a.avi", moving_square([(0, 0)] * 4))
    other = (one_video / "a.avi").stat().st_size
    entry = extract_video(one_video, tmp_path, SETTINGS, True, A)
    assert entry["reason"] == (
        f"{tmp_path}/a.mkv: was made from another file ({size} bytes, "
        f"{one_video}/a.avi has {other}); remove it or run with --noresume"
    )
    assert extract_video(one_video, tmp_path, SETTINGS, False, A)["frames"] == 4


def test_a_source_that_changes_meanwhile_is_refused(tmp_path, one_video):
    def read_chunks(source, settings):
        yield from chunks.grey_chunks(source, settings)
        with open(source, "ab") as file:
            file.write(b"more")

    entry = extract_video(one_video, tmp_path, QUICK, True, A, read_chunks=read_chunks)
    assert entry["reason"] == f"{one_video}/a.avi: changed while it was read"
    assert not (tmp_path / "a.mkv").exists()


def test_frames_too_small_for_tvl1_are_a_failure_that_is_named(tmp_path, one_video):
    entry = extract_video(one_video, tmp_path, Settings(smaller_side=8), True, A)
    assert entry["reason"] == (
        f"{one_video}/a.avi: frames are [8, 11] px; TV-L1 needs 16 a side"
    )
    assert not (tmp_path / "a.mkv").exists()


def test_what_the_libraries_raise_is_a_failure_that_is_named(
    tmp_path, one_video, monkeypatch
):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(extract, "chunk_codes", no_memory)
    entry = extract_video(one_video, tmp_path, QUICK, True, A)
    assert entry["reason"] == f"{one_video}/a.avi: MemoryError"


def test_what_nobody_expected_is_a_failure_with_its_traceback(
    tmp_path, one_video, monkeypatch
):
    def bug(*_):
        raise TypeError("no number")

    monkeypatch.setattr(extract, "chunk_codes", bug)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    entry = extract_video(one_video, tmp_path / "flow", QUICK, True, A)
    assert entry["state"] == "failed"
    start, _, path = entry["reason"].partition("; the traceback is in ")
    assert start == f"{one_video}/a.avi: unexpected TypeError: no number"
    assert "in bug\n" in pathlib.Path(path).read_text()


def test_an_output_that_cannot_be_written_is_no_failure_of_a_video(
    tmp_path, one_video, monkeypatch
):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "a.mkv")

    monkeypatch.setattr(extract, "write_flow_video", full)
    with pytest.raises(OSError, match="No space left"):
        extract_video(one_video, tmp_path / "flow", QUICK, True, A)


def test_nothing_is_left_when_a_video_breaks_off(tmp_path, write_video):
    whole = write_video(tmp_path / "whole.avi", noise(5, 48, 64)).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) - 4_000])
    with pytest.raises(VideoError, match="cut.avi: cannot be decoded"):
        write_flow(cut, tmp_path / "flow" / "cut.mkv", SETTINGS, {})
    assert contents(tmp_path / "flow") == {}


@pytest.mark.parametrize(
    ("video", "expected"),
    [("a/b.avi", "a/b.mkv"), ("a.b.MP4", "a.b.mkv"), ("a b ü.webm", "a b ü.mkv")],
)
def test_flow_path(video, expected):
    assert flow_path(video) == pathlib.Path(expected)


def test_a_rate_that_is_no_whole_number(tmp_path, write_video):
    """The video's, that is: the flow video's is whole."""
    write_video(tmp_path / "a.avi", noise(30), fps=Fraction(30000, 1001))
    entry = extract_video(tmp_path, tmp_path / "flow", QUICK, True, A)
    assert (entry["frames"], entry["duration"]) == (25, 1.0)


def test_an_older_flow_video_is_refused_with_what_to_do(tmp_path, one_video):
    write_flow_video(
        tmp_path / "a.mkv",
        [np.full((48, 64, 2), 128, np.uint8)],
        fps=25,
        description=SETTINGS.description(),
    )
    entry = extract_video(one_video, tmp_path, SETTINGS, True, A)
    assert "a.mkv: was made from another file (None bytes" in entry["reason"]
