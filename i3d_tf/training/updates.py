"""Updates of all streams from the same batches, on every replica.

An update adds the gradients of its passes, of `clips_at_once` clips each, and of all
replicas. BatchNorm's moving statistics become the mean of what the passes and replicas
would have made of them, each beginning where the update began. So the result does not
depend on how the clips are spread, but for rounding.
"""

import time

import tensorflow as tf

from i3d_tf.clips import normalise
from i3d_tf.evaluation import fuse
from i3d_tf.tasks import task_of
from i3d_tf.training.results import NO_FIGURE, Figures, figure_names
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


def make_updates(strategy, config, states, view=None, compiled=False, lessons=None):
    """Returns updates(iterator, step, count, active, stop=False) -> `Figures`.

    It makes `count` updates, the first after `step` others, of the streams whose names
    are in the tuple `active`. The iterator gives the batches of a replica's passes, as
    `pipeline.train_batches` makes them: clips, or codes, which are normalised here, on
    the device. `stop` tells all hosts that this one was asked to.

    Args:
      lessons: {stream name: its `Lesson`} of those that have a teacher.
      view: makes of each model what runs in its place and shares its variables; None
        is the task's own.
      compiled: to let XLA compile what runs on a replica, as TPUs do by themselves.

    Raises ValueError if a lesson's loss compares clips, and a pass has one.
    """
    replicas = strategy.num_replicas_in_sync
    passes, clips = passes_of(config, replicas)
    task, lessons = task_of(config.data), lessons or {}
    view = view or task.for_training
    if clips == 1:
        for name, lesson in lessons.items():
            lesson.refuse_single_clips(name)
    with strategy.scope():
        streams = {
            stream.name: StreamUpdate(
                stream, config, states[stream.name], lessons.get(stream.name), view
            )
            for stream in config.streams
        }
        figures = tf.Variable(
            tf.zeros([config.batch_size, len(figure_names(config, streams))]),
            trainable=False,
        )

    # Nothing in there is for AutoGraph, whose conversion takes seconds.
    @tf.autograph.experimental.do_not_convert
    def one_pass(batch, after, step, number, active):
        # Of several hosts TensorFlow forgets the batch's size, which dropout wants.
        with tf.control_dependencies([after]):
            codes, targets, *weights = tf.nest.map_structure(
                lambda x: tf.ensure_shape(x, [clips, *x.shape[1:]]), batch
            )
        inputs = {
            stream.name: normalise(codes[stream.name], stream)
            if codes[stream.name].dtype.is_integer
            else codes[stream.name]
            for stream in config.inputs
        }
        label_weights = weights[0] if weights else None
        if label_weights is not None:
            # What is unknown may be no number, and 0 times that is none either.
            known = tf.reshape(label_weights > 0, [clips] + [1] * (targets.ndim - 1))
            targets = tf.where(known, targets, 0.0)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        first = (number * replicas + replica) * clips

        def labelled(figures_of_clips):
            if label_weights is None:
                return figures_of_clips
            return tf.where(label_weights > 0, figures_of_clips, NO_FIGURE)

        columns, all_answers = {}, []
        for name in active:
            answers, losses, missed = streams[name].add_gradients(
                inputs, targets, label_weights, step * config.batch_size + first
            )
            all_answers.append(answers)
            columns[f"{name}_loss"] = labelled(losses)
            for figure in task.trained:
                columns[f"{name}_{figure}"] = labelled(
                    task.figures[figure](answers, targets)
                )
            if missed is not None:
                columns[f"{name}_distillation"] = tf.fill([clips], missed)
        if len(active) > 1:
            fused = fuse(all_answers)
            for figure in task.trained:
                columns[f"fused_{figure}"] = labelled(
                    task.figures[figure](fused, targets)
                )
        rows = tf.stack(
            [columns[name] for name in figure_names(config, active)], axis=-1
        )
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
        names = figure_names(config, active)
        for name in active:
            mine, sums = streams[name].split(sums)
            loss = tf.reduce_sum(all_figures[:, names.index(f"{name}_loss")])
            outcomes.append(streams[name].update(step, mine, loss, replicas * passes))
        figures.assign(tf.zeros_like(figures))
        return all_figures, tf.stack(outcomes), stops

    if compiled:
        compile_ = tf.function(autograph=False, jit_compile=True)
        one_pass, finish = compile_(one_pass), compile_(finish)

    @tf.function
    def updates(iterator, step, count, active, stop):
        size = [config.batch_size, len(figure_names(config, streams))]
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
            {
                name: values[..., i]
                for i, name in enumerate(figure_names(config, active))
            },
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
