"""A video and its flow video, paired, trimmed and encoded."""

import hashlib
import json
import math

import numpy as np
import pytest
from tiny_datasets import (
    HEIGHT,
    WIDTH,
    cut_inside,
    decode_frames,
    flow_codes,
    source_frames,
    write_flow,
    write_pair,
)

from flow.video import VideoError
from i3d_tf.datasets import frames as frames_module
from i3d_tf.datasets.frames import encode_pair
from i3d_tf.datasets.pairing import part_of, within


def test_colours_are_rgb(tmp_path, write_video):
    frames = np.full((2, HEIGHT, WIDTH, 3), (200, 100, 30), np.uint8)
    video = write_video(tmp_path / "a.avi", frames)
    flow = write_flow(tmp_path / "a.mkv", flow_codes(2, 0))
    (image,) = encode_pair(video, flow)["rgb"]
    decoded = decode_frames([image])
    assert np.abs(decoded - (200, 100, 30)).max() <= 2


def test_the_video_is_read_as_the_tags_of_its_flow_say(tmp_path, write_video):
    # 50 fps at 24 px; the flow was made at 10 fps and 12 px.
    video = write_video(tmp_path / "a.avi", source_frames(11, 0), fps=50)
    codes = flow_codes(2, 0)[:, ::2, ::2]
    flow = write_flow(tmp_path / "a.mkv", codes, fps=10, smaller_side=12)
    pair = encode_pair(video, flow)
    assert (pair["height"], pair["width"], pair["fps"]) == (12, 16, 10)
    # 0.22 s are 2 images; the second, at 0.1 s, is frame 5.
    (image,) = pair["rgb"]
    assert np.abs(decode_frames([image]) - 100).max() <= 1


