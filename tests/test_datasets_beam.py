"""Records by Apache Beam: the same as by the local processes."""

import shutil

import pytest
import tensorflow as tf
from tiny_datasets import cut_inside, flow_codes, write_flow, write_pair

pytest.importorskip("apache_beam", reason="needs Apache Beam, the extra [beam]")

from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

from i3d_tf.datasets import shards  # noqa: E402
from i3d_tf.datasets.coverage import read_coverage  # noqa: E402
from i3d_tf.datasets.folder.builder import TwoStreamFolder  # noqa: E402

# What DirectRunner comes to where it cannot download Prism, a runner in Go.
RUNNER = ["--runner=FnApiRunner"]
TWO_PROCESSES = [
    *RUNNER,
    "--direct_num_workers=2",
    "--direct_running_mode=multi_processing",
]
FILES = {
    "coverage.json",
    "quarantine.csv",
    "listing.sha256",
    "dataset_info.json",
    "features.json",
    "label.labels.txt",
}


@pytest.fixture
def pairs(tmp_path, write_video):
    """Two classes; of seven videos one is broken and one has no flow."""
    for label in ("wave", "jump"):
        for number in range(3):
            video = f"{label}/{number}.mp4"
            write_pair(tmp_path, video, write_video, seed=3 * len(label) + number)
    (tmp_path / "videos" / "wave" / "1.mp4").write_bytes(b"no video")
    (tmp_path / "flow" / "jump" / "2.mkv").unlink()
    # Up to the damage of the last of four frames.
    cut_inside(tmp_path / "videos" / "jump" / "1.mp4", 3)
    write_flow(tmp_path / "flow" / "jump" / "1.mkv", flow_codes(3, 0), damage="its end")
    write_pair(tmp_path, "wave/ü 4.mp4", write_video, seed=40)
    return tmp_path


def builder_of(root, data_dir, **options):
    return TwoStreamFolder.of(
        root / "videos",
        root / "flow",
        data_dir=root / data_dir,
        name="mine",
        test_glob="*/0.mp4",
        **options,
    )


def by_beam(root, flags=RUNNER, **options):
    builder = builder_of(root, "beam", **options)
    return builder, builder.build(beam_options=PipelineOptions(flags))


def records(builder, split):
    """The records as they are in the files, and the number of these."""
    paths = sorted(builder.data_path.glob(f"*-{split}.tfrecord-*"))
    # Parsed: protocol buffers write the features of a record in any order.
    found = [
        tf.train.Example.FromString(record.numpy())
        for path in paths
        for record in tf.data.TFRecordDataset(str(path))
    ]
    return found, len(paths)


def test_two_processes_give_what_the_local_ones_give(pairs):
    builder, coverage = by_beam(pairs, TWO_PROCESSES)
    assert_same_as_local(pairs, builder, coverage)


def test_several_shards_are_the_local_ones(pairs, monkeypatch):
    # Two records each. Not seen by other processes, so this runs in one.
    monkeypatch.setattr(shards, "MIN_BYTES", 1000)
    monkeypatch.setattr(shards, "MAX_BYTES", 1000)
    builder, coverage = by_beam(pairs)
    assert_same_as_local(pairs, builder, coverage, several=True)


def assert_same_as_local(root, builder, coverage, several=False):
    local = builder_of(root, "local", workers=1)
    expected = local.build()
    for split, count in (("train", 3), ("test", 2)):
        found, number_of_shards = records(builder, split)
        assert (len(found), number_of_shards > 1) == (count, several)
        assert found == records(local, split)[0]
        assert builder.info.splits[split].num_examples == count
    assert coverage == expected
    assert coverage == read_coverage(builder.data_dir)
    lost = [lost["video"] for lost in coverage["train"]["wave"]["lost"]]
    assert lost == ["wave/1.mp4"]
    told = {"video": "jump/1.mp4", "reason": "its end"}
    assert coverage["train"]["jump"]["damaged"] == [told]
    names = {path.name for path in builder.data_path.iterdir()}
    assert {name for name in names if "tfrecord" not in name} == FILES


def test_strict_names_what_cannot_be_used(pairs):
    with pytest.raises(ValueError, match="strict: 1 of 7 .*jump/2.mkv: is missing"):
        by_beam(pairs, strict=True)
    for folder, suffix in (("videos", "mp4"), ("flow", "mkv")):
        jump = pairs / folder / "jump"
        shutil.copy(jump / f"1.{suffix}", jump / f"2.{suffix}")
    with pytest.raises(ValueError, match="strict: a video .*wave/1.mp4"):
        by_beam(pairs, strict=True)
    assert not list((pairs / "beam").glob("**/coverage.json"))


def test_a_split_of_which_nothing_can_be_used_is_an_error(pairs):
    for label in ("wave", "jump"):
        (pairs / "videos" / label / "0.mp4").write_bytes(b"no video")
    with pytest.raises(
        ValueError, match="no video of split 'test' can be used; .*0.mp4"
    ):
        by_beam(pairs)
    assert not list((pairs / "beam").glob("**/coverage.json"))
