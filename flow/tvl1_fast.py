"""TV-L1 as OpenCV computes it, compiled by numba: the engine "fast".

The same pyramid, bicubic warping, median filter, stopping rule and parameters
(Zach, Pock & Bischof 2007; Sánchez, Meinhardt-Llopis & Facciolo, IPOL 2013), in
float32. What differs is the order in which the change of an iteration is summed up, so
that now and then one iteration more or less is done.
"""

import hashlib
import pathlib

import cv2
import numba
import numpy as np

from flow.tvl1_iterations import iterate, linearise
from flow.tvl1_median import median
from flow.tvl1_planes import (
    FIRST,
    OPTIONS,
    SCRATCH_ROWS,
    U1,
    U2,
    U3,
    compiled,
    layout_of,
    scratch_row,
)
from flow.tvl1_warp import padded_shape, warp_row, with_gradient

# px: no scale has a shorter side, as in OpenCV.
MIN_SIDE = 16


class FastSolver:
    """solver(previous, current): grey `[H, W]` uint8 -> flow `[H, W, 2]` float32 px.

    Keeps its memory from call to call, 56 bytes and more a pixel: not thread-safe.
    """

    def __init__(self, parameters):
        self._parameters = parameters
        self._size = None

    def __call__(self, previous, current):
        self._make_room(previous.shape)
        parameters = self._parameters
        scales = list(zip(self._pyramid(previous), self._pyramid(current), strict=True))
        flow = np.zeros([3, *scales[-1][0].shape], np.float32)
        for level, (first, second) in enumerate(reversed(scales)):
            if level:
                flow = _to_finer(flow, first.shape, parameters.scale_step)
            _solve_scale(
                first,
                second,
                flow,
                self._planes,
                self._padded,
                parameters.tau,
                parameters.lambda_,
                parameters.theta,
                parameters.warps,
                parameters.epsilon,
                parameters.inner_iterations,
                parameters.outer_iterations,
                # None leaves the brightness offset out of the compiled loops.
                None if parameters.gamma == 0 else np.float32(parameters.gamma),
                parameters.median_filtering,
            )
        return np.stack([flow[0], flow[1]], axis=-1)

    def _make_room(self, size):
        if size == self._size:
            return
        layout = layout_of(*size)
        room = layout.scratch + SCRATCH_ROWS * scratch_row(layout)
        self._planes = np.empty(room, np.float32)
        self._padded = np.empty(np.prod(padded_shape(*size)), np.float32)
        self._size = size

    def _pyramid(self, frame):
        step, scales = (
            self._parameters.scale_step,
            [frame.astype(np.float32, order="C")],
        )
        while len(scales) < self._parameters.nscales:
            smaller = cv2.resize(
                scales[-1], None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR
            )
            if min(smaller.shape) < MIN_SIDE:
                break
            scales.append(smaller)
        return scales


def _to_finer(flow, shape, scale_step):
    """At the next finer scale: lengths grow with the frame, brightness does not."""
    finer = np.stack(
        [cv2.resize(f, shape[::-1], interpolation=cv2.INTER_LINEAR) for f in flow]
    )
    finer[:2] *= np.float32(1 / scale_step)
    return finer


@compiled
def _copy_in(a, layout, first, flow):
    for y in range(layout.height):
        row = layout.top + y * layout.pitch
        for x in range(layout.width):
            a[row + FIRST * layout.stride + x] = first[y, x]
            a[row + U1 * layout.stride + x] = flow[0, y, x]
            a[row + U2 * layout.stride + x] = flow[1, y, x]
            a[row + U3 * layout.stride + x] = flow[2, y, x]


@compiled
def _copy_out(a, layout, flow):
    for y in range(layout.height):
        row = layout.top + y * layout.pitch
        for x in range(layout.width):
            flow[0, y, x] = a[row + U1 * layout.stride + x]
            flow[1, y, x] = a[row + U2 * layout.stride + x]
            flow[2, y, x] = a[row + U3 * layout.stride + x]


def _compiled_for(digest):
    """The compiled function, kept on disk for sources of this digest.

    Numba compiles anew where the function's own file has changed, but looks at no
    other. What a function encloses belongs to its key on disk, though.
    """

    def solve_scale(
        first,
        second,
        flow,
        a,
        room,
        tau,
        lambda_,
        theta,
        warps,
        epsilon,
        inner_iterations,
        outer_iterations,
        gamma,
        median_filtering,
    ):
        """Improves `flow` `[3, H, W]`: u, v and the brightness offset.

        Args:
          first, second: the frames, `[H, W]` float32.
          flow: where to begin, and the result.
          a: room for the planes.
          room: for the padded frame.
        """
        if not digest:  # Named here, it is enclosed.
            return
        height, width = first.shape
        layout = layout_of(height, width)
        a[: layout.scratch] = 0
        _copy_in(a, layout, first, flow)
        shape = padded_shape(height, width)
        padded = room[: shape[0] * shape[1] * shape[2]]
        with_gradient(second, padded.reshape(shape))
        is_pixel = np.zeros(layout.stride, np.float32)
        is_pixel[:width] = 1
        enough = np.float32(epsilon * epsilon * height * width)
        bound, taut = np.float32(lambda_ * theta), np.float32(tau / theta)
        theta = np.float32(theta)
        for _ in range(warps):
            for y in range(height):
                row = layout.top + y * layout.pitch
                warp_row(a, y, row, layout, padded)
                linearise(a, row, layout)
            change = np.float32(np.inf)
            for iteration in range(outer_iterations * inner_iterations):
                if change <= enough:
                    break
                if median_filtering > 1 and iteration % inner_iterations == 0:
                    median(a, layout.top + U1 * layout.stride, layout, median_filtering)
                    median(a, layout.top + U2 * layout.stride, layout, median_filtering)
                change = iterate(a, layout, is_pixel, bound, theta, taut, gamma)
        _copy_out(a, layout, flow)

    try:
        return numba.njit(cache=True, **OPTIONS)(solve_scale)
    except RuntimeError:  # There is no folder that can be written to.
        return compiled(solve_scale)


def _digest_of_sources():
    names = ("lanes", "tvl1_fast", "tvl1_iterations", "tvl1_median", "tvl1_planes")
    folder = pathlib.Path(__file__).parent
    digest = hashlib.sha256()
    for name in (*names, "tvl1_warp"):
        digest.update((folder / f"{name}.py").read_bytes())
    return digest.hexdigest()


_solve_scale = _compiled_for(_digest_of_sources())
