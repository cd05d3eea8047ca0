"""Optical flow as colours: the hue is the direction, the saturation the speed.

The colour wheel of Baker et al., "A Database and Evaluation Methodology for
Optical Flow" (IJCV 2011), which most papers on flow use for their figures.
"""

import numpy as np

# Hues from one pure colour to the next, 55 in all: more of them where the eye
# tells them apart better (red to yellow), fewer where it does not (green to cyan).
RY, YG, GC, CB, BM, MR = 15, 6, 4, 11, 13, 6
CORNERS = np.cumsum([0, RY, YG, GC, CB, BM, MR])
# Red, yellow, green, cyan, blue, magenta and red again: the wheel is closed, so
# motion to the right, where it begins and ends, has no jump of the hue.
CORNER_COLORS = np.array(
    [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]],
    np.float32,
)
# Speeds up to this percentile of all pixels are within the wheel: at the borders of a
# frame TV-L1 is wild, and as a scale would leave the motion pale.
PERCENTILE = 99.9
# What is faster than the rim of the wheel is darkened, to be told from the rim.
BEYOND = 0.75


def max_magnitude(flow, percentile=100):
    """Returns the largest speed in flow `[..., H, W, 2]`, at least 1, float in px.

    Without that least value the noise of a still clip would fill the wheel. A
    percentile below 100 keeps a few wild pixels from fading all the others.

    Raises ValueError as `flow_to_color` does.
    """
    flow = _checked(flow)
    speed = np.hypot(flow[..., 0], flow[..., 1])
    return max(1.0, float(np.percentile(speed, percentile)))


def flow_to_color(flow, max_flow=None):
    """Colours flow `[..., H, W, 2]` float in px: `[..., H, W, 3]` uint8, RGB.

    No motion is white, motion to the right red, down yellow, to the left cyan to
    blue, up violet. Give several clips the same `max_flow` to compare them.

    Args:
      flow: (u, v) of each pixel in px: u to the right, v down.
      max_flow: speed in px at which a colour is saturated; faster pixels are
        darker. By default the largest of this flow, at least 1 px.

    Raises:
      ValueError: flow has another shape, is empty, not float (as the 8-bit codes
        of `flow.code`) or not finite, or max_flow is not a positive number.
    """
    flow = _checked(flow)
    if max_flow is None:
        max_flow = max_magnitude(flow)
    if not (np.isfinite(max_flow) and max_flow > 0):
        raise ValueError(f"max_flow is {max_flow}; expected a positive number of px")
    u, v = flow[..., 0], flow[..., 1]
    turn = np.arctan2(v, u) / (2 * np.pi) % 1.0
    hue = np.stack(
        [np.interp(turn * CORNERS[-1], CORNERS, c) for c in CORNER_COLORS.T], axis=-1
    )
    speed = (np.hypot(u, v) / np.float32(max_flow))[..., None]
    color = np.where(speed <= 1, 1 - speed * (1 - hue), BEYOND * hue)
    return np.rint(255 * color).astype(np.uint8)


def color_wheel(size):
    """Returns the legend `[size, size, 3]` uint8, RGB: the colour of each motion.

    A pixel has the colour of the motion from the centre to it; the rim is
    `max_flow`, and outside of it is white.

    Raises ValueError where size is not an integer of at least 2 px.
    """
    if size != int(size) or size < 2:
        raise ValueError(f"size is {size}; expected an integer of at least 2 px")
    # Pixel centres, symmetric around 0, the outermost ones half a pixel inside.
    ramp = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    motion = np.stack(np.meshgrid(ramp, ramp), axis=-1)
    motion[np.hypot(motion[..., 0], motion[..., 1]) > 1] = 0
    return flow_to_color(motion, max_flow=1)


def _checked(flow):
    flow = np.asarray(flow)
    if flow.ndim < 3 or flow.shape[-1] != 2 or not flow.size:
        raise ValueError(f"flow has shape {flow.shape}; expected [..., H, W, 2]")
    if not np.issubdtype(flow.dtype, np.floating):
        raise ValueError(
            f"flow has dtype {flow.dtype}; expected float px (flow.code.decode makes "
            "them of 8-bit codes)"
        )
    if not np.isfinite(flow).all():
        raise ValueError("flow has values that are not finite")
    return flow.astype(np.float32, copy=False)
