"""Ways to store a frame, and how TensorFlow decodes the crop of each."""

import io
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from i3d_tf import FLOW, RGB, clips

SIZE = 224  # of the crop, px
ACCURATE, FAST = "INTEGER_ACCURATE", "INTEGER_FAST"


class Encoding(NamedTuple):
    """A way to store a frame.

    Attributes:
      name: in the table.
      encode: frame `[H, W, C]` uint8 -> bytes.
      decode: (encoded `[T]`, view, height) -> `[T, SIZE, SIZE, C]` uint8.
    """

    name: str
    encode: object
    decode: object


def _cv2(suffix, *options):
    def encode(image):
        # OpenCV wants colours as BGR.
        bgr = image[..., ::-1] if image.ndim == 3 else image
        return cv2.imencode(suffix, bgr, options)[1].tobytes()

    return encode


def _jpeg(quality, *options, optimize=True):
    """Frame -> JPEG; `optimize` is the Huffman code of its own that an image has."""
    quality = (cv2.IMWRITE_JPEG_QUALITY, quality)
    return _cv2(".jpg", *quality, cv2.IMWRITE_JPEG_OPTIMIZE, int(optimize), *options)


def _stacked(encode):
    """u above v, one channel."""
    return lambda codes: encode(np.concatenate([codes[..., 0], codes[..., 1]]))


def _with_third(codes):
    """u, v and nothing: three channels, as formats without two want it."""
    return np.concatenate([codes, np.full_like(codes[..., :1], 128)], -1)


def _jpeg_of_channels(quality):
    """u and v as red and green of a JPEG that is not turned to luma and chroma."""

    def encode(codes):
        data = io.BytesIO()
        Image.fromarray(_with_third(codes)).save(
            *(data, "JPEG"),
            quality=quality,
            optimize=True,
            subsampling=0,
            keep_rgb=True,
        )
        return data.getvalue()

    return encode


def _as_stored(stream):
    """As `clips.decode` does it."""
    return lambda encoded, view, height: clips.decode(
        encoded, stream, view, height, SIZE
    )


def _by_frame(decode_frame, channels):
    """(bytes, view, height) -> `[SIZE, SIZE, channels]`, for all frames."""

    def decode(encoded, view, height):
        return tf.map_fn(
            lambda data: decode_frame(data, view, height),
            encoded,
            fn_output_signature=tf.TensorSpec([SIZE, SIZE, channels], tf.uint8),
            parallel_iterations=1,
        )

    return decode


def _window(data, top, left, channels, dct_method=ACCURATE, **options):
    return tf.image.decode_and_crop_jpeg(
        data,
        tf.stack([top, left, SIZE, SIZE]),
        channels=channels,
        dct_method=dct_method,
        **options,
    )


def _crop(image, top, left):
    return tf.ensure_shape(
        image[top : top + SIZE, left : left + SIZE], [SIZE, SIZE, image.shape[-1]]
    )


def _fast_rgb(data, view, height):
    return _window(data, view.top, view.left, 3, FAST)


def _plain_rgb(data, view, height):
    return _window(data, view.top, view.left, 3, fancy_upscaling=False)


def _two_windows(dct_method=ACCURATE):
    def decode(data, view, height):
        tops = view.top, height + view.top
        planes = [_window(data, top, view.left, 1, dct_method) for top in tops]
        return tf.concat(planes, -1)

    return decode


def _red_and_green(data, view, height):
    return _window(data, view.top, view.left, 3)[..., :2]


def _png(data, view, height):
    return _crop(tf.io.decode_png(data, 3), view.top, view.left)


def _webp(data, view, height):
    return _crop(tf.io.decode_webp(data, 3)[0], view.top, view.left)


def _planes(decode_image):
    def decode(data, view, height):
        image = decode_image(data)
        tops = view.top, height + view.top
        return tf.concat([_crop(image, top, view.left) for top in tops], -1)

    return decode


_444 = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
_WEBP_90 = cv2.IMWRITE_WEBP_QUALITY, 90
_LOSSLESS = cv2.IMWRITE_WEBP_QUALITY, 101

RGB_ENCODINGS = [
    Encoding("JPEG 75", _jpeg(75), _as_stored(RGB)),
    Encoding("JPEG 85", _jpeg(85), _as_stored(RGB)),
    Encoding("JPEG 90, usual Huffman code", _jpeg(90, optimize=False), _as_stored(RGB)),
    Encoding("**JPEG 90**", _jpeg(90), _as_stored(RGB)),
    Encoding("JPEG 90, INTEGER_FAST", _jpeg(90), _by_frame(_fast_rgb, 3)),
    Encoding("JPEG 90, plain upsampling", _jpeg(90), _by_frame(_plain_rgb, 3)),
    Encoding("JPEG 90, colours in full (4:4:4)", _jpeg(90, *_444), _as_stored(RGB)),
    Encoding("JPEG 95", _jpeg(95), _as_stored(RGB)),
    Encoding(
        "WebP 90", _cv2(".webp", cv2.IMWRITE_WEBP_QUALITY, 90), _by_frame(_webp, 3)
    ),
    Encoding("WebP, lossless", _cv2(".webp", *_LOSSLESS), _by_frame(_webp, 3)),
    Encoding("PNG", _cv2(".png"), _by_frame(_png, 3)),
]

FLOW_ENCODINGS = [
    *(
        Encoding(f"JPEG {quality}", _stacked(_jpeg(quality)), _as_stored(FLOW))
        for quality in (95, 98, 99)
    ),
    Encoding("**JPEG 100**", _stacked(_jpeg(100)), _as_stored(FLOW)),
    Encoding(
        "JPEG 100, usual Huffman code",
        _stacked(_jpeg(100, optimize=False)),
        _as_stored(FLOW),
    ),
    Encoding(
        "JPEG 100, a window each",
        _stacked(_jpeg(100)),
        _by_frame(_two_windows(), 2),
    ),
    Encoding(
        "JPEG 100, a window each, INTEGER_FAST",
        _stacked(_jpeg(100)),
        _by_frame(_two_windows(FAST), 2),
    ),
    Encoding(
        "JPEG 100, u and v as colours",
        _jpeg_of_channels(100),
        _by_frame(_red_and_green, 2),
    ),
    Encoding(
        "WebP, lossless",
        _stacked(_cv2(".webp", *_LOSSLESS)),
        _by_frame(_planes(lambda data: tf.io.decode_webp(data, 3)[0][..., :1]), 2),
    ),
    Encoding(
        "WebP, lossless, u and v as colours",
        lambda codes: _cv2(".webp", *_LOSSLESS)(_with_third(codes)),
        _by_frame(lambda *args: _webp(*args)[..., :2], 2),
    ),
    Encoding(
        "PNG",
        _stacked(_cv2(".png")),
        _by_frame(_planes(lambda data: tf.io.decode_png(data, 1)), 2),
    ),
]
