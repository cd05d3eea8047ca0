"""The steps of TV-L1 in `keras.ops`: resizing, warping, one iteration.

A plane is `[B, H, W]` float32. Each channel of the flow is a plane of its own: on
processors that is a fifth faster than one tensor for all.
"""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

# OpenCV's: below it a squared gradient counts as none.
LEAST_GRADIENT = float(np.finfo(np.float32).eps)

# Outside the frame all is zero. A position up to 3 px outside still sees pixels, one
# beyond is moved to where all it sees is zero.
BORDER = 4

# OpenCV's cubic kernel (Keys 1981). Tap k, at k - 1 px, has the weight
# ((TAPS[k][0] t + TAPS[k][1]) t + TAPS[k][2]) t + TAPS[k][3] at a fraction t of a px.
A = -0.75
TAPS = (
    (A, -2 * A, A, 0.0),
    (A + 2, -A - 3, 0.0, 1.0),
    (-A - 2, 2 * A + 3, -A, 0.0),
    (-A, A, 0.0, 0.0),
)


def resize(images, size, ratios=None):
    """`cv2.resize` with INTER_LINEAR: `[..., H, W]` float32 -> `[..., *size]`.

    By taking pixels and weighting them. A product of matrices would round them to 11
    bits on GPUs and 8 on TPUs, up to an eighth and a half of one of 256 grey levels.

    Args:
      images: two axes and more.
      size: (height, width) of the result, px; scalars of the graph where they are not
        static.
      ratios: by how much the images are larger in y and x; None is by their sizes.
    """
    for axis, length in zip((-1, -2), reversed(size), strict=True):
        known = ops.shape(images)[axis]
        ratio = known / length if ratios is None else ratios[axis]
        # In float64, as float32 is off by 0.003 grey levels.
        at = (_float64_range(length) + 0.5) * ratio - 0.5
        before = at // 1
        first, second = (
            ops.take(images, _inside(index, known), axis=axis)
            for index in (before, before + 1)
        )
        weight = ops.cast(at - before, "float32")
        weight = weight if axis == -1 else weight[:, None]
        images = first * (1 - weight) + second * weight
    return images


def _inside(index, length):
    return ops.clip(ops.cast(index, "int32"), 0, length - 1)


def _float64_range(length):
    """By numpy where it can be, as JAX has no float64."""
    if isinstance(length, int):
        return np.arange(length, dtype=np.float64)
    return ops.cast(ops.arange(length), "float64")


def _float(side):
    """A side in px, static or not, as a number to compute with."""
    return ops.cast(side, "float32")


def _range(length):
    return _float(ops.arange(length, dtype="int32"))


def surroundings(frame):
    """A plane and its gradient, arranged for `warp`: `[N, 12]`, a row for each pixel.

    Centred differences; at the frame's borders the missing neighbour is the pixel
    itself, and the difference is halved all the same, as OpenCV has it. Zeros surround
    all three: N is B * (H + 2 BORDER) * (W + 2 BORDER). A row holds (frame, in x, in
    y) of its pixel and of the three to the right.
    """
    width = ops.shape(frame)[2] + 2 * BORDER
    edges = ops.pad(frame, [[0, 0], [1, 1], [1, 1]], mode="symmetric")
    in_x = 0.5 * (edges[:, 1:-1, 2:] - edges[:, 1:-1, :-2])
    in_y = 0.5 * (edges[:, 2:, 1:-1] - edges[:, :-2, 1:-1])
    images = ops.stack([frame, in_x, in_y], axis=-1)
    room = [BORDER, BORDER]
    padded = ops.pad(images, [[0, 0], room, [BORDER, BORDER + 3], [0, 0]])
    rows = ops.concatenate([padded[:, :, k : k + width] for k in range(4)], axis=-1)
    return ops.reshape(rows, [-1, 12])


