"""Evaluation protocols: which Views of a video the networks are shown.

What they say of the Views of a video is averaged, see `i3d_tf.evaluation.scores`.
"""

import dataclasses

import tensorflow as tf

from i3d_tf import clips
from i3d_tf.inception import MIN_FRAMES

# Of longer videos the author's test took the first 250 frames, the ten seconds of a
# Kinetics clip, and looped shorter ones (kinetics-i3d issue 28).
FULL_FRAMES = 250
CROPS = (1, 3, 5, 10)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is looked at; made by `center`, `full` and `views`.

    Attributes:
      name: "center", "full" or "views".
      num_frames: T of a clip; None for as many as a video has, and at least 9. A
        shorter video is looped from its beginning.
      clips: in time.
      crops: in space, 1, 3, 5 or 10; `crop_corners` tells which.
    """

    name: str
    num_frames: int | None
    clips: int = 1
    crops: int = 1

    def __post_init__(self):
        is_picture = (self.name, self.num_frames) == ("center", 1)
        frames = MIN_FRAMES if self.num_frames is None else self.num_frames
        if frames < MIN_FRAMES and not is_picture:
            raise ValueError(
                f"{self.name}: clips of {self.num_frames} frames; the network needs "
                f"{MIN_FRAMES}"
            )
        if self.clips < 1:
            raise ValueError(f"{self.name}: {self.clips} clips; at least 1 is needed")
        if self.crops not in CROPS:
            raise ValueError(
                f"{self.name}: {self.crops} crops; known: {', '.join(map(str, CROPS))}"
            )

    @property
    def num_views(self):
        """Views of each video."""
        return self.clips * self.crops


def center(num_frames):
    """The middle `num_frames` of a video, centre crop."""
    return Protocol("center", num_frames)


def full(num_frames=FULL_FRAMES):
    """The first `num_frames` of a video, or all of them if None; centre crop.

    The network runs over them as one clip, convolutionally in time, and its logits
    are the mean over all time steps: the paper's test (section 4.1; kinetics-i3d
    issue 44).
    """
    return Protocol("full", num_frames)


def views(num_frames, num_clips, num_crops):
    """`num_clips` clips evenly over the video, `num_crops` crops of each."""
    return Protocol("views", num_frames, num_clips, num_crops)


def describe(protocol):
    """`first 250 frames, centre crop` and the like."""
    frames = protocol.num_frames
    crops = "centre crop" if protocol.crops == 1 else f"{protocol.crops} crops each"
    if protocol.name == "full":
        return f"{'all' if frames is None else f'first {frames}'} frames, {crops}"
    if protocol.clips == 1:
        return f"middle {frames} frames, {crops}"
    return f"{protocol.clips} clips of {frames} frames, {crops}"


def clip_length(protocol, frames):
    """T of the clips of a video of `frames` frames: int if it is always the same."""
    if protocol.num_frames is not None:
        return protocol.num_frames
    return tf.maximum(frames, MIN_FRAMES)


def clip_starts(protocol, frames):
    """First frames of a video's clips, `[clips]` int32, in their order.

    Several clips are evenly spaced, the first and the last at the ends of the video;
    of one that is not longer than a clip all are the same.
    """
    spare = tf.maximum(frames - clip_length(protocol, frames), 0)
    if protocol.name == "full":
        return tf.zeros([1], tf.int32)
    if protocol.clips == 1:
        return spare[None] // 2
    gaps = protocol.clips - 1
    # Rounded, halves up.
    return (2 * tf.range(protocol.clips) * spare + gaps) // (2 * gaps)


def crop_corners(protocol, height, width, size):
    """Corners of the crops of frames of height x width px, `[crops]` each.

    1: the centre. 3: both ends and the middle of the longer side, in the middle of the
    other one. 5: the corners, top left, top right, bottom left, bottom right, and the
    centre. 10: these five and then their mirror images.

    Returns:
      (tops, lefts, mirrored): px, px, bool.
    """
    down, right = height - size, width - size
    top, left = down // 2, right // 2
    if protocol.crops == 1:
        tops, lefts = [top], [left]
    elif protocol.crops == 3:
        wide = width >= height
        tops = [tf.where(wide, top, end) for end in (0, top, down)]
        lefts = [tf.where(wide, end, left) for end in (0, left, right)]
    else:
        tops, lefts = [0, 0, down, down, top], [0, right, 0, right, left]
    repeats = 2 if protocol.crops == 10 else 1
    mirrored = [copy == 1 for copy in range(repeats) for _ in tops]
    return tf.stack(tops * repeats), tf.stack(lefts * repeats), tf.constant(mirrored)


def all_views(protocol, shape, size):
    """The Views of a video, clip after clip, the crops of each together.

    Args:
      shape: (frames, height, width), int32 scalars.
      size: side of the crop, px.

    Returns:
      (indices `[V]` int32 into `clip_starts`, View of tensors `[V]`).
    """
    frames, height, width = shape
    starts = clip_starts(protocol, frames)
    tops, lefts, mirrored = crop_corners(protocol, height, width, size)
    indices = tf.repeat(tf.range(protocol.clips), protocol.crops)
    return indices, clips.View(
        tf.gather(starts, indices),
        tf.tile(tops, [protocol.clips]),
        tf.tile(lefts, [protocol.clips]),
        tf.tile(mirrored, [protocol.clips]),
    )
