"""The frames of a video with the flow to them, as its flow video's tags say."""

import itertools

from flow.flow_video import read_flow_video
from flow.video import VideoError, read_video


def paired_frames(source, flow, made):
    """Yields (frame `[H, W, 3]` uint8 RGB, codes `[H, W, 2]` uint8) k = 1 ... N - 1.

    The codes are of the flow from frame k - 1 to frame k. Where one of both has ended
    it is None: see `check_pair`.

    Args:
      source: path of the video. It is read at the rate and size that the tags name, and
        up to the damage that they tell of.
      flow: path of its flow video.
      made: the tags of `flow`.

    Raises VideoError if one cannot be read, or the tags name no size.
    """
    side = made.get("smaller_side")
    if not isinstance(side, int) or side < 1:
        raise VideoError(f"{flow}: its tag smaller_side is {side!r}, which is no size")
    until_damage = made.get("damage") is not None
    frames = read_video(
        source, fps=made["fps"], smaller_side=side, until_damage=until_damage
    )
    next(frames)  # Nothing moves into the first frame: it has no flow.
    yield from itertools.zip_longest(frames, read_flow_video(flow))


def check_pair(source, flow, image, codes):
    """Raises VideoError if one of both is missing, or they differ in size."""
    if image is None or codes is None:
        raise VideoError(
            f"{source}: has {'fewer' if image is None else 'more'} frames than its "
            f"flow video {flow}"
        )
    if image.shape[:2] != codes.shape[:2]:
        raise VideoError(
            f"{source}: frames are {list(image.shape[:2])} px, its flow video's "
            f"{list(codes.shape[:2])}"
        )
