"""What was found in a data set: all that its page shows."""

from typing import NamedTuple

from i3d_tf.config import Data
from i3d_tf.datasets.coverage import UNLABELLED
from i3d_tf.inspection.records import Video


class Sample(NamedTuple):
    """A video on the page.

    Attributes:
      video: the `Video`.
      views: what each View cuts, in words; none if the crop does not fit.
      flow_shares: of `records.flow_shares`, or None.
      picture: path of its sheet from the page, or None.
    """

    video: Video
    views: list[str]
    flow_shares: tuple[float, float] | None
    picture: str | None


class Inspection(NamedTuple):
    """All that the page shows.

    Attributes:
      name: of the data set, with its version.
      data: how clips are cut.
      seed: of the Views.
      split: that `videos` and `samples` are of.
      counts: `{split: {label: videos}}`, the labels the same in all splits.
      coverage: of `datasets.coverage.read_coverage`.
      videos: the `Video`s that durations and sizes are counted of.
      samples: `{shown label: [Sample]}`.
      durations: path of the plot from the page.
    """

    name: str
    data: Data
    seed: int
    split: str
    counts: dict[str, dict[str, int]]
    coverage: dict | None
    videos: list[Video]
    samples: dict[str, list[Sample]]
    durations: str


def left_out(inspection):
    """Which classes the page does not show, in words; empty if it shows all."""
    with_videos = sum(map(bool, inspection.counts[inspection.split].values()))
    shown = len(inspection.samples)
    if shown == with_videos:
        return ""
    return (
        f"{shown} of the {with_videos} classes with videos in {inspection.split} are "
        f"shown, evenly over their order; --classes {with_videos} shows all"
    )


def notices(inspection):
    """What deserves a look, a sentence each."""
    data, videos = inspection.data, inspection.videos
    notes = []

    def note(number, what):
        if number:
            notes.append(f"{number:,} of the {len(videos):,} counted videos {what}.")

    sides = [min(video.height, video.width) for video in videos]
    note(
        sum(side < data.size for side in sides),
        f"are smaller than the crop of {data.size} px: training stops at them",
    )
    note(
        sum(side >= data.size and side != data.smaller_side for side in sides),
        f"have another smaller side than {data.smaller_side} px",
    )
    note(
        sum(video.frames < data.num_frames for video in videos),
        f"are shorter than a clip of {data.num_frames} frames, and looped",
    )
    for split, counts in inspection.counts.items():
        empty = [label for label, count in counts.items() if not count]
        if counts.get(UNLABELLED):
            notes.append(f"The videos of {split} have no labels.")
        elif empty := [label for label in empty if label != UNLABELLED]:
            names = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
            notes.append(
                f"Classes without a video in {split}: {len(empty):,} ({names})."
            )
    return notes
