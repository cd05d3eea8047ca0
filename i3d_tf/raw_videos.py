"""Video files as an exported model wants them: pairs of frame and flow, in windows.

Pair k is frame k + 1 of a video and the flow from frame k to it: as in training the
first frame, which has no flow, is left out.
"""

import collections
import itertools
import math

import numpy as np

from flow import code
from flow.ahead import frames_with_flow
from flow.tvl1 import TVL1
from flow.video import VideoError, decode, read_video, resample

TAILS = ("drop", "shift", "loop")


def count_pairs(video, fps, max_seconds=math.inf):
    """How many pairs a video has at this rate, at least 1; decodes it.

    Raises VideoError if it cannot be decoded, has one frame or is longer than
    `max_seconds`, beyond which it is not decoded.
    """
    frames = 0
    for _ in resample(decode(video), fps):
        frames += 1
        if frames > max_seconds * fps:
            raise VideoError(f"{video}: is longer than {max_seconds} s")
    if frames < 2:
        raise VideoError(
            f"{video}: {frames} frame at {fps} fps; needed are at least 2, as in "
            "training a video's first frame, which has no flow, is left out"
        )
    return frames - 1


def read_pairs(video, made_for, *, first=0, count=None, with_flow, engine=TVL1.engine):
    """Yields pairs of a video file, see `pairs_of`.

    Args:
      video: path of the file.
      made_for: "fps" and "smaller_side" of `exported.read_assets`.
      first, count: the pair to begin with, and how many follow, None for all.
      with_flow, engine: as of `pairs_of`.

    Raises VideoError if the video cannot be read.
    """
    frames = read_video(
        video, fps=made_for["fps"], smaller_side=made_for["smaller_side"]
    )
    end = None if count is None else first + count + 1
    frames = itertools.islice(frames, first, end)
    return pairs_of(frames, with_flow=with_flow, engine=engine)


def pairs_of(frames, *, with_flow, engine=TVL1.engine):
    """Yields {"rgb": `[H, W, 3]` uint8, "flow": codes `[H, W, 2]` uint8} of frames.

    All cores compute flow while the caller works on what was yielded. It is kept in the
    code that the networks were trained on, `flow.code`.

    Args:
      frames: iterable of `[H, W, 3]` uint8 RGB at the rate and size of the training.
      with_flow: else "flow" is left out.
      engine: of `TVL1`.
    """
    if with_flow:
        for frame, flow in frames_with_flow(frames, TVL1(engine)):
            yield {"rgb": frame, "flow": code.encode(flow)}
    else:
        for frame in itertools.islice(frames, 1, None):
            yield {"rgb": frame}


def window_starts(pairs, length, stride, tail):
    """First pairs of the windows of a video.

    Args:
      pairs: of the video; if they are fewer than `length` there is one window.
      length: pairs of a window.
      stride: pairs from one window to the next.
      tail: of what is left behind the last whole window: "drop" it, "shift" one more
        window back so that it ends with the video, or let one more begin as usual and
        "loop" what it has.
    """
    starts = list(range(0, max(pairs - length, 0) + 1, stride))
    if starts[-1] + length < pairs:
        if tail == "shift":
            starts.append(pairs - length)
        elif tail == "loop" and starts[-1] + stride < pairs:
            starts.append(starts[-1] + stride)
    return starts


def centre(height, width, size):
    """Slices (rows, columns) of the crop in the middle of frames, of `size` px."""
    top, left = (height - size) // 2, (width - size) // 2
    return np.s_[top : top + size, left : left + size]


def cut(pairs, ranges):
    """Yields clips {name: `[end - begin, H, W, C]`} of ranges (begin, end) of pairs.

    Holds the pairs of one range. A range that goes on behind the last pair is filled by
    looping its own; flow is decoded to float32 px.

    Args:
      pairs: iterable of `read_pairs`, of which the first is pair 0.
      ranges: with rising begins, each below the number of pairs.
    """
    pairs = iter(pairs)
    held, position = collections.deque(), 0
    for begin, end in ranges:
        while held and position < begin:
            held.popleft()
            position += 1
        skipped = itertools.islice(pairs, begin - position)
        position += sum(1 for _ in skipped)
        held.extend(itertools.islice(pairs, end - position - len(held)))
        if not held:
            raise ValueError(f"there are {position} pairs of frames, none from {begin}")
        indices = np.arange(end - begin) % len(held)
        yield {
            name: _stack([held[index][name] for index in indices], name)
            for name in held[0]
        }


def _stack(values, name):
    stacked = np.stack(values)
    return code.decode(stacked) if name == "flow" else stacked
