"""The flow video: exact codes, its layout, its tags, and files whole or absent."""

import json

import av
import numpy as np
import pytest

from flow import code
from flow.files import write_json, written_aside
from flow.flow_video import (
    TAG,
    describe_flow_video,
    read_flow_video,
    write_flow_video,
)
from flow.video import VideoError

DESCRIPTION = {"fps": 25, "smaller_side": 24, "tvl1": {"tau": 0.25, "name": "ü"}}


def random_codes(count=3, height=24, width=32):
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (count, height, width, 2), np.uint8)


def write(path, codes, description=DESCRIPTION, fps=25):
    with write_flow_video(path, fps=fps, description=description) as add:
        for frame in codes:
            add(code.decode(frame))
    return path


def test_codes_come_back_exactly(tmp_path):
    codes = random_codes()
    codes[0, :16, :16, 0] = np.arange(256).reshape(16, 16).clip(1)
    path = write(tmp_path / "a.mkv", codes)
    read = list(read_flow_video(path))
    assert [frame.dtype for frame in read] == [np.uint8] * 3
    np.testing.assert_array_equal(read, codes)


def test_odd_sizes(tmp_path):
    codes = random_codes(2, 17, 23)
    read = list(read_flow_video(write(tmp_path / "a.mkv", codes)))
    np.testing.assert_array_equal(read, codes)


def test_layout_of_the_file(tmp_path):
    u, v = 5.0, -2.5
    path = tmp_path / "a.mkv"
    with write_flow_video(path, fps=10, description={}) as add:
        for _ in range(3):
            add(np.full((24, 32, 2), (u, v), np.float32))
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "ffv1"
        assert stream.codec_context.format.name == "gray"
        assert (stream.width, stream.height) == (32, 48)
        assert stream.average_rate == 10
        frames = list(container.decode(stream))
    assert [frame.time for frame in frames] == [0, 0.1, 0.2]
    planes = frames[1].to_ndarray(format="gray")
    assert (planes[:24] == 128 + 32).all()  # u, 5 * 127 / 20 = 31.75
    assert (planes[24:] == 128 - 16).all()  # v, 2.5 * 127 / 20 = 15.875


def test_tags(tmp_path):
    path = write(tmp_path / "a.mkv", random_codes(4))
    expected = {**DESCRIPTION, "bound": 20.0, "code": "128 + round(v * 127 / 20)"}
    with av.open(str(path)) as container:
        assert json.loads(container.metadata[TAG]) == expected
    assert describe_flow_video(path) == {**expected, "flow_frames": 4}


@pytest.mark.parametrize(
    "changed", [{"BOUND": 15.0}, {"FORMULA": "round(255 * (v + 20) / 40)"}]
)
def test_other_codes_are_refused(tmp_path, monkeypatch, changed):
    with monkeypatch.context() as patched:
        for name, value in changed.items():
            patched.setattr(code, name, value)
        path = write(tmp_path / "a.mkv", random_codes())
    for read in (describe_flow_video, lambda path: next(read_flow_video(path))):
        with pytest.raises(
            VideoError, match="a.mkv: flow with bound and code"
        ) as error:
            read(path)
        assert str(*changed.values()) in str(error.value)


def test_a_plain_video_is_refused(tmp_path, write_video):
    path = write_video(tmp_path / "a.mkv", np.zeros((2, 24, 32, 3), np.uint8))
    for read in (describe_flow_video, lambda path: next(read_flow_video(path))):
        with pytest.raises(VideoError, match="a.mkv: not a flow video"):
            read(path)


def test_a_plain_video_with_metadata_that_is_not_utf8_is_refused(data_dir):
    folder = data_dir / "clips" / "hmdb51" / "cartwheel"
    (path,) = folder.iterdir()
    for read in (describe_flow_video, lambda path: next(read_flow_video(path))):
        with pytest.raises(VideoError, match="not a flow video"):
            read(path)


@pytest.mark.parametrize("content", [b"", b"no video", None])
def test_a_file_that_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "a.mkv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match="a.mkv: cannot be opened"):
        describe_flow_video(path)
    with pytest.raises(VideoError, match="a.mkv: cannot be decoded"):
        next(read_flow_video(path))


@pytest.mark.parametrize("frames_before", [0, 2])
def test_nothing_is_left_after_an_error(tmp_path, frames_before):
    folder = tmp_path / "flow"
    codes = random_codes()
    with pytest.raises(RuntimeError, match="half way"):
        with write_flow_video(folder / "a.mkv", fps=25, description={}) as add:
            for frame in codes[:frames_before]:
                add(code.decode(frame))
            raise RuntimeError("half way")
    assert list(folder.iterdir()) == []


def test_an_error_keeps_the_file_that_was_there(tmp_path):
    path = write(tmp_path / "a.mkv", random_codes())
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not finite"):
        with write_flow_video(path, fps=25, description={}) as add:
            add(np.zeros((24, 32, 2), np.float32))
            add(np.full((24, 32, 2), np.nan, np.float32))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.mkv"
    with write_flow_video(path, fps=25, description={}) as add:
        add(np.zeros((24, 32, 2), np.float32))
        assert not path.exists()
    assert list(path.parent.iterdir()) == [path]


def test_no_frames_are_an_error(tmp_path):
    path = tmp_path / "a.mkv"
    with pytest.raises(ValueError, match="a.mkv: a flow video needs at least one"):
        with write_flow_video(path, fps=25, description={}):
            pass
    assert list(tmp_path.iterdir()) == []


def test_two_writes_give_the_same_bytes(tmp_path):
    first = write(tmp_path / "a.mkv", random_codes())
    second = write(tmp_path / "b.mkv", random_codes())
    assert first.read_bytes() == second.read_bytes()


def test_written_aside_keeps_the_suffix(tmp_path):
    path = tmp_path / "new" / "a.b.json"
    with written_aside(path) as aside:
        assert aside.parent == path.parent and aside.suffix == ".json"
        aside.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_write_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, None], "a": "ü"})
    assert (
        path.read_text("utf-8")
        == '{\n  "b": [\n    1,\n    null\n  ],\n  "a": "ü"\n}\n'
    )
    with pytest.raises(TypeError):
        write_json(path, {"b": object()})
    assert json.loads(path.read_text("utf-8")) == {"b": [1, None], "a": "ü"}
    assert list(tmp_path.iterdir()) == [path]
