"""The frames that a video holds, as other programs count them, and their times.

Programs that leave flow as pictures compute it of every frame that they decode,
whatever its time. `flow.video` goes by the times.
"""

import hashlib
import itertools
import os
from typing import NamedTuple

from flow.files import local_copy
from flow.video import (
    FPS,
    VideoError,
    decode,
    open_container,
    resample,
    video_stream,
)


class Source(NamedTuple):
    """The video that the pictures are the flow of.

    Attributes:
      frames: (start, duration, index) of each, in seconds.
      fps: its own rate.
      tags: source_bytes, source_sha256 of its file.
    """

    frames: list
    fps: float
    tags: dict


def tidy_rate(fps):
    """An int where it is one: 29.97 and 30000/1001 are the same.

    Raises VideoError if that is 0.
    """
    given, fps = fps, round(float(fps), 3)
    if fps <= 0:
        raise VideoError(f"a rate of {given} frames per second is too low")
    return int(fps) if fps.is_integer() else fps


def read_source(path):
    """Decodes a video to its end for its `Source`.

    Raises VideoError as `flow.video.decode`.
    """
    frames = []
    for start, duration, _ in decode(path):
        frames.append((start, duration, len(frames)))
    with local_copy(path) as local:
        with open_container(local) as container:
            stream = video_stream(container)
            fps = stream.average_rate or stream.guessed_rate or FPS
        with open(local, "rb") as file:
            tags = {
                "source_bytes": os.fstat(file.fileno()).st_size,
                "source_sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            }
    return Source(frames, tidy_rate(fps), tags)


def pairs_in_time(pairs, path, source, fps, surplus):
    """The pair for each frame but the first that `flow.video` reads at `fps`.

    None stands for a frame that is the one before, shown once more.

    Raises VideoError if there are more or fewer pairs than go with the frames.
    """
    stored, shown = len(source.frames), list(resample(source.frames, fps))
    of_all = fps == source.fps
    if surplus and len(pairs) == (stored if of_all else len(shown)):
        pairs = pairs[1:] if surplus == "first" else pairs[:-1]
    if of_all and len(pairs) == stored - 1:
        # Pictures count stored frames, which times may show twice or leave out.
        in_time = []
        for before, index in itertools.pairwise(shown):
            if index > before + 1:
                raise VideoError(
                    f"{path}: its frames are not evenly spaced, {fps} a second leave "
                    f"out frame {before + 1}, and the pictures have no flow across it; "
                    "compute its flow with extract_flow"
                )
            in_time.append(pairs[before] if index > before else None)
        return in_time
    if len(pairs) == len(shown) - 1:
        return pairs
    read = f" and {len(shown)} read at {fps} fps" if len(shown) != stored else ""
    raise VideoError(
        f"{pairs[0][0].parent}: holds {len(pairs)} flows, where {path} has {stored} "
        f"frames at {source.fps} fps{read}; N frames give N - 1 flows"
        + (", see --surplus" if len(pairs) == stored else "")
    )
