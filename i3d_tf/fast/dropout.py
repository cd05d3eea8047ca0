"""Dropout by seeds of the clips, whichever replica they are on and whatever was."""

import contextlib
import contextvars

import keras
import tensorflow as tf

# A context variable, since each mirrored replica is traced in a thread of its own.
_SEEDS = contextvars.ContextVar("dropout_seeds", default=None)


@contextlib.contextmanager
def dropout_seeds(seeds):
    """Within it, `for_training` views draw each clip's dropout from its seed alone.

    A clip's mask is the same wherever it stands in a batch, on every device, and
    compiled by XLA. Without it Keras's layer draws, whose state is one of a replica.

        with dropout_seeds(seeds):
            logits = view(clips, training=True)

    Args:
      seeds: `[B, 2]`, int32 or int64, one for each clip.

    Raises:
      ValueError: seeds of another shape or type; from the call, seeds of another
        number of clips, or where neither number is known as the function is traced.
    """
    seeds = tf.convert_to_tensor(seeds)
    if not seeds.dtype.is_integer or seeds.shape.rank != 2 or seeds.shape[1] != 2:
        raise ValueError(
            f"seeds are {seeds.dtype.name} {seeds.shape}; they must be integers [B, 2]"
        )
    token = _SEEDS.set(seeds)
    try:
        yield
    finally:
        _SEEDS.reset(token)


class SeededDropout(keras.layers.Layer):
    """A Dropout layer that takes `dropout_seeds`, where there are any."""

    def __init__(self, dropout):
        super().__init__(name=dropout.name, dtype=dropout.dtype_policy)
        self.dropout = dropout

    def call(self, x, training=None):
        seeds, rate = _SEEDS.get(), self.dropout.rate
        if not training or seeds is None or rate == 0:
            return self.dropout(x, training=training)
        count = seeds.shape[0] or x.shape[0]
        if count is None or not x.shape[:1].is_compatible_with([count]):
            raise ValueError(
                f"{count} dropout seeds for a batch of {x.shape[0]} clips; one of "
                "the two has to be known, and they must be equal"
            )
        size = tf.size(x[0])
        numbers = tf.stack([_numbers(size, seed) for seed in tf.unstack(seeds, count)])
        numbers = tf.reshape(numbers, tf.shape(x))
        # Chosen and not multiplied: what is dropped is 0 also where it is not finite.
        return tf.where(numbers >= rate, x * (1 / (1 - rate)), tf.zeros_like(x))


def _numbers(size, seed):
    """`[size]` float32 in [0, 1], of a seed `[2]`: on every device the same.

    Philox is what CPUs, GPUs, TPUs and XLA all have. XLA differs in the rest, which is
    therefore done here: the seed is key and part of the counter, `stateless_uniform`
    would hash it; floats are made of integers, XLA takes other bits of them than
    TensorFlow; and there is one dimension, of more XLA has another order.
    """
    key, counter = tf.unstack(tf.bitcast(tf.cast(seed, tf.int64), tf.uint64))
    integers = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[size],
        key=[key],
        counter=[tf.zeros_like(counter), counter],
        alg=tf.random.Algorithm.PHILOX.value,
        dtype=tf.int32,
    )
    return tf.cast(integers, tf.float32) * 2**-32 + 0.5
