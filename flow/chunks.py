"""The flow of a video in chunks, which may be computed in any process."""

import itertools

import numpy as np

from flow import code
from flow.video import VideoError, read_video, to_grey

# Pairs of frames in a chunk, fewer of large frames: what is held in memory and goes
# from process to process at once.
CHUNK = 32
CHUNK_BYTES = 8 << 20  # of grey frames


def grey_chunks(source, settings):
    """Yields the grey frames of a video in chunks `[n, H, W]` uint8, n >= 2.

    A chunk begins with the last frame of the one before: together they hold each
    pair of neighbours once.

    Raises VideoError as `read_video`, or if there are fewer than 2 frames at
    `settings.fps`.
    """
    count, chunk = 0, []
    frames = read_video(
        source,
        fps=settings.fps,
        smaller_side=settings.smaller_side,
        until_damage=settings.until_damage,
    )
    for frame in frames:
        count += 1
        chunk.append(to_grey(frame))
        if len(chunk) > max(1, min(CHUNK, CHUNK_BYTES // chunk[-1].size)):
            yield np.stack(chunk)
            del chunk[:-1]
    if count < 2:
        raise VideoError(
            f"{source}: {count} frame at {settings.fps} fps; flow needs at least 2"
        )
    if len(chunk) > 1:
        yield np.stack(chunk)


def chunk_codes(settings, frames):
    """Grey frames `[n, H, W]` uint8 -> codes `[n - 1, H, W, 2]` uint8 of their flow.

    The k-th leads from frame k to frame k + 1.
    """
    tvl1 = settings.tvl1()
    return np.stack([code.encode(tvl1(*pair)) for pair in itertools.pairwise(frames)])
