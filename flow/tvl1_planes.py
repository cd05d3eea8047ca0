"""Where the fast engine keeps its numbers: planes of one flat float32 array.

The rows of all planes with one y lie next to each other, `stride` numbers each, so
that an iteration walks through memory once and in order. A row begins with a margin:
the pixel to the left of the first is read there, and for the dual variables it is
zero, as is the row above the first. Behind its pixels a row is filled up to whole
lanes.
"""

from typing import NamedTuple

import numba

from flow.lanes import COUNT

# The warped second frame's gradient; what divides by its square; the constant part of
# rho (Zach et al. 2007, eq. 9); the flow; its dual variables; the brightness offset
# and its dual variables; the first frame.
IX, IY, IG, RHO, U1, U2, P11, P12, P21, P22, U3, P31, P32, FIRST = range(14)
PLANES = 14
MARGIN = COUNT

# Divisions by zero are infinite, as in C: checks would keep loops from being
# vectorised. Without the interpreter's lock, threads run side by side.
OPTIONS = {"error_model": "numpy", "nogil": True}
compiled = numba.njit(**OPTIONS)


class Layout(NamedTuple):
    """Of frames of one size: px, and steps in numbers of the flat array.

    Attributes:
      height, width: of the frames.
      stride: from plane to plane.
      pitch: from row to row.
      top: the first pixel of plane 0; of plane k it is at top + k * stride.
      scratch: room of `scratch_size` behind all planes.
    """

    height: int
    width: int
    stride: int
    pitch: int
    top: int
    scratch: int


@compiled
def layout_of(height, width):
    stride = MARGIN + whole_lanes(width)
    pitch = PLANES * stride
    return Layout(
        height, width, stride, pitch, pitch + MARGIN, (height + 1) * pitch + COUNT
    )


@compiled
def whole_lanes(width):
    return (width + COUNT - 1) // COUNT * COUNT


@compiled
def scratch_row(layout):
    """Room for a row with some pixels more on both sides."""
    return whole_lanes(layout.width) + 2 * COUNT


SCRATCH_ROWS = 8