def warp(rows, u, v):
    """A frame and its gradient at moved positions, by cubic convolution.

    Four rows are gathered for a pixel, and not 16 taps of three images: half the time
    on processors.

    Args:
      rows: `surroundings` of the frame.
      u, v: planes, px.

    Returns:
      The planes frame, in x, in y: each at (x + u, y + v) what it is at (x, y).
    """
    batch, height, width = ops.shape(u)
    pitch = width + 2 * BORDER
    x = ops.clip(_range(width) + u, -3.0, _float(width + 1))
    y = ops.clip(_range(height)[:, None] + v, -3.0, _float(height + 1))
    column, line = ops.floor(x), ops.floor(y)
    example = ops.arange(batch, dtype="int32") * ((height + 2 * BORDER) * pitch)
    # Of the first of 16 taps, one px up and to the left.
    first = ops.cast(line, "int32") * pitch + ops.cast(column, "int32")
    first = first + (ops.reshape(example, [-1, 1, 1]) + (BORDER - 1) * (pitch + 1))
    taps = 0
    for k, weight in enumerate(_weights(y - line)):
        row = ops.take(rows, first + k * pitch, axis=0)
        taps = taps + ops.expand_dims(weight, -1) * row
    # Planes again: what follows runs over whole ones.
    taps = ops.transpose(ops.reshape(taps, [-1, 4 * 3]))
    taps = ops.reshape(taps, [4, 3, batch, height, width])
    weights = _weights(x - column)
    return [sum(weights[k] * taps[k, image] for k in range(4)) for image in range(3)]


def _weights(t):
    return [((c0 * t + c1) * t + c2) * t + c3 for c0, c1, c2, c3 in TAPS]


class Linear(NamedTuple):
    """rho (Zach et al. 2007, eq. 9) around a flow, divided by the squared gradient.

    rho / |gradient|² = constant + sum over channels of scaled * flow.
    """

    constant: Any
    scaled: list
    gradient: list


def linearise(first, warped, flow, gamma):
    """`Linear` of two frames.

    Args:
      first: the first frame.
      warped: the second and its gradient, warped by `flow`.
      flow: planes u and v, and the brightness offset if gamma is not 0.
      gamma: weight of the brightness offset.
    """
    second, in_x, in_y = warped
    square = ops.maximum(in_x * in_x + in_y * in_y, LEAST_GRADIENT)
    moved = in_x * flow[0] + in_y * flow[1]
    gradient = [in_x, in_y]
    if gamma:
        gradient.append(ops.full_like(in_x, gamma))
    scaled = [part / square for part in gradient]
    return Linear((second - first - moved) / square, scaled, gradient)


def iterate(flow, dual, linear, bound, theta, taut_x, taut_y):
    """One primal and dual update (Zach et al. 2007, eqs. 13 to 16; IPOL 2013, alg. 1).

    Rolling planes needs no padding: the dual variables are zero in the last column
    (of x) and row (of y), which is what the first column and row see before them.

    Args:
      flow: a plane for each channel, px.
      dual: for each channel, the dual variables (in x, in y).
      linear: of `linearise`.
      bound: lambda * theta.
      theta: of the primal update. Both are numbers or `[B, 1, 1]`.
      taut_x, taut_y: tau / theta, but 0 in the last column, and in the last row.
        Where all four are 0, an example stays as it is, bit for bit.

    Returns:
      flow, dual, and the sum of the squared change of the flow, `[B]` px².
    """
    rho = linear.constant
    for scaled, channel in zip(linear.scaled, flow, strict=True):
        rho = rho + scaled * channel
    # The three cases of the thresholding in one.
    step = ops.maximum(ops.minimum(rho, bound), -bound)
    new_flow, new_dual, change = [], [], 0
    for part, channel, (px, py) in zip(linear.gradient, flow, dual, strict=True):
        divergence = (px - ops.roll(px, 1, 2)) + (py - ops.roll(py, 1, 1))
        moved = theta * divergence - step * part
        channel = channel + moved
        change = change + ops.sum(moved * moved, axis=(1, 2))
        in_x = taut_x * (ops.roll(channel, -1, 2) - channel)
        in_y = taut_y * (ops.roll(channel, -1, 1) - channel)
        norm = 1 + ops.sqrt(in_x * in_x + in_y * in_y)
        new_flow.append(channel)
        new_dual.append(((px + in_x) / norm, (py + in_y) / norm))
    return tuple(new_flow), tuple(new_dual), change


def not_last(height, width):
    """`[1, H, W]` float32, twice: 0 in the last column, and in the last row, else 1."""
    in_x = _float(ops.arange(width, dtype="int32") < width - 1)[None, None]
    in_y = _float(ops.arange(height, dtype="int32") < height - 1)[None, :, None]
    # Whole planes: to spread a row in each iteration takes longer.
    shape = [1, height, width]
    return ops.broadcast_to(in_x, shape), ops.broadcast_to(in_y, shape)
