"""From stored volumes to the clips of a network."""

import tensorflow as tf
import tensorflow_datasets as tfds

from i3d_tf import clips
from i3d_tf.datasets.volumes.slices import ZERO
from i3d_tf.streams import CT


def read_volumes(builder, split):
    """The records of a split in a fixed order, their slices still encoded."""
    return builder.as_dataset(
        split=split, decoders={"ct": tfds.decode.SkipDecoding()}, shuffle_files=False
    )


def make_clip(encoded, view, *, num_frames, size):
    """What a View shows of a volume, decoding only its slices.

    Args:
      encoded: `[N]` PNGs of 16 bits, the feature `ct` of a record.
      view: `clips.View`, of `clips.random_view` or `clips.centre_view`.
      num_frames: slices T of the clip.
      size: side of the crop, px.

    Returns:
      `[num_frames, size, size, 1]` float32 in [-1, 1], the window of `streams.CT`.
    """
    sampled = clips.sample(encoded, view.start, num_frames)

    def decode(png):
        stored = tf.io.decode_png(png, channels=1, dtype=tf.uint16)
        return tf.image.crop_to_bounding_box(stored, view.top, view.left, size, size)

    stored = tf.map_fn(
        decode, sampled, fn_output_signature=tf.TensorSpec([size, size, 1], tf.uint16)
    )
    units = tf.cast(stored, tf.float32) - ZERO
    clip = clips.normalise_raw(units, CT)
    return tf.cond(view.mirrored, lambda: tf.reverse(clip, [2]), lambda: clip)
