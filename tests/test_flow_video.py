"""The flow video: exact codes, its layout, its tags, and what is refused."""

import errno
import json
import os

import av
import numpy as np
import pytest

from flow import code
from flow.flow_video import (
    TAG,
    describe_flow_video,
    read_flow_video,
    write_flow_video,
)
from flow.video import VideoError

DESCRIPTION = {"smaller_side": 24, "engine": "fast", "parameters": {"tau": 0.25}}


def random_codes(count=3, height=24, width=32):
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (count, height, width, 2), np.uint8)


def write(path, codes, description=DESCRIPTION, fps=25):
    write_flow_video(path, codes, fps=fps, description=description)
    return path


def refused(path, match, **expected):
    """Both ways to look at a flow video refuse it, with the same words."""
    for read in (describe_flow_video, lambda *a, **k: list(read_flow_video(*a, **k))):
        with pytest.raises(VideoError, match=match):
            read(path, **expected)


def test_codes_come_back_exactly(tmp_path):
    codes = random_codes(40)
    codes[0, :16, :16, 0] = np.arange(256).reshape(16, 16).clip(1)
    path = write(tmp_path / "a.mkv", codes)
    read = list(read_flow_video(path))
    assert [frame.dtype for frame in read] == [np.uint8] * 40
    np.testing.assert_array_equal(read, codes)


def test_odd_sizes(tmp_path):
    codes = random_codes(2, 17, 23)
    read = list(read_flow_video(write(tmp_path / "a.mkv", codes)))
    np.testing.assert_array_equal(read, codes)


@pytest.mark.parametrize("count", [1, 3])
def test_layout_of_the_file(tmp_path, count):
    path = tmp_path / "a.mkv"
    frame = np.empty((24, 32, 2), np.uint8)
    frame[..., 0], frame[..., 1] = 160, 112
    write(path, [frame] * count, fps=10)
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "ffv1"
        assert stream.codec_context.format.name == "gray"
        assert (stream.width, stream.height) == (32, 48)
        assert stream.average_rate == 10
        assert container.duration == count * av.time_base // 10
        frames = list(container.decode(stream))
    assert [frame.time for frame in frames] == [0, 0.1, 0.2][:count]
    planes = frames[-1].to_ndarray(format="gray")
    assert (planes[:24] == 160).all()  # u
    assert (planes[24:] == 112).all()  # v


def test_tags(tmp_path):
    path = tmp_path / "a.mkv"
    returned = write_flow_video(
        path, iter(random_codes(4)), fps=10, description={"name": "ü"}
    )
    expected = {
        "name": "ü",
        "frames": 5,
        "flow_frames": 4,
        "fps": 10,
        "duration": 0.5,
        "size": [24, 32],
        "bound": 20.0,
        "quantiser": "128 + round(v * 127 / 20)",
    }
    with av.open(str(path)) as container:
        assert json.loads(container.metadata[TAG]) == expected
    assert returned == describe_flow_video(path) == expected


def test_what_is_expected_is_compared(tmp_path):
    path = write(tmp_path / "a.mkv", random_codes(4))
    describe_flow_video(path, size=[24, 32], flow_frames=4)
    assert len(list(read_flow_video(path, size=[24, 32], flow_frames=4))) == 4
    refused(path, r"a.mkv: size is \[24, 32\], expected was \[24, 33\]", size=[24, 33])
    refused(path, "a.mkv: flow_frames is 4, expected was 5", flow_frames=5)


@pytest.mark.parametrize(
    "changed", [{"BOUND": 15.0}, {"FORMULA": "round(255 * (v + 20) / 40)"}]
)
def test_other_codes_are_refused(tmp_path, monkeypatch, changed):
    with monkeypatch.context() as patched:
        for name, value in changed.items():
            patched.setattr(code, name, value)
        path = write(tmp_path / "a.mkv", random_codes())
    refused(
        path, "a.mkv: its flow is cut at .* px and coded as .*; only 20.0 px, coded"
    )
    with pytest.raises(VideoError) as error:
        describe_flow_video(path)
    assert str(*changed.values()) in str(error.value)


def rewritten(path, tags, codec="ffv1", pixels="gray", size=(32, 48), count=3):
    """A file of our making with any tags and any video in it."""
    with av.open(str(path), "w") as container:
        container.metadata[TAG] = tags if isinstance(tags, str) else json.dumps(tags)
        stream = container.add_stream(codec, rate=25)
        (stream.width, stream.height), stream.pix_fmt = size, pixels
        if codec == "ffv1":
            stream.options = {"level": "3", "slicecrc": "1"}
        for frame in np.full((count, size[1], size[0]), 128, np.uint8):
            image = av.VideoFrame.from_ndarray(frame, format="gray")
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def tags(tmp_path):
    """The tags of three flow frames of 24x32 px."""
    return write_flow_video(
        tmp_path / "tags.mkv", random_codes(), fps=25, description={}
    )


def test_rewritten_as_it_was_it_is_read(tmp_path, tags):
    path = rewritten(tmp_path / "a.mkv", tags)
    assert describe_flow_video(path) == tags
    assert len(list(read_flow_video(path))) == 3


