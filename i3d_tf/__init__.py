"""Two-Stream Inflated 3D ConvNets (Carreira & Zisserman, CVPR 2017)."""

from i3d_tf.inception import build_i3d, build_two_stream
from i3d_tf.streams import FLOW, RGB, Stream

__all__ = ["FLOW", "RGB", "Stream", "build_i3d", "build_two_stream"]
