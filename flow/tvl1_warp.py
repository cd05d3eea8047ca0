"""A frame and its gradient at moved positions, by cubic convolution (Keys 1981)."""

import numpy as np

from flow.lanes import (
    COUNT,
    floor,
    load,
    maximum,
    minimum,
    spread,
    store,
    totals_of_3,
)
from flow.tvl1_planes import IX, IY, RHO, U1, U2, compiled, scratch_row

# Outside the frame all is zero. A position up to 3 px outside still sees pixels, one
# beyond is moved to where all it sees is zero.
BORDER = 4
# Frame, gradient in x, in y, and nothing: the four taps of a row in 16 lanes.
CHANNELS = 4

# OpenCV's cubic kernel. Tap k, at k - 1 px, has the weight
# ((c0[k] t + c1[k]) t + c2[k]) t + c3[k] at a fraction t of a px.
_A = -0.75
TAPS = np.array(
    [
        [_A, _A + 2, -_A - 2, -_A],
        [-2 * _A, -_A - 3, 2 * _A + 3, _A],
        [_A, 0, -_A, 0],
        [0, 1, 0, 0],
    ],
    np.float32,
)
_IN_LANES = np.repeat(TAPS, CHANNELS, axis=1).ravel()
_RAMP = np.arange(COUNT, dtype=np.float32)


@compiled
def padded_shape(height, width):
    return height + 2 * BORDER, width + 2 * BORDER, CHANNELS


@compiled
def with_gradient(frame, padded):
    """Fills `padded` with the frame, its centred differences, and zeros around.

    At the frame's borders the missing neighbour is the pixel itself, and the
    difference is halved all the same, as OpenCV has it.
    """
    height, width = frame.shape
    half = np.float32(0.5)
    padded[:] = 0
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            to = y + BORDER, x + BORDER
            padded[to[0], to[1], 0] = frame[y, x]
            padded[to[0], to[1], 1] = half * (frame[y, right] - frame[y, left])
            padded[to[0], to[1], 2] = half * (frame[below, x] - frame[above, x])


@compiled
def warp_row(a, y, row, layout, padded):
    """The frame at (x + u1, y + u2) into RHO, its gradient there into IX and IY.

    Args:
      a: the planes.
      y: the row, which begins at `row` in plane 0.
      padded: of `with_gradient`, flat.
    """
    stride, width = layout.stride, layout.width
    room = scratch_row(layout)
    columns = layout.scratch
    rows = columns + room
    fractions = rows + room
    weights = fractions + room
    for x in range(0, width, COUNT):
        at_x = spread(np.float32(x)) + load(_RAMP, 0) + load(a, row + U1 * stride + x)
        at_y = spread(np.float32(y)) + load(a, row + U2 * stride + x)
        at_x = _between(at_x, -3, width + 1)
        at_y = _between(at_y, -3, layout.height + 1)
        column, line = floor(at_x), floor(at_y)
        store(a, columns + x, column)
        store(a, rows + x, line)
        store(a, fractions + x, at_x - column)
        for tap in range(4):
            store(a, weights + tap * room + x, _weight(at_y - line, tap))
    c0, c1 = load(_IN_LANES, 0), load(_IN_LANES, COUNT)
    c2, c3 = load(_IN_LANES, 2 * COUNT), load(_IN_LANES, 3 * COUNT)
    step = (width + 2 * BORDER) * CHANNELS
    first = (BORDER - 1) * (step + CHANNELS)
    for x in range(width):
        start = first + int(a[rows + x]) * step + int(a[columns + x]) * CHANNELS
        taps = a[weights + x] * load(padded, start)
        taps = taps + a[weights + room + x] * load(padded, start + step)
        taps = taps + a[weights + 2 * room + x] * load(padded, start + 2 * step)
        taps = taps + a[weights + 3 * room + x] * load(padded, start + 3 * step)
        t = spread(a[fractions + x])
        value, in_x, in_y = totals_of_3(taps * (((c0 * t + c1) * t + c2) * t + c3))
        a[row + RHO * stride + x] = value
        a[row + IX * stride + x] = in_x
        a[row + IY * stride + x] = in_y


@compiled
def _between(lanes, low, high):
    return minimum(maximum(lanes, spread(np.float32(low))), spread(np.float32(high)))


@compiled
def _weight(t, tap):
    sum_ = TAPS[0, tap] * t + spread(TAPS[1, tap])
    return (sum_ * t + spread(TAPS[2, tap])) * t + spread(TAPS[3, tap])
