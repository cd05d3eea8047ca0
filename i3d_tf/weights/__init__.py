"""Weights from elsewhere."""

from i3d_tf.weights.released import load_released

__all__ = ["load_released"]
