"""Two-Stream Inflated 3D ConvNets (Carreira & Zisserman, CVPR 2017)."""

import os
import platform

__version__ = "0.1.0"

# TensorFlow leaves oneDNN out on processors without AVX-512, where it makes this
# network 2 to 4 times as fast. Read when TensorFlow is imported, so before that.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from i3d_tf.streams import CT, FLOW, RGB, Stream  # noqa: E402

_BUILDERS = ("build_i3d", "build_inception_v1", "build_two_stream")
__all__ = ["CT", "FLOW", "RGB", "Stream", *_BUILDERS]


def __getattr__(name):
    # Keras takes a second to import, which predictions do without
    # (experiments/predict.py).
    if name in _BUILDERS:
        from i3d_tf import inception

        return getattr(inception, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
