"""TV-L1 in `keras.ops` alone: batches of frames, in a graph, on any accelerator.

The algorithm of OpenCV's DualTVL1OpticalFlow (Zach, Pock & Bischof 2007; Sánchez,
Meinhardt-Llopis & Facciolo, IPOL 2013) for `tf.function`, with or without
`jit_compile=True`, SavedModels, and `jax.jit`. Called outside of these it is slow.
XLA takes a third to a half off on processors as well. `tf.function(autograph=False)` is
built in half the time, as there is nothing for autograph to do.

With as many iterations the flow is OpenCV's to 0.0001 px. Sums run in another order
and numbers are scaled otherwise, so that now and then one iteration more or less is
done: on real frames of 256x341 px, at most 0.0093 px on average.
"""

import numpy as np
from keras import ops

from flow.tvl1 import MIN_SIDE, TVL1
from flow.tvl1_graph_median import median
from flow.tvl1_graph_steps import (
    iterate,
    linearise,
    not_last,
    resize,
    surroundings,
    warp,
)

# BT.601 in units of 1/2^15, as OpenCV rounds them.
RED, GREEN, BLUE, ONE = 9798, 19235, 3735, 1 << 15


def tvl1_flow(previous, current, **parameters):
    """Flow from one batch of grey frames to the next.

    An example's flow does not depend on the others in its batch, but all wait for the
    one that iterates longest: among six pairs of one video, a fifth more iterations.

    Args:
      previous: `[B, H, W]` in 0 ... 255, uint8 or floats, from 16 px on. B need not be
        static, and W only if it may be smaller than H: the smaller side decides how
        many scales there are.
      current: the same for the next frame.
      **parameters: those of `flow.tvl1.TVL1`, with its defaults, but `engine`.

    Returns:
      `[B, H, W, 2]` float32 px: u to the right, v downwards. What is at (x, y) in
      `previous` is at (x + u, y + v) in `current`.

    Raises:
      ValueError: other shapes or dtypes, or a parameter out of its range.
    """
    if "engine" in parameters:
        raise ValueError("engine: it is none of the parameters here, only of TVL1")
    # Its defaults and checks are wanted; an engine is made by its first call only.
    parameters = TVL1(**parameters)
    frames = [ops.convert_to_tensor(frame) for frame in (previous, current)]
    _check(*frames)
    scales = _pyramid(frames, parameters)
    channels = 3 if parameters.gamma else 2  # The third is the brightness offset.
    flow = (ops.zeros_like(scales[-1][0]),) * channels
    for level, (first, second) in enumerate(reversed(scales)):
        if level:
            flow = _to_finer(flow, ops.shape(first)[1:], parameters.scale_step)
        flow = _solve_scale(first, second, flow, parameters)
    return ops.stack(flow[:2], axis=-1)


def video_flow_graph(frames, *, one_by_one=False, **parameters):
    """Flow of each frame of videos against its previous one: `flow.tvl1.video_flow`.

    Args:
      frames: `[B, T, H, W, 3]` uint8 RGB; B, T and W need not be static, see
        `tvl1_flow`.
      one_by_one: one pair of frames after the other, for processors: a fifth less
        work, and little memory, but the graph is built twice. All pairs at once, for
        accelerators, take 300 bytes a pair and px.
      **parameters: see `tvl1_flow`.

    Returns:
      `[B, T - 1, H, W, 2]` float32 px; [:, k] leads from frame k to frame k + 1.

    Raises:
      ValueError: other shapes or dtypes, or a parameter out of its range.
    """
    frames = ops.convert_to_tensor(frames)
    if frames.ndim != 5:
        raise ValueError(
            f"frames are {list(frames.shape)}; the flow of videos is made of "
            "[B, T, H, W, 3]"
        )
    grey = rgb_to_grey(frames)
    batch, time, height, width = ops.shape(grey)
    pairs = tuple(
        ops.reshape(part, [batch * (time - 1), height, width])
        for part in (grey[:, :-1], grey[:, 1:])
    )

    def of_one(pair):
        return tvl1_flow(pair[0][None], pair[1][None], **parameters)[0]

    flow = ops.map(of_one, pairs) if one_by_one else tvl1_flow(*pairs, **parameters)
    return ops.reshape(flow, [batch, time - 1, height, width, 2])


