"""What a benchmark says of the machine, and memory that a process took."""

import os
import pathlib
import resource

from i3d_tf.processor import describe

__all__ = ["describe", "held_gb", "peak_gb"]


def peak_gb():
    """Most memory this process has held, in 10**9 bytes; Linux tells kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def held_gb():
    """Memory that this process holds now, in 10**9 bytes; Linux tells pages."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
