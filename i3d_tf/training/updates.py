"""Updates of all streams from the same batches, on every replica.

An update adds the gradients of its passes, of `clips_at_once` clips each, and of all
replicas. BatchNorm's moving statistics become the mean of what the passes and replicas
would have made of them, each beginning where the update began. So the result does not
depend on how the clips are spread, but for rounding.
"""

import zlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from i3d_tf.clips import normalise
from i3d_tf.fast import dropout_seeds, for_training
from i3d_tf.training.schedules import learning_rate

# What became of a stream's update: it was made; left out as float16's loss scale was
# too large; left out as a loss or gradient was not finite.
MADE, SCALED_DOWN, NOT_FINITE = 0, 1, 2
# Updates after which float16's loss scale is doubled.
_GOOD_UPDATES = 2000


class Figures(NamedTuple):
    """What K updates of B clips gave.

    Attributes:
      values: {name: [K, B]}: `<stream>_loss`, `<stream>_top1` and, of several streams,
        `fused_top1` of each clip.
      outcomes: {stream name: [K]}: MADE, SCALED_DOWN or NOT_FINITE.
      waited: seconds in which an update waited for its clips.
      stop: whether a host was asked to.
    """

    values: dict[str, np.ndarray]
    outcomes: dict[str, np.ndarray]
    waited: float
    stop: bool


def figure_names(streams):
    """Names of an update's figures of these streams' names."""
    names = [f"{name}_{figure}" for name in streams for figure in ("loss", "top1")]
    return names + (["fused_top1"] if len(streams) > 1 else [])


def passes_of(config, replicas):
    """(passes of an update, clips that a replica takes in each).

    Raises ValueError if the clips of an update do not divide into them.
    """
    clips = config.clips_at_once or config.batch_size // replicas
    if not clips or config.batch_size % (replicas * clips):
        raise ValueError(
            f"batch_size {config.batch_size} does not divide into {replicas} replicas "
            f"of {config.clips_at_once or 'equally many'} clips_at_once"
        )
    return config.batch_size // (replicas * clips), clips


def make_updates(strategy, config, states, view=for_training):
    """Returns updates(iterator, step, count, active, stop=False) -> `Figures`.

    It makes `count` updates, the first after `step` others, of the streams whose names
    are in the tuple `active`. The iterator gives the batches of a replica's passes, as
    `pipeline.train_batches` makes them: clips, or codes, which are normalised here, on
    the device. `stop` tells all hosts that this one was asked to.

    Args:
      view: makes of each model what runs in its place and shares its variables.
    """
    replicas = strategy.num_replicas_in_sync
    passes, clips = passes_of(config, replicas)
    with strategy.scope():
        streams = {
            stream.name: _Stream(stream, config, states[stream.name], view)
            for stream in config.streams
        }
        figures = tf.Variable(
            tf.zeros([config.batch_size, len(figure_names(streams))]), trainable=False
        )

    # Nothing in there is for AutoGraph, whose conversion takes seconds.
    @tf.autograph.experimental.do_not_convert
    def one_pass(batch, after, step, number, active):
        # Of several hosts TensorFlow forgets the batch's size, which dropout wants.
        with tf.control_dependencies([after]):
            inputs, labels = tf.nest.map_structure(
                lambda x: tf.ensure_shape(x, [clips, *x.shape[1:]]), batch
            )
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        first = (number * replicas + replica) * clips
        columns, all_logits = {}, []
        for name in active:
            logits, losses = streams[name].add_gradients(
                inputs[name], labels, step * config.batch_size + first
            )
            all_logits.append(logits)
            columns[f"{name}_loss"] = losses
            columns[f"{name}_top1"] = _correct(logits, labels)
        if len(active) > 1:
            columns["fused_top1"] = _correct(tf.add_n(all_logits), labels)
        rows = tf.stack([columns[name] for name in figure_names(active)], axis=-1)
        rows = tf.pad(rows, [[0, 0], [0, figures.shape[1] - rows.shape[1]]])
        places = (first + tf.range(clips))[:, None]
        figures.assign_add(tf.scatter_nd(places, rows, figures.shape))
        return rows[0, 0]

    @tf.autograph.experimental.do_not_convert
    def finish(step, active, stop):
        sums = [tf.identity(figures), tf.cast(stop, tf.float32)]
        sums += [tensor for name in active for tensor in streams[name].sums()]
        sums = tf.distribute.get_replica_context().all_reduce("SUM", sums)
        all_figures, stops, *sums = sums
        outcomes = []
        for number, name in enumerate(active):
            mine, sums = streams[name].split(sums)
            loss = tf.reduce_sum(all_figures[:, 2 * number])
            outcomes.append(streams[name].update(step, mine, loss, replicas * passes))
        figures.assign(tf.zeros_like(figures))
        return all_figures, tf.stack(outcomes), stops

    @tf.function
    def updates(iterator, step, count, active, stop):
        size = [config.batch_size, len(figure_names(streams))]
        all_figures = tf.TensorArray(tf.float32, count, element_shape=size)
        outcomes = tf.TensorArray(tf.int32, count, element_shape=[len(active)])
        stops, waited, done = tf.constant(0.0), tf.constant(0.0, tf.float64), 0.0
        for k in tf.range(count):
            for number in tf.range(passes):
                # The clock is read when the pass before is done, then the batch is
                # fetched: what passes until it is there is waiting. The pass begins
                # after the second reading, or its operations could delay that.
                with tf.control_dependencies([done]):
                    began = tf.timestamp()
                with tf.control_dependencies([began]):
                    batch = next(iterator)
                arrived = tf.nest.flatten(batch, expand_composites=True)
                with tf.control_dependencies(arrived):
                    waited += tf.timestamp() - began
                read = tf.cast(waited, tf.float32)  # TPUs take no float64
                work = batch, read, step + k, number, active
                done = _local(strategy, strategy.run(one_pass, work))
            result = strategy.run(finish, (step + k, active, stop))
            of_update, outcome, stops = (_local(strategy, part) for part in result)
            done = tf.reduce_sum(of_update)
            all_figures = all_figures.write(k, of_update)
            outcomes = outcomes.write(k, outcome)
        return all_figures.stack(), outcomes.stack(), waited, stops

    def run(iterator, step, count, active, stop=False):
        values, outcomes, waited, stops = updates(
            iterator, tf.constant(step), tf.constant(count), active, tf.constant(stop)
        )
        values, outcomes = values.numpy(), outcomes.numpy()
        return Figures(
            {name: values[..., i] for i, name in enumerate(figure_names(active))},
            {name: outcomes[:, i] for i, name in enumerate(active)},
            float(waited),
            bool(stops),
        )

    return run


