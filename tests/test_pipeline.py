import dataclasses
import shutil
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import tiny

from i3d_tf import FLOW, RGB, clips, pipeline, reading
from i3d_tf.datasets import open_dataset, shards

FRAMES = 12  # of each source video: 11 pairs, k = 1 ... 11


@pytest.fixture(scope="module")
def builder(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("pipeline")
    tiny.build(folder, write_video, frames=FRAMES)
    return open_dataset(folder / "data", "two_stream_folder/tiny")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory, write_video):
    """Nine training videos in four shards."""
    folder = tmp_path_factory.mktemp("sharded")

    def four(self, total_size, num_examples, *_, **__):
        return min(4, num_examples)

    with mock.patch.object(shards.Shards, "get_number_shards", four):
        tiny.build(folder, write_video, frames=FRAMES)
    builder = open_dataset(folder / "data", "two_stream_folder/tiny")
    assert builder.info.splits["train"].num_shards == 4
    return builder


def epoch(builder, number=0, *, streams=(RGB, FLOW), options=None, **changes):
    """The batches of an epoch: [(inputs as numpy, labels)]."""
    data = dataclasses.replace(tiny.config().data, **changes)
    options = {"batch_size": 3, "seed": 0, **(options or {})}
    batches = pipeline.train_batches(builder, data, streams, epoch=number, **options)
    return [
        ({name: clip.numpy() for name, clip in inputs.items()}, labels.numpy())
        for inputs, labels in batches
    ]


def seen_in_rgb(clip):
    """(video, frames, left, mirrored) where left + 8 * video is all that shows."""
    row = clip.mean((1, 3)) * 127.5 + 127.5  # [T, W]
    mirrored = row[0, 0] > row[0, -1]
    return np.rint(row[:, -1] if mirrored else row[:, 0]) - 20, bool(mirrored)


def seen_in_flow(clip):
    """(frames k, left, mirrored, odd video) from u and v in [-1, 1]."""
    u, v = clip[..., 0].mean((1, 2)) * 20, clip[..., 1].mean((0, 1)) * 20
    mirrored = v[0] > v[-1]
    columns = (v[::-1] if mirrored else v) * 4 + 28
    left = np.rint((columns - np.arange(len(v))).mean())
    odd = (u[0] < 0) != mirrored
    return np.rint(np.abs(u)) - 1, int(left), bool(mirrored), bool(odd)


def test_rgb_and_flow_show_the_same_view_over_epochs(builder):
    seen = set()
    for number in range(3):
        for inputs, _ in epoch(builder, number):
            for rgb, flow in zip(inputs["rgb"], inputs["flow"], strict=True):
                frames, left, mirrored, odd = seen_in_flow(flow)
                level, rgb_mirrored = seen_in_rgb(rgb)
                assert rgb_mirrored == mirrored
                # RGB shows x + 4 k + 8 i: of frame k, from column left on.
                video = (level - 4 * frames - left) / 8
                assert np.abs(video - np.rint(video[0])).max() <= 0.25
                assert int(np.rint(video[0])) % 2 == odd
                seen.add((frames[0], left, mirrored))
    # Other Views for each video and epoch.
    assert len(seen) > 20


def test_frames_are_consecutive_and_begin_with_the_first_that_has_flow(builder):
    starts = set()
    for number in range(8):
        for inputs, _ in epoch(builder, number):
            for flow in inputs["flow"]:
                frames, *_ = seen_in_flow(flow)
                np.testing.assert_array_equal(np.diff(frames), 1)
                starts.add(int(frames[0]))
    # 11 pairs hold 9 frames at 3 places.
    assert starts == {1, 2, 3}


def test_short_videos_are_looped(builder):
    for inputs, _ in epoch(builder, num_frames=20):
        for flow in inputs["flow"]:
            frames, *_ = seen_in_flow(flow)
            np.testing.assert_array_equal((np.diff(frames) - 1) % 11, 0)


def test_the_same_epoch_is_the_same_and_the_next_is_not(builder):
    for (first, labels), (again, same_labels) in zip(
        epoch(builder), epoch(builder), strict=True
    ):
        np.testing.assert_array_equal(first["rgb"], again["rgb"])
        np.testing.assert_array_equal(first["flow"], again["flow"])
        np.testing.assert_array_equal(labels, same_labels)
    other = epoch(builder, 1)
    assert not np.array_equal(epoch(builder)[0][0]["rgb"], other[0][0]["rgb"])


