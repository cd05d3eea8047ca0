"""Published weights: their catalogue, their download, and their way into networks."""

import importlib

_MODULES = {
    "inflate": "i3d_tf.weights.inflation",
    "load_released": "i3d_tf.weights.released",
    "untouched_steps": "i3d_tf.weights.inflation",
}
__all__ = list(_MODULES)


def __getattr__(name):
    # The catalogue does without TensorFlow and Keras, which take seconds to import.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
