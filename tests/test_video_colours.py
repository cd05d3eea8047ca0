"""Colours that videos decode to, beside known ones and FFmpeg's filters."""

import itertools

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from ffmpeg_reference import filtered, flagged, write

from flow import display
from flow.video import decode, read_video

PATCHES = np.array(
    [
        (255, 255, 255),
        (0, 0, 0),
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (200, 120, 40),
        (30, 90, 180),
        (128, 128, 128),
    ]
)
SIDE = 16  # px of a patch
# Red's and blue's part of luma, and the number of the tag in H.273.
MATRICES = {"601": (0.299, 0.114, 6), "709": (0.2126, 0.0722, 1)}
MATRICES["2020"] = (0.2627, 0.0593, 9)
LOSSLESS = {"libx264": {"qp": "0"}, "mjpeg": {"qmin": "1", "qmax": "1"}}
LOSSLESS["mpeg4"] = LOSSLESS["mpeg2video"] = {"qmin": "1", "qmax": "1"}


def codes(rgb, matrix, full, bits):
    """RGB `[N, 3]` of 0 ... 255 -> Y, Cb and Cr `[N]` by the standards' formulas."""
    red, blue, _ = MATRICES[matrix]
    r, g, b = np.asarray(rgb).T / 255
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    one, top = 2 ** (bits - 8), 2**bits - 1
    if full:
        planes = y * top, cb * top + 128 * one, cr * top + 128 * one
    else:
        planes = (219 * y + 16) * one, (224 * cb + 128) * one, (224 * cr + 128) * one
    return [np.clip(np.rint(plane), 0, top).astype(int) for plane in planes]


