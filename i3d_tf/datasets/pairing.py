"""Which part of a video and of its flow video is meant."""

import math

from flow.video import VideoError

# By which share of its listed length a clip may differ: of Kinetics' 10 s, 1 s.
CUT_TOLERANCE = 0.1


def part_of(source, duration, start, end, maybe_cut):
    """The part of a video that a list means, (start, end) in seconds.

    Of a whole video the end is infinite: that it ends with its flow is to be seen.

    Args:
      source: path of the video, for messages.
      duration: of the video, in seconds.
      start, end: as listed, or None for all of it.
      maybe_cut: whether the file may be that part already. It is, if it ends before
        `end` and is as long as the part; a whole video would reach to `end`.

    Raises VideoError if the part lies behind the end.
    """
    if start is None:
        return 0.0, math.inf
    length = end - start
    is_as_long = abs(duration - length) <= CUT_TOLERANCE * length
    if maybe_cut and duration < end and is_as_long:
        return 0.0, math.inf
    if start >= duration:
        raise VideoError(
            f"{source}: can be used up to {duration:.2f} s, listed are {start:g} to "
            f"{end:g} s"
        )
    return start, end


def within(pairs, fps, start, end):
    """Yields of pairs k = 1, 2, ... those with start <= k / fps < end.

    Pair k is frame k and the flow from frame k - 1 to it. Nothing is taken from
    `pairs` after the first that lies at `end` or later.
    """
    for k, pair in enumerate(pairs, 1):
        if k / fps >= end:
            return
        if k / fps >= start:
            yield pair
