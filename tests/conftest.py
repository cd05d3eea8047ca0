"""Fixtures for all tests: the reference data and lossless videos of known frames."""

import os
import pathlib
from fractions import Fraction

import av
import numpy as np
import pytest

# Before TensorFlow: the first makes its start quiet, the second turns oneDNN on.
import experiments  # noqa: F401
import i3d_tf  # noqa: F401


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
