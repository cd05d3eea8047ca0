"""The processor's kind, as far as it decides which kernels are fast."""

import os
import pathlib
import platform
import sys

ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_CPUINFO = pathlib.Path("/proc/cpuinfo")

# Values of ONEDNN_MAX_CPU_ISA under which oneDNN has no AVX-512, no bfloat16 and no AMX
# instructions to use. It ignores values that it does not know.
_WITHOUT_AVX512 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
_WITHOUT_BFLOAT16 = (*_WITHOUT_AVX512, "AVX512_CORE", "AVX512_CORE_VNNI")
_WITHOUT_AMX = (*_WITHOUT_BFLOAT16, "AVX512_CORE_BF16", "AVX512_CORE_FP16")


def flags() -> frozenset[str]:
    """Returns the instruction sets of an x86 processor as Linux names them.

    Other systems give none. No Mac has bfloat16 instructions that TensorFlow uses, and
    TensorFlow's kernels for other architectures were not measured.
    """
    return frozenset(_cpuinfo().get("flags", "").split())


def uses_onednn() -> bool:
    """Returns whether TensorFlow uses oneDNN, or will once it is imported.

    TensorFlow reads the environment variable while it is imported, so that afterwards
    TensorFlow itself is asked.
    """
    if "tensorflow" in sys.modules:
        try:
            # TensorFlow does not offer it publicly.
            from tensorflow.python.util import _pywrap_util_port

            return _pywrap_util_port.IsMklEnabled()
        except (ImportError, AttributeError):
            pass
    return os.environ.get(ONEDNN_VARIABLE, "1").lower() not in ("0", "false")


def max_isa() -> str:
    """Returns the instruction set that oneDNN is held down to, or an empty string."""
    # The second name is the one of older versions, which oneDNN still reads.
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        if os.environ.get(name):
            return os.environ[name].upper()
    return ""


def bfloat16_units() -> str | None:
    """Returns the name of the processor's fast bfloat16 instructions, or None.

    AVX-512 without them is no help: a forward pass in bfloat16 takes five times as long
    as in float32 there. Neither is AVX512-BF16 on a processor with AMX whose AMX is
    switched off: two times. See experiments/benchmarks/README.md.
    """
    found = flags()
    if not uses_onednn():
        return None
    if "amx_bf16" in found:
        return None if max_isa() in _WITHOUT_AMX else "AMX"
    if "avx512_bf16" in found:
        return None if max_isa() in _WITHOUT_BFLOAT16 else "AVX512-BF16"
    return None


def slow_bfloat16() -> str:
    """Returns why a processor without fast bfloat16 is slow at it, and how slow."""
    found, isa = flags(), max_isa()
    if not uses_onednn():
        reason, times = f"without oneDNN ({ONEDNN_VARIABLE}=0)", 30
    else:
        has_units = not found.isdisjoint(("amx_bf16", "avx512_bf16"))
        reason = (
            f"with oneDNN held down to {isa}"
            if has_units and isa
            else "without AVX512-BF16 or AMX"
        )
        if "avx512f" not in found or isa in _WITHOUT_AVX512:
            times = 30
        else:
            times = 5 if isa in ("", *_WITHOUT_BFLOAT16) else 2
    return f"{reason}, bfloat16 takes about {times} times as long as float32"


def describe() -> str:
    """Returns one line: the processor, its units for matrices, and its cores."""
    fields = _cpuinfo()
    name = fields.get("model name") or platform.processor() or platform.machine()
    found = fields.get("flags", "").split()
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    units = ", ".join(unit for unit in known if unit in found) or "no known units"
    return f"{name} ({units}), {os.cpu_count()} CPUs"


def _cpuinfo() -> dict[str, str]:
    """Returns the fields of the last processor in Linux's list, empty elsewhere."""
    if not _CPUINFO.is_file():
        return {}
    lines = _CPUINFO.read_text("utf-8").splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
