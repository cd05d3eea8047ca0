"""From encoded frames to a network's clip: pure tensor functions.

sample (which frames) -> decode (only these, only the crop) -> mirror -> normalise.
Up to the last step a clip is `[T, H, W, C]` codes of a byte, a quarter of the memory
(depth has two).
A `View` is drawn once per example and applied to every stream, so that the streams
cannot differ. All functions run eagerly and inside `Dataset.map`.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class View(NamedTuple):
    """What of a video a clip shows; scalars, int32 but for the last.

    Attributes:
      start: index of the first frame.
      top, left: corner of the crop, px.
      mirrored: bool, left-right.
    """

    start: tf.Tensor
    top: tf.Tensor
    left: tf.Tensor
    mirrored: tf.Tensor


def example_seed(seed, epoch, example_id):
    """`[2]` int64, what is drawn for an example in an epoch starts from this."""
    # Philox by name: "auto" would give other numbers on another device.
    return tf.random.experimental.stateless_fold_in(
        tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)]),
        tf.strings.to_hash_bucket_fast(example_id, 2**31 - 1),
        alg="philox",
    )


def random_view(seed, epoch, example_id, shape, *, num_frames, size, mirror):
    """Draws the View of an example in an epoch, from these three alone.

    So it is the same for any number of workers, in any order, after a restart.

    Args:
      seed, epoch: int scalars.
      example_id: string scalar.
      shape: (frames, height, width) of the video, int32 scalars.
      num_frames: frames of the clip; a shorter video is looped as often as needed,
        and the clip begins anywhere in that (Carreira & Zisserman, section 2.5).
      size: side of the square crop, px.
      mirror: whether half of the views are mirrored.
    """
    frames, height, width = shape
    keys = tf.random.experimental.stateless_split(
        example_seed(seed, epoch, example_id), 4, alg="philox"
    )

    def draw(key, count):
        """One of 0 ... count - 1."""
        return tf.random.stateless_uniform(
            [], key, maxval=count, dtype=tf.int32, alg="philox"
        )

    loops = -(-num_frames // frames)
    return View(
        start=draw(keys[0], tf.maximum(loops, 1) * frames - num_frames + 1),
        top=draw(keys[1], height - size + 1),
        left=draw(keys[2], width - size + 1),
        mirrored=tf.logical_and(mirror, draw(keys[3], 2) == 1),
    )


def centre_view(shape, *, num_frames, size):
    """The View in the middle of time and space, never mirrored.

    A video shorter than `num_frames` is looped from its beginning.
    """
    frames, height, width = shape
    return View(
        start=tf.maximum(frames - num_frames, 0) // 2,
        top=(height - size) // 2,
        left=(width - size) // 2,
        mirrored=tf.constant(False),
    )


def sample(frames, start, num_frames):
    """`[N, ...]` -> `[num_frames, ...]`: frames from `start` on, looped.

    Of several starts `[clips, 1]`: `[clips, num_frames, ...]`.
    """
    indices = (start + tf.range(num_frames)) % tf.shape(frames)[0]
    return tf.gather(frames, indices)


def decode(encoded, stream, view, height, size):
    """Decodes the crop of encoded frames, and nothing beside it.

    Args:
      encoded: `[T]` JPEG strings (of codes of 16 bits PNG), each a picture of the
        stream's planes above each other, `[planes * height, W, channels / planes]`.
      height: of the frames in px, without the stacking.

    Returns:
      `[T, size, size, C]` of the stream's code_dtype.
    """
    # One window, from the top of the first plane's crop to the end of the last one's:
    # a window for each would decode again what lies above it.
    rows = (stream.planes - 1) * height + size
    channels = stream.channels // stream.planes

    def decode_window(jpeg):
        return tf.image.decode_and_crop_jpeg(
            jpeg,
            tf.stack([view.top, view.left, rows, size]),
            channels=channels,
            # The fast method is up to 13 codes off.
            dct_method="INTEGER_ACCURATE",
        )

    def decode_window_of_png(png):
        whole = tf.io.decode_png(png, channels, stream.code_dtype)
        return whole[view.top : view.top + rows, view.left : view.left + size]

    is_jpeg = stream.code_dtype == "uint8"
    windows = tf.map_fn(
        decode_window if is_jpeg else decode_window_of_png,
        encoded,
        fn_output_signature=tf.TensorSpec([None, size, channels], stream.code_dtype),
        # There is a clip for every core already.
        parallel_iterations=1,
    )
    tops = [plane * height for plane in range(stream.planes)]
    codes = _interleave([windows[:, top : top + size] for top in tops], size)
    return tf.ensure_shape(codes, [None, size, size, stream.channels])


def _interleave(planes, size):
    """Planes `[T, size, size, C / planes]` -> `[T, size, size, C]`, uint8."""
    if len(planes) != 2 or planes[0].shape[-1] != 1:
        return planes[0] if len(planes) == 1 else tf.concat(planes, -1)
    # A pixel is a number of 16 bits, the first plane's byte the lower: arithmetic takes
    # a tenth of the time that `tf.concat` takes to place single bytes.
    pixels = [tf.cast(plane, tf.uint16) for plane in planes]
    if size % 2 == 0:
        # Two pixels at once, as TensorFlow has vector instructions for 32 bits.
        pixels = [tf.bitcast(tf.reshape(p, [-1, 2]), tf.int32) for p in pixels]
    first, second = pixels
    codes = tf.bitcast(first + 256 * second, tf.uint8)
    return tf.reshape(codes, [-1, size, size, 2])


def mirror(codes, stream, mirrored):
    """`[T, H, W, C]` codes, left-right reversed if `mirrored`, signs as they turn.

    A code c whose sign turns becomes 2 * zero - c, both cut to what means [-1, 1].
    """

    def reversed_codes():
        turned = _reverse_columns(codes)
        if min(stream.mirror_signs) > 0:
            return turned
        # 2 * zero - c is 255 - c and some more; 255 - c is c with its bits inverted.
        negated = np.array([sign < 0 for sign in stream.mirror_signs])
        inverted = np.where(negated, 255, 0).astype(np.uint8)
        more = np.where(negated, 2 * stream.zero - 255, 0).astype(np.uint8)
        pixels = tf.reshape(_cut(turned, stream), [-1, len(negated)])
        if codes.shape[2] % 2 == 0 and len(negated) == 2:
            # No byte overflows, so two pixels can be one number.
            pixels = tf.bitcast(tf.reshape(pixels, [-1, 4]), tf.int32)
            inverted, more = (np.tile(x, 2).view(np.int32) for x in (inverted, more))
        pixels = tf.bitwise.bitwise_xor(pixels, inverted) + more
        return tf.reshape(tf.bitcast(pixels, tf.uint8), tf.shape(codes))

    return tf.cond(mirrored, reversed_codes, lambda: codes)


def _reverse_columns(codes):
    """`[T, H, W, C]`, left-right reversed."""
    _, _, width, channels = codes.shape
    if codes.dtype != tf.uint8:
        return tf.reverse(codes, [2])
    if channels == 2:
        # A pixel as one number, which takes an eighth of the time.
        pixels = tf.reshape(tf.bitcast(codes, tf.uint16), [-1, width])
    else:
        # TensorFlow is faster with three dimensions than with four.
        pixels = tf.reshape(codes, [-1, width, channels])
    turned = tf.reverse(pixels, [1])
    return tf.reshape(tf.bitcast(turned, tf.uint8), tf.shape(codes))


def _cut(codes, stream):
    """Codes beyond those of [-1, 1], which JPEG may give, become the outermost."""
    lowest = math.ceil(stream.zero - stream.scale)
    highest = math.floor(stream.zero + stream.scale)
    if lowest > 0:
        codes = tf.maximum(codes, lowest)
    largest = np.iinfo(stream.code_dtype).max
    return tf.minimum(codes, highest) if highest < largest else codes


def normalise(codes, stream):
    """`[..., C]` codes -> float32 in [-1, 1]."""
    # Bytes are cut as bytes: a pass over floats takes four times as long.
    return (tf.cast(_cut(codes, stream), tf.float32) - stream.zero) / stream.scale


def normalise_raw(values, stream):
    """`[..., C]` as users hold it (RGB bytes, flow in px) -> float32 in [-1, 1]."""
    values = (tf.cast(values, tf.float32) - stream.raw_zero) / stream.raw_scale
    return tf.clip_by_value(values, -1.0, 1.0)


def make_codes(encoded, stream, view, *, height, size):
    """Sampled, encoded frames `[T]` -> the clip `[T, size, size, C]` of codes."""
    codes = decode(encoded, stream, view, height, size)
    return mirror(codes, stream, view.mirrored)
