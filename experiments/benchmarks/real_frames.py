"""Frames of real videos and their flow, of which benchmarks make their data."""

import itertools
import pathlib

import numpy as np
import tqdm

from flow import code
from flow.find_videos import find_videos
from flow.tvl1 import TVL1
from flow.video import SMALLER_SIDE, VideoError, read_video, to_grey

MIN_FRAMES = 16  # a video with fewer pairs is passed over


def read_pairs(folder, *, videos, frames):
    """Frames of up to `videos` videos of a folder, evenly over their order.

    Returns `[(rgb [T, H, W, 3], codes [T, H, W, 2])]` uint8, T <= `frames`: frame k and
    the flow to it from the one before, in `flow.code`.

    Raises ValueError if the folder has no video with MIN_FRAMES pairs.
    """
    found = find_videos(folder)
    chosen = np.linspace(0, len(found) - 1, min(videos, len(found))).astype(int)
    pairs = []
    for index in tqdm.tqdm(chosen, desc="flow of the videos"):
        source = pathlib.Path(folder) / found[index]
        tvl1 = TVL1()
        read, codes = [], []
        try:
            for frame in itertools.islice(read_video(source), frames + 1):
                if read:
                    grey = to_grey(read[-1]), to_grey(frame)
                    codes.append(code.encode(tvl1(*grey)))
                read.append(frame)
        except VideoError:  # What comes before the damage counts.
            pass
        if len(codes) >= MIN_FRAMES:
            pairs.append((np.stack(read[1:]), np.stack(codes)))
    if not pairs:
        raise ValueError(
            f"{folder}: no video of {MIN_FRAMES} frames, the smaller side "
            f"{SMALLER_SIDE} px"
        )
    return pairs
