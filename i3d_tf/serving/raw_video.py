"""Raw frames -> what the networks see, in a graph: resize, crop and optical flow.

What `prediction.Predictor` does with PyAV, OpenCV and the fast engine of TV-L1.
"""

import tensorflow as tf

from flow import code
from flow.tvl1_graph import video_flow_graph

WIDEST = 3  # times the smaller side; of wider frames flow is computed of the middle


def prepare(frames, data, *, with_flow):
    """The middle clip of videos, as signatures take clips.

    The first frame is left out, as it has no flow. Of the rest the middle
    `data.num_frames` are taken, of a shorter video all, looped. Flow is that of the
    whole frames, as offline, of which the crop is cut.

    Args:
      frames: `[B, T, H, W, 3]` uint8 RGB at 25 fps; T >= 2, all of any size.
      data: `config.Data`.

    Returns:
      {"rgb": `[B, num_frames, size, size, 3]` uint8, "flow": the same with 2 channels,
      float32 px, if wanted}.
    """
    pairs = tf.shape(frames)[1] - 1
    taken = tf.minimum(pairs, data.num_frames)
    start = (pairs - taken) // 2
    lying, is_tall = _lying(frames[:, start : start + taken + 1], data.smaller_side)
    indices = tf.range(data.num_frames) % taken
    top = (data.smaller_side - data.size) // 2
    left = (tf.shape(lying)[3] - data.size) // 2

    def cropped(clip, turned):
        crop = clip[:, :, top : top + data.size, left : left + data.size]
        crop = tf.cond(is_tall, lambda: turned(_transposed(crop)), lambda: crop)
        looped = tf.gather(crop, indices, axis=1)
        channels = clip.shape[-1]
        return tf.ensure_shape(looped, [None, None, data.size, data.size, channels])

    prepared = {"rgb": cropped(lying[:, 1:], tf.identity)}
    if with_flow:
        flow = video_flow_graph(lying, one_by_one=True)
        # Through the code and back: the networks were trained on what 8 bits hold.
        steps = tf.round(flow * (code.STEPS / code.BOUND))
        steps = tf.clip_by_value(steps, -code.STEPS, code.STEPS)
        # What is right in a frame lies below in its transpose.
        prepared["flow"] = cropped(
            steps * (code.BOUND / code.STEPS), lambda crop: tf.reverse(crop, [-1])
        )
    return prepared


def _lying(frames, side):
    """Frames of a height of `side` px, of which the graph of TV-L1 wants to know.

    Returns (uint8 `[B, T, side, W >= side, 3]`, whether they are transposed, as those
    that are higher than wide are).
    """
    shape = tf.shape(frames)
    sides = tf.cast(shape[2:4], tf.float64)
    scaled = tf.cast(tf.round(sides * side / tf.reduce_min(sides)), tf.int32)
    flat = tf.reshape(frames, tf.concat([[-1], shape[2:]], 0))
    # As OpenCV does: bilinear, and without a filter for what becomes smaller.
    resized = tf.cast(tf.round(tf.image.resize(flat, scaled)), tf.uint8)
    resized = tf.reshape(resized, tf.concat([shape[:2], scaled, [3]], 0))
    is_tall = scaled[0] > scaled[1]
    lying = tf.cond(is_tall, lambda: _transposed(resized), lambda: resized)
    width = tf.shape(lying)[3]
    # By an even number of px, so that the middle stays where it is.
    cut = tf.maximum(width - WIDEST * side, 0) // 2
    return tf.ensure_shape(
        lying[:, :, :, cut : width - cut], [None, None, side, None, 3]
    ), is_tall


def _transposed(clip):
    """`[B, T, H, W, C]` -> `[B, T, W, H, C]`."""
    return tf.transpose(clip, [0, 1, 3, 2, 4])


def decode_frames(encoded):
    """A video as bytes -> `[1, T, H, W, 3]` uint8.

    Args:
      encoded: `[N]` strings: JPEGs of one size, a frame each, or one GIF.
    """
    gif = tf.strings.substr(encoded[0], 0, 4) == b"GIF8"

    def of_gif():
        check = tf.debugging.assert_equal(
            tf.shape(encoded)[0], 1, "encoded: of a GIF one string is expected"
        )
        # A graph does not order the check and the decoder, which fails on bad bytes.
        with tf.control_dependencies([check]):
            return tf.io.decode_gif(encoded[0])

    def of_jpegs():
        return tf.map_fn(
            lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3),
            encoded,
            fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
        )

    return tf.cond(gif, of_gif, of_jpegs)[None]
