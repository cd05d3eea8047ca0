"""The TFDS builders: a listing of videos and their flow -> records."""

import collections
import dataclasses
import json
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from flow.extract import flow_path
from flow.files import write_json
from flow.pool import map_videos
from i3d_tf.datasets.frames import encode_pair
from i3d_tf.datasets.listing import Listing, list_folder, list_ucf101

COVERAGE = "coverage.json"  # beside the records


@dataclasses.dataclass
class TwoStreamConfig(tfds.core.BuilderConfig):
    """Where a data set comes from.

    Attributes:
      listing: labels and listed videos.
      videos: folder that the listed paths begin from.
      flow: folder of the flow videos, of the same relative paths.
      workers: processes that encode; None takes the processors at hand.
    """

    # Not in the repr: TFDS logs it, and UCF101 lists 13,320 videos.
    listing: Listing | None = dataclasses.field(default=None, repr=False)
    videos: pathlib.Path | None = None
    flow: pathlib.Path | None = None
    workers: int | None = None


class TwoStreamBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Records of aligned, encoded frames; what cannot be used is in `coverage`."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Videos with their TV-L1 flow, frame by frame.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "rgb": tfds.features.Sequence(
                        tfds.features.Image(
                            shape=(None, None, 3), encoding_format="jpeg"
                        )
                    ),
                    "flow": tfds.features.Sequence(
                        tfds.features.Image(
                            shape=(None, None, 1), encoding_format="jpeg"
                        )
                    ),
                    "height": np.int32,
                    "width": np.int32,
                    "fps": np.float32,
                    "label": tfds.features.ClassLabel(
                        names=self.builder_config.listing.labels
                    ),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        # Per split and label: how many are listed and used, and what was lost.
        self.coverage = {}
        splits = dict.fromkeys(
            video.split for video in self.builder_config.listing.videos
        )
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split):
        config = self.builder_config
        coverage = self.coverage.setdefault(split, {})
        jobs = []
        for video, label, its_split in config.listing.videos:
            if its_split == split:
                counts = coverage.setdefault(
                    label, {"listed": 0, "used": 0, "lost": []}
                )
                counts["listed"] += 1
                jobs.append(
                    (
                        video,
                        label,
                        config.videos / video,
                        config.flow / flow_path(video),
                    )
                )
        for video, label, example, reason in map_videos(
            _encode_job, jobs, config.workers
        ):
            if reason:
                coverage[label]["lost"].append({"video": video, "reason": reason})
                continue
            coverage[label]["used"] += 1
            yield video, {"id": video, "label": label, **example}
        if not any(counts["used"] for counts in coverage.values()):
            lost = [lost for counts in coverage.values() for lost in counts["lost"]]
            raise ValueError(
                f"no video of split {split!r} can be used; {lost[0]['reason']}"
            )

    def _download_and_prepare(self, dl_manager, download_config=None):
        super()._download_and_prepare(dl_manager, download_config)
        # Here `data_dir` is still the unfinished folder: both get their names at once.
        write_json(pathlib.Path(self.data_dir) / COVERAGE, self.coverage)

    def build(self, overwrite=False):
        """Writes the records and `coverage.json`, unless they are there.

        Returns the coverage, `{split: {label: {"listed", "used", "lost"}}}`, or None if
        nothing was to be done.

        Raises:
          ValueError: no video of a split can be used; or the data set is there and
            lists other videos, and it is not to be overwritten.
        """
        mode = tfds.GenerateMode.REUSE_DATASET_IF_EXISTS
        if overwrite:
            mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS
        else:
            self._refuse_other_listing()
        self.coverage = None
        self.download_and_prepare(
            download_config=tfds.download.DownloadConfig(download_mode=mode)
        )
        return self.coverage

    def _refuse_other_listing(self):
        path = pathlib.Path(self.data_dir) / COVERAGE
        if not path.is_file():
            return
        built = {
            (split, label): counts["listed"]
            for split, labels in json.loads(path.read_text("utf-8")).items()
            for label, counts in labels.items()
        }
        now = collections.Counter(
            (video.split, video.label) for video in self.builder_config.listing.videos
        )
        if built != now:
            raise ValueError(
                f"{self.data_dir}: was built from {sum(built.values())} listed videos, "
                f"now {sum(now.values())} are listed, or others; --overwrite builds it "
                "again, another --name beside it"
            )


class TwoStreamUcf101(TwoStreamBuilder):
    """UCF101 with one of its three official splits."""

    @classmethod
    def of(cls, videos, flow, annotations, split_number, *, data_dir, workers=None):
        """Builder of `two_stream_ucf101/split_<split_number>` below `data_dir`."""
        listing = list_ucf101(videos, annotations, split_number)
        config = _config(f"split_{split_number}", listing, videos, flow, workers)
        return cls(config=config, data_dir=data_dir)


class TwoStreamFolder(TwoStreamBuilder):
    """A folder of class folders, or what a CSV file lists."""

    @classmethod
    def of(
        cls,
        videos,
        flow,
        annotations=None,
        *,
        data_dir,
        name,
        test_glob=None,
        workers=None,
    ):
        """Builder of `two_stream_folder/<name>` below `data_dir`."""
        listing = list_folder(videos, annotations, test_glob)
        config = _config(name, listing, videos, flow, workers)
        return cls(config=config, data_dir=data_dir)


def _config(name, listing, videos, flow, workers):
    if not pathlib.Path(flow).is_dir():
        raise ValueError(f"{flow}: no such folder of flow videos")
    return TwoStreamConfig(
        name=name,
        listing=listing,
        videos=pathlib.Path(videos),
        flow=pathlib.Path(flow),
        workers=workers,
    )


def _encode_job(job):
    """(video, label, source, flow) -> (video, label, example, None or reason)."""
    video, label, source, flow = job
    try:
        for path in (source, flow):
            if not path.is_file():
                return video, label, None, f"{path}: is missing"
        return video, label, encode_pair(source, flow), None
    except (ValueError, OSError) as error:
        return video, label, None, str(error)
