"""From records to batches, with tf.data."""

import tensorflow as tf
import tensorflow_datasets as tfds

from flow.pool import default_workers
from i3d_tf import clips

# Records whose order is mixed, about 5 MB each (180 frames of 256x341).
SHUFFLE_BUFFER = 128
# Clips decoded at a time, and batches made ahead.
_PARALLEL = default_workers()
_PREFETCHED = 2


def train_batches(builder, data, streams, *, batch_size, seed, epoch, skip=0):
    """The batches of one epoch: every video once, in a new order, a new View each.

    Args:
      builder: a built data set, of `i3d_tf.datasets.open_dataset`.
      data: `config.Data`.
      streams: the `Stream`s wanted.
      batch_size: of all replicas together; what does not fill a batch is left out,
        others in each epoch.
      seed, epoch: decide order and Views, and nothing else does.
      skip: batches at the beginning to pass over, undecoded (resume).

    Returns:
      Dataset of ({stream name: [B, T, size, size, C] float32 in [-1, 1]}, labels
      [B, num_classes] float32 one-hot).
    """
    examples = read_examples(builder, data.train_split, streams, shuffle=(seed, epoch))
    examples = examples.skip(skip * batch_size)

    def to_clips(example):
        view = clips.random_view(
            seed,
            epoch,
            example["id"],
            _shape(example, streams),
            num_frames=data.num_frames,
            size=data.size,
            mirror=data.mirror,
        )
        return _inputs(example, streams, view, data), _one_hot(example, builder)

    return (
        examples.map(to_clips, _PARALLEL)
        .batch(batch_size, drop_remainder=True)
        .prefetch(_PREFETCHED)
    )


def eval_batches(builder, data, streams, *, split, batch_size):
    """Every video of a split once, in a fixed order, its centre View.

    Returns:
      Dataset of ({stream name: [B, T, size, size, C]}, labels [B, num_classes],
      ids [B] strings); the last batch may be smaller.
    """

    def to_clips(example):
        view = clips.centre_view(
            _shape(example, streams), num_frames=data.num_frames, size=data.size
        )
        inputs = _inputs(example, streams, view, data)
        return inputs, _one_hot(example, builder), example["id"]

    return (
        read_examples(builder, split, streams)
        .map(to_clips, _PARALLEL)
        .batch(batch_size)
        .prefetch(_PREFETCHED)
    )


def read_examples(builder, split, streams, shuffle=None):
    """Records with their frames still encoded.

    Args:
      shuffle: None for the order of the files, or (seed, epoch) for an order that
        these two decide.

    Raises:
      ValueError: if the data set has no such split.
    """
    _require_split(builder, split)
    names = {stream.name for stream in streams}
    other = {
        key: feature
        for key, feature in builder.info.features.items()
        if key not in ("rgb", "flow") or key in names
    }
    options = tf.data.Options()
    options.deterministic = True
    # TensorFlow 2.21 ends an iteration only when its tuning thread wakes up, which
    # sleeps for 10, 20, 41 ... up to 60 s: longer than a short epoch takes.
    options.autotune.enabled = False
    order = None if shuffle is None else shuffle[0] * 1_000_003 + shuffle[1]
    examples = builder.as_dataset(
        split=split,
        shuffle_files=shuffle is not None,
        # A stream that is not asked for is not even parsed.
        decoders=tfds.decode.PartialDecoding(
            other, decoders={name: tfds.decode.SkipDecoding() for name in names}
        ),
        read_config=tfds.ReadConfig(
            options=options,
            shuffle_seed=order,
            shuffle_reshuffle_each_iteration=False,
            try_autocache=False,
        ),
    )
    if shuffle is not None:
        examples = examples.shuffle(
            SHUFFLE_BUFFER, seed=order, reshuffle_each_iteration=False
        )
    return examples


def check_fits(builder, data):
    """Raises ValueError unless the data set's splits and frames fit the config.

    The smaller side decides the scale at which the network sees the world, so
    another one than the config's is an error and not a detail.
    """
    for split in (data.train_split, data.test_split):
        _require_split(builder, split)
    first = next(iter(read_examples(builder, data.train_split, ())))
    side = min(int(first["height"]), int(first["width"]))
    if side != data.smaller_side:
        raise ValueError(
            f"{builder.info.full_name}: frames have a smaller side of {side} px, the "
            f"config says data.smaller_side={data.smaller_side}"
        )


def _require_split(builder, split):
    if split not in builder.info.splits:
        raise ValueError(
            f"{builder.info.full_name}: no split {split!r}; there are "
            f"{', '.join(builder.info.splits)}"
        )


def _shape(example, streams):
    frames = tf.shape(example[streams[0].name])[0]
    return frames, example["height"], example["width"]


def _inputs(example, streams, view, data):
    return {
        stream.name: clips.make_clip(
            example[stream.name],
            stream,
            view,
            height=example["height"],
            num_frames=data.num_frames,
            size=data.size,
        )
        for stream in streams
    }


def _one_hot(example, builder):
    return tf.one_hot(example["label"], builder.info.features["label"].num_classes)
