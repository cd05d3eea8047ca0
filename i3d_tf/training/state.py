"""What is trained of one stream, as checkpoints hold it."""

import contextlib

import keras
import tensorflow as tf

from i3d_tf.checkpoints import new_averages
from i3d_tf.fine_tuning import freeze_up_to
from i3d_tf.inception import build_i3d
from i3d_tf.training.schedules import Plateau
from i3d_tf.weights import load_released

# Of float16's loss scale, as Micikevicius et al. (2018) and Keras have them.
FIRST_LOSS_SCALE = 2.0**15


class StreamState(tf.train.Checkpoint):
    """What is saved of one stream.

    Attributes:
      model: its network.
      optimizer: Keras's, whose momenta these are.
      averages: moving averages of the trained weights, in their order, or none.
      plateau: of the learning rate.
      loss_scale, good_updates: the factor of the loss under mixed_float16, and the
        updates since it last changed.
    """


def new_stream_state(stream, config, num_classes, begun=False):
    """The stream's network and optimiser as the training begins.

    Of a run that has `begun` they are about to be restored: the initial weights are not
    read, and their file need no longer be there.

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
    if training.initial_weights and not begun:
        load_released(model, training.initial_weights, new_head=True)
    if training.freeze_up_to:
        if not training.initial_weights:
            raise ValueError(
                f"{stream.name}.freeze_up_to is {training.freeze_up_to!r}, but there "
                f"are no {stream.name}.initial_weights: random weights would be kept"
            )
        freeze_up_to(model, training.freeze_up_to)
    # The rate is passed with each update.
    optimizer = keras.optimizers.SGD(momentum=training.momentum)
    # Else its variables would come into being in the first step, after a restore.
    optimizer.build(model.trainable_variables)
    scale = FIRST_LOSS_SCALE if config.dtype == "mixed_float16" else 1.0
    return StreamState(
        model=model,
        optimizer=optimizer,
        averages=new_averages(model, training),
        plateau=Plateau(training),
        loss_scale=tf.Variable(scale),
        good_updates=tf.Variable(0),
    )


def make_averaged_weights(strategy, states):
    """Returns a function: `with averaged_weights():` the models have their averages.

    So far as averages of the weights are kept.
    """

    @tf.function(autograph=False)
    def exchange():
        for state in states.values():
            if not state.averages:
                continue
            for variable, average in zip(
                state.model.trainable_variables, state.averages, strict=True
            ):
                weights = tf.identity(variable.value)
                variable.value.assign(tf.identity(average))
                average.assign(weights)

    @contextlib.contextmanager
    def averaged_weights():
        strategy.run(exchange)
        try:
            yield
        finally:
            strategy.run(exchange)

    return averaged_weights
