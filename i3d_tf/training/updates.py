"""Updates of all streams from the same batches, on every replica.

An update adds the gradients of its passes, of `clips_at_once` clips each, and of all
replicas. BatchNorm's moving statistics become the mean of what the passes and replicas
would have made of them, each beginning where the update began. So the result does not
depend on how the clips are spread, but for rounding.
"""

import time

import tensorflow as tf

from i3d_tf.fast import for_training
from i3d_tf.training.results import Figures, figure_names
from i3d_tf.training.stream_update import StreamUpdate


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


def make_updates(strategy, config, states, view=for_training, compiled=False):
    """Returns updates(iterator, step, count, active, stop=False) -> `Figures`.

    It makes `count` updates, the first after `step` others, of the streams whose names
    are in the tuple `active`. The iterator gives the batches of a replica's passes, as
    `pipeline.train_batches` makes them: clips, or codes, which are normalised here, on
    the device. `stop` tells all hosts that this one was asked to.

    Args:
      view: makes of each model what runs in its place and shares its variables.
      compiled: to let XLA compile what runs on a replica, as TPUs do by themselves.
    """
    replicas = strategy.num_replicas_in_sync
    passes, clips = passes_of(config, replicas)
    with strategy.scope():
        streams = {
            stream.name: StreamUpdate(stream, config, states[stream.name], view)
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
        sums += [tensor for name in active for tensor in streams[name].take_sums()]
        sums = tf.distribute.get_replica_context().all_reduce("SUM", sums)
        all_figures, stops, *sums = sums
        outcomes = []
        for number, name in enumerate(active):
            mine, sums = streams[name].split(sums)
            loss = tf.reduce_sum(all_figures[:, 2 * number])
            outcomes.append(streams[name].update(step, mine, loss, replicas * passes))
        figures.assign(tf.zeros_like(figures))
        return all_figures, tf.stack(outcomes), stops

    if compiled:
        compile_ = tf.function(autograph=False, jit_compile=True)
        one_pass, finish = compile_(one_pass), compile_(finish)

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
        traces, began = updates.experimental_get_tracing_count(), time.monotonic()
        values, outcomes, waited, stops = updates(
            iterator, tf.constant(step), tf.constant(count), active, tf.constant(stop)
        )
        values, outcomes = values.numpy(), outcomes.numpy()
        return Figures(
            {name: values[..., i] for i, name in enumerate(figure_names(active))},
            {name: outcomes[:, i] for i, name in enumerate(active)},
            float(waited),
            bool(stops),
            time.monotonic() - began,
            updates.experimental_get_tracing_count() > traces,
        )

    return run


def _local(strategy, value):
    """Of a value that all replicas have alike, this host's first."""
    return strategy.experimental_local_results(value)[0]


def _correct(logits, labels):
    return tf.cast(tf.argmax(logits, -1) == tf.argmax(labels, -1), tf.float32)
