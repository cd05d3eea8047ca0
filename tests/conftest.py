"""Fixtures that tests share, and the machine's kind in pytest's last lines."""

import ctypes
import gc
import importlib.metadata
import os
import pathlib
import platform
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

# Before TensorFlow: the first makes its start quiet, the second turns oneDNN on.
import experiments  # noqa: F401
from i3d_tf import processor


def pytest_terminal_summary(terminalreporter):
    """Prints what results may depend on: processor, oneDNN, versions.

    At the end, since pytest leaves out its header with `-q`.
    """
    onednn = "on" if processor.uses_onednn() else "off"
    if processor.max_isa():
        onednn += f", held down to {processor.max_isa()}"
    names = ("tensorflow", "keras", "numpy")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in names)
    terminalreporter.write_line(
        f"{processor.describe()}; oneDNN {onednn}; fast bfloat16: "
        f"{processor.bfloat16_units() or 'none'}"
    )
    terminalreporter.write_line(
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


@pytest.fixture(autouse=True)
def forget_gradients():
    """Lets TensorFlow's graphs die after the test that traced them.

    Each trace of a `tf.custom_gradient` adds a function to TensorFlow's registry of
    gradients, which keeps it and with it the whole graph until the process ends: 25 MB
    for a training step of the smallest network.
    """
    yield
    if "tensorflow" not in sys.modules:
        return
    from tensorflow.python.framework import ops

    registry = ops.gradient_registry._registry
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        del registry[name]


@pytest.fixture(autouse=True, scope="module")
def free_memory():
    """Returns memory to the system after each file, which the next may not need."""
    yield
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim:
        trim(0)


@pytest.fixture(scope="module")
def shallow_network():
    """Leaves out six of the nine Inception modules, for tests of what is around them.

    Every stage keeps one, and the pools stay, so that shapes are those of the whole
    network; tracing takes a third of the time. A test that starts a process which
    builds a network cannot use it.
    """
    from i3d_tf import trunk

    left_out = ("Mixed_3c", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_5b")
    table = tuple(row for row in trunk.INCEPTION_V1 if row[1] not in left_out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trunk, "INCEPTION_V1", table)
        yield


@pytest.fixture(scope="session")
def data_dir():
    """The folder of reference data, which I3D_TEST_DATA names."""
    folder = os.environ.get("I3D_TEST_DATA")
    if not folder:
        pytest.skip("I3D_TEST_DATA is not set: this test needs the reference data")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def write_video():
    """The function that writes frames as a lossless video; see `_write_video`."""
    return _write_video


def _write_video(
    path, frames, *, fps=25, pts=None, durations=None, time_base=Fraction(1, 1000)
):
    """Writes frames `[T, H, W, 3]` uint8 RGB losslessly (FFV1); returns the path.

    Args:
      path: `.avi` keeps every rate exactly; `.mkv` rounds times to 1 ms and is the
        one for `pts`.
      frames: `[T, H, W, 3]` uint8.
      fps: frames per second, an int or a Fraction; ignored with `pts`.
      pts: the frames' starts in units of `time_base`, in the order of `frames`.
      durations: with `pts`, the frames' durations in the same unit; None leaves
        them to the container.
      time_base: seconds, a Fraction.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.asarray(frames)
    if pts is None:
        pts, time_base = range(len(frames)), 1 / Fraction(fps)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        stream.time_base = stream.codec_context.time_base = time_base
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, time_base
            for packet in stream.encode(frame):
                # Decoding order is the order of `frames`, whatever the starts are.
                packet.pts, packet.dts = pts[number], min(number, pts[number])
                packet.time_base = time_base
                if durations is not None:
                    packet.duration = durations[number]
                container.mux(packet)
        container.mux(stream.encode(None))
    return path
