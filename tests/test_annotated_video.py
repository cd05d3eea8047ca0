"""Annotated videos, decoded again and measured."""

import av
import numpy as np
import pytest
from matplotlib import colors

from flow import film, visualize
from i3d_tf import annotated_video, pictures

MAP = np.zeros((1, 2, 2, 2), np.float32)
BAR = np.rint(255 * np.array(colors.to_rgb(annotated_video.BAR)))


def clip(frames=5, height=60, width=80):
    """A texture that moves 1 px to the right in each frame, and growing flow."""
    gray = np.random.default_rng(0).integers(80, 120, (height, width, 1), np.uint8)
    texture = gray + np.array([0, 30, 60], np.uint8)
    rgb = np.stack([np.roll(texture, frame, axis=1) for frame in range(frames)])
    flow = np.zeros((frames, height, width, 2), np.float32)
    flow[..., 0] = np.arange(1, frames + 1)[:, None, None]
    return rgb, flow


def decode(path):
    """The frames `[T, H, W, 3]` uint8 of a video, its rate and its codec."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
        return np.stack(frames), stream.average_rate, stream.codec_context.name


@pytest.mark.parametrize("codec", film.CODECS)
def test_video_is_rgb_beside_flow(tmp_path, monkeypatch, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    monkeypatch.setattr(film, "CODECS", {codec: film.CODECS[codec]})
    rgb, flow = clip(frames=7)
    path = tmp_path / "video.mp4"
    pictures.annotate_video(path, rgb, flow, ["a", "b"], [0.5, 0.25], fps=12.5)
    frames, rate, name = decode(path)
    assert len(frames) == 7 and rate == 12.5
    assert name == {"libx264": "h264", "mpeg4": "mpeg4"}[codec]
    # 60 px are enlarged four times.
    assert frames.shape[2] == 2 * 4 * 80 and frames.shape[1] > 240
    left, right = frames[:, :240, :320].astype(int), frames[:, :240, 320:].astype(int)
    assert np.abs(left - rgb.repeat(4, 1).repeat(4, 2)).mean() < 2.5
    colors = visualize.flow_to_color(flow, 7.0).repeat(4, 1).repeat(4, 2)
    assert np.abs(right[:, 8:-8, 8:-8] - colors[:, 8:-8, 8:-8]).max() < 12


def test_bars_are_the_probabilities_in_their_order(tmp_path):
    rgb, flow = clip(frames=1, height=240, width=320)
    scores = [0.02, 0.4, 0.1, 0.08, 0.3, 0.1]
    names = ["left out", "Grüßen", "x" * 500, "$1", "d", "e"]
    path = tmp_path / "video.mp4"
    pictures.annotate_video(path, rgb, flow, names, scores)
    panel = decode(path)[0][0, 240:]
    bars = [(np.abs(row.astype(int) - BAR).max(axis=-1) <= 30).sum() for row in panel]
    # The upper edge of each row, above its text.
    widths = np.array([bars[8 + 24 * row + 2] for row in range(5)])
    np.testing.assert_allclose(
        widths / widths[0], [1, 0.75, 0.25, 0.25, 0.2], atol=0.02
    )
    # The whole track is 0.4 of the bar; text does not run over its end.
    end = 8 + round(widths[0] / 0.4)
    assert (panel[8:-8, end + 2 : end + 8] > 225).all()


def test_heat_and_cells_of_the_activation_map(tmp_path):
    # Class "b" is the likeliest: first at the left half of the crop, later at the
    # right one; "a" has the first half of the time, "b" the second.
    rgb = np.full((16, 240, 320, 3), 128, np.uint8)
    activation = np.zeros((2, 2, 2, 3), np.float32)
    activation[0, :, 0, 1] = activation[1, :, 1, 1] = 6
    activation[0, ..., 0], activation[0, ..., 2] = 5, -5
    path = tmp_path / "video.mp4"
    pictures.annotate_video(
        *(path, rgb, None, ["a", "b", "c"], [0.3, 0.6, 0.1]),
        activation=activation,
        size=200,
    )
    frames = decode(path)[0].astype(int)
    assert frames.shape[2] == 640
    first, last = frames[0, :240, 320:], frames[-1, :240, 320:]
    # Heat is red and no longer grey; around the crop it is dark, and nothing is hot.
    redder = [(view[..., 0] - view[..., 2]) for view in (first, last)]
    left, right = np.s_[30:210, 65:110], np.s_[30:210, 210:255]
    assert redder[0][left].mean() > 60 > 10 > abs(redder[0][right].mean())
    assert redder[1][right].mean() > 60 > 10 > abs(redder[1][left].mean())
    for view in (first, last):
        np.testing.assert_allclose(view[30:210, 5:55], 0.35 * 128, atol=6)
    # "b", the first row: its cells are bluer in the second half of the time.
    panel = frames[:, 240:]
    right_end = 640 - 8
    left_end = round(right_end - 0.4 * (right_end - 8))
    middle = (left_end + right_end) // 2
    row = panel[0, 8:28]
    early, late = row[:, left_end + 20 : middle - 5], row[:, middle + 5 : -20]
    assert early[..., 0].mean() > late[..., 0].mean() + 60
    # The line is at the frame's own time.
    for index in (0, 7, 15):
        red = panel[index, 8:50, left_end : right_end + 1]
        line = (red[..., 0] - red[..., 2]).mean(0).argmax() + left_end
        at = left_end + (index + 0.5) / 16 * (right_end - left_end)
        assert abs(line - at) <= 2


def test_video_without_flow_and_with_odd_sizes(tmp_path):
    rgb, _ = clip(frames=2, height=241, width=77)
    path = tmp_path / "video.mp4"
    pictures.annotate_video(path, rgb, None, ["a"], [1.0], fps=30000 / 1001)
    frames, rate, _ = decode(path)
    assert (rate.numerator, rate.denominator) == (30000, 1001)
    assert frames.shape[2] == 78 and frames.shape[1] % 2 == 0
    assert np.abs(frames[:, :241, :77].astype(int) - rgb).mean() < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rgb": np.zeros((5, 60, 80), np.uint8)}, r"shape \(5, 60, 80\); expected"),
        ({"rgb": np.zeros((0, 60, 80, 3), np.uint8)}, r"shape \(0, 60, 80, 3\)"),
        ({"flow": np.zeros((5, 60, 81, 2), np.float32)}, r"\(5, 60, 80, 2\), a field"),
        ({"flow": np.zeros((5, 60, 80, 2), np.uint8)}, "uint8; expected float px"),
        ({"scores": [1.0]}, r"shape \(1,\) for 2 classes"),
        ({"scores": [7.5, -2.0]}, "-2.0..7.5; expected probabilities"),
        ({"scores": [np.nan, 0.5]}, "expected probabilities"),
        ({"fps": 0}, "fps is 0; expected"),
        ({"activation": MAP[..., :1], "size": 9}, r"\(1, 2, 2, 1\); expected"),
        ({"activation": MAP[0, 0], "size": 9}, r"expected \[t, h, w, 2\]"),
        ({"activation": MAP}, "crop is None; expected 1..60 px"),
        ({"activation": MAP, "size": 61}, "crop is 61; expected"),
    ],
)
def test_wrong_video_is_an_error(tmp_path, change, message):
    rgb, flow = clip()
    good = {"rgb": rgb, "flow": flow, "classes": ["a", "b"], "scores": [0.5, 0.5]}
    with pytest.raises(ValueError, match=message):
        pictures.annotate_video(tmp_path / "x.mp4", **(good | change))
    assert not list(tmp_path.iterdir())


def test_video_that_fails_half_way_leaves_the_old_one(tmp_path, monkeypatch):
    # Long enough for the encoder, which looks ahead, to have begun its file.
    rgb, flow = clip(frames=90)
    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    seen = []

    def fail_near_the_end(flow, max_flow):
        seen.append(sorted(p.name for p in tmp_path.iterdir()))
        if len(seen) == 89:
            raise RuntimeError("half-way")
        return np.zeros((*flow.shape[:-1], 3), np.uint8)

    monkeypatch.setattr(annotated_video.visualize, "flow_to_color", fail_near_the_end)
    with pytest.raises(RuntimeError, match="half-way"):
        pictures.annotate_video(path, rgb, flow, ["a"], [1.0])
    assert len(seen[-1]) == 2  # the old one, and the new one beside it
    assert [p.name for p in tmp_path.iterdir()] == ["video.mp4"]
    assert path.read_bytes() == b"old"
