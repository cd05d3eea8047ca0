"""From encoded frames to a network's clip: pure tensor functions.

sample (which frames) -> decode (only these, only the crop) -> normalise -> mirror.
A `View` is drawn once per example and applied to every stream, so that the streams
cannot differ. All functions run eagerly and inside `Dataset.map`.
"""

from typing import NamedTuple

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
    number = tf.strings.to_hash_bucket_fast(example_id, 2**31 - 1)
    # Philox by name: "auto" would give other numbers on another device.
    keys = tf.random.experimental.stateless_split(
        tf.random.experimental.stateless_fold_in(
            tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)]),
            number,
            alg="philox",
        ),
        4,
        alg="philox",
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
    """`[N, ...]` -> `[num_frames, ...]`: frames from `start` on, looped."""
    indices = (start + tf.range(num_frames)) % tf.shape(frames)[0]
    return tf.gather(frames, indices)


def decode(encoded, stream, view, height, size):
    """Decodes the crop of encoded frames, and nothing beside it.

    Args:
      encoded: `[T]` JPEG strings, each a picture of the stream's planes above each
        other, `[planes * height, W, channels / planes]`.
      height: of the frames in px, without the stacking.

    Returns:
      `[T, size, size, C]` uint8.
    """

    def decode_frame(jpeg):
        planes = [
            tf.image.decode_and_crop_jpeg(
                jpeg,
                tf.stack([plane * height + view.top, view.left, size, size]),
                channels=stream.channels // stream.planes,
                # The fast method is up to 3 codes off.
                dct_method="INTEGER_ACCURATE",
            )
            for plane in range(stream.planes)
        ]
        return tf.concat(planes, axis=-1)

    return tf.map_fn(
        decode_frame,
        encoded,
        fn_output_signature=tf.TensorSpec([size, size, stream.channels], tf.uint8),
    )


def normalise(codes, stream):
    """`[..., C]` uint8 -> float32 in [-1, 1]."""
    return _scaled(codes, stream.zero, stream.scale)


def normalise_raw(values, stream):
    """`[..., C]` as users hold it (RGB bytes, flow in px) -> float32 in [-1, 1]."""
    return _scaled(values, stream.raw_zero, stream.raw_scale)


def _scaled(values, zero, scale):
    values = (tf.cast(values, tf.float32) - zero) / scale
    return tf.clip_by_value(values, -1.0, 1.0)


def mirror(clip, stream, mirrored):
    """`[T, H, W, C]` float, left-right reversed if `mirrored`, signs as they turn."""
    signs = tf.constant(stream.mirror_signs, clip.dtype)
    return tf.cond(mirrored, lambda: tf.reverse(clip, [2]) * signs, lambda: clip)


def make_clip(encoded, stream, view, *, height, num_frames, size):
    """Encoded frames `[N]` of a video -> `[num_frames, size, size, C]` in [-1, 1]."""
    sampled = sample(encoded, view.start, num_frames)
    codes = decode(sampled, stream, view, height, size)
    return mirror(normalise(codes, stream), stream, view.mirrored)
