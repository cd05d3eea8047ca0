"""Videos as frames at a fixed rate and size, decoded with PyAV.

PyAV reports corrupt packets and real timestamps, both hidden by
`cv2.VideoCapture`.
"""

import pathlib
from fractions import Fraction

import av
import cv2
import numpy as np

FPS = 25
SMALLER_SIDE = 256
SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ts .webm .wmv".split()
)


class VideoError(ValueError):
    """A video that cannot be used; the message names the file and the cause."""


def find_videos(folder):
    """Relative paths, sorted, of the files below `folder` with a video's suffix.

    What is hidden (a part of the path begins with a dot) is passed over: unfinished
    files of ours, and other programs' companions of videos.

    Raises ValueError if `folder` is no folder or holds none.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of videos")
    found = sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    found = [path for path in found if not any(p.startswith(".") for p in path.parts)]
    if not found:
        raise ValueError(f"{folder}: no videos found ({' '.join(sorted(SUFFIXES))})")
    return found


def read_video(path, *, fps=FPS, smaller_side=SMALLER_SIDE):
    """Yields the frames of a video, `[H, W, 3]` uint8 RGB, as the networks see it.

    Resampled to `fps` by timestamp (nearest frame, the last one held), upright,
    the smaller side `smaller_side` px by bilinear interpolation, aspect kept.

    Raises VideoError if the file cannot be decoded to its end.
    """
    for image in resample(decode(path), fps):
        yield resize(image, smaller_side)


def decode(path):
    """Yields (start, duration, image): Fractions of seconds, `[H, W, 3]` uint8 RGB.

    The image is upright (rotation in the metadata is applied) and of the stored
    size. Starts rise strictly: a missing or falling timestamp becomes the end of
    the frame before.

    Raises VideoError if the file cannot be decoded to its end or has no frame.
    """
    previous = end = None
    try:
        # Titles in HMDB51's files are not UTF-8; they are of no use here.
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise VideoError(f"{path}: has no video stream")
            stream = container.streams.video[0]
            # Threads for frames (AUTO) lose an error in the last few frames.
            stream.thread_type = "SLICE"
            rate = stream.average_rate or stream.guessed_rate or FPS
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise VideoError(
                        f"{path}: a frame is damaged (at {float(end or 0):.2f} s)"
                    )
                start, duration = _times(frame, Fraction(1) / rate)
                if start is None or (previous is not None and start <= previous):
                    start = end or Fraction(0)
                previous, end = start, start + duration
                image = frame.to_ndarray(format="rgb24")
                # The rotation is counter-clockwise in degrees, as is rot90's.
                turns = round(frame.rotation / 90)
                yield start, duration, np.ascontiguousarray(np.rot90(image, turns))
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(f"{path}: cannot be decoded ({reason})") from error
    if end is None:
        raise VideoError(f"{path}: has no frames")


def _times(frame, usual_duration):
    duration = usual_duration
    if frame.duration and frame.time_base:
        duration = frame.duration * frame.time_base
    if frame.pts is None or not frame.time_base:
        return None, duration
    return frame.pts * frame.time_base, duration


def resample(frames, fps):
    """Yields the images at times k / fps from the first frame's start.

    Each is the frame whose start is nearest (of two, the earlier), the last one
    held to its end: a video of d seconds gives round(d * fps) images, at least one.

    Args:
      frames: (start, duration, image) with rising starts, in seconds.
      fps: images per second.
    """
    step = Fraction(1) / Fraction(fps)
    # The newest image is kept back: it may lie beyond the end, which comes last.
    first = previous = end = newest = None
    count = 0
    for start, duration, image in frames:
        if first is None:
            first = start
        else:
            middle = (previous[0] + start) / 2
            while first + count * step <= middle:
                if count:
                    yield newest
                newest = previous[1]
                count += 1
        previous = start, image
        end = start + duration
    if previous is None:
        return
    # Halves round up: Python would round them to the even number.
    total = max(1, int((end - first) * fps + Fraction(1, 2)))
    if 0 < count <= total:
        yield newest
    for _ in range(count, total):
        yield previous[1]


def resize(image, smaller_side):
    """`[H, W, ...]` with the smaller side `smaller_side` px, bilinear, aspect kept."""
    height, width = image.shape[:2]
    scale = smaller_side / min(height, width)
    size = round(width * scale), round(height * scale)
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def to_grey(image):
    """RGB `[H, W, 3]` uint8 -> luma `[H, W]` uint8 (BT.601), what TV-L1 sees."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
