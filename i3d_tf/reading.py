"""Records as they lie on the disk -> examples, their frames still encoded.

Shards are read side by side, each worker's own, in an order that is decided by seed and
epoch. What is wanted of an example is taken out of it at once, so that what waits in
buffers need not grow with the length of the videos.
"""

import contextlib
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from flow.pool import default_workers
from i3d_tf.storage import text_of

# Of a record, beside the streams; the rest tells where it comes from.
READ = ("id", "label", "joints", "fps", "height", "width")
# Shards read side by side, a record of each in turn. It decides the order, so it is the
# same on all machines.
SHARDS_AT_ONCE = 16
# Examples whose order is mixed: clips of 64 frames of 256x341 px are 2 MB each.
SHUFFLE_BUFFER = 128
# Shards from which a record is being read at the same time.
_PARALLEL = min(SHARDS_AT_ONCE, default_workers())


def read_examples(
    builder,
    split,
    streams,
    shuffle=None,
    *,
    worker=(0, 1),
    deterministic=True,
    prepare=None,
):
    """Records with their frames still encoded.

    Args:
      shuffle: None for the order of the files, or (seed, epoch) for an order that
        these two decide.
      worker: (index, count): of the split's examples, the part of one of `count`
        workers: disjoint, as equal as can be, the same in all epochs. They are ranges
        of the shards; of a shard that two share, the second reads the first's part too.
      deterministic: False lets examples overtake each other.
      prepare: what to make of an example; done before the shuffle, whose buffer holds
        what this returns.

    Raises:
      ValueError: if the data set has no such split, or a worker would have nothing.
    """
    files = _files(builder, split, worker)
    order = None if shuffle is None else shuffle[0] * 1_000_003 + shuffle[1]
    shards = tf.data.Dataset.from_tensor_slices(
        (
            [os.fspath(file.filename) for file in files],
            tf.constant([file.skip for file in files], tf.int64),
            tf.constant([file.take for file in files], tf.int64),
        )
    )
    if shuffle is not None:
        shards = shards.shuffle(len(files), seed=order, reshuffle_each_iteration=False)

    def read_shard(path, skip, take):
        records = tf.data.TFRecordDataset(path).skip(skip).take(take)
        examples = records.map(_parser(builder, streams))
        # Here and not after the interleave, which holds two examples of each shard.
        return examples if prepare is None else examples.map(prepare)

    examples = shards.interleave(
        read_shard,
        cycle_length=SHARDS_AT_ONCE,
        block_length=1,
        num_parallel_calls=_PARALLEL,
        deterministic=deterministic,
    ).apply(tf.data.experimental.assert_cardinality(sum(file.take for file in files)))
    if shuffle is not None:
        examples = examples.shuffle(
            SHUFFLE_BUFFER, seed=order, reshuffle_each_iteration=False
        )
    options = tf.data.Options()
    options.deterministic = deterministic
    # TensorFlow 2.21 ends an iteration only when its tuning thread wakes up, which
    # sleeps for 10, 20, 41 ... up to 60 s: longer than a short epoch takes.
    options.autotune.enabled = False
    return examples.with_options(options)


def mix_unlabelled(labelled, unlabelled, update):
    """Spreads the examples of a second dataset evenly between those of the first.

    Each example gets a "label_weight": 0 in the second, and in the first what makes the
    mean over an update of `update` examples 1, if there is a labelled one.
    """
    counts = [dataset.cardinality().numpy() for dataset in (labelled, unlabelled)]
    total = sum(counts)
    is_labelled = np.diff(np.arange(total + 1) * counts[0] // total)
    updates = np.zeros(-(-total // update) * update)
    updates[:total] = is_labelled
    in_update = updates.reshape(-1, update).sum(1).repeat(update)[:total]
    weights = is_labelled * np.float32(update) / np.maximum(in_update, 1)
    examples = tf.data.Dataset.choose_from_datasets(
        [labelled, unlabelled], tf.data.Dataset.from_tensor_slices(1 - is_labelled)
    ).apply(tf.data.experimental.assert_cardinality(total))
    weights = tf.data.Dataset.from_tensor_slices(weights.astype(np.float32))
    return tf.data.Dataset.zip(examples, weights).map(
        lambda example, weight: {**example, "label_weight": weight}
    )


def count_examples(builder, split):
    """How many there are in a split, or a part of one, as TFDS writes `train[:10%]`.

    Raises ValueError if the data set has no such split.
    """
    try:
        return builder.info.splits[split].num_examples
    except (KeyError, ValueError, AssertionError) as error:
        raise ValueError(
            f"{builder.info.full_name}: no split {split!r}; there are "
            f"{', '.join(builder.info.splits)}, and parts of them, as train[:10%]"
        ) from error


@contextlib.contextmanager
def damage_named(builder):
    """Turns TensorFlow's errors of damaged records into ValueErrors with the file.

    TensorFlow does not name the file. It is found by reading all of them.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        path = _first_damaged(builder)
        if path is None:
            raise
        raise ValueError(
            f"{path}: is damaged or missing ({text_of(error)}); build the data set "
            "again with --overwrite"
        ) from error


def _first_damaged(builder):
    for split in builder.info.splits.values():
        for path in map(os.fspath, split.filepaths):
            try:
                for _ in tf.data.TFRecordDataset(path):
                    pass
            except tf.errors.OpError:
                return path
    return None


def _files(builder, split, worker):
    """What a worker reads of each shard: TFDS's FileInstructions."""
    examples = count_examples(builder, split)
    index, count = worker
    if not 0 <= index < count:
        raise ValueError(f"worker is {worker}; (index, count) has 0 <= index < count")
    if examples < count:
        raise ValueError(
            f"{builder.info.full_name}: split {split!r} has {examples} videos, too few "
            f"for {count} workers"
        )
    return builder.info.splits[tfds.even_splits(split, count)[index]].file_instructions


def _parser(builder, streams):
    """A function of a record's bytes.

    Not that of TFDS, which goes through all frames one by one even when told to leave
    them encoded, and so takes twice the time.
    """
    features = builder.info.features
    there = [key for key in READ if key in features]
    wanted = (*there, *(stream.name for stream in streams))
    # What is not asked for is not even parsed.
    spec = {key: features.tf_example_spec[key] for key in wanted}

    def parse(record):
        example = tf.io.parse_single_example(record, spec)
        for key in there:
            if example[key].dtype != tf.string:
                example[key] = tf.cast(example[key], features[key].tf_dtype)
        return example

    return parse
