"""What a benchmark says of the machine, and memory that a process took."""

import os
import pathlib
import platform
import resource


def describe():
    """The processor, the units that bfloat16 and float32 profit from, the cores."""
    path = pathlib.Path("/proc/cpuinfo")
    if not path.is_file():
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs"
    lines = dict(
        (part.strip() for part in line.split(":", 1))
        for line in path.read_text().splitlines()
        if ":" in line
    )
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    units = [unit for unit in known if unit in lines.get("flags", "").split()]
    name = lines.get("model name", platform.machine())
    return f"{name} ({', '.join(units)}), {os.cpu_count()} CPUs"


def peak_gb():
    """Most memory this process has held, in 10**9 bytes; Linux tells kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def held_gb():
    """Memory that this process holds now, in 10**9 bytes; Linux tells pages."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
