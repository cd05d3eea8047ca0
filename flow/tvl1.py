"""TV-L1 optical flow (Zach, Pock & Bischof 2007; Sánchez, Meinhardt-Llopis &
Facciolo, IPOL 2013), the flow of the released I3D models."""

import dataclasses
import functools
import importlib.metadata
import math

import cv2
import numpy as np

from flow.video import to_grey

ENGINES = ("fast", "opencv")
# All of them install the module cv2, so that only the last one works.
_OPENCVS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
MIN_SIDE = 16  # px: OpenCV has no scale with a shorter side


@dataclasses.dataclass
class TVL1:
    """`TVL1()(previous, current)`: flow from one grey frame to the next.

    Not thread-safe: each thread or process wants its own.

    The parameters have OpenCV's names and defaults. What the first call of "fast"
    compiles, in some seconds, is kept on disk.

    Attributes:
      engine: "fast", this project's own (flow/tvl1_fast.py), or the reference,
        "opencv" (`cv2.optflow.DualTVL1OpticalFlow_create`).
      tau: time step of the numerical scheme.
      lambda_: weight of the data term; smaller means smoother flow.
      theta: tightness between the data term and the smoothness term.
      nscales: scales of the pyramid, at most.
      warps: warpings per scale.
      epsilon: root mean square change in px below which the iterations stop.
      inner_iterations: primal-dual iterations between two median filterings.
      outer_iterations: median filterings per warping.
      scale_step: size of a scale relative to the next finer one.
      gamma: weight of a brightness offset, 0 for none.
      median_filtering: side of the median filter in px: 3 or 5, or 1 for none.

    Raises:
      ValueError: an unknown engine, a parameter out of its range, or "opencv" where the
        installed OpenCV lacks the contrib modules.
    """

    engine: str = "fast"
    tau: float = 0.25
    lambda_: float = 0.15
    theta: float = 0.3
    nscales: int = 5
    warps: int = 5
    epsilon: float = 0.01
    inner_iterations: int = 30
    outer_iterations: int = 10
    scale_step: float = 0.8
    gamma: float = 0.0
    median_filtering: int = 5

    def __post_init__(self):
        if self.engine not in ENGINES:
            raise ValueError(f"engine is {self.engine!r}; known: {', '.join(ENGINES)}")
        if self.engine == "opencv":
            _require_optflow()
        self._check_ranges()

    @functools.cached_property
    def _solve(self):
        # A copy: a solver that held this object, which holds the solver, would keep its
        # memory until the garbage collector comes.
        parameters = dataclasses.replace(self)
        if self.engine == "opencv":
            return _opencv_solver(parameters)
        # Here, as numba takes a second that no one else has to wait.
        from flow.tvl1_fast import FastSolver

        return FastSolver(parameters)

    def _check_ranges(self):
        for name in ("tau", "lambda_", "theta"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("epsilon", "gamma"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; it must be 0 or more"
                )
        for name in ("nscales", "warps", "inner_iterations", "outer_iterations"):
            value = getattr(self, name)
            if value != int(value) or value < 1:
                raise ValueError(f"{name} is {value}; it must be a whole number from 1")
        if not 0 < self.scale_step < 1:
            raise ValueError(
                f"scale_step is {self.scale_step}; it must lie between 0 and 1"
            )
        if self.median_filtering not in (1, 3, 5):
            raise ValueError(
                f"median_filtering is {self.median_filtering}; it must be 1, 3 or 5"
            )

    def __call__(self, previous, current):
        """Grey `[H, W]` uint8, twice -> flow `[H, W, 2]` float32 in px.

        Channel 0 is u, to the right; 1 is v, downwards: what is at (x, y) in
        `previous` is at (x + u, y + v) in `current`.

        Raises ValueError for what is no such array, or has a side below 16 px.
        """
        for name, frame in (("previous", previous), ("current", current)):
            is_array = isinstance(frame, np.ndarray)
            if not is_array or frame.ndim != 2 or frame.dtype != np.uint8:
                found = type(frame).__name__
                if is_array:
                    found = f"{frame.dtype} {list(frame.shape)}"
                raise ValueError(
                    f"{name} is {found}; TV-L1 takes uint8 grey frames [H, W]"
                )
        if previous.shape != current.shape:
            raise ValueError(
                f"previous is {list(previous.shape)}, current {list(current.shape)}; "
                "both must have one size"
            )
        if min(previous.shape) < MIN_SIDE:
            raise ValueError(
                f"frames are {list(previous.shape)} px; TV-L1 needs {MIN_SIDE} a side"
            )
        return self._solve(previous, current)

    @property
    def parameters(self):
        """All fields as a dict, as it is stored beside the flow."""
        return dataclasses.asdict(self)


def _require_optflow():
    if hasattr(cv2, "optflow"):
        return
    installed = {d.name for d in importlib.metadata.distributions()}
    found = [name for name in _OPENCVS if name in installed] or ["opencv-python"]
    raise ValueError(
        f"engine 'opencv' needs cv2.optflow, which the installed {' and '.join(found)} "
        f"lacks: run pip uninstall {' '.join(found)}, then pip install "
        f"{_OPENCVS[-1]}; or use the engine 'fast', which needs neither"
    )


def _opencv_solver(parameters):
    """solver(previous, current): OpenCV's own."""
    solver = cv2.optflow.DualTVL1OpticalFlow_create(
        tau=parameters.tau,
        lambda_=parameters.lambda_,
        theta=parameters.theta,
        nscales=parameters.nscales,
        warps=parameters.warps,
        epsilon=parameters.epsilon,
        innnerIterations=parameters.inner_iterations,  # OpenCV's spelling
        outerIterations=parameters.outer_iterations,
        scaleStep=parameters.scale_step,
        gamma=parameters.gamma,
        medianFiltering=parameters.median_filtering,
        useInitialFlow=False,
    )

    def solve(previous, current):
        # A small frame leaves the solver with fewer scales for all later ones.
        solver.setScalesNumber(parameters.nscales)
        return solver.calc(previous, current, None)

    return solve


def video_flow(frames, tvl1):
    """Yields the flow `[H, W, 2]` float32 px of each frame against its previous one.

    N frames `[H, W, 3]` uint8 RGB give N - 1 flows: the k-th leads from frame k - 1
    to frame k, k = 1 ... N - 1.
    """
    previous = None
    for frame in frames:
        current = to_grey(frame)
        if previous is not None:
            yield tvl1(previous, current)
        previous = current
