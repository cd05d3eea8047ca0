"""The TFDS builders of videos and their flow: a listing -> records of both."""

import dataclasses
import functools
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from flow.files import as_path, is_folder
from i3d_tf.datasets.listed_builder import ListedBuilder, ListedConfig
from i3d_tf.datasets.pairs import encode_listed, find_gap, flow_failures


@dataclasses.dataclass
class TwoStreamConfig(ListedConfig):
    """Where a data set comes from.

    Attributes:
      videos: folder that the listed paths begin from.
      flow: folder of the flow videos, of the same relative paths.
    """

    videos: pathlib.Path | None = None
    flow: pathlib.Path | None = None


def new_config(name, listing, videos, flow, **options):
    """The config `name` of a builder; options are those of `ListedConfig`.

    Raises ValueError if there is no folder of flow videos.
    """
    videos, flow = as_path(videos), as_path(flow)
    if not is_folder(flow):
        raise ValueError(f"{flow}: no such folder of flow videos")
    return TwoStreamConfig(
        name=name, listing=listing, videos=videos, flow=flow, **options
    )


class TwoStreamBuilder(ListedBuilder, skip_registration=True):
    """Records of aligned, encoded frames."""

    # See `pairing.part_of`.
    MAYBE_CUT = False

    def _info(self):
        frames = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        planes = tfds.features.Image(shape=(None, None, 1), encoding_format="jpeg")
        return tfds.core.DatasetInfo(
            builder=self,
            description="Videos with their TV-L1 flow, frame by frame.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(doc="source, and the times of a part"),
                    "rgb": tfds.features.Sequence(frames, doc="frames 1 ... N - 1"),
                    "flow": tfds.features.Sequence(
                        planes, doc="to these from the one before; u above v, coded"
                    ),
                    "height": tfds.features.Scalar(np.int32, doc="of frames, px"),
                    "width": tfds.features.Scalar(np.int32, doc="of frames, px"),
                    "fps": tfds.features.Scalar(np.float32, doc="frames per second"),
                    "label": tfds.features.ClassLabel(
                        names=self.builder_config.listing.labels,
                        doc="-1 in a split whose labels are not published",
                    ),
                    "source": tfds.features.Text(
                        doc="path of the video in the folder of videos"
                    ),
                    "start": tfds.features.Scalar(np.float32, doc="in source, seconds"),
                    "end": tfds.features.Scalar(np.float32, doc="in source, seconds"),
                    "flow_metadata": tfds.features.Text(
                        doc="tags of the flow video: how it was made, as JSON"
                    ),
                }
            ),
        )

    def _encoder(self):
        config = self.builder_config
        return functools.partial(
            encode_listed, config.videos, config.flow, self.MAYBE_CUT
        )

    def _gap_finder(self):
        config = self.builder_config
        failures = flow_failures(config.flow)
        return functools.partial(find_gap, config.videos, config.flow, failures)
