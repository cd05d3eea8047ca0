"""One function over many videos, in several processes."""

import concurrent.futures
import itertools
import multiprocessing
import os

import cv2


def default_workers():
    """The processors this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1)
    )


def map_videos(function, items, workers=None):
    """Yields function(item) for every item, in the order in which they finish.

    Args:
      function: of a module, as it travels by name to processes started anew.
      items: an iterable; only a few more than `workers` are under way at a time,
        so that large results do not pile up.
      workers: processes; None takes the processors at hand. 1 runs here.
    """
    workers = default_workers() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least 1")
    if workers == 1:
        yield from map(function, items)
        return
    items = iter(items)
    # Started anew, not forked: a fork of a process with threads (TensorFlow's,
    # OpenCV's) can hang.
    with concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _one_thread
    ) as pool:
        try:
            waiting = {
                pool.submit(function, item)
                for item in itertools.islice(items, 2 * workers)
            }
            while waiting:
                done, waiting = concurrent.futures.wait(
                    waiting, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    yield future.result()
                for item in itertools.islice(items, len(done)):
                    waiting.add(pool.submit(function, item))
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread():
    # One process a core is there already; more threads only get in their way.
    cv2.setNumThreads(1)
