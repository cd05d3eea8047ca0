"""What is trained of one stream, as checkpoints hold it."""

import contextlib

import keras
import tensorflow as tf

from i3d_tf.checkpoints import new_averages
from i3d_tf.distillation.lesson import Lesson
from i3d_tf.fine_tuning import freeze_up_to
from i3d_tf.tasks import task_of
from i3d_tf.training.schedules import Plateau
from i3d_tf.weights.initial import set_initial_weights

# Of float16's loss scale, as Micikevicius et al. (2018) and Keras have them.
FIRST_LOSS_SCALE = 2.0**15


class StreamState(tf.train.Checkpoint):
    """What is saved of one stream.

    Attributes:
      model: its network.
      optimizer: Keras's, whose momenta these are.
      averages: moving averages of the model's trained weights, in their order; an empty
        list if the run keeps none.
      adapters: layers that are trained beside the model; only of `new_lesson`.
      plateau: of the learning rate.
      loss_scale, good_updates: the factor of the loss under mixed_float16, and the
        updates since it last changed.
    """

    @property
    def variables(self):
        """What is trained: the model's, then the adapters'."""
        return self.model.trainable_variables + [
            variable
            for adapter in getattr(self, "adapters", ())
            for variable in adapter.trainable_variables
        ]


def new_stream_state(stream, config, answers, begun=False):
    """The stream's network and optimiser as the training begins.

    Of a run that has `begun` they are about to be restored: the initial weights are not
    read, and their file need no longer be there.

    Args:
      answers: how many classes or joints.

    Raises ValueError if units are to be frozen that have no weights yet, and for
    initial weights that do not fit.
    """
    training = getattr(config, stream.name)
    model = task_of(config.data).build(
        stream,
        config,
        answers,
        dropout=training.dropout,
        batch_norm_decay=config.batch_norm_decay,
        dtype=config.dtype,
        seed=config.seed,
    )
    if training.initial_weights and not begun:
        set_initial_weights(model, stream, training.initial_weights)
    if training.freeze_up_to:
        if not training.initial_weights:
            raise ValueError(
                f"{stream.name}.freeze_up_to is {training.freeze_up_to!r}, but there "
                f"are no {stream.name}.initial_weights: random weights would be kept"
            )
        freeze_up_to(model, training.freeze_up_to)
    scale = FIRST_LOSS_SCALE if config.dtype == "mixed_float16" else 1.0
    return StreamState(
        model=model,
        optimizer=_new_optimizer(training, model.trainable_variables),
        averages=new_averages(model, training),
        plateau=Plateau(training),
        loss_scale=tf.Variable(scale),
        good_updates=tf.Variable(0),
    )


def new_lesson(stream, config, state, names):
    """The `Lesson` of a stream that has a teacher; its adapters join the state.

    Args:
      names: of the classes or joints.

    Raises ValueError for a teacher that does not fit.
    """
    lesson = Lesson(stream, config, state.model, names)
    state.adapters = lesson.adapters
    state.optimizer = _new_optimizer(getattr(config, stream.name), state.variables)
    return lesson


def _new_optimizer(training, variables):
    # The rate is passed with each update.
    optimizer = keras.optimizers.SGD(momentum=training.momentum)
    # Else its variables would come into being in the first step, after a restore.
    optimizer.build(variables)
    return optimizer


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
