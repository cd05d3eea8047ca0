"""Loss and accuracy of the test split between epochs, on all replicas."""

import numpy as np
import tensorflow as tf
import tqdm

from i3d_tf import pipeline
from i3d_tf.clips import normalise
from i3d_tf.fast import for_evaluation
from i3d_tf.training.state import make_averaged_weights
from i3d_tf.training.strategies import Replicas, distribute
from i3d_tf.training.updates import passes_of

TOP = (1, 5)
# Batches of a replica between two looks at SIGTERM.
_ROUNDS = 8


def is_evaluated(config, epoch, epochs):
    """Whether an epoch, from 0 on, of so many ends with an evaluation."""
    every = config.evaluate_epochs
    return epoch + 1 == epochs or (every > 0 and (epoch + 1) % every == 0)


def make_evaluation(strategy, config, states, builder):
    """Returns evaluate(notice) -> ({"<stream>_loss": mean, ...}, stopped).

    Of every stream the mean cross-entropy (without label smoothing), top-1 and top-5 of
    the test split, centre Views, and of several streams `fused_top1` and `fused_top5`
    of their logits 1:1. The networks have the averages of their weights where these are
    kept. As soon as a host's `preemption.Notice` is given, it returns (None, True).
    """
    streams = {stream.name: stream for stream in config.streams}
    names = [f"{name}_{what}" for name in streams for what in ("loss", *_tops())]
    names += [f"fused_{top}" for top in _tops()] if len(streams) > 1 else []
    replicas = Replicas.of(strategy)
    _, clips_at_once = passes_of(config, replicas.total)
    batches, rounds = pipeline.eval_rounds(
        builder,
        config.data,
        config.streams,
        split=config.data.test_split,
        batch_size=clips_at_once,
        replicas=tuple(replicas),
    )
    averaged_weights = make_averaged_weights(strategy, states)
    with strategy.scope():
        networks = {name: for_evaluation(state.model) for name, state in states.items()}

    @tf.autograph.experimental.do_not_convert
    def one_batch(batch, stop):
        inputs, labels = batch
        is_video = tf.reduce_sum(labels, -1)  # and no filling
        truth = tf.argmax(labels, -1)
        columns, all_logits = [], []
        for name, stream in streams.items():
            clips = normalise(inputs[name], stream)
            logits = networks[name](clips, training=False)
            columns.append(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
            columns += [_within_top(logits, truth, k) for k in TOP]
            all_logits.append(logits)
        if len(streams) > 1:
            fused = tf.add_n(all_logits) / len(all_logits)
            columns += [_within_top(fused, truth, k) for k in TOP]
        # What a filling of zeros gives may not be finite.
        columns = tf.where(is_video[:, None] > 0, tf.stack(columns, -1), 0.0)
        counts = [tf.reduce_sum(is_video), tf.cast(stop, tf.float32)]
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
        with averaged_weights():
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


def _tops():
    return [f"top{k}" for k in TOP]


def _within_top(logits, truth, k):
    """1.0 where fewer than k classes are ahead; a tie counts against the network."""
    own = tf.gather(logits, truth, axis=-1, batch_dims=1)[:, None]
    # As `evaluation.top_k`: NaN is not below anything.
    ahead = tf.reduce_sum(tf.cast(~(logits < own), tf.int32), -1) - 1
    return tf.cast(ahead < k, tf.float32)
