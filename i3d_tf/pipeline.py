"""From records to batches, with tf.data.

Of each record the frames that its View shows are picked out as it is read, then mixed,
decoded, batched, and normalised last.
"""

import tensorflow as tf

from flow.pool import default_workers
from i3d_tf import augmentation, clips, protocols
from i3d_tf.reading import (
    count_examples,
    damage_named,
    mix_unlabelled,
    read_examples,
)
from i3d_tf.tasks import task_of

# Clips decoded at a time, batches normalised at a time, batches made ahead.
_PARALLEL = default_workers()
_NORMALISED = min(2, _PARALLEL)
_PREFETCHED = 2


def train_batches(
    builder,
    data,
    streams,
    *,
    batch_size,
    seed,
    epoch,
    skip=0,
    replicas=(0, 1, 1),
    worker=(0, 1),
    deterministic=True,
    as_codes=False,
    update=None,
):
    """The batches of one epoch: every video once, in a new order, a new View each.

    Args:
      builder: a built data set, of `i3d_tf.datasets.open_dataset`.
      data: `config.Data`.
      streams: the `Stream`s wanted.
      batch_size: of a replica at a time; what does not fill a batch for all of them is
        left out, others in each epoch.
      seed, epoch: decide order and Views, and nothing else does.
      skip: batches of every replica to pass over at the beginning, undecoded (resume).
      replicas: (first, count, all): of `all` replicas, whose batches follow each other
        in the epoch's order, `count` from `first` on are fed by this host.
      worker: (index, count): of several hosts that read files of their own this one,
        see `read_examples`; `replicas` are then those of this host alone.
      deterministic: whether the order is decided by seed and epoch alone. If not, a
        clip that is ready does not wait for its turn; Views are the same.
      as_codes: to leave the clips uint8, a quarter of the bytes, for a step that begins
        with `clips.normalise`.
      update: None, or of how many examples an update is; those of
        `data.unlabelled_split` then come along, spread evenly.

    Returns:
      Dataset of ({stream name: [B, T, size, size, C] float32 in [-1, 1]}, labels
      [B, num_classes] float32 one-hot); of pictures, which have no T, and whose frames
      are one, the targets are places of joints, [B, J, 3] metres. With `update` a third
      part: label weights [B], 0 for examples of the unlabelled split, of the others the
      mean over an update 1.
    """

    def view(example):
        return clips.random_view(
            seed,
            epoch,
            example["id"],
            _shape(example, streams),
            num_frames=data.num_frames,
            size=data.size,
            mirror=data.mirror,
        )

    def relight(codes, stream, example):
        if not data.light or not stream.lit:
            return codes
        light = augmentation.random_light(
            seed,
            epoch,
            example["id"],
            channels=stream.channels,
            strength=data.light,
        )
        return augmentation.relight(codes, stream, light)

    examples = _in_training_order(
        builder,
        data,
        streams,
        (seed, epoch),
        update,
        worker=worker,
        deterministic=deterministic,
        prepare=lambda example: _sampled(example, streams, view(example), data),
    ).skip(skip * batch_size * replicas[-1])
    decode = _decoder(builder, data, streams, relight)

    def batched(example):
        more = () if update is None else (example["label_weight"],)
        codes, targets, _ = decode(example)
        return codes, targets, *more

    batches = (
        _share(examples, batch_size, replicas)
        .map(batched, _PARALLEL)
        .batch(batch_size, drop_remainder=True)
        .prefetch(_PREFETCHED)
    )
    return batches if as_codes else _normalised(batches, streams)


def train_ids(builder, data, seed, epoch):
    """Yields the ids of the examples of an epoch, in the order of `train_batches`."""
    for example in _in_training_order(builder, data, (), (seed, epoch), None):
        yield example["id"].numpy().decode()


def train_id(builder, data, seed, epoch, number, worker=(0, 1), update=None):
    """Id of the example that `train_batches` gives as number `number` of an epoch."""
    order = _in_training_order(builder, data, (), (seed, epoch), update, worker=worker)
    (example,) = order.skip(number).take(1)
    return example["id"].numpy().decode()