def test_a_stream_alone_sees_what_it_sees_beside_the_other(builder):
    both, alone = epoch(builder), epoch(builder, streams=(FLOW,))
    for (inputs, _), (flow_only, _) in zip(both, alone, strict=True):
        assert list(flow_only) == ["flow"]
        np.testing.assert_array_equal(inputs["flow"], flow_only["flow"])


def test_every_video_once_an_epoch_in_another_order(builder):
    orders = []
    for number in range(2):
        order = [
            tuple(example["id"].numpy().decode() for example in [example])[0]
            for example in pipeline.read_examples(
                builder, "train", (), shuffle=(0, number)
            )
        ]
        assert sorted(order) == sorted(
            f"{label}/v{i}.mkv" for label in tiny.LABELS for i in range(3)
        )
        orders.append(order)
    assert orders[0] != orders[1]


def test_skip_passes_over_whole_batches(builder):
    everything, rest = epoch(builder), epoch(builder, options={"skip": 2})
    assert len(everything) == 3 and len(rest) == 1
    np.testing.assert_array_equal(rest[0][0]["rgb"], everything[2][0]["rgb"])


def test_labels_are_one_hot(builder):
    labels = np.concatenate([labels for _, labels in epoch(builder)])
    np.testing.assert_array_equal(labels.sum(0), [3, 3, 3])
    np.testing.assert_array_equal(labels.max(1), 1)


def test_evaluation_shows_the_centre_in_a_fixed_order(builder):
    data = tiny.config().data
    batches = list(
        pipeline.eval_batches(builder, data, (RGB, FLOW), split="test", batch_size=2)
    )
    assert [len(ids) for _, _, ids in batches] == [2, 1]
    ids = [id_.decode() for _, _, batch_ids in batches for id_ in batch_ids.numpy()]
    assert sorted(ids) == [f"{label}/v3.mkv" for label in tiny.LABELS]
    for inputs, labels, batch_ids in batches:
        for flow, rgb, label, id_ in zip(
            inputs["flow"].numpy(),
            inputs["rgb"].numpy(),
            labels.numpy(),
            batch_ids.numpy(),
            strict=True,
        ):
            frames, left, mirrored, odd = seen_in_flow(flow)
            # The middle 9 of the pairs 1 ... 11, the middle 32 of 56 columns.
            assert (frames.tolist(), left) == (list(range(2, 11)), 12)
            assert (mirrored, odd) == (False, True)
            level, _ = seen_in_rgb(rgb)
            assert np.abs(level - (12 + 4 * frames + 8 * 3)).max() <= 1
            assert tiny.LABELS[label.argmax()] == id_.decode().split("/")[0]


def test_unknown_split_lists_those_there_are(builder):
    with pytest.raises(ValueError, match="no split 'val'; there are .*train"):
        pipeline.read_examples(builder, "val", (RGB,))


def test_frames_of_another_size_are_refused(builder):
    pipeline.check_fits(builder, tiny.config().data)
    data = dataclasses.replace(tiny.config().data, smaller_side=256)
    with pytest.raises(ValueError, match="smaller side of 40 px.*smaller_side=256"):
        pipeline.check_fits(builder, data)


def test_of_a_record_only_what_is_needed_is_read(builder):
    (example, *_) = pipeline.read_examples(builder, "test", (FLOW,))
    assert set(example) == {"id", "label", "fps", "height", "width", "flow"}
    assert example["flow"].dtype == "string"  # still encoded


