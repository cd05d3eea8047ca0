"""Raw frames -> what the networks see, in a graph: resize, crop and optical flow.

What `prediction.Predictor` does with PyAV, OpenCV and the fast engine of TV-L1.
"""

import tensorflow as tf

from flow import code
from flow.tvl1_graph import video_flow_graph


def prepare(frames, data, *, with_flow):
    """The middle clip of videos, as signatures take clips.

    The first frame is left out, as it has no flow. Of the rest the middle
    `data.num_frames` are taken, of a shorter video all, looped. Flow is computed of the
    central square, because TV-L1's graph wants a size that is known, and not of the
    whole frame: around a crop of 224 px it sees 16 more of 256 on each side.

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
    square, (top, left) = _central_square(frames[:, start : start + taken + 1], data)
    indices = tf.range(data.num_frames) % taken

    def cropped(clip):
        looped = tf.gather(clip, indices, axis=1)
        crop = looped[:, :, top : top + data.size, left : left + data.size]
        channels = clip.shape[-1]
        return tf.ensure_shape(crop, [None, None, data.size, data.size, channels])

    prepared = {"rgb": cropped(square[:, 1:])}
    if with_flow:
        flow = video_flow_graph(square, one_by_one=True)
        # Through the code and back: the networks were trained on what 8 bits hold.
        steps = tf.round(flow * (code.STEPS / code.BOUND))
        steps = tf.clip_by_value(steps, -code.STEPS, code.STEPS)
        prepared["flow"] = cropped(steps * (code.BOUND / code.STEPS))
    return prepared


def _central_square(frames, data):
    """Frames with a smaller side of `smaller_side` px, of which the middle is left.

    Returns (uint8 `[B, T, side, side, 3]`, (top, left) of the frame's centre crop).
    """
    shape, side = tf.shape(frames), data.smaller_side
    sides = tf.cast(shape[2:4], tf.float64)
    scaled = tf.cast(tf.round(sides * side / tf.reduce_min(sides)), tf.int32)
    flat = tf.reshape(frames, tf.concat([[-1], shape[2:]], 0))
    # As OpenCV does: bilinear, and without a filter for what becomes smaller.
    resized = tf.cast(tf.round(tf.image.resize(flat, scaled)), tf.uint8)
    corner = (scaled - side) // 2
    square = resized[:, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    square = tf.reshape(square, [shape[0], shape[1], side, side, 3])
    # Not (side - size) // 2: both halves may have been rounded.
    inside = (scaled - data.size) // 2 - corner
    return square, tf.unstack(inside)


def decode_frames(encoded):
    """A video as bytes -> `[1, T, H, W, 3]` uint8.

    Args:
      encoded: `[N]` strings: JPEGs of one size, a frame each, or one GIF.
    """
    gif = tf.strings.substr(encoded[0], 0, 4) == b"GIF8"

    def of_gif():
        tf.debugging.assert_equal(
            tf.shape(encoded)[0], 1, "encoded: of a GIF one string is expected"
        )
        return tf.io.decode_gif(encoded[0])

    def of_jpegs():
        return tf.map_fn(
            lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3),
            encoded,
            fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
        )

    return tf.cond(gif, of_gif, of_jpegs)[None]
