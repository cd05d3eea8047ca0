"""RGB-D pictures: PNG files in, the encoded squares of a record out."""

import functools
import struct

import cv2
import numpy as np

from flow.video import MAX_DECODED

RGB_QUALITY = 95
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(path, dtype, channels):
    """A PNG as `[H, W]` for one channel, else `[H, W, channels]` in RGB's order.

    Raises ValueError if it is no PNG, is damaged, too large, or of another kind.
    """
    data = path.read_bytes()
    if data[:8] != _SIGNATURE or len(data) < 24:
        raise ValueError(f"{path}: is no PNG")
    # As the file claims, before memory follows it.
    width, height = struct.unpack(">II", data[16:24])
    if not 0 < width * height <= MAX_DECODED:
        raise ValueError(
            f"{path}: is {width}x{height} px; at most {MAX_DECODED} px are possible"
        )
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError(f"{path}: is a damaged PNG")
    found = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype != dtype or found != channels:
        raise ValueError(
            f"{path}: has {found} channels of {image.dtype}; needed are {channels} of "
            f"{np.dtype(dtype)}"
        )
    return image[..., ::-1] if channels == 3 else image


def make_example(rgb, depth, joints, side):
    """What a record holds of a picture.

    The square in the middle of both pictures, resized to `side` px (small ones are
    enlarged).

    Args:
      rgb: `[H, W, 3]` uint8.
      depth: `[H, W]` uint16 in mm, 0 where it is unknown.
      joints: `[J, 3]` in m.
      side: px.

    Raises ValueError if the pictures differ in size, or a joint is not finite.
    """
    if rgb.shape[:2] != depth.shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (rgb, depth)]
        raise ValueError(
            f"rgb has {sizes[0]} px and depth {sizes[1]} px; needed is one size"
        )
    if not np.isfinite(joints).all():
        raise ValueError("its joints are not all finite; needed are metres")
    # Means of depths over an edge would be depths where nothing is. EXACT takes the
    # pixels' middles, so that a mirrored picture is resized as the picture is.
    depth = _square(depth, side, cv2.INTER_NEAREST_EXACT)
    rgb = _square(rgb, side, cv2.INTER_AREA)
    return {
        "rgb": [_jpeg(rgb)],
        "depth": [cv2.imencode(".png", depth)[1].tobytes()],
        "height": side,
        "width": side,
        "joints": np.float32(joints),
    }


def _square(image, side, interpolation):
    shorter = min(image.shape[:2])
    top, left = ((length - shorter) // 2 for length in image.shape[:2])
    middle = image[top : top + shorter, left : left + shorter]
    return cv2.resize(middle, (side, side), interpolation=interpolation)


def _jpeg(rgb):
    options = (
        *(cv2.IMWRITE_JPEG_QUALITY, RGB_QUALITY),
        # Of pictures this small, half of the colours' pixels would be missed.
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    )
    return cv2.imencode(".jpg", rgb[..., ::-1], options)[1].tobytes()


def kept(read):
    """`read(path)`, whose last two answers are kept for as long as the files stay.

    A file of annotations is for all pictures of a split, and these are read one by one.
    """
    cached = functools.lru_cache(maxsize=2)(lambda path, changed: read(path))

    @functools.wraps(read)
    def read_or_kept(path):
        if not path.is_file():
            raise ValueError(f"{path}: is missing, the places of the joints")
        return cached(path, path.stat().st_mtime_ns)

    return read_or_kept
