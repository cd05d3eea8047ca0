"""Memory of FFmpeg's filter graphs."""

import gc

import av

# From version 19 on, a graph of PyAV and its filters refer to each other.
_GRAPHS_ARE_CYCLES = int(av.__version__.partition(".")[0]) >= 19


def free_filter_graphs():
    """Frees the memory of all filter graphs that nobody refers to any more.

    Graphs hold decoded frames, in memory that Python does not count. So its garbage
    collector would come too late by itself: a folder of interlaced videos would fill
    the memory.
    """
    if _GRAPHS_ARE_CYCLES:
        gc.collect()
