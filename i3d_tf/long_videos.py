"""Whole videos as one clip, in memory that does not grow with them.

The network is convolutional in time: a step of an endpoint depends on some frames
before and after it and on no others. So it can run over overlapping parts of a video,
of which the steps are kept that their ends do not reach.
"""

import functools
from typing import NamedTuple

import keras
import tensorflow as tf

from i3d_tf.fast import for_inference
from i3d_tf.fine_tuning import ENDPOINTS, HEAD
from i3d_tf.trunk import AVERAGE_POOL, INCEPTION_V1, MIXED
from i3d_tf.weights import untouched_steps

# Frames whose steps are computed at a time. With what they need on both sides RGB of
# 224 px takes 2.2 GB beside its frames; 1600 frames at once take 4.4 GB.
CHUNK = 512
STRIDE = 8  # frames from one step of the last endpoint to the next


class Steps(NamedTuple):
    """Where in time the steps of an endpoint lie; made by `steps_of`.

    Attributes:
      stride: frames from one step to the next.
      joined: steps of the trunk that each is the mean of, 1, or 2 behind the last pool.
      margin: frames on both sides that must be there too, a multiple of 8.
    """

    stride: int
    joined: int
    margin: int

    def count(self, frames):
        """Steps of a clip of so many frames, int or tensor."""
        return -(-frames // self.stride) - self.joined + 1

    def part(self, first, frames, chunk=CHUNK):
        """The part of a clip that is to be run for `chunk` frames' steps.

        Args:
          first: the step to begin with, a multiple of chunk / stride.
          frames: of the clip.
          chunk: a multiple of 8.

        Returns:
          (last, begin, end): the steps first ... last - 1 are, of those of the frames
          begin ... end - 1, the ones from first - begin / stride on.
        """
        last = tf.minimum(first + chunk // self.stride, self.count(frames))
        begin = tf.maximum(self.stride * first - self.margin, 0)
        end = self.stride * (last + self.joined - 1) + self.margin
        # Only if the frames left out are a multiple of 8 are all levels padded as in
        # the whole clip, and their steps those of the whole.
        return last, begin, tf.minimum(end + (frames - end) % STRIDE, frames)


@functools.cache
def steps_of(endpoint):
    """The `Steps` of an endpoint: a layer of the trunk, or one of the two behind it.

    Raises ValueError for another name.
    """
    # Layers of a module are named after it, and none sees more than all of it.
    unit, joined = endpoint.split("-")[0], 1
    if endpoint in (AVERAGE_POOL, HEAD):
        unit, joined = ENDPOINTS[-1], 2
    if unit not in ENDPOINTS:
        raise ValueError(
            f"no endpoint {endpoint!r}; there are {', '.join(ENDPOINTS)}, "
            f"{AVERAGE_POOL} and {HEAD}"
        )
    stride = 1
    for kind, name, *row in INCEPTION_V1:
        stride *= 1 if kind == MIXED else row[1][0]
        if name == unit:
            break
    # How far the ends of a clip reach depends on its length, as an odd one is padded
    # otherwise.
    lengths = range(1000, 1000 + STRIDE)
    ranges = [(untouched_steps(unit, frames), frames) for frames in lengths]
    reached = max(max(r.start, -(-frames // stride) - r.stop) for r, frames in ranges)
    return Steps(stride, joined, STRIDE * -(-stride * reached // STRIDE))


def for_long_clips(model, chunk=CHUNK):
    """A function clips [B, T, H, W, C] -> logits [B, num_classes], for any T >= 9.

    It answers as `fast.for_inference(model)`, to float rounding, and holds the
    activations of `chunk` + 2 * margin + 15 frames at most (`steps_of`). To be called
    in a `tf.function`.

    Args:
      model: a network of `build_i3d`.
      chunk: frames, a multiple of 8.

    Raises ValueError for another chunk.
    """
    check_chunk(chunk)
    network = for_inference(keras.Model(model.input, model.get_layer(HEAD).output))
    steps, num_classes = steps_of(HEAD), model.output.shape[-1]

    def logits(clip, training=False):
        frames = tf.shape(clip)[1]

        def add(first, parts):
            last, begin, end = steps.part(first, frames, chunk)
            values = network(clip[:, begin:end], training=training)[:, :, 0, 0]
            skipped = begin // steps.stride
            kept = values[:, first - skipped : last - skipped]
            return last, parts.write(parts.size(), tf.transpose(kept, [1, 0, 2]))

        parts = tf.TensorArray(
            tf.float32,
            size=0,
            dynamic_size=True,
            infer_shape=False,
            element_shape=[None, None, num_classes],
        )
        _, parts = tf.while_loop(
            lambda first, _: first < steps.count(frames),
            add,
            (tf.constant(0), parts),
            # Side by side they would take the memory that is to be saved.
            parallel_iterations=1,
        )
        return tf.reduce_mean(parts.concat(), axis=0)

    return logits


def check_chunk(chunk):
    """Raises ValueError if it is no multiple of 8 frames."""
    if chunk < STRIDE or chunk % STRIDE:
        raise ValueError(f"chunk is {chunk} frames; it must be a multiple of {STRIDE}")