def _in_training_order(builder, data, streams, shuffle, update, **options):
    """The examples of an epoch, of an unlabelled split too if `update` is given."""

    def examples(split):
        return read_examples(builder, split, streams, shuffle=shuffle, **options)

    labelled = examples(data.train_split)
    if update is None:
        return labelled
    return mix_unlabelled(labelled, examples(data.unlabelled_split), update)


def eval_batches(
    builder, data, streams, *, split, batch_size, protocol=None, worker=(0, 1)
):
    """Every video of a split once, in a fixed order, in the Views of a protocol.

    Args:
      batch_size: Views of a batch; of a protocol whose clips differ in length it can
        only be 1.
      protocol: `protocols.Protocol`; None is the centre of `data.num_frames`.
      worker: (index, count), see `read_examples`.

    Returns:
      Dataset of ({stream name: [B, T, size, size, C]}, labels [B, num_classes],
      ids [B] strings); the last batch may be smaller. All Views of a video follow
      each other, as `protocols.all_views` orders them.

    Raises:
      ValueError: several clips of different lengths in a batch.
    """
    protocol = protocol or protocols.center(data.num_frames)
    if protocol.num_frames is None and batch_size != 1:
        raise ValueError(
            f"batch_size is {batch_size}; whole videos differ in length and do not fit "
            "into one batch, so it must be 1"
        )
    examples = _in_views(builder, data, streams, protocol, split=split, worker=worker)
    batches = (
        examples.map(_decoder(builder, data, streams), _PARALLEL)
        .batch(batch_size)
        .prefetch(_PREFETCHED)
    )
    return _normalised(batches, streams)


