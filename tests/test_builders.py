"""TFDS's own test of a builder, for each of ours.

Our builders take folders instead of downloading, so `_make_builder` is overridden;
all else is TFDS's: that the builder is registered, builds, is read back in the shapes
and types of its features, has the number of examples in SPLITS, no example in two of
them, and is the same when it is opened again.
"""

import pytest
import tensorflow_datasets as tfds
import tiny_datasets

from i3d_tf.datasets.folder.builder import TwoStreamFolder
from i3d_tf.datasets.hmdb51.builder import TwoStreamHmdb51
from i3d_tf.datasets.kinetics.builder import TwoStreamKinetics
from i3d_tf.datasets.poses.builder import TwoStreamPoses
from i3d_tf.datasets.ucf101.builder import TwoStreamUcf101
from i3d_tf.datasets.volumes.builder import TwoStreamVolumes


@pytest.fixture(scope="class", autouse=True)
def sources(request, tmp_path_factory, write_video):
    """Writes the class's videos and lists; EXAMPLE_DIR is where."""
    root = tmp_path_factory.mktemp("sources")
    request.cls.EXAMPLE_DIR = root
    request.cls.lists = request.cls.WRITE(root, write_video)


class BuilderCase:
    RECORDS = {}  # {split: {id: (label's name, frames)}}

    def test_records(self):
        self.builder.build()
        features = self.builder.info.features
        names = features["label"].names if "label" in features else []
        for split, expected in self.RECORDS.items():
            records = tfds.as_numpy(self.builder.as_dataset(split=split))
            found = {
                record["id"].decode(): (
                    names[record["label"]] if record.get("label", -1) >= 0 else None,
                    len(record["ct" if "ct" in record else "rgb"]),
                )
                for record in records
            }
            assert found == expected

    def _make_builder(self, config=None):
        root = self.EXAMPLE_DIR
        places = {"data_dir": self.tmp_dir, "workers": 1}
        return self.make(root / "videos", root / "flow", places)


class Ucf101Test(BuilderCase, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = TwoStreamUcf101
    SPLITS = {"train": 2, "test": 2}
    WRITE = staticmethod(tiny_datasets.ucf101)
    RECORDS = {
        "train": {
            "Hammering/v_Hammering_g08_c01.avi": ("Hammering", 3),
            "HammerThrow/v_HammerThrow_g08_c01.avi": ("HammerThrow", 3),
        },
        "test": {
            "Hammering/v_Hammering_g01_c01.avi": ("Hammering", 3),
            "HammerThrow/v_HammerThrow_g01_c01.avi": ("HammerThrow", 3),
        },
    }

    def make(self, videos, flow, places):
        return TwoStreamUcf101.of(videos, flow, self.lists, 3, **places)


class Hmdb51Test(BuilderCase, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = TwoStreamHmdb51
    SPLITS = {"train": 2, "test": 1}
    WRITE = staticmethod(tiny_datasets.hmdb51)
    RECORDS = {
        "train": {"brush_hair/a_#1.avi": ("brush_hair", 3), "wave/b.avi": ("wave", 3)},
        "test": {"wave/c.avi": ("wave", 3)},
    }

    def make(self, videos, flow, places):
        return TwoStreamHmdb51.of(videos, flow, self.lists, 2, **places)


class KineticsTest(BuilderCase, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = TwoStreamKinetics
    SPLITS = {"train": 2, "val": 1, "test": 2}
    WRITE = staticmethod(tiny_datasets.kinetics)
    RECORDS = {
        "train": {
            "-aaaaaaaaaa_000005_000015.mp4": ("waving hand", 3),
            "a,_b/bbbbbbbbbbb_000007_000017.mp4": ("a, b", 4),
        },
        # The clip itself, of 250 frames, though it is listed as 30 to 40 s.
        "val": {"val/ccccccccccc.mp4#t=30,40": ("waving hand", 249)},
        # 0 to 1 s without the first frame; 1 to 1.6 s, where the video ends.
        "test": {
            "ddddddddddd.mp4#t=0,1": (None, 24),
            "eeeeeeeeeee.mp4#t=1,2": (None, 15),
        },
    }

    def make(self, videos, flow, places):
        return TwoStreamKinetics.of(videos, flow, self.lists, name="tiny", **places)


class VolumesTest(BuilderCase, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = TwoStreamVolumes
    SPLITS = {"train": 2, "val": 1, "test": 1}
    WRITE = staticmethod(tiny_datasets.volumes)
    RECORDS = {
        "train": {"train/0": ("0", 4), "train/1": ("1", 4)},
        "val": {"val/0": ("1", 4)},
        "test": {"test/0": ("0", 4)},
    }

    def make(self, videos, flow, places):
        return TwoStreamVolumes.of(self.lists, name="tiny", **places)


class PosesTest(BuilderCase, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = TwoStreamPoses
    SPLITS = {"train": 2, "unlabelled": 1, "test": 1}
    WRITE = staticmethod(tiny_datasets.poses)
    RECORDS = {
        "train": {
            "rgb/train_000000.png": (None, 1),
            "rgb/train_000001.png": (None, 1),
        },
        "unlabelled": {"rgb/unlabelled_000000.png": (None, 1)},
        "test": {"rgb/test_000000.png": (None, 1)},
    }

    def make(self, videos, flow, places):
        return TwoStreamPoses.of(self.lists, name="tiny", smaller_side=16, **places)


class FolderTest(BuilderCase, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = TwoStreamFolder
    SPLITS = {"train": 2, "test": 2}
    WRITE = staticmethod(tiny_datasets.folder)
    RECORDS = {
        "train": {"jump/a.avi": ("jump", 3), "wave/a.avi": ("wave", 5)},
        "test": {"jump/b.avi": ("jump", 4), "wave/b.avi": ("wave", 6)},
    }

    def make(self, videos, flow, places):
        return TwoStreamFolder.of(videos, flow, name="tiny", **places)
