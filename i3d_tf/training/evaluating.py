"""Loss and accuracy of the test split between epochs, on all replicas."""

import numpy as np
import tensorflow as tf
import tqdm

from i3d_tf import pipeline
from i3d_tf.clips import normalise
from i3d_tf.evaluation import fuse
from i3d_tf.streams import ALL_STREAMS
from i3d_tf.tasks import task_of
from i3d_tf.training.strategies import Replicas, distribute
from i3d_tf.training.updates import passes_of

# Batches of a replica between two looks at SIGTERM.
_ROUNDS = 8


def is_evaluated(config, epoch, epochs):
    """Whether an epoch, from 0 on, of so many ends with an evaluation."""
    every = config.evaluate_epochs
    return epoch + 1 == epochs or (every > 0 and (epoch + 1) % every == 0)


def make_evaluation(strategy, config, models, builder):
    """Returns evaluate(notice) -> ({"<stream>_loss": mean, ...}, stopped).

    Of every stream the mean loss (cross-entropy without label smoothing), top-1 and
    top-5 of the test split, or the error of poses, centre Views, and of several streams
    the same of their answers 1:1, as `fused_top1`. As soon as a host's
    `preemption.Notice` is given, it returns (None, True).

    Args:
      models: {stream name: network}, as they are when `evaluate` is called.
    """
    task = task_of(config.data)
    streams = {stream.name: stream for stream in ALL_STREAMS if stream.name in models}
    names = [f"{name}_{what}" for name in streams for what in ("loss", *task.figures)]
    if len(streams) > 1:
        names += [f"fused_{figure}" for figure in task.figures]
    replicas = Replicas.of(strategy)
    _, clips_at_once = passes_of(config, replicas.total)
    batches, rounds = pipeline.eval_rounds(
        builder,
        config.data,
        tuple(streams.values()),
        split=config.data.test_split,
        batch_size=clips_at_once,
        replicas=tuple(replicas),
    )
    with strategy.scope():
        networks = {name: task.for_evaluation(model) for name, model in models.items()}

    @tf.autograph.experimental.do_not_convert
    def one_batch(batch, stop):
        inputs, targets, is_video = batch
        columns, all_answers = [], []
        for name, stream in streams.items():
            clips = normalise(inputs[name], stream)
            answers = networks[name](clips, training=False)
            columns.append(task.losses(answers, targets, 0.0, config))
            columns += [of(answers, targets) for of in task.figures.values()]
            all_answers.append(answers)
        if len(streams) > 1:
            fused = fuse(all_answers)
            columns += [of(fused, targets) for of in task.figures.values()]
        # What a filling of zeros gives may not be finite.
        columns = tf.where(is_video[:, None], tf.stack(columns, -1), 0.0)
        counts = [
            tf.reduce_sum(tf.cast(is_video, tf.float32)),
            tf.cast(stop, tf.float32),
        ]
        sums = tf.concat([tf.reduce_sum(columns, 0), counts], 0)
        return tf.distribute.get_replica_context().all_reduce("SUM", sums)

    @tf.function
    def add_up(iterator, rounds, stop):
        sums = tf.zeros([len(names) + 2], tf.float64)
        for _ in tf.range(rounds):
            of_batch = strategy.run(one_batch, (next(iterator), stop))
            of_batch = strategy.experimental_local_results(of_batch)[0]
            sums += tf.cast(of_batch, tf.float64)
        return sums

    def evaluate(notice):
        sums = np.zeros(len(names) + 1)
        iterator = distribute(strategy, lambda: batches)
        for done in tqdm.trange(
            0, rounds, _ROUNDS, desc="evaluation", leave=False, disable=None
        ):
            *more, stops = add_up(
                iterator,
                tf.constant(min(_ROUNDS, rounds - done)),
                tf.constant(notice.given),
            ).numpy()
            if stops:
                return None, True
            sums += more
        *sums, videos = sums.tolist()
        means = {n: total / videos for n, total in zip(names, sums, strict=True)}
        return means, False

    return evaluate
