"""One stream's part of an update, as it runs on each replica."""

import zlib

import tensorflow as tf

from i3d_tf.fast import dropout_seeds
from i3d_tf.tasks import task_of
from i3d_tf.training.results import MADE, NOT_FINITE, SCALED_DOWN
from i3d_tf.training.schedules import learning_rate

# Updates after which float16's loss scale is doubled.
_GOOD_UPDATES = 2000


class StreamUpdate:
    """One stream's network, and what its passes have added up; made under a strategy.

    All but the constructor runs on each replica.
    """

    def __init__(self, stream, config, state, lesson, view):
        self.stream, self.config, self.state = stream, config, state
        self.lesson = lesson
        self.task = task_of(config.data)
        self.training = getattr(config, stream.name)
        self.network = view(
            state.model if lesson is None else lesson.student,
            synchronised=config.synchronised_batch_norm,
            recompute=config.recompute,
        )
        # A frozen BatchNorm keeps its statistics.
        self.statistics = [
            weight.value
            for layer in state.model.layers
            if layer.trainable
            for weight in layer.non_trainable_weights
        ]
        self.variables = state.variables
        self.gradients = [_zeros_like(v) for v in self.variables]
        self.begun_with = [tf.Variable(v, trainable=False) for v in self.statistics]
        self.statistic_sums = [_zeros_like(v) for v in self.statistics]
        # Streams draw their dropout apart.
        self.dropout_seed = zlib.crc32(f"{config.seed} {stream.name}".encode()) >> 1

    def add_gradients(self, inputs, targets, label_weights, first):
        """A pass over clips, the first of which is number `first` of the training.

        Args:
          inputs: {stream name: clips}, the teacher's too.
          targets: one-hot labels, or places of joints.
          label_weights: [B], of mean 1 over an update; None are ones.

        Returns (answers, the labels' losses [B], how much its teacher's is missed by,
        a scalar or None).
        """
        clips = inputs[self.stream.name]
        for statistic, before in zip(self.statistics, self.begun_with, strict=True):
            statistic.assign(tf.identity(before))
        # From the clip's number: the same on any number of devices, after any restart.
        numbers = first + tf.range(clips.shape[0])
        seeds = tf.stack([tf.fill(numbers.shape, self.dropout_seed), numbers], -1)
        smoothing, missed = self.training.label_smoothing, None
        taught = None if self.lesson is None else self.lesson.teach(inputs)
        with tf.GradientTape() as tape:
            with dropout_seeds(seeds):
                learnt = tf.nest.flatten(self.network(clips, training=True))
            answers = learnt[0]
            losses = self.task.losses(answers, targets, smoothing, self.config)
            weighted = losses if label_weights is None else losses * label_weights
            loss = tf.reduce_sum(weighted) / self.config.batch_size
            if self.lesson is not None:
                missed = self.lesson.loss(taught, learnt)
                share = clips.shape[0] / self.config.batch_size
                loss = self.lesson.spec.label_weight * loss + share * missed
            loss *= tf.identity(self.state.loss_scale)
        gradients = tape.gradient(loss, [v.value for v in self.variables])
        for total, gradient in zip(self.gradients, gradients, strict=True):
            total.assign_add(gradient)
        for total, statistic in zip(self.statistic_sums, self.statistics, strict=True):
            total.assign_add(tf.identity(statistic))
        return answers, losses, missed

    def take_sums(self):
        """What is to be added over the replicas: gradients, then statistics.

        The next update begins with sums of zero.
        """
        totals = [tf.identity(v) for v in (*self.gradients, *self.statistic_sums)]
        for variable in (*self.gradients, *self.statistic_sums):
            variable.assign(tf.zeros_like(variable))
        return totals

    def split(self, sums):
        """Takes this stream's part from the beginning of a list of sums."""
        count = len(self.gradients) + len(self.statistic_sums)
        return sums[:count], sums[count:]

    def update(self, step, sums, loss, parts):
        """Makes the update, or leaves it out if it is not finite; returns the outcome.

        Args:
          sums: of all replicas.
          loss: sum of the clips' losses.
          parts: passes of all replicas, whose statistics are averaged.
        """
        state, training = self.state, self.training
        gradients = sums[: len(self.gradients)]
        statistics = [total / parts for total in sums[len(self.gradients) :]]
        scale = tf.identity(state.loss_scale)
        # The derivative of w / 2 * sum of squares, which need not be computed.
        gradients = [
            gradient / scale + training.weight_decay * variable.value
            if variable.path.endswith("/kernel")
            else gradient / scale
            for gradient, variable in zip(gradients, self.variables, strict=True)
        ]
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm) & tf.math.is_finite(loss)

        def make():
            rate = learning_rate(training, step) * tf.identity(state.plateau.factor)
            clipped = gradients
            if training.clip_norm is not None:
                factor = training.clip_norm / tf.maximum(norm, training.clip_norm)
                clipped = [gradient * factor for gradient in gradients]
            for gradient, variable in zip(clipped, self.variables, strict=True):
                state.optimizer.update_step(gradient, variable.value, rate)
            self._average(step)
            for variable, value in zip(self.begun_with, statistics, strict=True):
                variable.assign(value)
            self._scale_up()
            return tf.constant(MADE)

        def leave_out():
            lower = tf.math.is_finite(loss) & (scale > 1)
            # A loss that is not finite is none of the scale's doing.
            state.loss_scale.assign(tf.where(lower, scale / 2, scale))
            state.good_updates.assign(0)
            return tf.where(lower, SCALED_DOWN, NOT_FINITE)

        outcome = tf.cond(finite, make, leave_out)
        for statistic, value in zip(self.statistics, self.begun_with, strict=True):
            statistic.assign(tf.identity(value))
        return outcome

    def _average(self, step):
        """Takes the new weights into their averages."""
        if not self.state.averages:
            return
        # The first updates would weigh the random weights too much.
        done = tf.cast(step, tf.float32) + 1
        decay = tf.minimum(self.training.ema_decay, done / (done + 9))
        trained = self.state.model.trainable_variables
        for average, variable in zip(self.state.averages, trained, strict=True):
            average.assign_sub((1 - decay) * (average - variable.value))

    def _scale_up(self):
        if self.config.dtype != "mixed_float16":
            return
        state = self.state
        good = tf.identity(state.good_updates) + 1
        enough = good >= _GOOD_UPDATES
        scale = tf.identity(state.loss_scale)
        state.loss_scale.assign(tf.where(enough, scale * 2, scale))
        state.good_updates.assign(tf.where(enough, 0, good))


def _zeros_like(variable):
    return tf.Variable(tf.zeros(variable.shape), trainable=False)
