"""A quiet start of TensorFlow for the commands, the benchmarks and the tests.

TensorFlow logs some lines about oneDNN and CUDA while it is imported, one of them as an
error on every machine without a GPU. They come before TensorFlow has read
`TF_CPP_MIN_LOG_LEVEL`, so that no setting reaches them. Here they are read back and
dropped by name; everything else that is written meanwhile is passed on.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import pathlib
import re
import subprocess
import sys
import tempfile

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Any informational line, and the warnings and errors that these source files of
# TensorFlow log at every start without a GPU, or at every start with one.
_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|To enable the following instructions:"
    rb"|I\d{4} \S+ +\d+ \w+\.cc:\d+\] "
    rb"|[WE]\d{4} \S+ +\d+ (cudart_stub|cuda_platform|cuda_diagnostics|cuda_dnn"
    rb"|cuda_blas|cuda_fft|computation_placer|gpu_device)\.cc:\d+\] "
)


def start_tensorflow_quietly():
    """Makes the next `import tensorflow` a quiet one, wherever it stands.

    Does nothing if TensorFlow has been imported, or if the environment variable
    `TF_CPP_MIN_LOG_LEVEL` is set to 0 to see all of its lines. The import includes
    TensorFlow's search for GPUs, so `CUDA_VISIBLE_DEVICES` must be set before it.
    """
    quiet = os.environ.setdefault(_LEVEL, "2") != "0"
    if quiet and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as usual, with a loader that holds its lines back."""

    def find_spec(self, fullname, path, target=None):
        if fullname != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                sys.meta_path.remove(self)
                with _without_noise() as noise:
                    execute(module)
                    # The first search for devices logs the error.
                    gpus = module.config.list_physical_devices("GPU")
                if not gpus:
                    _tell_of_unused_gpu(noise)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def _without_noise():
    """Drops the known lines from stderr, those of C++ code included.

    Yields a list that holds the dropped lines, as bytes, after the block. After an
    error in the block nothing is dropped, nor if the process crashes in it, as
    TensorFlow does on a processor that lacks instructions it was compiled for.
    """
    dropped = []
    try:
        stderr = os.dup(2)
    except OSError:  # The process has no stderr.
        yield dropped
        return
    passed_on = b""
    with tempfile.NamedTemporaryFile() as held, _shown_after_a_crash(held.name, stderr):
        if sys.stderr:
            sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield dropped
        except BaseException:
            held.seek(0)
            passed_on = held.read()
            raise
        else:
            held.seek(0)
            for line in held:
                if _NOISE.match(line):
                    dropped.append(line)
                else:
                    passed_on += line
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if passed_on:
                os.write(2, passed_on)


@contextlib.contextmanager
def _shown_after_a_crash(path, stderr):
    """Has a file shown on `stderr` and removed if this process dies in the block."""
    script = 'read -r end || { cat "$0" >&2; rm -f "$0"; }'
    command = ["sh", "-c", script, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr) as shell:
        try:
            yield
        finally:
            # The end of this process would close the pipe without a line.
            shell.communicate(b"end\n")


def _tell_of_unused_gpu(noise, driver="/proc/driver/nvidia/gpus"):
    """Prints one line if there is an NVIDIA GPU that TensorFlow cannot use.

    Args:
      noise: the lines that were dropped, of which one tells the reason.
      driver: folder in which NVIDIA's driver lists the GPUs.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if hidden or not any(pathlib.Path(driver).glob("*")):
        return
    about = [
        line for line in noise if re.search(rb" \w*(cuda|gpu)\w*\.cc:\d+\] ", line)
    ]
    reason = about[-1].decode(errors="replace").partition("] ")[2].strip()
    print(
        "The GPU of this machine is not used, as TensorFlow does not find its driver "
        f"and CUDA libraries ({reason or 'no reason given'}). Install "
        "'tensorflow[and-cuda]', or set CUDA_VISIBLE_DEVICES=-1 to hide this line.",
        file=sys.stderr,
    )
