"""Weights from elsewhere."""

from i3d_tf.weights.inflate import inflate, untouched_steps
from i3d_tf.weights.released import load_released

__all__ = ["inflate", "load_released", "untouched_steps"]
