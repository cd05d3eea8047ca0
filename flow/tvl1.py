"""TV-L1 optical flow (Zach, Pock & Bischof 2007; Sánchez, Meinhardt-Llopis &
Facciolo, IPOL 2013), the flow of the released I3D models."""

import dataclasses

import cv2
import numpy as np

from flow.video import to_grey

ENGINES = ("opencv",)
MIN_SIDE = 16  # px: the coarsest of 5 scales at 0.8 is then 6 px


@dataclasses.dataclass
class TVL1:
    """`TVL1()(previous, current)`: flow from one grey frame to the next.

    Not thread-safe: each thread or process wants its own.

    Attributes:
      engine: "opencv" (`cv2.optflow.DualTVL1OpticalFlow_create`).
      tau: time step of the numerical scheme.
      lambda_: weight of the data term; smaller means smoother flow.
      theta: tightness between the data term and the smoothness term.
      nscales: scales of the pyramid.
      warps: warpings per scale.
      epsilon: change per pixel at which the iterations stop.
      inner_iterations: primal-dual iterations between two stop checks' median.
      outer_iterations: median filterings per warping.
      scale_step: size of a scale relative to the next finer one.
      gamma: weight of a brightness offset, 0 for none.
      median_filtering: side of the median filter, 1 for none, 3 or 5.
    """

    engine: str = "opencv"
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
        self._solver = cv2.optflow.DualTVL1OpticalFlow_create(
            tau=self.tau,
            lambda_=self.lambda_,
            theta=self.theta,
            nscales=self.nscales,
            warps=self.warps,
            epsilon=self.epsilon,
            innnerIterations=self.inner_iterations,  # OpenCV's spelling
            outerIterations=self.outer_iterations,
            scaleStep=self.scale_step,
            gamma=self.gamma,
            medianFiltering=self.median_filtering,
            useInitialFlow=False,
        )

    def __call__(self, previous, current):
        """Grey `[H, W]` uint8, twice -> flow `[H, W, 2]` float32 in px.

        Channel 0 is u, to the right; 1 is v, downwards: what is at (x, y) in
        `previous` is at (x + u, y + v) in `current`.

        Raises ValueError for other shapes or dtypes, or a side below 16 px.
        """
        for name, frame in (("previous", previous), ("current", current)):
            if frame.ndim != 2 or frame.dtype != np.uint8:
                raise ValueError(
                    f"{name} is {frame.dtype} {list(frame.shape)}; TV-L1 takes uint8 "
                    "grey frames [H, W]"
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
        return self._solver.calc(previous, current, None)

    @property
    def parameters(self):
        """All fields as a dict, as it is stored beside the flow."""
        return dataclasses.asdict(self)


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
