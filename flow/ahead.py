"""The flow of a video that is being read, computed ahead by threads."""

import collections
import concurrent.futures
import dataclasses
import itertools
import threading

from flow.pool import default_workers
from flow.video import to_grey


def frames_with_flow(frames, tvl1, threads=None):
    """Yields (frame k, flow from frame k - 1 to k), k = 1 ... N - 1.

    As `tvl1.video_flow`; the engines leave Python's lock to others while they compute.
    Besides what was yielded there are at most 2 * threads + 1 frames, whatever N is.

    Args:
      frames: iterable of `[H, W, 3]` uint8 RGB, all of one size.
      tvl1: the `TVL1`, of which each thread takes a copy.
      threads: how many; by default one for each core that this process may use.
    """
    threads = threads or default_workers()
    own = threading.local()

    def solve(previous, current, frame):
        if not hasattr(own, "tvl1"):
            own.tvl1 = dataclasses.replace(tvl1)
        return frame, own.tvl1(previous, current)

    greys = ((frame, to_grey(frame)) for frame in frames)
    pairs = itertools.pairwise(greys)
    for (_, previous), (frame, current) in itertools.islice(pairs, 1):
        # What the first call compiles is there for all threads.
        yield frame, tvl1(previous, current)
    waiting = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        for (_, previous), (frame, current) in pairs:
            waiting.append(pool.submit(solve, previous, current, frame))
            # No variable names a future that is asked for its result: the traceback of
            # its error would hold the variable, and with it the error and all frames.
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Also where nobody wants the rest.
        pool.shutdown(cancel_futures=True)
