"""Two-Stream Inflated 3D ConvNets (Carreira & Zisserman, CVPR 2017)."""

import os
import platform
import sys

from i3d_tf import processor
from i3d_tf.streams import CT, FLOW, RGB, Stream

__version__ = "0.1.0"

_BUILDERS = ("build_i3d", "build_inception_v1", "build_two_stream")
__all__ = ["CT", "FLOW", "RGB", "Stream", *_BUILDERS]


def __getattr__(name):
    # Keras takes a second to import, which predictions do without
    # (experiments/predict.py).
    if name in _BUILDERS:
        from i3d_tf import inception

        return getattr(inception, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _turn_onednn_on():
    """Has TensorFlow use oneDNN, or says that it is too late for it.

    TensorFlow reads the variable while it is imported. Unless told otherwise it leaves
    oneDNN out on processors without AVX-512, where it makes this network 2 to 4 times
    as fast.
    """
    variable = processor.ONEDNN_VARIABLE
    if platform.machine() not in ("x86_64", "AMD64") or variable in os.environ:
        return
    os.environ[variable] = "1"
    if "tensorflow" in sys.modules and not processor.uses_onednn():
        print(
            "i3d_tf: TensorFlow was imported first and runs without oneDNN, so that "
            f"this network takes 2 to 4 times as long; set {variable}=1 before the "
            "program starts, or import i3d_tf before tensorflow and keras",
            file=sys.stderr,
        )


_turn_onednn_on()
