"""Records of aligned frames: built from tiny videos, read back, compared."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from flow import code
from flow.flow_video import write_flow_video
from flow.video import VideoError
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.frames import encode_pair
from i3d_tf.datasets.two_stream import TwoStreamFolder, TwoStreamUcf101

HEIGHT, WIDTH = 24, 32


def source_frames(count, seed):
    """`[T, H, W, 3]` uint8: frame k is grey of 20 k + seed."""
    grey = (20 * np.arange(count) + seed).astype(np.uint8)[:, None, None, None]
    return np.broadcast_to(grey, (count, HEIGHT, WIDTH, 3))


def flow_codes(count, seed):
    """`[T - 1, H, W, 2]` uint8: noise, the hardest for JPEG, in both planes."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 256, (count - 1, HEIGHT, WIDTH, 2), np.uint8)


def write_flow(path, codes, *, fps=25, smaller_side=HEIGHT):
    path.parent.mkdir(parents=True, exist_ok=True)
    description = {"fps": fps, "smaller_side": smaller_side}
    with write_flow_video(path, fps=fps, description=description) as add:
        for frame in codes:
            add(code.decode(frame))
    return path


@pytest.fixture
def pairs(tmp_path, write_video):
    """Two classes of two videos; the second of each is for testing."""
    for seed, name in enumerate(["jump/a", "jump/b", "wave/a", "wave/b"]):
        count = 4 + seed
        write_video(tmp_path / f"videos/{name}.avi", source_frames(count, seed))
        write_flow(tmp_path / f"flow/{name}.mkv", flow_codes(count, seed))
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


def decode_frames(images):
    # The default, INTEGER_FAST, is several codes off.
    accurate = {"dct_method": "INTEGER_ACCURATE"}
    return np.stack([tf.io.decode_jpeg(i, **accurate) for i in images]).astype(int)


def test_records_are_the_frames(pairs):
    coverage = folder_builder(pairs).build()
    counts = {"listed": 1, "used": 1, "lost": []}
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


def test_colours_are_rgb(tmp_path, write_video):
    frames = np.full((2, HEIGHT, WIDTH, 3), (200, 100, 30), np.uint8)
    video = write_video(tmp_path / "a.avi", frames)
    flow = write_flow(tmp_path / "a.mkv", flow_codes(2, 0))
    (image,) = encode_pair(video, flow)["rgb"]
    decoded = decode_frames([image])
    assert np.abs(decoded - (200, 100, 30)).max() <= 2


def test_the_video_is_read_as_the_tags_of_its_flow_say(tmp_path, write_video):
    # 50 fps at 24 px; the flow was made at 10 fps and 12 px.
    video = write_video(tmp_path / "a.avi", source_frames(11, 0), fps=50)
    codes = flow_codes(2, 0)[:, ::2, ::2]
    flow = write_flow(tmp_path / "a.mkv", codes, fps=10, smaller_side=12)
    pair = encode_pair(video, flow)
    assert (pair["height"], pair["width"], pair["fps"]) == (12, 16, 10)
    # 0.22 s are 2 images; the second, at 0.1 s, is frame 5.
    (image,) = pair["rgb"]
    assert np.abs(decode_frames([image]) - 100).max() <= 1


@pytest.mark.parametrize(
    ("frames", "flow_frames", "word"),
    [(5, 3, "more"), (5, 5, "fewer"), (1, 3, "fewer")],
)
def test_other_lengths_are_refused(tmp_path, write_video, frames, flow_frames, word):
    video = write_video(tmp_path / "a.avi", source_frames(frames, 0))
    flow = write_flow(tmp_path / "a.mkv", flow_codes(flow_frames + 1, 0))
    message = f"a.avi: has {word} frames than its flow video .*a.mkv"
    with pytest.raises(VideoError, match=message):
        encode_pair(video, flow)


