"""A video beside its flow in colours, measured px by px; the command."""

import itertools
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
from tiny_flow import moving_square

from flow import code, side_by_side, visualize
from flow.flow_video import write_flow_video
from flow.side_by_side import BORDER, draw_pages, read_pairs, whole_scale
from flow.tvl1 import TVL1
from flow.video import VideoError, to_grey

HEIGHT, WIDTH, FACTOR = 24, 40, 10  # 24 px are enlarged to 240


def frame(k):
    """[HEIGHT, WIDTH, 3]: a ramp whose brightness is the frame's number."""
    ramp = np.arange(WIDTH)[:, None] + 20 * k
    return np.broadcast_to(ramp, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def field(k):
    """The flow into frame k: k px to the right on the left half, 2 px up elsewhere."""
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[:, : WIDTH // 2, 0] = k
    flow[:, WIDTH // 2 :, 1] = -2
    return flow


@pytest.fixture
def clip(tmp_path, write_video):
    """(video of 6 frames at 10 fps, its flow video)."""
    video = write_video(tmp_path / "in.avi", [frame(k) for k in range(6)], fps=10)
    codes = [code.encode(field(k)) for k in range(1, 6)]
    flow = tmp_path / "in.mkv"
    write_flow_video(flow, codes, fps=10, description={"smaller_side": HEIGHT})
    return video, flow


def views(page, height=HEIGHT * FACTOR, width=WIDTH * FACTOR):
    """The two views of a page that is as wide as they are."""
    rows = slice(BORDER, BORDER + height)
    left = page[rows, BORDER : BORDER + width]
    return left, page[rows, 2 * BORDER + width : 2 * BORDER + 2 * width]


def decode(path):
    """The frames of a video of 10 a second."""
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 10
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def enlarged(image):
    return image.repeat(FACTOR, 0).repeat(FACTOR, 1)


def quantised(k):
    return code.decode(code.encode(field(k)))


def test_pairs_are_a_frame_and_the_flow_into_it(clip):
    pairs = list(read_pairs(*clip))
    assert len(pairs) == 5
    for k, (image, flow) in enumerate(pairs, 1):
        np.testing.assert_array_equal(image, frame(k))
        np.testing.assert_array_equal(flow, quantised(k))


@pytest.mark.parametrize(("count", "word"), [(5, "fewer"), (7, "more")])
def test_a_flow_video_of_another_video(clip, tmp_path, write_video, count, word):
    other = write_video(tmp_path / "b.avi", [frame(k) for k in range(count)], fps=10)
    with pytest.raises(VideoError, match=f"b.avi: has {word} frames than its flow vid"):
        list(read_pairs(other, clip[1]))
    wide = np.zeros((6, HEIGHT, WIDTH + 2, 3), np.uint8)
    other = write_video(tmp_path / "c.avi", wide, fps=10)
    with pytest.raises(VideoError, match=r"frames are \[24, 42\] px, its flow video's"):
        list(read_pairs(other, clip[1]))


def test_flow_of_another_video_is_refused_before_it_is_drawn(clip, tmp_path, capsys):
    flow = tmp_path / "other.mkv"
    codes = [code.encode(field(k)) for k in range(1, 6)]
    tags = {"smaller_side": HEIGHT, "source_sha256": "0" * 64}
    write_flow_video(flow, codes, fps=10, description=tags)
    with pytest.raises(VideoError, match="in.avi: is not the file that its flow video"):
        next(read_pairs(clip[0], flow))
    with pytest.raises(VideoError, match="in.avi: is not the file that its flow video"):
        side_by_side.write_video(tmp_path / "a.mp4", clip[0], flow)
    assert capsys.readouterr().err == ""  # no bar yet


def test_page(clip):
    pages = (page.copy() for page in draw_pages(read_pairs(*clip), 4.0))
    for k, page in enumerate(pages, 1):
        left, right = views(page)
        np.testing.assert_array_equal(left, enlarged(frame(k)))
        colors = visualize.flow_to_color(quantised(k), 4.0)
        np.testing.assert_array_equal(right, enlarged(colors))
    # What frames the views ends where they do, the legend is below.
    bottom = 2 * BORDER + 240
    border = np.full_like(page[:bottom], side_by_side.BORDER_GREY)
    for view in views(border):
        view[:] = 0
    outside = border[..., 0] > 0
    assert outside.sum() == bottom * (3 * BORDER + 800) - 2 * 240 * 400
    assert (page[:bottom][outside] == side_by_side.BORDER_GREY).all()
    assert page.shape[1] == 3 * BORDER + 800 and page.shape[0] % 2 == 0


def legends(width, height, max_flow, notes):
    with side_by_side._legend(width, height, max_flow) as draw:
        return [draw(note).copy() for note in notes]


def test_legend_is_the_wheel_and_its_scale():
    size = round(7.5 * 12)  # of five lines of 18 px, the first is the note
    (legend,) = legends(700, 240, 4.0, [""])
    assert legend.shape == (size + 20, 700, 3)
    wheel = legend[10 : 10 + size, 10 : 10 + size].astype(int)
    assert np.abs(wheel - visualize.color_wheel(size)).mean() < 4
    assert wheel[45, 88].tolist() == pytest.approx([255, 0, 0], abs=25)

    def inked(legend):
        return (legend.min(axis=-1) < 128)[:, size + 20 :]

    # The words keep away from all edges, on the narrowest page too.
    (narrow,) = legends(side_by_side.LEGEND_WIDTH, 240, 28.3, ["Frame 12345"])
    for picture in (legend, narrow):
        rows, columns = np.nonzero(inked(picture))
        assert rows.min() >= 10 and rows.max() < len(picture) - 8
        assert columns.max() < picture.shape[1] - size - 30
    # Another scale is another legend, another note another first line.
    other, *notes = legends(
        700, 240, 5.0, ["", *(f"Frame {number}" for number in (1, 2, 1))]
    )
    rows = changed_rows(other, legend)
    assert rows.min() >= 10 + 3 * 18 and rows.max() < 10 + 4 * 18
    rows = changed_rows(notes[0], notes[1])
    assert rows.min() >= 10 and rows.max() < 10 + 18
    np.testing.assert_array_equal(notes[0], notes[2])


def changed_rows(a, b):
    return np.nonzero((a != b).any(axis=(1, 2)))[0]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((24, 40), (240, 400)),
        ((256, 341), (256, 341)),
        ((239, 300), (478, 600)),
        ((16, 4000), (8, 2000)),
        ((4000, 16), (1700, 7)),
        ((2160, 3840), (1125, 2000)),
    ],
)
def test_size_on_the_page(shape, size):
    assert side_by_side._shown_size(*shape) == size


def test_narrow_frames_stand_in_the_middle():
    image = np.full((240, 60, 3), 9, np.uint8)
    (page,) = draw_pages([(image, np.zeros((240, 60, 2), np.float32))], 1.0)
    assert page.shape[1] == side_by_side.LEGEND_WIDTH
    columns = np.nonzero((page[100] == 9).all(axis=-1))[0]
    left = (400 - 3 * BORDER - 120) // 2 + BORDER
    assert columns.tolist() == list(range(left, left + 60))


def test_scale_of_a_whole_video(tmp_path):
    codes = np.full((100, 10, 10, 2), 128, np.uint8)
    codes[:50, ..., 0] = 128 + 20  # 3.1496 px
    codes[7, 0, :9] = 255, 1  # 28.28 px, 9 of 10,000 pixels
    path = tmp_path / "a.mkv"
    write_flow_video(path, codes, fps=25, description={})
    flow = code.decode(codes)
    exact = visualize.max_magnitude(flow, visualize.PERCENTILE)
    assert exact == pytest.approx(20 * 20 / 127)
    assert exact <= whole_scale(path) < exact + 0.0101
    codes[7, 0] = codes[7, 1] = 255, 1
    write_flow_video(path, codes, fps=25, description={})
    assert whole_scale(path) == pytest.approx(np.hypot(20, 20), abs=0.011)
    write_flow_video(path, codes[60:], fps=25, description={})
    assert whole_scale(path) == 1


def test_picture(tmp_path):
    path = tmp_path / "a.png"
    side_by_side.write_picture(path, frame(3), field(3), max_flow=4.0)
    left, right = views(cv2.imread(str(path))[..., ::-1])
    np.testing.assert_array_equal(left, enlarged(frame(3)))
    np.testing.assert_array_equal(
        right, enlarged(visualize.flow_to_color(field(3), 4.0))
    )
    side_by_side.write_picture(path, frame(3), field(3))
    _, right = views(cv2.imread(str(path))[..., ::-1])
    assert right[0, 0].tolist() == [255, 0, 0]  # 3 px are the fastest here
    with pytest.raises(
        ValueError, match=r"frame is \[24, 40\] px, its flow \[24, 39\]"
    ):
        side_by_side.write_picture(path, frame(3), field(3)[:, 1:])
    with pytest.raises(ValueError, match="a.jpg: is to end in .png"):
        side_by_side.write_picture(tmp_path / "a.jpg", frame(3), field(3))


@pytest.mark.parametrize(("suffix", "largest"), [(".mp4", 12), (".gif", 12)])
def test_video(tmp_path, clip, suffix, largest, capsys):
    path = tmp_path / f"out{suffix}"
    side_by_side.write_video(path, *clip, max_flow=5.0)
    # One bar for each pass, and all of them run to their end.
    *bars, rest = capsys.readouterr().err.split("\n")
    names = ["colours", "draw"] if suffix == ".gif" else ["draw"]
    assert rest == "" and [bar.split("\r")[-1].split("|")[0] for bar in bars] == [
        f"{name}: 100%" for name in names
    ]
    pages = decode(path)
    assert len(pages) == 5
    for k, page in enumerate(pages, 1):
        left, right = (view.astype(int) for view in views(page))
        assert np.abs(left - enlarged(frame(k)))[8:-8, 8:-8].mean() < 4
        colors = enlarged(visualize.flow_to_color(quantised(k), 5.0))
        for columns in (np.s_[8:190], np.s_[210:392]):
            assert np.abs(right - colors)[8:-8, columns].max() <= largest
    for one, other in itertools.pairwise(pages):  # The frame's number.
        legends = np.stack([one, other])[:, 2 * BORDER + 240 :].astype(int)
        assert np.abs(np.diff(legends, axis=0)).max() > 100


def test_video_has_one_scale_unless_told(tmp_path, clip):
    path = tmp_path / "out.mp4"
    side_by_side.write_video(path, *clip)
    first, *_, last = decode(path)
    # 1 px, then 5 px, the rim.
    assert views(first)[1][100, 100].tolist() == pytest.approx([255, 204, 204], abs=12)
    assert views(last)[1][100, 100].tolist() == pytest.approx([255, 0, 0], abs=12)
    with pytest.raises(ValueError, match="out.avi: is to end in .mp4 or .gif"):
        side_by_side.write_video(tmp_path / "out.avi", *clip)
    with pytest.raises(ValueError, match="max_flow is 0; expected a positive number"):
        side_by_side.write_video(path, *clip, max_flow=0)


def command(*flags):
    line = [sys.executable, "-m", "experiments.show_flow", *map(str, flags)]
    return subprocess.run(line, capture_output=True, text=True)


def last_line(text):
    return text.splitlines()[-1]


def test_command_computes_flow(tmp_path, write_video):
    frames = moving_square([(0, 0), (2, 0), (2, 2), (0, 2)])
    video = write_video(tmp_path / "in.avi", frames)
    own = ["--video", video, "--engine=opencv", "--smaller_side=48"]
    picture = tmp_path / "out.png"
    done = command(*own, "--output", picture, "--frame=2", "--max_flow=3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{picture}: frame 2 of {video} and its flow\n"
    # 48x64 px are enlarged five times.
    left, right = views(cv2.imread(str(picture))[..., ::-1], 240, 320)
    np.testing.assert_array_equal(left[::5, ::5], frames[2])
    flow = TVL1("opencv")(to_grey(frames[1]), to_grey(frames[2]))
    flow = code.decode(code.encode(flow))  # as in a flow video
    np.testing.assert_array_equal(right[::5, ::5], visualize.flow_to_color(flow, 3))
    # The bar of the flow ends before that of the drawing begins.
    bars = command(*own, "--output", tmp_path / "a.mp4").stderr
    assert bars.rindex("flow:") < bars.index("draw:")
    for flags, message in (
        (["--output", picture, "--frame=4"], "has flow into frames 1 to 3 (of 25 a"),
        (["--output", tmp_path / "a.gif", "--frame=1"], "--frame is for a .png"),
        (["--output", "/proc/nope/a.gif"], "directory: '/proc/nope'"),
    ):
        done = command(*own, *flags)
        assert done.returncode == 1 and message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_command_takes_a_flow_video(tmp_path, clip, write_video):
    video, flow = clip
    given = ["--video", video, "--flow", flow, "--max_flow=5"]
    film = tmp_path / "out.mp4"
    done = command(*given, "--output", film)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{film}: {video} and its flow\n"
    picture = tmp_path / "out.png"
    done = command(*given, "--output", picture)
    # Of the frames 1 to 5 that have flow.
    assert done.stdout == f"{picture}: frame 3 of {video} and its flow\n"
    _, right = views(cv2.imread(str(picture))[..., ::-1])
    np.testing.assert_array_equal(
        right, enlarged(visualize.flow_to_color(quantised(3), 5))
    )
    # Of flow that does not say of which file it is, the length is compared.
    write_video(tmp_path / "long.avi", [frame(k) for k in range(7)], fps=10)
    done = command(
        "--video", tmp_path / "long.avi", "--flow", flow, "--output", tmp_path / "b.png"
    )
    assert done.returncode == 1 and not (tmp_path / "b.png").exists()
    assert "long.avi: has more frames than its flow video" in last_line(done.stderr)
    done = command(*given, "--output", picture, "--engine=opencv")
    assert "--engine is for flow that is computed" in last_line(done.stderr)