def rgb_to_grey(frames):
    """RGB `[..., 3]` uint8 -> luma `[...]` uint8 (BT.601): `flow.video.to_grey`.

    Raises ValueError for other shapes or dtypes.
    """
    frames = ops.convert_to_tensor(frames)
    if frames.shape[-1] != 3 or ops.dtype(frames) != "uint8":
        raise ValueError(
            f"frames are {ops.dtype(frames)} {list(frames.shape)}; grey is made of "
            "uint8 RGB [..., 3]"
        )
    frames = ops.cast(frames, "int32")
    scaled = frames[..., 0] * RED + frames[..., 1] * GREEN + frames[..., 2] * BLUE
    return ops.cast((scaled + ONE // 2) // ONE, "uint8")


def _check(previous, current):
    for name, frame in (("previous", previous), ("current", current)):
        dtype = ops.dtype(frame)
        if frame.ndim != 3 or not (dtype == "uint8" or "float" in dtype):
            raise ValueError(
                f"{name} is {dtype} {list(frame.shape)}; TV-L1 takes uint8 or float "
                "grey frames [B, H, W]"
            )
        if frame.shape[1] is None:
            raise ValueError(f"{name} is {list(frame.shape)}; H must be static")
        if min(_static(frame.shape[1:])) < MIN_SIDE:
            raise ValueError(
                f"{name} is {list(frame.shape)}; TV-L1 needs {MIN_SIDE} px a side"
            )
    # What is not static is the graph's to check.
    sizes = zip(previous.shape, current.shape, strict=True)
    if any(None not in pair and pair[0] != pair[1] for pair in sizes):
        raise ValueError(
            f"previous is {list(previous.shape)}, current {list(current.shape)}; both "
            "must have one shape"
        )


def _pyramid(frames, parameters):
    """[(previous, current), ...], finest first: float32 `[B, H, W]`, ever smaller."""
    step = parameters.scale_step
    scales = [ops.stack([ops.cast(frame, "float32") for frame in frames])]
    while len(scales) < parameters.nscales:
        size = [_smaller(side, step) for side in ops.shape(scales[-1])[2:]]
        if min(_static(size)) < MIN_SIDE:
            break
        scales.append(resize(scales[-1], size, (1 / step, 1 / step)))
    return [(scale[0], scale[1]) for scale in scales]


def _static(sides):
    return [side for side in sides if isinstance(side, int)]


def _smaller(side, step):
    if isinstance(side, int):
        return round(side * step)
    return ops.cast(ops.round(ops.cast(side, "float32") * step), "int32")


def _to_finer(flow, size, scale_step):
    """At the next finer scale: lengths grow with the frame, brightness does not."""
    u, v, *offset = (resize(part, size) for part in flow)
    return (u / scale_step, v / scale_step, *offset)


def _solve_scale(first, second, flow, parameters):
    """Flow improved at one scale.

    Args:
      first, second: the frames, `[B, H, W]` float32.
      flow: where to begin: u, v and, with gamma, the brightness offset, of that shape.
    """
    height, width = ops.shape(first)[1:]
    rows = surroundings(second)
    taut = parameters.tau / parameters.theta
    numbers = (
        parameters.lambda_ * parameters.theta,
        parameters.theta,
        *(taut * mask for mask in not_last(height, width)),
    )
    enough = parameters.epsilon**2 * ops.cast(height * width, "float32")
    alone = first.shape[0] == 1  # Then no one waits for others.

    def any_goes_on(change, *_):
        return ops.any(change > enough)

    def who_goes_on(change):
        return ops.reshape(change > enough, [-1, 1, 1])

    def warping(_, flow_and_dual):
        flow, dual = flow_and_dual
        linear = linearise(first, warp(rows, *flow[:2]), flow, parameters.gamma)

        def inner(change, flow, dual):
            mine = numbers
            if not alone:  # All zero, they leave an example as it is.
                goes_on = ops.cast(who_goes_on(change), "float32")
                mine = [goes_on * number for number in numbers]
            flow, dual, change = iterate(flow, dual, linear, *mine)
            return change, flow, dual

        def outer(change, flow, dual):
            if parameters.median_filtering > 1:
                smooth = [
                    median(part, parameters.median_filtering) for part in flow[:2]
                ]
                if not alone:
                    goes_on = who_goes_on(change)
                    smooth = [
                        ops.where(goes_on, new, old)
                        for new, old in zip(smooth, flow[:2], strict=True)
                    ]
                flow = (*smooth, *flow[2:])
            return ops.while_loop(
                any_goes_on,
                inner,
                (change, flow, dual),
                maximum_iterations=parameters.inner_iterations,
            )

        unlimited = ops.full_like(first[:, 0, 0], np.inf)
        _, flow, dual = ops.while_loop(
            any_goes_on,
            outer,
            (unlimited, flow, dual),
            maximum_iterations=parameters.outer_iterations,
        )
        return flow, dual

    zero = ops.zeros_like(first)
    dual = tuple((zero, zero) for _ in flow)
    return ops.fori_loop(0, parameters.warps, warping, (flow, dual))[0]