def test_what_cannot_be_used_is_in_the_coverage(pairs, write_video):
    """Six of the training videos of `wave`, each unusable for another reason."""
    videos, flow = pairs / "videos", pairs / "flow"
    for seed, name in enumerate(("other", "flowless", "long", "small", "plain"), 10):
        write_video(videos / f"wave/{name}.avi", source_frames(4, seed))
        write_flow(flow / f"wave/{name}.mkv", flow_codes(4, seed))
    (flow / "wave/flowless.mkv").unlink()
    write_video(videos / "wave/long.avi", source_frames(6, 0))
    write_video(videos / "wave/small.avi", np.zeros((4, HEIGHT, 40, 3), np.uint8))
    shutil.copy(videos / "wave/plain.avi", flow / "wave/plain.mkv")
    (videos / "wave/text.avi").write_text("this is no video")
    write_flow(flow / "wave/text.mkv", flow_codes(4, 0))
    lists = pairs / "lists.csv"
    lines = ["path,label,split", "jump/a.avi,jump,train", "jump/b.avi,jump,test"]
    lines += ["wave/a.avi,wave,train", "wave/b.avi,wave,test", "wave/no.avi,wave,train"]
    lines += [f"wave/{name}.avi,wave,train" for name in ("other", "flowless", "long")]
    lines += [f"wave/{name}.avi,wave,train" for name in ("small", "plain", "text")]
    lists.write_text("\n".join(lines))
    builder = folder_builder(pairs, annotations=lists)
    coverage = builder.build()
    path = pairs / "data/two_stream_folder/mine/1.0.0/coverage.json"
    assert json.loads(path.read_text("utf-8")) == coverage
    used = {"listed": 1, "used": 1, "lost": []}
    assert coverage["test"] == {"jump": used, "wave": used}
    assert coverage["train"]["jump"] == used
    wave = coverage["train"]["wave"]
    assert (wave["listed"], wave["used"]) == (8, 2)
    reasons = {lost["video"]: lost["reason"] for lost in wave["lost"]}
    begins = {
        "wave/no.avi": f"{videos}/wave/no.avi: is missing",
        "wave/flowless.avi": f"{flow}/wave/flowless.mkv: is missing",
        "wave/long.avi": f"{videos}/wave/long.avi: has more frames than its flow",
        "wave/small.avi": f"{videos}/wave/small.avi: frames are [24, 40] px, its flow "
        "video's [24, 32]",
        "wave/plain.avi": f"{flow}/wave/plain.mkv: not a flow video",
        "wave/text.avi": f"{videos}/wave/text.avi: cannot be decoded",
    }
    assert set(reasons) == set(begins)
    for video, begin in begins.items():
        assert reasons[video].startswith(begin)
    builder = open_dataset(pairs / "data", "two_stream_folder/mine")
    assert set(records(builder, "train")) == {
        "jump/a.avi",
        "wave/a.avi",
        "wave/other.avi",
    }


def test_no_usable_video_of_a_split_is_an_error(pairs):
    for name in ("jump", "wave"):
        (pairs / f"flow/{name}/b.mkv").unlink()
    message = "no video of split 'test' can be used; .*b.mkv: is missing"
    with pytest.raises(ValueError, match=message):
        folder_builder(pairs).build()
    with pytest.raises(ValueError, match="no data set"):
        open_dataset(pairs / "data", "two_stream_folder/mine")


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


def test_ucf101(tmp_path, write_video):
    lists = tmp_path / "lists"
    lists.mkdir()
    # classInd's order, not that of the names.
    (lists / "classInd.txt").write_text("1 HammerThrow\n2 Hammering\n")
    train, test = [], []
    for label, name in enumerate(["HammerThrow", "Hammering"], 1):
        for seed, group in enumerate(("g01", "g08"), 2 * label):
            path = f"{name}/v_{name}_{group}_c01"
            write_video(tmp_path / f"videos/{path}.avi", source_frames(3, seed))
            write_flow(tmp_path / f"flow/{path}.mkv", flow_codes(3, seed))
            (test if group == "g01" else train).append(f"{path}.avi")
    (lists / "trainlist03.txt").write_text("\n".join(train))
    (lists / "testlist03.txt").write_text("\n".join(test))
    TwoStreamUcf101.of(
        tmp_path / "videos",
        tmp_path / "flow",
        lists,
        3,
        data_dir=tmp_path / "data",
        workers=1,
    ).build()
    builder = open_dataset(tmp_path / "data", "two_stream_ucf101/split_3")
    assert builder.info.features["label"].names == ["HammerThrow", "Hammering"]
    labels = {name: record["label"] for name, record in records(builder, "all").items()}
    assert labels == {video: 0 for video in (train[0], test[0])} | {
        video: 1 for video in (train[1], test[1])
    }
    assert set(records(builder, "test")) == set(test)


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
    for version in ("0.9.0", "1.10.0", "1.9.0"):
        shutil.copytree(folder / "1.0.0", folder / version)
        info = folder / version / "dataset_info.json"
        info.write_text(info.read_text().replace("1.0.0", version))
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
    made = pairs / "data/two_stream_folder/mine/1.0.0"
    assert run.stdout.splitlines()[-3:] == [
        "train: 1 of 2 listed videos, 2 classes",
        "test: 2 of 2 listed videos, 2 classes",
        f"{made}: data set two_stream_folder/mine",
    ]
    run = command("--name=no/name", *flags[:3])
    assert run.returncode == 1
    (error,) = (line for line in run.stderr.splitlines() if line.startswith("error:"))
    assert error.startswith("error: name 'no/name' of the data set: letters, digits")
    assert "Traceback" not in run.stderr