def planar(pix_fmt, planes):
    """An `av.VideoFrame` of planes `[h, w]`, 2 bytes a sample above 8 bits."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    wide = frame.format.components[0].bits > 8
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.ascontiguousarray(values).astype("<u2" if wide else "u1")
        rows = rows.view(np.uint8)
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : rows.shape[1]] = rows
        plane.update(padded)
    return frame


def patches(pix_fmt, matrix, full, count=2):
    """Frames with the patches side by side."""
    form = av.VideoFormat(pix_fmt, SIDE * len(PATCHES), SIDE)
    values = codes(PATCHES, matrix, full, form.components[0].bits)
    planes = []
    for index in range(len(form.components)):
        width, height = form.chroma_width(), form.chroma_height()
        if index == 0:
            width, height = form.width, form.height
        row = values[index].repeat(width // len(PATCHES))
        planes.append(np.tile(row, (height, 1)))
    return [planar(pix_fmt, planes) for _ in range(count)]


def seen(path):
    """What the patches of a video decode to, `[N, 3]` int, off their borders."""
    *_, image = next(decode(path))
    return image[SIDE // 2, SIDE // 2 :: SIDE].astype(int)


def tagged(matrix, full):
    return {
        "colorspace": MATRICES[matrix][2],
        "color_range": ColorRange.JPEG if full else ColorRange.MPEG,
    }


FORMATS = [
    ("ffv1", "yuv420p"),
    ("ffv1", "yuv422p"),
    ("ffv1", "yuv444p"),
    ("ffv1", "yuv420p10le"),
    ("ffv1", "yuv422p10le"),
    ("ffv1", "yuv444p16le"),
    ("libx264", "yuv420p"),
    ("libx264", "yuv444p"),
    ("libx264", "yuv420p10le"),
    ("libx264", "yuv422p10le"),
]


@pytest.mark.parametrize(("codec", "pix_fmt"), FORMATS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_tags_of_matrix_and_range_count(tmp_path, codec, pix_fmt, full, matrix):
    path = write(
        tmp_path / "a.mkv",
        patches(pix_fmt, matrix, full),
        codec=codec,
        options=LOSSLESS.get(codec, {}),
        tags=tagged(matrix, full),
    )
    # FFmpeg rounds fast: 3 codes at most. A wrong matrix is 14 off, a wrong range 13.
    assert np.abs(seen(path) - PATCHES).max() <= 3


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "full"),
    [
        ("a.mkv", "ffv1", "yuv420p", False),
        ("a.mkv", "libx264", "yuv420p10le", False),
        ("a.avi", "mpeg4", "yuv420p", False),
        ("a.mpg", "mpeg2video", "yuv420p", False),
        # The format says full range where no tag does.
        ("a.avi", "mjpeg", "yuvj420p", True),
        ("a.mkv", "libx264", "yuvj420p", True),
    ],
)
def test_without_tags_colours_are_601(tmp_path, name, codec, pix_fmt, full):
    frames = patches(pix_fmt, "601", full)
    options = LOSSLESS.get(codec, {})
    path = write(tmp_path / name, frames, codec=codec, options=options)
    assert np.abs(seen(path) - PATCHES).max() <= 3


def test_without_tags_large_videos_are_601_too(tmp_path):
    # Some players guess BT.709 from 576 lines on; FFmpeg does not.
    wanted = np.array([(200, 60, 30)])
    y, cb, cr = codes(wanted, "601", False, 8)
    planes = np.full((720, 1280), y), np.full((360, 640), cb), np.full((360, 640), cr)
    frames = [planar("yuv420p", planes)]
    path = write(tmp_path / "a.mp4", frames, codec="libx264", options={"qp": "0"})
    *_, image = next(decode(path))
    assert np.abs(image.astype(int) - wanted).max() <= 3


GREY = [
    ("ffv1", "gray", False),
    ("ffv1", "gray", True),
    ("ffv1", "gray10le", True),
    ("ffv1", "gray16le", False),
    ("libx264", "gray", True),
    ("libx264", "gray10le", True),
]


@pytest.mark.parametrize(("codec", "pix_fmt", "tag"), GREY)
def test_grey_has_the_full_range(tmp_path, codec, pix_fmt, tag):
    bits = av.VideoFormat(pix_fmt).components[0].bits
    ramp = np.tile(np.arange(256), (16, 1))
    path = write(
        tmp_path / "a.mkv",
        [planar(pix_fmt, [ramp * (2**bits - 1) // 255])],
        codec=codec,
        options=LOSSLESS.get(codec, {}),
        tags={"color_range": ColorRange.JPEG} if tag else {},
    )
    *_, image = next(decode(path))
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - ramp).max() <= 1


def test_grey_of_h264_without_tags_is_limited_as_its_luma(tmp_path):
    # H.264 has no grey of its own: it decodes as luma with still chroma.
    ramp = np.tile(np.arange(16, 236), (16, 1))
    frames = [planar("gray", [ramp])]
    path = write(tmp_path / "a.mkv", frames, codec="libx264", options={"qp": "0"})
    *_, image = next(decode(path))
    wanted = (ramp - 16)[..., None] * 255 / 219
    assert np.abs(image - wanted).max() <= 2


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.avi", "ffv1", "bgr0"),
        ("a.mkv", "ffv1", "gbrp16le"),
        ("a.mkv", "ffv1", "rgb48le"),
        ("a.mov", "png", "rgb24"),
        ("a.mov", "qtrle", "rgb24"),
        ("a.avi", "utvideo", "gbrp"),
    ],
)
def test_rgb_is_kept(tmp_path, name, codec, pix_fmt):
    frame = av.VideoFrame.from_ndarray(noise(33, 47), format="rgb24")
    wide = frame.reformat(format=pix_fmt)
    # FFmpeg itself rounds on the way to 16 bits and back.
    most = 0 if wide.format.components[0].bits == 8 else 1
    path = write(tmp_path / name, [wide], codec=codec)
    *_, image = next(decode(path))
    assert np.abs(image.astype(int) - noise(33, 47)).max() <= most


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "ffv1"), ("a.mov", "png")])
def test_alpha_is_dropped(tmp_path, name, codec):
    alpha = np.tile(np.arange(256, dtype=np.uint8), (8, 1))[..., None]
    colour = np.broadcast_to(np.uint8([200, 120, 40]), (8, 256, 3))
    frame = av.VideoFrame.from_ndarray(
        np.concatenate([colour, alpha], axis=2), format="rgba"
    )
    frame = frame.reformat(format="bgra" if codec == "ffv1" else "rgba")
    path = write(tmp_path / name, [frame], codec=codec)
    *_, image = next(decode(path))
    assert (image == (200, 120, 40)).all()


def test_gif_has_the_colours_of_its_palette(tmp_path):
    # 256 colours that rgb8 has: 3 bits of red and green, 2 of blue.
    frame = av.VideoFrame(16, 16, "rgb8")
    index = np.arange(256).reshape(16, 16)
    frame.planes[0].update(
        np.pad(index.astype(np.uint8), [(0, 0), (0, frame.planes[0].line_size - 16)])
    )
    path = write(tmp_path / "a.gif", [frame], codec="gif")
    *_, image = next(decode(path))
    red, green, blue = index >> 5, index >> 2 & 7, index & 3
    wanted = np.stack([red * 255 / 7, green * 255 / 7, blue * 255 / 3], axis=2)
    assert np.abs(image - wanted).max() <= 3  # FFmpeg's palette: multiples of 36, 85


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("ffv1", "yuv420p", "a.avi"),
        ("ffv1", "yuv422p", "a.mkv"),
        ("ffv1", "yuv420p10le", "a.mkv"),
        ("mpeg4", "yuv420p", "a.avi"),
        ("mjpeg", "yuvj420p", "a.avi"),
        ("libx264", "yuv444p", "a.mp4"),
    ],
)
def test_odd_sizes(tmp_path, codec, pix_fmt, name):
    # Smooth, so that shared chroma changes little, and different in each corner.
    y, x = np.mgrid[:243, :321]
    wanted = np.stack([x * 200 / 320, y * 200 / 242, 230 - x * 200 / 320], axis=2)
    wanted = np.rint(wanted + 20)
    form = av.VideoFormat(pix_fmt, 321, 243)
    values = codes(
        wanted.reshape(-1, 3), "601", "yuvj" in pix_fmt, form.components[0].bits
    )
    planes = [plane.reshape(243, 321) for plane in values]
    down = -(-243 // form.chroma_height())
    across = -(-321 // form.chroma_width())
    planes[1:] = [plane[::down, ::across] for plane in planes[1:]]
    frame = planar(pix_fmt, planes)
    options = LOSSLESS.get(codec, {})
    path = write(tmp_path / name, [frame], codec=codec, options=options)
    *_, image = next(decode(path))
    assert image.shape == (243, 321, 3)
    error = np.abs(image.astype(int) - wanted)
    assert error.max() <= 4 and error.mean() < 1
    # Its default makes shared chroma whole by a bicubic interpolation.
    # It takes no notice of the siting that these two codecs imply.
    site = ":in_chroma_loc=left" if codec in ("mpeg4", "libx264") else ""
    ((_, shown),) = filtered(path, ("scale", f"flags=bilinear{site}"))
    np.testing.assert_array_equal(image, shown)


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le"])
def test_chroma_of_h264_is_sited_left(tmp_path, pix_fmt):
    """Its samples lie on every second px, not between two, as without a tag."""
    # Cr rises by one code (of 8 bits) a px.
    cr = np.tile(64 + 2 * np.arange(64), (32, 1))
    height = 32 if "422" in pix_fmt else 16
    planes = [np.full((32, 128), 512), np.full((height, 64), 512), 4 * cr[:height]]
    offset = {}
    for codec in ("libx264", "ffv1"):
        frames = [planar(pix_fmt, planes)]
        options = LOSSLESS.get(codec, {})
        path = write(tmp_path / f"{codec}.mkv", frames, codec=codec, options=options)
        *_, image = next(decode(path))
        # 1.6 codes of red a px. Two px share the chroma between them.
        red = (128 - 16) * 255 / 219 + 2 * (1 - 0.299) * (
            np.arange(128) - 64
        ) * 255 / 224
        offset[codec] = (image[16, 40:100, 0] - red[40:100]).mean()
    assert offset["libx264"] - offset["ffv1"] == pytest.approx(0.5 * 1.596, abs=0.8)
    assert offset["libx264"] > offset["ffv1"] + 0.7


def fields(top, bottom):
    """`[H, W, 3]` with the even rows of one image and the odd ones of another."""
    image = top.copy()
    image[1::2] = bottom[1::2]
    return image


def bar(step):
    """A grey picture `[48, 64, 3]` with a white bar, 3 px further at each step."""
    image = np.full((48, 64, 3), 60, np.uint8)
    image[:, 3 * step : 3 * step + 12] = 220
    return image


def interlaced(path, images, first, pix_fmt="yuv420p"):
    """Writes `[H, W, 3]` RGB as H.264; `first`: "tff", "bff" or "prog"."""
    frames = [
        av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
        for image in images
    ]
    return write(path, flagged(frames, first), codec="libx264", options=flags_of(first))


def flags_of(first):
    # x264 follows its frames in which field is first, but has to be told of fields.
    fields = {} if first == "prog" else {"flags": "+ildct"}
    return {"qp": "0", **fields}


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
@pytest.mark.parametrize("first", ["tff", "bff"])
def test_an_interlaced_frame_shows_its_first_field(tmp_path, first, pix_fmt):
    # A field each 20 ms, in which the bar moves on.
    pairs = [(bar(2 * k), bar(2 * k + 1)) for k in range(8)]
    if first == "bff":
        pairs = [(late, early) for early, late in pairs]
    frames = [fields(top, bottom) for top, bottom in pairs]
    path = interlaced(tmp_path / "a.mkv", frames, first, pix_fmt)
    shown = list(decode(path))
    assert [float(start) for start, *_ in shown] == [k / 25 for k in range(8)]
    kept = slice(0, None, 2) if first == "tff" else slice(1, None, 2)
    for step, (_, _, image) in enumerate(shown):
        image = image.astype(int)
        # The rows of the first field are what they were.
        assert np.abs(image[kept] - bar(2 * step)[kept]).max() <= 3, step
        # The others follow: of a comb a mean of 7.5 codes would be left. (Of 10 bits
        # FFmpeg's rounding takes 1 or 2 codes.)
        assert np.abs(image - bar(2 * step)).mean() < 1.5, step
    assert np.abs(np.diff(frames[0][..., 0].astype(int), axis=0)).mean() > 14
    reference = filtered(path, ("bwdif", "mode=send_frame:deint=interlaced"))
    assert len(reference) == 8
    np.testing.assert_array_equal(
        [image for *_, image in shown], [image for _, image in reference]
    )


def test_what_stands_still_keeps_its_lines_when_interlaced(tmp_path):
    picture = np.repeat(noise(48, 1), 64, axis=1)
    path = interlaced(tmp_path / "a.mkv", [picture] * 5, "tff", "yuv444p")
    plain = interlaced(tmp_path / "b.mkv", [picture] * 5, "prog", "yuv444p")
    (*_, whole), *_ = decode(plain)
    for _, _, image in list(decode(path))[1:-1]:
        np.testing.assert_array_equal(image, whole)


def test_frames_that_are_not_flagged_keep_their_fields(tmp_path):
    frames = [fields(bar(2 * k), bar(2 * k + 1)) for k in range(4)]
    path = interlaced(tmp_path / "a.mkv", frames, "prog")
    for (*_, image), (_, shown) in zip(decode(path), filtered(path), strict=True):
        np.testing.assert_array_equal(image, shown)
        assert np.abs(np.diff(image[..., 0].astype(int), axis=0)).mean() > 14


@pytest.mark.parametrize(("matrix", "full"), [("709", True), ("601", False)])
def test_tags_count_for_interlaced_frames_too(tmp_path, matrix, full):
    path = write(
        tmp_path / "a.mkv",
        flagged(patches("yuv420p", matrix, full, count=4), "tff"),
        codec="libx264",
        options=flags_of("tff"),
        tags=tagged(matrix, full),
    )
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    assert np.abs(seen(path) - PATCHES).max() <= 3


def test_formats_that_the_filter_does_not_know_keep_their_tags():
    # It takes no UYVY, so that FFmpeg converts on the way: not to BT.601.
    frames = [
        frame.reformat(format="uyvy422", threads=1)
        for frame in patches("yuv422p", "709", True)
    ]
    for frame in frames:
        frame.colorspace, frame.color_range = tagged("709", True).values()
    made = list(display.deinterlace(enumerate(flagged(frames, "tff"))))
    assert [number for number, _ in made] == [0, 1]
    for _, frame in made:
        assert (frame.colorspace, frame.color_range) == (1, ColorRange.JPEG)
        image = display.Painter()(frame)
        assert np.abs(image[8, 8::16].astype(int) - PATCHES).max() <= 2


def test_what_follows_interlaced_frames_keeps_its_fields(tmp_path):
    woven = [fields(bar(2 * k), bar(2 * k + 1)) for k in range(3)]
    parts = [
        interlaced(tmp_path / f"{mode}.h264", woven, mode) for mode in ("tff", "prog")
    ]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    wanted = [image for *_, image in decode(parts[1])]
    images = [image for *_, image in decode(path)]
    np.testing.assert_array_equal(images[3:], wanted)
    for image, combed in zip(images[:3], wanted, strict=True):
        assert np.abs(image - combed.astype(int)).mean() > 5


@pytest.mark.parametrize("pix_fmt", ["gray", "yuv420p", "yuv410p", "yuv411p"])
def test_frames_too_small_for_the_filter_stay_woven(pix_fmt):
    for side in (2, 4, 8, 15, 16):
        (frame,) = flagged([av.VideoFrame(side, side, pix_fmt)], "tff")
        ((_, made),) = display.deinterlace([(0, frame)])
        # The filter's own are no longer flagged.
        assert made.interlaced_frame == (side < 16), side


def test_interlaced_parts_of_a_video(tmp_path):
    """Of three parts in one stream, the second is interlaced, the third larger."""
    parts = []
    kinds = [("prog", 1), ("tff", 1), ("bff", 2)]
    for number, (first, factor) in enumerate(kinds):
        images = [bar(k + 4 * number).repeat(factor, 0) for k in range(4)]
        part = interlaced(tmp_path / f"{number}.h264", images, first)
        parts.append(part.read_bytes())
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(parts))
    shown = list(decode(path))
    assert [image.shape[0] for *_, image in shown] == [48] * 8 + [96] * 4
    assert [start for start, *_ in shown] == [k * shown[0][1] for k in range(12)]
    for step, (_, _, image) in enumerate(shown):
        # Both fields of a frame are one instant here, so the bar is where it was.
        bars = image.astype(int).mean(axis=(0, 2)) > 140
        assert np.flatnonzero(bars).tolist() == [3 * step + k for k in range(12)], step


# The display matrix of each real file that has one, as filters.
TURNED = {
    "video_90.mov": [("transpose", "clock")],
    "video_180.mov": [("hflip", ""), ("vflip", "")],
    "rotated90_meta_vfr.mp4": [("transpose", "cclock")],
}


def real_files(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "synthetic_shapes" not in path.parts:
            yield path


def test_real_files_look_as_through_the_filters(data_dir):
    compared = 0
    for path in real_files(data_dir / "clips"):
        try:
            images = [image for *_, image in itertools.islice(decode(path), 4)]
        except ValueError:
            continue  # test_odd_file says which and why
        # As in `test_odd_sizes`.
        site = ":in_chroma_loc=left" if path.name == "h264_10bits.mp4" else ""
        filters = [
            ("bwdif", "mode=send_frame:deint=interlaced"),
            ("scale", f"flags=bilinear{site}"),
        ]
        filters += TURNED.get(path.name, [])
        shown = [image for _, image in filtered(path, *filters, frames=6)]
        for image, wanted in zip(images, shown, strict=False):
            assert image.shape == wanted.shape, path
            np.testing.assert_array_equal(image, wanted, str(path))
        compared += len(images)
    assert compared > 200


def test_read_video_deinterlaces(data_dir):
    path = data_dir / "clips" / "odd_files" / "derived" / "interlaced_tff.mp4"
    first = next(read_video(path, smaller_side=240)).astype(int)
    ((_, woven), *_) = filtered(path, frames=1)
    # It kept the even rows, 240 px high as they are.
    np.testing.assert_array_equal(first.shape, woven.shape)
    assert np.abs(first[::2] - woven[::2]).mean() < 1.5
    assert np.abs(first[1::2] - woven[1::2]).mean() > 3
