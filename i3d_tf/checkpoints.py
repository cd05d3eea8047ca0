"""A stream's network with its optimiser, and trained networks from a workdir."""

import json
import pathlib

import keras
import tensorflow as tf

from i3d_tf import config as configs
from i3d_tf.fine_tuning import freeze_up_to
from i3d_tf.inception import build_i3d
from i3d_tf.weights import load_released


class StreamState(tf.train.Checkpoint):
    """What is saved of one stream: `model`, `optimizer`, `dropout_state`."""


def new_stream_state(stream, config, num_classes):
    """The stream's network and optimiser as the training begins.

    Raises ValueError if units are to be frozen that have no weights yet, and for
    initial weights that do not fit.
    """
    training = getattr(config, stream.name)
    model = build_i3d(
        stream,
        num_classes,
        size=config.data.size,
        dropout=training.dropout,
        batch_norm_decay=config.batch_norm_decay,
        dtype=config.dtype,
        width=config.width,
        seed=config.seed,
    )
    if training.initial_weights:
        load_released(model, training.initial_weights, new_head=True)
    if training.freeze_up_to:
        if not training.initial_weights:
            raise ValueError(
                f"{stream.name}.freeze_up_to is {training.freeze_up_to!r}, but there "
                f"are no {stream.name}.initial_weights: random weights would be kept"
            )
        freeze_up_to(model, training.freeze_up_to)
    if training.boundaries:
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            list(training.boundaries), list(training.learning_rates)
        )
    else:
        rate = training.learning_rates[0]
    optimizer = keras.optimizers.SGD(rate, momentum=training.momentum)
    # Else its variables would come into being in the first step, after a restore.
    optimizer.build(model.trainable_variables)
    # TensorFlow's checkpoints follow layers and variables, not Keras's generators.
    weights = {variable.path for variable in model.weights}
    dropout_state = [
        variable.value for variable in model.variables if variable.path not in weights
    ]
    return StreamState(model=model, optimizer=optimizer, dropout_state=dropout_state)


def load_workdir(workdir, dtype="float32"):
    """Loads a run's networks as they were last saved, to compute in `dtype`.

    Returns:
      (config, label names, {stream name: model}).

    Raises:
      ValueError: if there is no run or no whole checkpoint in `workdir`.
    """
    workdir = pathlib.Path(workdir)
    path = workdir / "config.json"
    if not path.is_file():
        raise ValueError(f"{workdir}: no config.json; is it the --workdir of train?")
    kept = json.loads(path.read_text("utf-8"))
    config, labels = configs.from_dict(kept["config"]), kept["labels"]
    newest = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    if newest is None:
        raise ValueError(f"{workdir}: no checkpoint; train has not saved any yet")
    models = {
        stream.name: build_i3d(
            stream,
            len(labels),
            size=config.data.size,
            width=config.width,
            dtype=dtype,
        )
        for stream in config.streams
    }
    states = {name: StreamState(model=model) for name, model in models.items()}
    restore_whole(tf.train.Checkpoint(**states), newest, "+".join(models))
    return config, labels, models


def restore_whole(checkpoint, path, what):
    """Restores a `tf.train.Checkpoint` from `path`, which may hold more.

    Raises ValueError, naming `what` was wanted, if it does not hold all of it.
    """
    try:
        restored = checkpoint.restore(path)
        # Optimisers are in there too, and not always asked for.
        restored.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, IndexError, AssertionError) as error:
        raise ValueError(
            f"{path}: does not hold all of {what}; is it cut short?"
        ) from error


def load_workdirs(workdirs, dtype="float32"):
    """`load_workdir` of several runs, whose streams are put together.

    Returns:
      (config of the first, label names, {stream name: model}).

    Raises:
      ValueError: two have a stream in common, or differ in labels or data.
    """
    runs = [load_workdir(workdir, dtype) for workdir in workdirs]
    config, labels, models = runs[0]
    for workdir, (other, other_labels, more) in zip(
        workdirs[1:], runs[1:], strict=True
    ):
        if set(models) & set(more):
            raise ValueError(f"{workdir}: has a stream that {workdirs[0]} has too")
        if other_labels != labels:
            raise ValueError(
                f"{workdir}: {len(other_labels)} classes, {workdirs[0]} has "
                f"{len(labels)}, or other names"
            )
        if other.data != config.data:
            raise ValueError(f"{workdir}: config.data differs from {workdirs[0]}'s")
        models = {**models, **more}
    return config, labels, models