@pytest.mark.parametrize(
    ("frames", "flow_frames", "word"),
    [(5, 3, "more"), (5, 5, "fewer"), (1, 3, "fewer")],
)
def test_other_lengths_are_refused(tmp_path, write_video, frames, flow_frames, word):
    video = write_video(tmp_path / "a.avi", source_frames(frames, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(flow_frames + 1, 0))
    message = f"a.avi: has {word} frames than its flow video .*a.mkv"
    with pytest.raises(VideoError, match=message):
        encode_pair(video, flow)


def test_a_damaged_video_is_used_where_its_flow_was_made_so(tmp_path, write_video):
    video = write_video(tmp_path / "a.avi", source_frames(5, 0))
    cut_inside(video, 3)
    codes = flow_codes(3, 0)
    with pytest.raises(VideoError, match="a.avi: .*damaged|cannot be decoded"):
        encode_pair(video, write_flow(tmp_path / "sound.mkv", codes))
    pair = encode_pair(video, write_flow(tmp_path / "a.mkv", codes, damage="its end"))
    assert np.abs(decode_frames(pair["rgb"])[:, 0, 0, 0] - [20, 40]).max() <= 1
    assert json.loads(pair["flow_metadata"])["damage"] == "its end"


def test_a_video_of_one_frame_has_no_pair(tmp_path, write_video):
    video = write_video(tmp_path / "a.avi", source_frames(1, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(2, 0))
    with pytest.raises(VideoError, match="a.avi: has fewer frames than its flow video"):
        encode_pair(video, flow)


def test_flow_of_another_file_is_refused(tmp_path, write_video):
    video = write_video(tmp_path / "a.avi", source_frames(4, 0))
    digest = hashlib.sha256(video.read_bytes()).hexdigest()
    flow = tmp_path / "a.mkv"
    write_flow(flow, flow_codes(4, 0), source_sha256=digest)
    tags = json.loads(encode_pair(video, flow)["flow_metadata"])
    assert tags["source_sha256"] == digest
    # As long and as large, but other pictures.
    write_video(video, source_frames(4, 1))
    message = f"a.avi: is not the file that its flow .*, that of the .* {digest[:8]}"
    with pytest.raises(VideoError, match=message):
        encode_pair(video, flow)


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [
        # 25 frames a second: frame 2 is at 0.08 s, frame 5 at 0.2 s.
        (0.08, 0.2, [2, 3, 4]),
        (0.0801, 0.2001, [3, 4, 5]),
        (0, 0.08, [1]),
        (0.28, 0.36, [7, 8]),
        (0.28, 99, [7, 8, 9]),
    ],
)
def test_a_part_is_what_begins_in_it(tmp_path, write_video, start, end, frames):
    video = write_video(tmp_path / "a.avi", source_frames(10, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(10, 0))
    pair = encode_pair(video, flow, start=start, end=end)
    assert (pair["start"], pair["end"]) == (start, min(end, 0.4))
    rgb = decode_frames(pair["rgb"])[:, 0, 0, 0]
    np.testing.assert_allclose(rgb, 20 * np.array(frames), atol=1)
    # Code k - 1 is the flow from frame k - 1 to frame k.
    codes = flow_codes(10, 0)[np.array(frames) - 1].astype(int)
    planes = np.concatenate([codes[..., 0], codes[..., 1]], axis=1)[..., None]
    assert np.abs(decode_frames(pair["flow"]) - planes).max() <= 1


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (0.4, 1, "a.avi: can be used up to 0.40 s, listed are 0.4 to 1 s"),
        # The first frame has no flow; between two frames there is none.
        (0, 0.03, "a.avi: from 0 to 0.03 s there is no frame"),
        (0.13, 0.14, "a.avi: from 0.13 to 0.14 s there is no frame"),
    ],
)
def test_a_part_without_a_pair_is_refused(tmp_path, write_video, start, end, message):
    video = write_video(tmp_path / "a.avi", source_frames(10, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(10, 0))
    with pytest.raises(VideoError, match=message):
        encode_pair(video, flow, start=start, end=end)


def test_a_part_to_the_end_still_finds_that_lengths_differ(tmp_path, write_video):
    video = write_video(tmp_path / "a.avi", source_frames(9, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(10, 0))
    with pytest.raises(VideoError, match="has fewer frames than its flow video"):
        encode_pair(video, flow, start=0.2, end=0.4)


def test_within_takes_nothing_behind_the_end():
    taken = []

    def pairs():
        for k in range(1, 100):
            taken.append(k)
            yield k

    assert list(within(pairs(), 10, 0.3, 0.6)) == [3, 4, 5]
    assert taken[-1] == 6
    assert list(within(iter([1, 2, 3]), 10, 0.0, math.inf)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("duration", "start", "end", "maybe_cut", "part"),
    [
        (600, None, None, True, (0, math.inf)),
        (600, 30, 40, True, (30, 40)),
        (600, 30, 40, False, (30, 40)),
        # As long as the part, and too short to hold it: it is that part.
        (10, 30, 40, True, (0, math.inf)),
        (9.2, 3, 13, True, (0, math.inf)),
        (10.9, 1, 11, True, (0, math.inf)),
        (11, 1, 11, True, (1, 11)),
        (9.2, 3, 13, False, (3, 13)),
        # The video ends within the part, or a little before its end.
        (36, 30, 40, True, (30, 40)),
        (12.5, 3, 13, True, (3, 13)),
    ],
)
def test_part_of(duration, start, end, maybe_cut, part):
    assert part_of("a.mp4", duration, start, end, maybe_cut) == part


def test_neither_the_part_nor_the_whole_video(tmp_path, write_video):
    video = write_pair(tmp_path, "a.mp4", write_video, frames=40)
    with pytest.raises(
        VideoError, match="a.mp4: can be used up to 1.60 s, listed are 30 to 40 s"
    ):
        encode_pair(video, tmp_path / "flow/a.mkv", start=30, end=40, maybe_cut=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"fps": 25', '"fps": 0 '),
        ('"fps": 25', '"fps": 26'),
        ('"fps": 25', '"fps":"5"'),
        ('"frames": 5', '"frames": 6'),
        ('"duration": 0.2', '"duration": NaN'),
        ('"smaller_side": 24', '"smaller_side": "4'),
        ('"smaller_side": 24', '"smaller_side": -4'),
        ('"smaller_side": 24', '"smaller_siDe": 24'),
    ],
)
def test_damaged_tags_are_an_error_of_the_video(tmp_path, write_video, old, new):
    video = write_video(tmp_path / "a.avi", source_frames(5, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(5, 0))
    encode_pair(video, flow)
    data = flow.read_bytes()
    assert data.count(old.encode()) == 1 and len(old) == len(new)
    flow.write_bytes(data.replace(old.encode(), new.encode()))
    with pytest.raises(VideoError, match=r"a\.mkv: its tag "):
        encode_pair(video, flow)


def test_a_record_has_a_largest_size(tmp_path, write_video, monkeypatch):
    video = write_video(tmp_path / "a.avi", source_frames(50, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(50, 0))
    pair = encode_pair(video, flow, start=0, end=1)
    size = sum(map(len, pair["rgb"] + pair["flow"]))
    monkeypatch.setattr(frames_module, "MAX_BYTES", size)
    assert encode_pair(video, flow, start=0, end=1) == pair
    monkeypatch.setattr(frames_module, "MAX_BYTES", size - 1)
    message = "a.avi: 1 s of it fill 0 MB, the most that a record may have; list short"
    with pytest.raises(VideoError, match=message):
        encode_pair(video, flow, start=0, end=1)
