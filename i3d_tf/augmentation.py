"""Training clips under other light: contrast, brightness and colours of a camera.

Drawn once for a clip, so that its frames keep their light, from (seed, epoch, example
id) as a View is. Pure tensor functions of uint8 codes; off unless a recipe asks.
"""

from typing import NamedTuple

import tensorflow as tf

from i3d_tf.clips import example_seed

# Folded into the example's seed: other numbers than its View is drawn from.
_LIGHT = 1


class Light(NamedTuple):
    """What becomes of a value x in [-1, 1]: x * gain + offset, cut to [-1, 1].

    Attributes:
      gain, offset: [C] float32, one for each channel.
    """

    gain: tf.Tensor
    offset: tf.Tensor


def random_light(seed, epoch, example_id, *, channels, strength):
    """Draws the Light of an example in an epoch, from these three alone.

    With s for the strength, offset is uniform in [-s, s] and the logarithm of gain too;
    each channel deviates by as much as s / 2 more, which is what turns colours.

    Args:
      seed, epoch: int scalars.
      example_id: string scalar.
      channels: C of the clip.
      strength: s; 0 changes nothing.
    """
    key = tf.random.experimental.stateless_fold_in(
        example_seed(seed, epoch, example_id), _LIGHT, alg="philox"
    )
    drawn = tf.random.stateless_uniform(
        [2, 1 + channels], key, -strength, strength, alg="philox"
    )
    log_gain, offset = tf.unstack(drawn[:, :1] + drawn[:, 1:] / 2)
    return Light(tf.exp(log_gain), offset)


def relight(codes, stream, light):
    """`[T, H, W, C]` uint8 codes of a stream, under a `Light`."""
    # zero + ((code - zero) / scale * gain + offset) * scale, and the cast rounds down.
    shift = stream.zero * (1 - light.gain) + light.offset * stream.scale + 0.5
    lit = tf.cast(codes, tf.float32) * light.gain + shift
    return tf.cast(tf.clip_by_value(lit, 0.0, 255.0), tf.uint8)
