"""What a data set holds, read from its records and from their coverage."""

import collections
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from flow import code
from i3d_tf import clips, pipeline
from i3d_tf.datasets.coverage import UNLABELLED
from i3d_tf.streams import FLOW, RGB, STREAMS

EPOCHS = (0, 1)  # whose training Views are shown
SHOWN_FRAMES = 3  # of each clip: its first, its middle and its last
# A code is at most 1 off after JPEG: up to so many px is no motion.
STILL = 1.5 * code.BOUND / code.STEPS


class Video(NamedTuple):
    """A record but for its frames.

    Attributes:
      id: path of the video, as it was listed.
      label: name of the class, or UNLABELLED.
      frames: how many the record holds: those that have a flow.
      fps: frames per second.
      height, width: of a frame, px.
    """

    id: str
    label: str
    frames: int
    fps: float
    height: int
    width: int

    @property
    def seconds(self):
        """How long the video lasts."""
        return self.frames / self.fps


class Shown(NamedTuple):
    """A View of a video and some whole frames of its clip, in the clip's order.

    Attributes:
      name: as "epoch 0".
      view: `clips.View` of Python numbers.
      indices: `[S]` int, which frames of the record.
      rgb: `[S, H, W, 3]` uint8.
      flow: `[S, H, W, 2]` float32 px.
    """

    name: str
    view: clips.View
    indices: np.ndarray
    rgb: np.ndarray
    flow: np.ndarray


def read_videos(builder, split):
    """Iterates over (Video, its record with encoded frames) in the files' order.

    TFDS mixes that order when it writes, so the first few are a fair sample.

    Raises ValueError, at once, if the data set has no such split.
    """
    labels = builder.info.features["label"].names
    found = pipeline.read_examples(builder, split, STREAMS)
    return ((_video(record, labels), record) for record in found)


def _video(record, labels):
    return Video(
        id=record["id"].numpy().decode("utf-8", "replace"),
        label=_label_of(record, labels),
        # Encoded frames are strings: counting them decodes none.
        frames=len(record[RGB.name]),
        fps=float(record["fps"]),
        height=int(record["height"]),
        width=int(record["width"]),
    )


def views(record, data, seed, split):
    """The Views of a record: those of the first two epochs of training.

    They are drawn by the function that training calls, from the same values. Of a
    split that is not trained on it is the View of evaluation.

    Args:
      record: of `read_videos`.
      data: `config.Data`.
      seed: of the config.
      split: that the record is of.

    Returns `{name: clips.View}` of Python numbers, empty for a video that is smaller
    than the crop.
    """
    shape = len(record[RGB.name]), record["height"], record["width"]
    if min(shape[1:]) < data.size:
        return {}
    clip = {"num_frames": data.num_frames, "size": data.size}
    if split == data.train_split:
        drawn = {
            f"epoch {epoch}": clips.random_view(
                seed, epoch, record["id"], shape, mirror=data.mirror, **clip
            )
            for epoch in EPOCHS
        }
    else:
        drawn = {"evaluation": clips.centre_view(shape, **clip)}
    return {
        name: clips.View(*(np.asarray(value).item() for value in view))
        for name, view in drawn.items()
    }


def look(record, name, view, num_frames):
    """Decodes some whole frames of a View's clip: returns `Shown`."""
    frames = len(record[RGB.name])
    clip = clips.sample(tf.range(frames), view.start, num_frames).numpy()
    steps = np.linspace(0, num_frames - 1, SHOWN_FRAMES).astype(int)
    indices = clip[steps]
    rgb, codes = (
        np.stack([_whole_frame(record[stream.name][i], stream) for i in indices])
        for stream in (RGB, FLOW)
    )
    return Shown(name, view, indices, rgb, code.decode(codes))


def _whole_frame(jpeg, stream):
    """One encoded frame -> `[H, W, C]` uint8; as `clips.decode`, without its crop."""
    picture = tf.io.decode_jpeg(
        jpeg,
        channels=stream.channels // stream.planes,
        dct_method="INTEGER_ACCURATE",
    )
    return np.concatenate(np.split(picture.numpy(), stream.planes), axis=-1)


def flow_shares(shown):
    """Of the flow of some `Shown`: (share of still pixels, of pixels at the bound).

    At the bound of 20 px either u or v is cut, and the pixel may move faster.
    """
    u_or_v = np.concatenate([np.abs(one.flow).max(-1).ravel() for one in shown])
    still, cut = u_or_v <= STILL, u_or_v >= code.BOUND - STILL
    return float(still.mean()), float(cut.mean())


def count_videos(builder, coverage):
    """How many videos there are: `{split: {label: videos}}`.

    The labels are in their order, the same in all splits, with UNLABELLED after them
    if a split has such videos.

    Args:
      builder: a built data set.
      coverage: of `datasets.coverage.read_coverage`; if None, records are counted, of
        which nothing but the label is parsed.
    """
    labels = builder.info.features["label"].names
    used = {}
    for split in builder.info.splits:
        if coverage is None:
            examples = pipeline.read_examples(builder, split, ())
            used[split] = collections.Counter(
                _label_of(example, labels) for example in examples
            )
        else:
            used[split] = {label: n["used"] for label, n in coverage[split].items()}
    rows = list(labels)
    if any(UNLABELLED in counts for counts in used.values()):
        rows.append(UNLABELLED)
    return {
        split: {label: counts.get(label, 0) for label in rows}
        for split, counts in used.items()
    }


def _label_of(record, labels):
    index = int(record["label"])
    return UNLABELLED if index < 0 else labels[index]


def choose_labels(counts, classes):
    """At most `classes` of the labels that have videos, evenly over their order.

    Args:
      counts: `{label: videos}`.
    """
    present = [label for label, count in counts.items() if count]
    number = min(classes, len(present))
    steps = np.rint(np.linspace(0, len(present) - 1, number)).astype(int)
    return [present[step] for step in steps]