@pytest.mark.parametrize("size", [(32, 46), (34, 48), (32, 49), (32, 47)])
def test_a_size_that_does_not_fit_the_tags_is_refused(tmp_path, tags, size):
    path = rewritten(tmp_path / "a.mkv", tags, size=size)
    refused(path, rf"a.mkv: frames of {size[0]}x{size[1]} px do not fit .*\[24, 32\]")


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_frames_is_refused(tmp_path, tags, count):
    path = rewritten(tmp_path / "a.mkv", tags, count=count)
    refused(path, f"a.mkv: has {count} frames, its tags say 3")


@pytest.mark.parametrize(
    ("codec", "pixels", "message"),
    [("ffv1", "yuv420p", "ffv1 in yuv420p"), ("mpeg4", "yuv420p", "mpeg4 in yuv420p")],
)
def test_another_codec_is_refused(tmp_path, tags, codec, pixels, message):
    path = rewritten(tmp_path / "a.mkv", tags, codec, pixels)
    refused(path, f"a.mkv: is {message}; a flow video is ffv1 in gray")


def test_tags_of_an_older_version_are_refused(tmp_path, tags):
    del tags["quantiser"], tags["size"]
    path = rewritten(tmp_path / "a.mkv", tags)
    refused(path, "a.mkv: its tags lack size, quantiser, as of files that an older")


@pytest.mark.parametrize("text", ["{", "3", "null"])
def test_damaged_tags_are_refused(tmp_path, text):
    path = rewritten(tmp_path / "a.mkv", text)
    refused(path, f"a.mkv: its tag {TAG} is damaged: {text}")


def test_a_cut_file_is_refused_at_every_length(tmp_path):
    whole = write(tmp_path / "whole.mkv", random_codes()).read_bytes()
    path = tmp_path / "a.mkv"
    for length in range(0, len(whole) - 60, 97):
        path.write_bytes(whole[:length])
        refused(path, "a.mkv: ")


def test_a_damaged_byte_never_goes_unnoticed(tmp_path):
    codes = random_codes()
    whole = write(tmp_path / "whole.mkv", codes).read_bytes()
    path, refusals = tmp_path / "a.mkv", {"a frame": 0, "the rest": 0}
    for position in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            read = list(read_flow_video(path))
        except VideoError as error:
            assert str(error).startswith(f"{path}: ")
            refusals["a frame" if "is damaged" in str(error) else "the rest"] += 1
            refused(path, "a.mkv: ")
        else:
            # What a player shows, or space that is left free.
            np.testing.assert_array_equal(read, codes)
    # Two of three bytes belong to frames, which FFmpeg would hand out damaged.
    assert refusals["a frame"] > len(whole) / 11 / 2 and refusals["the rest"] > 10


def test_what_comes_before_damage_is_read(tmp_path):
    codes = random_codes()
    path = write(tmp_path / "a.mkv", codes)
    with av.open(str(path)) as container:
        last = bytes([p for p in container.demux() if p.size][-1])
    whole = bytearray(path.read_bytes())
    whole[whole.index(last) + len(last) // 2] ^= 1
    path.write_bytes(whole)
    frames = read_flow_video(path)
    np.testing.assert_array_equal([next(frames), next(frames)], codes[:2])
    with pytest.raises(VideoError, match="a.mkv: frame 2 is damaged"):
        next(frames)


def test_a_plain_video_is_refused(tmp_path, write_video):
    path = write_video(tmp_path / "a.mkv", np.zeros((2, 24, 32, 3), np.uint8))
    refused(path, "a.mkv: not a flow video")


def test_a_plain_video_with_metadata_that_is_not_utf8_is_refused(data_dir):
    folder = data_dir / "clips" / "hmdb51" / "cartwheel"
    (path,) = folder.iterdir()
    refused(path, "not a flow video")


@pytest.mark.parametrize("content", [b"", b"no video", None])
def test_a_file_that_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "a.mkv"
    if content is not None:
        path.write_bytes(content)
    refused(path, "a.mkv: cannot be read")


@pytest.mark.parametrize("frames_before", [0, 2])
def test_nothing_is_left_after_an_error(tmp_path, frames_before):
    def codes():
        yield from random_codes()[:frames_before]
        raise RuntimeError("half way")

    folder = tmp_path / "flow"
    with pytest.raises(RuntimeError, match="half way"):
        write(folder / "a.mkv", codes())
    assert list(folder.iterdir()) == []


def test_an_error_keeps_the_file_that_was_there(tmp_path):
    path = write(tmp_path / "a.mkv", random_codes())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"\[26, 32\] px comes after one of \[24, 32"):
        write(path, [*random_codes(), *random_codes(1, 26)])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.mkv"

    def codes():
        for frame in random_codes():
            assert not path.exists()
            yield frame

    write(path, codes())
    assert list(path.parent.iterdir()) == [path]


def test_no_frames_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="a flow video needs at least one"):
        write(tmp_path / "a.mkv", [])
    assert list(tmp_path.iterdir()) == []


def test_two_writes_give_the_same_bytes(tmp_path):
    first = write(tmp_path / "a.mkv", random_codes())
    second = write(tmp_path / "b.mkv", random_codes())
    assert first.read_bytes() == second.read_bytes()


def test_what_cannot_be_written_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="a.mkv"):
        write(tmp_path / "file" / "a.mkv", random_codes())
    path = tmp_path / "a.mkv"

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # In the name of the system, at the last moment.
    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'") as error:
        write(path, random_codes())
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