def clips_of(builder, **options):
    """The clips of epoch 3, a bytes string each."""
    batches = epoch(builder, 3, options={"batch_size": 1, **options})
    return [
        b"".join(clip.tobytes() for clip in inputs.values()) for inputs, _ in batches
    ]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_workers_share_the_clips_of_one(sharded, count):
    parts = [clips_of(sharded, worker=(index, count)) for index in range(count)]
    # Views are of nine videos, no two of which look alike.
    assert sorted(sum(parts, [])) == sorted(clips_of(sharded))
    assert len(set(sum(parts, []))) == 9
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("hosts", [1, 2, 4])
@pytest.mark.parametrize("replicas", [1, 2])
def test_hosts_decode_the_batches_of_one(sharded, hosts, replicas):
    """In each round of batches, host by host, the clips of one host's order."""
    everyone = hosts * replicas
    whole = clips_of(sharded)
    rounds = len(whole) // everyone
    parts = [
        clips_of(sharded, replicas=(host * replicas, replicas, everyone))
        for host in range(hosts)
    ]
    together = [
        clip
        for number in range(rounds)
        for part in parts
        for clip in part[number * replicas : (number + 1) * replicas]
    ]
    assert together == whole[: rounds * everyone]
    # After a restart too.
    last = clips_of(sharded, replicas=(0, replicas, everyone), skip=rounds - 1)
    assert last[:replicas] == whole[(rounds - 1) * everyone :][:replicas]


def test_clips_are_the_same_for_any_number_of_threads(sharded, monkeypatch):
    whole = clips_of(sharded)
    for threads in (1, 2, 8):
        monkeypatch.setattr(pipeline, "_PARALLEL", threads)
        monkeypatch.setattr(reading, "_PARALLEL", threads)
        assert clips_of(sharded) == whole


def test_rounds_of_an_evaluation_are_filled(builder):
    """Three videos for two hosts of a replica each: the last batch has none of them."""
    data, found = tiny.config().data, []
    for host in range(2):
        batches, rounds = pipeline.eval_rounds(
            builder,
            data,
            (RGB,),
            split="test",
            batch_size=1,
            replicas=(host, 1, 2),
        )
        assert rounds == 2
        found.append([(codes["rgb"].numpy(), *more) for codes, *more in batches])
        assert len(found[-1]) == rounds
        (inputs, labels, _) = batches.element_spec
        # What a TPU compiles for.
        assert inputs["rgb"].shape == [1, 9, 32, 32, 3] and labels.shape == [1, 3]
    (first, third), (second, filling) = found
    whole = pipeline.eval_batches(builder, data, (RGB,), split="test", batch_size=3)
    ((clips, labels, _),) = whole
    for number, (codes, one_hot, is_video) in enumerate((first, second, third)):
        assert is_video
        np.testing.assert_array_equal(one_hot[0], labels[number])
        np.testing.assert_allclose(
            codes[0] / 127.5 - 1, clips["rgb"][number], atol=1e-6
        )
    assert not any(np.any(part) for part in filling)


def test_shapes_of_training_batches_are_known(builder):
    """What a TPU compiles for."""
    batches = pipeline.train_batches(
        builder, tiny.config().data, (RGB, FLOW), batch_size=2, seed=0, epoch=0
    )
    inputs, labels = batches.element_spec
    assert inputs["rgb"].shape == [2, 9, 32, 32, 3]
    assert inputs["flow"].shape == [2, 9, 32, 32, 2]
    assert labels.shape == [2, 3]


def test_an_example_is_found_by_its_place(sharded):
    data = tiny.config().data
    order = pipeline.read_examples(sharded, "train", (), shuffle=(5, 2))
    ids = [example["id"].numpy().decode() for example in order]
    assert [pipeline.train_id(sharded, data, 5, 2, n) for n in (0, 7)] == [
        ids[0],
        ids[7],
    ]


def test_workers_share_the_videos_of_an_evaluation(builder):
    data = tiny.config().data
    ids = [
        batch_ids.numpy().tolist()
        for index in range(2)
        for *_, batch_ids in pipeline.eval_batches(
            builder, data, (RGB,), split="test", batch_size=3, worker=(index, 2)
        )
    ]
    assert list(map(len, ids)) == [2, 1]
    assert sorted(sum(ids, [])) == [b"%s/v3.mkv" % n.encode() for n in tiny.LABELS]


@pytest.mark.parametrize(
    ("worker", "message"),
    [
        ((2, 2), r"worker is \(2, 2\)"),
        ((-1, 2), r"worker is \(-1, 2\)"),
        ((0, 10), "'train' has 9 videos, too few for 10 workers"),
    ],
)
def test_workers_that_cannot_be(builder, worker, message):
    with pytest.raises(ValueError, match=message):
        pipeline.read_examples(builder, "train", (), worker=worker)