def standing_still(batches, streams):
    """`eval_batches` with every clip as a video of its middle frame, repeated.

    What a network still knows then it does not know from motion.
    """

    def stop(inputs, labels, ids):
        still = {}
        for stream in streams:
            clips_ = inputs[stream.name]
            frames = tf.shape(clips_)[1]
            middle = clips_[:, frames // 2 : frames // 2 + 1]
            repeated = tf.repeat(middle, frames, axis=1)
            still[stream.name] = tf.zeros_like(clips_) if stream.motion else repeated
        return still, labels, ids

    return batches.map(stop, _NORMALISED)


def _in_views(builder, data, streams, protocol, *, split, worker=(0, 1)):
    """The split's examples in a fixed order, one for each View, with its frames."""

    def sampled(example):
        """Of the frames those of the clips, `[clips, T]`: crops share them."""
        frames, *_ = shape = _shape(example, streams)
        length = protocols.clip_length(protocol, frames)
        starts = protocols.clip_starts(protocol, frames)
        of_clips = {
            stream.name: clips.sample(example[stream.name], starts[:, None], length)
            for stream in streams
        }
        views = protocols.all_views(protocol, shape, data.size)
        return {**example, **of_clips, "views": views}

    def each_view(example):
        def one(index, view):
            frames = {stream.name: example[stream.name][index] for stream in streams}
            return {**example, **frames, "view": view}

        return tf.data.Dataset.from_tensor_slices(example.pop("views")).map(one)

    examples = read_examples(builder, split, streams, worker=worker, prepare=sampled)
    views = examples.cardinality().numpy() * protocol.num_views
    return examples.flat_map(each_view).apply(
        tf.data.experimental.assert_cardinality(views)
    )


def eval_rounds(builder, data, streams, *, split, batch_size, replicas=(0, 1, 1)):
    """`eval_batches` of centre Views, of one size for replicas that compute together.

    Returns:
      (dataset of ({stream name: codes [B, T, size, size, C] uint8}, targets, [B]
      whether it is a video), how many batches each replica gets). What the last ones
      lack is filled with zeros. `batch_size` and `replicas` are those of
      `train_batches`.
    """
    centre = protocols.center(data.num_frames)
    examples = _in_views(builder, data, streams, centre, split=split)
    videos = (
        _share(examples, batch_size, replicas)
        .map(_decoder(builder, data, streams), _PARALLEL)
        .map(lambda codes, targets, _: (codes, targets, tf.constant(True)))
    )
    nothing = tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), videos.element_spec
    )
    rounds = -(-count_examples(builder, split) // (batch_size * replicas[-1]))
    batches = (
        videos.concatenate(tf.data.Dataset.from_tensors(nothing).repeat())
        .batch(batch_size, drop_remainder=True)
        .take(rounds * replicas[1])
        .prefetch(_PREFETCHED)
    )
    return batches, rounds


def _share(examples, batch_size, replicas):
    """Of examples in rounds of a batch for each replica, those of some replicas."""
    first, count, everyone = replicas
    if count == everyone:
        return examples
    inside = tf.constant([first * batch_size, (first + count) * batch_size], tf.int64)

    def is_ours(number, _):
        place = number % (everyone * batch_size)
        return inside[0] <= place and place < inside[1]

    return examples.enumerate().filter(is_ours).map(lambda _, example: example)


def check_fits(builder, data):
    """Raises ValueError unless the data set's splits and frames fit the config.

    The smaller side decides the scale at which the network sees the world, so
    another one than the config's is an error and not a detail. Training and
    evaluation need labels, which a split has for all videos or for none.
    """
    for split in (data.test_split, data.train_split):
        with damage_named(builder):
            first = next(iter(read_examples(builder, split, ())))
        if "label" in first and first["label"] < 0:
            raise ValueError(
                f"{builder.info.full_name}: the videos of split {split!r} have no "
                "labels, so that accuracy cannot be known; choose another split"
            )
    # Of the training split.
    side = min(int(first["height"]), int(first["width"]))
    if side != data.smaller_side:
        raise ValueError(
            f"{builder.info.full_name}: frames have a smaller side of {side} px, the "
            f"config says data.smaller_side={data.smaller_side}"
        )
    if ("joints" in first) != (data.num_frames == 1):
        has = "pictures with joints" if "joints" in first else "clips with labels"
        raise ValueError(
            f"{builder.info.full_name}: has {has}, the config says "
            f"data.num_frames={data.num_frames}; 1 is for pictures with joints alone"
        )
    if data.mirror and "joints" in first and not builder.info.metadata["mirrored"]:
        raise ValueError(
            f"{builder.info.full_name}: holds one of two hands, which looks like the "
            "other one in a mirror; data.mirror must be False"
        )


def _shape(example, streams):
    frames = tf.shape(example[streams[0].name])[0]
    return frames, example["height"], example["width"]


def _sampled(example, streams, view, data):
    """The example with its View, and of the frames those that the View shows."""
    frames = {
        stream.name: clips.sample(example[stream.name], view.start, data.num_frames)
        for stream in streams
    }
    return {**example, **frames, "view": view}


def _decoder(builder, data, streams, change=lambda codes, stream, example: codes):
    """A function: sampled example -> ({stream name: codes}, one-hot label, id).

    `change(codes, stream, example)` is what becomes of each decoded clip.
    """
    target = task_of(data).target

    def clip(example, stream):
        codes = clips.make_codes(
            example[stream.name],
            stream,
            example["view"],
            height=example["height"],
            size=data.size,
        )
        # Known before any clip is, but for whole videos: TPUs compile for it.
        frames = example[stream.name].shape[0]
        shape = [frames, data.size, data.size, stream.channels]
        codes = tf.ensure_shape(codes, shape)
        return codes[0] if data.num_frames == 1 else codes

    def decode(example):
        codes = {
            stream.name: change(clip(example, stream), stream, example)
            for stream in streams
        }
        return codes, target(example, builder.info), example["id"]

    return decode


def _normalised(batches, streams):
    # Whole batches: to copy clips of floats into one would cost as much as making them.
    def normalise(codes, *others):
        inputs = {
            stream.name: clips.normalise(codes[stream.name], stream)
            for stream in streams
        }
        return inputs, *others

    return batches.map(normalise, _NORMALISED).prefetch(1)
