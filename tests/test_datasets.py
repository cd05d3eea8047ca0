"""Records of aligned frames: built from tiny videos, read back, compared."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import tiny_datasets
from tiny_datasets import HEIGHT, WIDTH, decode_frames, flow_codes, source_frames

from i3d_tf import pipeline
from i3d_tf.config import Data
from i3d_tf.datasets import open_dataset, shards
from i3d_tf.datasets import pairs as pairs_module
from i3d_tf.datasets.coverage import describe, total
from i3d_tf.datasets.folder.builder import TwoStreamFolder


@pytest.fixture
def pairs(tmp_path, write_video):
    """Two classes of two videos; the second of each is for testing."""
    tiny_datasets.folder(tmp_path, write_video)
    return tmp_path


def folder_builder(root, name="mine", **options):
    return TwoStreamFolder.of(
        root / "videos",
        root / "flow",
        data_dir=root / "data",
        name=name,
        workers=1,
        **options,
    )


def records(builder, split):
    """`{id: record}`, the frames as JPEG."""
    skip = tfds.decode.SkipDecoding()
    decoders = {"rgb": skip, "flow": skip}
    dataset = builder.as_dataset(split=split, decoders=decoders)
    return {record["id"].decode(): record for record in tfds.as_numpy(dataset)}


def test_records_are_the_frames(pairs):
    coverage = folder_builder(pairs).build()
    counts = {"listed": 1, "present": 1, "used": 1, "lost": []}
    assert coverage == {
        "train": {"jump": counts, "wave": counts},
        "test": {"jump": counts, "wave": counts},
    }
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert builder.info.features["label"].names == ["jump", "wave"]
    train, test = records(builder, "train"), records(builder, "test")
    assert set(train) == {"jump/a.avi", "wave/a.avi"}
    assert set(test) == {"jump/b.avi", "wave/b.avi"}
    for seed, name in enumerate(["jump/a", "jump/b", "wave/a", "wave/b"]):
        record = (train | test)[f"{name}.avi"]
        count = 4 + seed
        assert record["label"] == seed // 2
        assert (record["height"], record["width"]) == (HEIGHT, WIDTH)
        assert record["fps"] == 25
        assert record["source"].decode() == f"{name}.avi"
        times = np.float32([0, count / 25])
        np.testing.assert_array_equal([record["start"], record["end"]], times)
        tags = json.loads(record["flow_metadata"])
        assert (tags["flow_frames"], tags["smaller_side"]) == (count - 1, HEIGHT)
        # RGB begins with frame 1; neighbours are 20 grey values apart.
        source = source_frames(count, seed)[1:].astype(int)
        rgb = decode_frames(record["rgb"])
        assert rgb.shape == (count - 1, HEIGHT, WIDTH, 3)
        assert np.abs(rgb - source).max() <= 1
        codes = flow_codes(count, seed).astype(int)
        planes = np.concatenate([codes[..., 0], codes[..., 1]], axis=1)[..., None]
        flow = decode_frames(record["flow"])
        assert flow.shape == planes.shape
        assert np.abs(flow - planes).max() <= 1


def test_a_crop_of_a_frame_can_be_decoded_alone(pairs):
    folder_builder(pairs).build()
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    record = records(builder, "test")["wave/b.avi"]
    crop = tf.io.decode_and_crop_jpeg(
        record["flow"][2], [HEIGHT + 5, 8, 10, 16], dct_method="INTEGER_ACCURATE"
    )
    codes = flow_codes(7, 3)[2, 5:15, 8:24, 1].astype(int)
    assert np.abs(crop.numpy()[..., 0] - codes).max() <= 1


def test_features_decode_to_the_shapes_of_the_frames(pairs):
    folder_builder(pairs).build()
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    (record,) = (
        record
        for record in tfds.as_numpy(builder.as_dataset(split="test"))
        if record["id"] == b"wave/b.avi"
    )
    assert record["flow"].shape == (6, 2 * HEIGHT, WIDTH, 1)
    source = source_frames(7, 3)[1:].astype(int)
    assert np.abs(record["rgb"] - source).max() <= 2


def test_a_missing_folder_of_flow_is_an_error(pairs):
    shutil.rmtree(pairs / "flow")
    with pytest.raises(ValueError, match="flow: no such folder of flow videos"):
        folder_builder(pairs)


def test_what_is_there_is_kept_unless_overwritten(pairs):
    assert folder_builder(pairs).build() is not None
    shutil.rmtree(pairs / "videos/jump")
    folder = pairs / "videos/jump"
    folder.mkdir()
    shutil.copy(pairs / "videos/wave/a.avi", folder / "a.avi")
    shutil.copy(pairs / "flow/wave/a.mkv", pairs / "flow/jump/a.mkv")
    shutil.copy(pairs / "videos/wave/b.avi", folder / "b.avi")
    shutil.copy(pairs / "flow/wave/b.mkv", pairs / "flow/jump/b.mkv")
    assert folder_builder(pairs).build() is None
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert records(builder, "train")["jump/a.avi"]["rgb"].shape == (3,)
    assert folder_builder(pairs).build(overwrite=True) is not None
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert records(builder, "train")["jump/a.avi"]["rgb"].shape == (5,)


def test_another_listing_is_not_taken_for_the_one_that_was_built(pairs, write_video):
    builder = folder_builder(pairs)
    builder.build()
    records_before = sorted(os.listdir(builder.data_dir))
    for number in range(2):
        path = pairs / f"videos/new class/{number}.mkv"
        write_video(path, source_frames(3, number))
    with pytest.raises(ValueError, match="now 6 are listed, or others; --overwrite"):
        folder_builder(pairs).build()
    assert sorted(os.listdir(builder.data_dir)) == records_before


def test_as_many_other_videos_are_another_listing(pairs):
    folder_builder(pairs).build()
    assert folder_builder(pairs).build() is None
    with pytest.raises(ValueError, match="4 listed videos, now 4 are listed, or"):
        folder_builder(pairs, test_glob="*/a.*").build()


def test_videos_that_are_used_up_to_their_damage_are_listed(pairs):
    tiny_datasets.cut_inside(pairs / "videos" / "jump" / "a.avi", 3)
    flow = pairs / "flow" / "jump" / "a.mkv"
    tiny_datasets.write_flow(flow, flow_codes(3, 0), damage="its end is missing")
    coverage = folder_builder(pairs, strict=True).build()
    told = {"video": "jump/a.avi", "reason": "its end is missing"}
    counts = {"listed": 1, "present": 1, "used": 1, "lost": []}
    assert coverage["train"] == {
        "jump": {**counts, "damaged": [told]},
        "wave": counts,
    }
    line = describe(total(coverage["train"]))
    assert (
        line == "2 of 2 listed videos used (2 present), 2 classes; 1 up to their damage"
    )


def test_strict_refuses_a_data_set_that_was_built_with_gaps(pairs):
    (pairs / "flow" / "wave" / "a.mkv").unlink()
    folder_builder(pairs).build()
    with pytest.raises(
        ValueError, match="strict: .*built without 1 .*a.mkv: is missing"
    ):
        folder_builder(pairs, strict=True).build()


def test_a_build_that_breaks_off_leaves_nothing(pairs, monkeypatch):
    def break_off(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pairs_module, "encode_pair", break_off)
        with pytest.raises(KeyboardInterrupt):
            folder_builder(pairs).build()
    assert os.listdir(pairs / "data/two_stream_folder/mine") == []


def test_a_data_set_is_kept_until_its_successor_is_whole(pairs, monkeypatch):
    builder = folder_builder(pairs)
    builder.build()
    built = pathlib.Path(builder.data_dir)
    before = {path.name: path.read_bytes() for path in built.iterdir()}
    (pairs / "flow/jump/b.mkv").unlink()
    (pairs / "flow/wave/b.mkv").unlink()
    with pytest.raises(ValueError, match="no video of split 'test' can be used"):
        folder_builder(pairs).build(overwrite=True)
    assert {path.name: path.read_bytes() for path in built.iterdir()} == before
    assert os.listdir(built.parent) == [built.name]
    # The process was killed while it built: before the new name, and after it.
    replaced = built.with_name(f".{built.name}.replaced")
    built.rename(replaced)
    assert folder_builder(pairs).build() is None
    assert os.listdir(built.parent) == [built.name]
    shutil.copytree(built, replaced)
    (replaced / "coverage.json").write_text("old")
    assert folder_builder(pairs).build() is None
    assert {path.name: path.read_bytes() for path in built.iterdir()} == before
    assert os.listdir(built.parent) == [built.name]


def test_labels_may_change_when_it_is_built_again(pairs):
    folder_builder(pairs).build()
    for kind in ("videos", "flow"):
        (pairs / kind / "jump").rename(pairs / kind / "zoom")
    folder_builder(pairs).build(overwrite=True)
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert builder.info.features["label"].names == ["wave", "zoom"]
    labels = {id_: record["label"] for id_, record in records(builder, "test").items()}
    assert labels == {"wave/b.avi": 0, "zoom/b.avi": 1}


def test_shards_hold_100_to_200_megabytes():
    sharding = shards.BuildConfig().get_shard_config()
    for videos in [*range(25, 200), *np.geomspace(200, 700_000, 100).astype(int)]:
        size = 4_000_000 * int(videos)
        assert 100e6 <= size / sharding.get_number_shards(size, int(videos)) <= 200e6
    assert sharding.get_number_shards(99_000_000, 20) == 1
    # A shard needs a record.
    assert sharding.get_number_shards(900_000_000, 2) == 2


def test_the_sizes_of_shards_are_used(pairs, monkeypatch):
    # Each record has about 9 KB.
    monkeypatch.setattr(shards, "MIN_BYTES", 6_000)
    monkeypatch.setattr(shards, "MAX_BYTES", 12_000)
    folder_builder(pairs).build()
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert 2 * 8_000 < builder.info.splits["train"].num_bytes < 2 * 10_000
    assert builder.info.splits["train"].num_shards == 2


def test_names_in_other_alphabets(tmp_path, write_video):
    names = ["Tür auf/ä 1", "Tür auf/2", "手を振る/1", "手を振る/2"]
    for seed, name in enumerate(names):
        tiny_datasets.write_pair(tmp_path, f"{name}.avi", write_video, seed=seed)
    folder_builder(tmp_path, test_glob="*/2.avi").build()
    builder = open_dataset(tmp_path / "data", "two_stream_folder/mine")
    assert builder.info.features["label"].names == ["Tür auf", "手を振る"]
    labels = {id_: record["label"] for id_, record in records(builder, "all").items()}
    assert labels == {
        "Tür auf/ä 1.avi": 0,
        "Tür auf/2.avi": 0,
        "手を振る/1.avi": 1,
        "手を振る/2.avi": 1,
    }


def test_parts_of_one_video_are_records_of_their_own(tmp_path, write_video):
    tiny_datasets.write_pair(tmp_path, "long.avi", write_video, frames=12)
    lines = ["path,label,split,start,end", "long.avi,a,train,0,0.2"]
    lines += ["long.avi,b,train,0.2,0.32", "long.avi,b,test,0.32,0.48"]
    lists = tiny_datasets.write_lines(tmp_path / "lists.csv", lines)
    folder_builder(tmp_path, annotations=lists).build()
    builder = open_dataset(tmp_path / "data", "two_stream_folder/mine")
    found = {
        id_: (record["label"], record["source"], len(record["rgb"]))
        for id_, record in records(builder, "all").items()
    }
    assert found == {
        "long.avi#t=0,0.2": (0, b"long.avi", 4),
        "long.avi#t=0.2,0.32": (1, b"long.avi", 3),
        "long.avi#t=0.32,0.48": (1, b"long.avi", 4),
    }


def test_videos_without_a_label_have_minus_one(pairs):
    lines = ["path,label,split", "jump/a.avi,x,train", "wave/a.avi,y,train"]
    lines += ["jump/b.avi,,test", "wave/b.avi,,test"]
    lists = tiny_datasets.write_lines(pairs / "lists.csv", lines)
    coverage = folder_builder(pairs, annotations=lists).build()
    counts = {"listed": 2, "present": 2, "used": 2, "lost": []}
    assert coverage["test"] == {"(no label)": counts}
    assert folder_builder(pairs, annotations=lists).build() is None
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert {record["label"] for record in records(builder, "test").values()} == {-1}
    data = Data("two_stream_folder/mine", num_frames=9, size=32, smaller_side=32)
    with pytest.raises(ValueError, match="the videos of split 'test' have no labels"):
        pipeline.check_fits(builder, data)


def test_unknown_data_sets_are_refused_with_what_is_there(pairs):
    data = pairs / "data"
    with pytest.raises(ValueError, match="no data set 'a/b'; there: none"):
        open_dataset(data, "a/b")
    for name in ("second", "first"):
        folder_builder(pairs, name=name).build()
    there = "there: two_stream_folder/first, two_stream_folder/second$"
    for name in ("two_stream_folder/third", "two_stream_folder", "/", ""):
        with pytest.raises(ValueError, match=f"no data set {name!r}; {there}"):
            open_dataset(data, name)


def test_the_newest_version_is_opened(pairs):
    folder_builder(pairs).build()
    folder = pairs / "data/two_stream_folder/mine"
    built = str(TwoStreamFolder.VERSION)
    for version in ("0.9.0", "1.10.0", "1.9.0"):
        shutil.copytree(folder / built, folder / version)
        info = folder / version / "dataset_info.json"
        info.write_text(info.read_text().replace(built, version))
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert str(builder.version) == "1.10.0"


def command(*flags):
    return subprocess.run(
        [sys.executable, "-m", "experiments.build_dataset", *map(str, flags)],
        capture_output=True,
        text=True,
    )


def test_command(pairs):
    (pairs / "flow/wave/a.mkv").unlink()
    flags = [f"--{name}={pairs / name}" for name in ("videos", "flow")]
    flags += [f"--data_dir={pairs / 'data'}", "--name=mine", "--workers=1"]
    run = command(*flags)
    assert run.returncode == 0, run.stderr
    made = pairs / "data/two_stream_folder/mine/1.1.0"
    assert run.stdout.splitlines()[-3:] == [
        "train: 1 of 2 listed videos used (2 present), 2 classes; no video of wave",
        "test: 2 of 2 listed videos used (2 present), 2 classes",
        f"{made}: data set two_stream_folder/mine",
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--name=no/name"], "name 'no/name' of the data set: letters, digits"),
        (["--videos=x/a b"], "name 'a b' of the data set: letters, digits"),
        (
            ["--split_number=1"],
            "--split_number is for --dataset ucf101 or",
        ),
        (
            ["--dataset=hmdb51", "--name=x"],
            "--name is for --dataset folder or",
        ),
        (["--dataset=ucf101"], "--dataset ucf101 needs --annotations, the lists"),
        (["--dataset=kinetics", "--annotations=x"], "--dataset kinetics needs --name"),
        (["--flow="], "--dataset folder needs --flow, of extract_flow"),
        (
            ["--dataset=volumes"],
            "--flow is for --dataset folder or ucf101",
        ),
        (["--smaller_side=64"], "--smaller_side is for --dataset poses alone"),
        (["--layout=nyu"], "--layout is for --dataset poses alone"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, message):
    run = command("--videos=x", "--flow=x", "--data_dir=x", *flags)
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {message}")
    assert "Traceback" not in run.stderr