def test_the_order_is_the_same_on_machines_with_other_processors(sharded):
    orders = []
    for parallel in (1, 2, 5):
        with (
            mock.patch.object(pipeline, "_PARALLEL", parallel),
            mock.patch.object(reading, "_PARALLEL", parallel),
        ):
            orders.append(clips_of(sharded))
    assert orders[0] == orders[1] == orders[2]


def test_without_an_order_the_clips_are_the_same(sharded):
    free = clips_of(sharded, deterministic=False)
    assert sorted(free) == sorted(clips_of(sharded))


def test_codes_are_what_the_clips_are_made_of(builder):
    for (inputs, labels), (codes, same_labels) in zip(
        epoch(builder), epoch(builder, options={"as_codes": True}), strict=True
    ):
        np.testing.assert_array_equal(labels, same_labels)
        for stream in (RGB, FLOW):
            assert codes[stream.name].dtype == np.uint8
            np.testing.assert_array_equal(
                clips.normalise(codes[stream.name], stream), inputs[stream.name]
            )


def records(builder):
    """The records of each shard of the training split, as they are in the files."""
    return {
        file.filename: list(tf.data.TFRecordDataset(file.filename).as_numpy_iterator())
        for file in builder.info.splits["train"].file_instructions
    }


def test_shards_are_read_in_turn(sharded):
    # So that no batch is of one shard, however little the shuffle buffer mixes.
    ids = [
        tf.train.Example.FromString(shard[0]).features.feature["id"].bytes_list.value[0]
        for shard in records(sharded).values()
    ]
    read = [e["id"].numpy() for e in pipeline.read_examples(sharded, "train", ())]
    assert read[:4] == ids


def test_records_that_are_missing_are_an_error(sharded, tmp_path):
    copied = shutil.copytree(sharded.data_dir, tmp_path / "data" / "tiny" / "1.0.0")
    builder = tfds.builder_from_directory(copied)
    path, (first, *_) = next(iter(records(builder).items()))
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(first)
    with pytest.raises(tf.errors.FailedPreconditionError, match="contain 9 elements"):
        list(pipeline.read_examples(builder, "train", ()))


def test_light_changes_the_pictures_alone(builder):
    for (plain, labels), (lit, same_labels) in zip(
        epoch(builder), epoch(builder, light=0.3), strict=True
    ):
        np.testing.assert_array_equal(labels, same_labels)
        np.testing.assert_array_equal(plain["flow"], lit["flow"])
        for before, after in zip(plain["rgb"], lit["rgb"], strict=True):
            # One gain and offset for all frames and pixels of a channel.
            for channel in range(3):
                x, y = before[..., channel].ravel(), after[..., channel].ravel()
                inside = np.abs(y) < 0.99
                gain, offset = np.polyfit(x[inside], y[inside], 1)
                assert np.abs(x * gain + offset - y)[inside].max() < 1 / 127.5
                assert abs(np.log(gain)) < 0.46 and abs(gain - 1) > 1e-3


def test_light_is_drawn_from_seed_epoch_and_example(builder):
    def lit(number=0, **options):
        batches = epoch(builder, number, light=0.3, options=options)
        return np.concatenate([inputs["rgb"] for inputs, _ in batches])

    again = np.concatenate([lit(), lit(skip=1)])
    np.testing.assert_array_equal(again[3:9], again[9:])
    assert not np.array_equal(lit(), lit(1))


def test_standing_still_shows_the_middle_frame_and_no_motion(builder):
    batches = pipeline.eval_batches(
        builder, tiny.config().data, (RGB, FLOW), split="test", batch_size=2
    )
    still = pipeline.standing_still(batches, (RGB, FLOW))
    for (moving, labels, ids), (inputs, same_labels, same_ids) in zip(
        batches, still, strict=True
    ):
        np.testing.assert_array_equal(labels, same_labels)
        np.testing.assert_array_equal(ids, same_ids)
        assert inputs["rgb"].shape == moving["rgb"].shape
        for frame in range(9):
            np.testing.assert_array_equal(inputs["rgb"][:, frame], moving["rgb"][:, 4])
        assert not np.array_equal(moving["rgb"][:, 3], moving["rgb"][:, 4])
        assert inputs["flow"].shape == moving["flow"].shape
        assert not np.any(inputs["flow"])
