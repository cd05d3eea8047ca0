"""Annotated videos, decoded again and measured."""

import av
import numpy as np
import pytest
from matplotlib import colors

from flow import film, visualize
from i3d_tf import annotated_video, pictures

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
