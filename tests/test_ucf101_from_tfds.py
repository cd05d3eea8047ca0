"""TFDS's own ucf101, written as videos and lists."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tiny_datasets import source_frames

from flow.video import decode
from i3d_tf.datasets.listing import Listed
from i3d_tf.datasets.ucf101.from_tfds import write_videos
from i3d_tf.datasets.ucf101.listing import list_ucf101

LABELS = ["Hammering", "HammerThrow"]


class FakeUcf101(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """As TFDS's own in features and configs: videos of 24x32 px, other lengths."""

    VERSION = tfds.core.Version("2.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="ucf101_2")]

    def _info(self):
        video = tfds.features.Video((None, None, None, 3), encoding_format="jpeg")
        label = tfds.features.ClassLabel(names=LABELS)
        features = tfds.features.FeaturesDict({"video": video, "label": label})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples([0, 1, 2]),
            "test": self._generate_examples([3]),
        }

    def _generate_examples(self, seeds):
        for seed in seeds:
            frames = list(source_frames(3 + seed, seed))
            yield seed, {"video": frames, "label": LABELS[seed % 2]}


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    builder = FakeUcf101(data_dir=tmp_path_factory.mktemp("tfds"), config="ucf101_2")
    builder.download_and_prepare()
    return builder


def test_videos_and_lists_are_those_of_ucf101(builder, tmp_path):
    assert write_videos(builder, tmp_path) == 4
    labels, entries = list_ucf101(tmp_path / "videos", tmp_path / "ucfTrainTestlist", 2)
    assert labels == LABELS
    assert [entry.split for entry in entries] == ["train"] * 3 + ["test"]
    assert entries[3] == Listed(
        "HammerThrow/v_HammerThrow_ucf101_2_test00000.avi", "HammerThrow", "test"
    )
    lengths = {}
    for entry in entries:
        found = list(decode(tmp_path / "videos" / entry.video))
        starts = [float(start) for start, _, _ in found]
        np.testing.assert_allclose(starts, np.arange(len(found)) / 25)
        seed = len(found) - 3
        lengths[seed] = entry.label
        frames = np.stack([image for *_, image in found]).astype(int)
        assert np.abs(frames - source_frames(len(found), seed)).max() <= 2
    assert lengths == {k: LABELS[k % 2] for k in range(4)}


def test_what_is_there_is_kept(builder, tmp_path):
    write_videos(builder, tmp_path)
    paths = sorted((tmp_path / "videos").rglob("*.avi"))
    paths[0].write_bytes(b"kept")
    paths[1].unlink()
    write_videos(builder, tmp_path)
    assert paths[0].read_bytes() == b"kept"
    assert paths[1].is_file()


def test_it_has_to_be_prepared(tmp_path):
    builder = FakeUcf101(data_dir=tmp_path, config="ucf101_2")
    with pytest.raises(ValueError, match="2.0.0: is not there; tfds.builder.'fake_ucf"):
        write_videos(builder, tmp_path / "out")


@pytest.mark.slow
def test_command(tmp_path):
    run = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.ucf101_from_tfds"),
            *("--tfds_data_dir", tmp_path, "--output", tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    (error,) = (line for line in run.stderr.splitlines() if line.startswith("error:"))
    assert f"{tmp_path}/ucf101/ucf101_1/2.0.0: is not there; tfds.builder(" in error