def _local(strategy, value):
    """Of a value that all replicas have alike, this host's first."""
    return strategy.experimental_local_results(value)[0]


def _correct(logits, labels):
    return tf.cast(tf.argmax(logits, -1) == tf.argmax(labels, -1), tf.float32)


class _Stream:
    """One stream's network, and what its passes have added up; made under a strategy.

    All but the constructor runs on each replica.
    """

    def __init__(self, stream, config, state, view):
        self.stream, self.config, self.state = stream, config, state
        self.training = getattr(config, stream.name)
        self.network = view(
            state.model,
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
        self.variables = state.model.trainable_variables
        self.gradients = [_zeros_like(v) for v in self.variables]
        self.begun_with = [tf.Variable(v, trainable=False) for v in self.statistics]
        self.statistic_sums = [_zeros_like(v) for v in self.statistics]
        # Streams draw their dropout apart.
        self.dropout_seed = zlib.crc32(f"{config.seed} {stream.name}".encode()) >> 1

    def add_gradients(self, clips, labels, first):
        """A pass over clips, the first of which is number `first` of the training.

        Returns logits [B, num_classes] and losses [B].
        """
        if clips.dtype == tf.uint8:
            clips = normalise(clips, self.stream)
        for statistic, before in zip(self.statistics, self.begun_with, strict=True):
            statistic.assign(tf.identity(before))
        # From the clip's number: the same on any number of devices, after any restart.
        numbers = first + tf.range(clips.shape[0])
        seeds = tf.stack([tf.fill(numbers.shape, self.dropout_seed), numbers], -1)
        smoothing = self.training.label_smoothing
        smoothed = labels * (1 - smoothing) + smoothing / labels.shape[-1]
        with tf.GradientTape() as tape:
            with dropout_seeds(seeds):
                logits = self.network(clips, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(smoothed, logits)
            loss = tf.reduce_sum(losses) / self.config.batch_size
            loss *= tf.identity(self.state.loss_scale)
        gradients = tape.gradient(loss, [v.value for v in self.variables])
        for total, gradient in zip(self.gradients, gradients, strict=True):
            total.assign_add(gradient)
        for total, statistic in zip(self.statistic_sums, self.statistics, strict=True):
            total.assign_add(tf.identity(statistic))
        return logits, losses

    def sums(self):
        """What is to be added over the replicas: gradients, then statistics."""
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
        finite = tf.math.is_finite(norm)

        def make():
            factor = tf.constant(1.0)
            if training.clip_norm is not None:
                factor = training.clip_norm / tf.maximum(norm, training.clip_norm)
            rate = learning_rate(training, step) * tf.identity(state.plateau.factor)
            for gradient, variable in zip(gradients, self.variables, strict=True):
                if training.clip_norm is not None:
                    gradient *= factor
                state.optimizer.update_step(gradient, variable.value, rate)
            self._average(step)
            for variable, value in zip(self.begun_with, statistics, strict=True):
                variable.assign(value)
            self._scale_up()
            return tf.constant(MADE)

        def leave_out():
            lower = tf.math.is_finite(loss) & (scale > 1)
            state.loss_scale.assign(tf.maximum(scale / 2, 1.0))
            state.good_updates.assign(0)
            return tf.where(lower, SCALED_DOWN, NOT_FINITE)

        outcome = tf.cond(finite & tf.math.is_finite(loss), make, leave_out)
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
        for average, variable in zip(self.state.averages, self.variables, strict=True):
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
