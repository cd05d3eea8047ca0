"""The 8-bit code of optical flow: 128 is zero, 127 steps are 20 px.

The bound of 20 px is that of the released I3D models, whose input is flow / 20
in [-1, 1]. The code is symmetric around an exact zero (`40 * code / 255 - 20`,
common elsewhere, has no code for zero, so still pixels would seem to move).
"""

import numpy as np

BOUND = 20.0  # px per frame; more is cut
ZERO = 128
STEPS = 127
# Stored beside every flow video, so that no reader has to guess.
FORMULA = "128 + round(v * 127 / 20)"


def encode(flow):
    """Flow `[..., 2]` float in px -> codes uint8 in 1..255, cut at +-20 px.

    Raises ValueError where flow is not finite.
    """
    if not np.isfinite(flow).all():
        raise ValueError("flow has values that are not finite")
    steps = np.rint(np.asarray(flow, np.float32) * np.float32(STEPS / BOUND))
    return (ZERO + np.clip(steps, -STEPS, STEPS)).astype(np.uint8)


def decode(codes):
    """Codes uint8 -> flow float32 in px, at most half a step (0.079 px) off."""
    steps = codes.astype(np.float32) - ZERO
    return np.maximum(steps, -STEPS) * np.float32(BOUND / STEPS)
