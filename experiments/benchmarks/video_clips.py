"""Two-stream clips straight from video files, which records are compared with.

Each function takes a `Source`, the first pair of a clip and their number T, and returns
the codes of the pairs: RGB `[T, size, size, 3]` and flow `[T, size, size, 2]`, uint8, a
centre crop. The videos have the size and the rate that training wants, so nothing is
resampled.
"""

import importlib.util
import itertools
from typing import NamedTuple

import av
import cv2
import numpy as np

SIZE = 224  # px


class Source(NamedTuple):
    """A video and its flow video, paths."""

    video: str
    flow: str


def with_pyav(source, start, count):
    """Seeks the last key frame before the clip, and decodes from there."""
    return _two_streams(
        # Pair k is frame k + 1 and the flow to it.
        list(_pyav_frames(source.video, start + 1, count, "rgb24")),
        list(_pyav_frames(source.flow, start, count, "gray")),
    )


def _pyav_frames(path, start, count, pixels):
    with av.open(path) as container:
        stream = container.streams.video[0]
        # There is a clip for every core already.
        stream.thread_count = 1
        time = start / stream.average_rate
        container.seek(round(time / stream.time_base), stream=stream)
        # Half a frame of slack, as containers round times.
        wanted = time - 1 / (2 * stream.average_rate)
        frames = (
            frame
            for frame in container.decode(stream)
            if frame.pts * stream.time_base >= wanted
        )
        for frame in itertools.islice(frames, count):
            yield frame.to_ndarray(format=pixels)


def with_opencv(source, start, count):
    """`cv2.VideoCapture`, set to the clip's first frame."""
    rgb = [frame[..., ::-1] for frame in _opencv_frames(source.video, start + 1, count)]
    flow = [frame[..., 0] for frame in _opencv_frames(source.flow, start, count)]
    return _two_streams(rgb, flow)


def _opencv_frames(path, start, count):
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        capture.set(cv2.CAP_PROP_POS_FRAMES, start)
        for _ in range(count):
            read, frame = capture.read()
            if not read:
                raise ValueError(f"{path}: ends before frame {start + count}")
            yield frame
    finally:
        capture.release()


def with_decord(source, start, count):
    """decord's `get_batch`."""
    rgb = _decord_frames(source.video, start + 1, count)
    return _two_streams(rgb, _decord_frames(source.flow, start, count)[..., 0])


def _decord_frames(path, start, count):
    import decord

    video = decord.VideoReader(path, num_threads=1)
    return video.get_batch(range(start, start + count)).asnumpy()


def readers():
    """{name: function}: decord where it is installed."""
    found = {"PyAV": with_pyav, "OpenCV": with_opencv}
    if importlib.util.find_spec("decord"):
        found["decord"] = with_decord
    return found


def _two_streams(rgb, planes):
    height, width = rgb[0].shape[:2]
    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    rows, columns = np.s_[top : top + SIZE], np.s_[left : left + SIZE]
    flow = [
        np.stack([frame[rows, columns], frame[height:][rows, columns]], -1)
        for frame in planes
    ]
    return np.stack([frame[rows, columns] for frame in rgb]), np.stack(flow)
