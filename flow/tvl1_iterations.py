"""One iteration of TV-L1 in one pass over memory.

Thresholding, divergence, the primal and the dual update (Zach, Pock & Bischof 2007,
eqs. 13 to 16; IPOL 2013, algorithm 1) of all pixels from the values before: the dual
variables of a row change as soon as the flow of the row below is known, and nobody
needs the old ones any more.
"""

import numpy as np

from flow.lanes import (
    COUNT,
    load,
    maximum,
    minimum,
    spread,
    square_root,
    store,
    total,
)
from flow.tvl1_planes import (
    FIRST,
    IG,
    IX,
    IY,
    P11,
    P12,
    P21,
    P22,
    P31,
    P32,
    RHO,
    U1,
    U2,
    U3,
    compiled,
)

# OpenCV's: below it a squared gradient counts as none.
LEAST_GRADIENT = np.finfo(np.float32).eps


@compiled
def linearise(a, row, layout):
    """From the warped frame in RHO and its gradient: rho's constant part, and IG.

    Both belong to the flow around which the frame was warped.
    """
    stride = layout.stride
    for x in range(row, row + layout.width, COUNT):
        ix = load(a, x + IX * stride)
        iy = load(a, x + IY * stride)
        square = maximum(spread(LEAST_GRADIENT), ix * ix + iy * iy)
        store(a, x + IG * stride, np.float32(1) / square)
        moved = ix * load(a, x + U1 * stride) + iy * load(a, x + U2 * stride)
        difference = load(a, x + RHO * stride) - load(a, x + FIRST * stride)
        store(a, x + RHO * stride, difference - moved)


@compiled
def iterate(a, layout, is_pixel, bound, theta, taut, gamma):
    """Returns the sum over all pixels of the squared change of the flow, in px².

    Args:
      a: the planes.
      is_pixel: 1 for each pixel of a row, 0 behind them.
      bound: lambda * theta.
      theta: of the primal update.
      taut: tau / theta.
      gamma: None without brightness offset.
    """
    pitch = layout.pitch
    row = layout.top
    change = _primal_row(a, row, layout, is_pixel, bound, theta, gamma)
    for _ in range(1, layout.height):
        row += pitch
        change += _primal_row(a, row, layout, is_pixel, bound, theta, gamma)
        _dual_row(a, row - pitch, layout, pitch, taut, gamma)
    # Below the last row is itself: no gradient.
    _dual_row(a, row, layout, 0, taut, gamma)
    return change


@compiled
def _primal_row(a, row, layout, is_pixel, bound, theta, gamma):
    stride, pitch = layout.stride, layout.pitch
    change = spread(np.float32(0))
    low, high = spread(-bound), spread(bound)
    for x in range(row, row + layout.width, COUNT):
        ix = load(a, x + IX * stride)
        iy = load(a, x + IY * stride)
        u1 = load(a, x + U1 * stride)
        u2 = load(a, x + U2 * stride)
        rho = load(a, x + RHO * stride) + ix * u1 + iy * u2
        if gamma is not None:
            u3 = load(a, x + U3 * stride)
            rho = rho + gamma * u3
        # The three cases of the thresholding in one: rho / |grad|², cut at +-bound.
        step = maximum(low, minimum(high, rho * load(a, x + IG * stride)))
        divergence1 = _divergence(a, x + P11 * stride, x + P12 * stride, pitch)
        divergence2 = _divergence(a, x + P21 * stride, x + P22 * stride, pitch)
        new1 = u1 - step * ix + theta * divergence1
        new2 = u2 - step * iy + theta * divergence2
        store(a, x + U1 * stride, new1)
        store(a, x + U2 * stride, new2)
        squares = (new1 - u1) * (new1 - u1) + (new2 - u2) * (new2 - u2)
        if gamma is not None:
            divergence3 = _divergence(a, x + P31 * stride, x + P32 * stride, pitch)
            new3 = u3 - step * gamma + theta * divergence3
            store(a, x + U3 * stride, new3)
            squares = squares + (new3 - u3) * (new3 - u3)
        change = change + load(is_pixel, x - row) * squares
    # To the right of the last pixel is itself: no gradient.
    end = row + layout.width
    for plane in (U1, U2, U3):
        a[end + plane * stride] = a[end + plane * stride - 1]
    return total(change)


@compiled
def _divergence(a, px, py, pitch):
    return (load(a, px) - load(a, px - 1)) + (load(a, py) - load(a, py - pitch))


@compiled
def _dual_row(a, row, layout, below, taut, gamma):
    stride = layout.stride
    one = spread(np.float32(1))
    for x in range(row, row + layout.width, COUNT):
        u1x, u1y = _gradient(a, x + U1 * stride, below, taut)
        u2x, u2y = _gradient(a, x + U2 * stride, below, taut)
        norm1 = one + square_root(u1x * u1x + u1y * u1y)
        norm2 = one + square_root(u2x * u2x + u2y * u2y)
        # One division, which is slow, for two.
        inverse = one / (norm1 * norm2)
        _shrink(a, x + P11 * stride, x + P12 * stride, u1x, u1y, inverse * norm2)
        _shrink(a, x + P21 * stride, x + P22 * stride, u2x, u2y, inverse * norm1)
        if gamma is not None:
            u3x, u3y = _gradient(a, x + U3 * stride, below, taut)
            inverse = one / (one + square_root(u3x * u3x + u3y * u3y))
            _shrink(a, x + P31 * stride, x + P32 * stride, u3x, u3y, inverse)


@compiled
def _gradient(a, u, below, taut):
    """Forward differences times taut, in x and in y."""
    here = load(a, u)
    return taut * (load(a, u + 1) - here), taut * (load(a, u + below) - here)


@compiled
def _shrink(a, px, py, ux, uy, inverse):
    store(a, px, (load(a, px) + ux) * inverse)
    store(a, py, (load(a, py) + uy) * inverse)
