"""Whole videos as one clip, in memory that does not grow with them.

The network is convolutional in time: a step of its logits depends on some frames before
and after it and on no others. So it can run over overlapping parts of a video, of which
the steps are kept that their ends do not reach.
"""

import keras
import tensorflow as tf

from i3d_tf.fast import for_inference
from i3d_tf.fine_tuning import HEAD
from i3d_tf.weights import untouched_steps

# Frames whose logits are computed at a time. With what they need on both sides RGB of
# 224 px takes 2.2 GB beside its frames; 1600 frames at once take 4.4 GB.
CHUNK = 512
STEP = 8  # frames from one step of the logits to the next
_ENDPOINT = "Mixed_5c"


def _reached():
    """How many steps of Mixed_5c are reached by the begin or the end of a clip."""
    # How far depends on the length, as an odd one is padded otherwise.
    lengths = range(1000, 1000 + STEP)
    ranges = [(untouched_steps(_ENDPOINT, frames), frames) for frames in lengths]
    return max(max(r.start, -(-frames // STEP) - r.stop) for r, frames in ranges)


MARGIN = STEP * _reached()


def for_long_clips(model, chunk=CHUNK):
    """A function clips [B, T, H, W, C] -> logits [B, num_classes], for any T >= 9.

    It answers as `fast.for_inference(model)`, to float rounding, and holds the
    activations of `chunk` + 2 * `MARGIN` + 15 frames at most. To be called in a
    `tf.function`.

    Args:
      model: a network of `build_i3d`.
      chunk: frames, a multiple of 8.

    Raises ValueError for another chunk.
    """
    if chunk < STEP or chunk % STEP:
        raise ValueError(f"chunk is {chunk} frames; it must be a multiple of {STEP}")
    steps_of = for_inference(keras.Model(model.input, model.get_layer(HEAD).output))
    num_classes = model.output.shape[-1]

    def logits(clip, training=False):
        frames = tf.shape(clip)[1]
        # A step of the logits is the mean of two steps of Mixed_5c.
        count = -(-frames // STEP) - 1

        def add(first, parts):
            last = tf.minimum(first + chunk // STEP, count)
            begin = tf.maximum(STEP * first - MARGIN, 0)
            end = STEP * (last + 1) + MARGIN
            # Only if the frames left out are a multiple of 8 are all levels padded as
            # in the whole video, and their steps those of the whole.
            end = tf.minimum(end + (frames - end) % STEP, frames)
            steps = steps_of(clip[:, begin:end], training=training)[:, :, 0, 0]
            kept = steps[:, first - begin // STEP : last - begin // STEP]
            return last, parts.write(parts.size(), tf.transpose(kept, [1, 0, 2]))

        parts = tf.TensorArray(
            tf.float32,
            size=0,
            dynamic_size=True,
            infer_shape=False,
            element_shape=[None, None, num_classes],
        )
        _, parts = tf.while_loop(
            lambda first, _: first < count,
            add,
            (tf.constant(0), parts),
            # Side by side they would take the memory that is to be saved.
            parallel_iterations=1,
        )
        return tf.reduce_mean(parts.concat(), axis=0)

    return logits
