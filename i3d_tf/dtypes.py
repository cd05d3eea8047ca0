"""Chooses the dtype of a computation: bfloat16 only where it is fast.

TensorFlow computes in bfloat16 on every processor. Without instructions for it
that takes many times as long as float32, and nothing says so.
"""

import functools

import tensorflow as tf

from i3d_tf import processor

AUTO = "auto"
BFLOAT16 = "mixed_bfloat16"
FLOAT32 = "float32"

# The first generation of NVIDIA GPUs with bfloat16 units, Ampere.
_BFLOAT16_GPU = (8, 0)


def fast_bfloat16() -> str | None:
    """Returns the name of the hardware that is fast at bfloat16, or None.

    It looks at what TensorFlow computes on by default: a TPU that is connected, else
    the GPUs, else the processor.
    """
    if tf.config.list_logical_devices("TPU"):
        return "TPU"
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return processor.bfloat16_units()
    major, minor = min(map(_capability, gpus))
    if (major, minor) < _BFLOAT16_GPU:
        return None
    return f"GPU of compute capability {major}.{minor}"


def choose(dtype: str) -> str:
    """Returns the dtype to compute in, and prints how "auto" was decided.

    Args:
      dtype: "auto" becomes "mixed_bfloat16" or "float32"; other values are returned
        as they are, with a warning if bfloat16 is slow here.
    """
    if dtype != AUTO:
        warn_if_slow(dtype, "pass auto or float32 instead")
        return dtype
    fast = fast_bfloat16()
    chosen = BFLOAT16 if fast else FLOAT32
    print_once(f"dtype: {chosen} ({fast or slow_bfloat16()})")
    return chosen


def warn_if_slow(dtype: str, remedy: str) -> None:
    """Prints one line if `dtype` is bfloat16 and this machine has no units for it.

    Args:
      dtype: a Keras dtype policy.
      remedy: advice for the user, which ends the line.
    """
    if dtype == BFLOAT16 and not fast_bfloat16():
        print_once(f"warning: dtype {dtype}: {slow_bfloat16()}; {remedy}")


def slow_bfloat16() -> str:
    """Returns why bfloat16 is slow on this machine, and how slow where it is known."""
    if tf.config.get_visible_devices("GPU"):
        return "bfloat16 is slow on a GPU below compute capability 8.0"
    return processor.slow_bfloat16()


@functools.cache
def print_once(line: str) -> None:
    """Prints a line unless this process has already printed it."""
    print(line, flush=True)


def _capability(gpu) -> tuple[int, int]:
    """Returns a GPU's CUDA compute capability, (0, 0) for other makers' GPUs."""
    details = tf.config.experimental.get_device_details(gpu)
    return details.get("compute_capability") or (0, 0)
