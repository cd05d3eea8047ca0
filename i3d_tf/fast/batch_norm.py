"""BatchNorm by TensorFlow's fused operations, of one replica's clips or of all."""

import contextlib
import contextvars

import keras
import tensorflow as tf

# {layer name: statistics} of the segment that runs; see `statistics_kept`.
_KEPT = contextvars.ContextVar("statistics", default=None)


@contextlib.contextmanager
def statistics_kept(statistics):
    """Within it, synchronised BatchNorms use the batch statistics that are in a dict.

    Those that are not in it they compute and add. A segment that runs once more with
    the same dict has no need of the other replicas for its forward pass.
    """
    token = _KEPT.set(statistics)
    try:
        yield
    finally:
        _KEPT.reset(token)


class FusedBatchNorm(keras.layers.Layer):
    """A BatchNormalization layer through FusedBatchNorm, on `[B*T, H, W, C]`."""

    def __init__(self, batch_norm):
        super().__init__(name=batch_norm.name, dtype=batch_norm.dtype_policy)
        self.batch_norm = batch_norm

    def call(self, x, training=None):
        layer = self.batch_norm
        if not training or not layer.trainable:
            return layer(x, training=False)
        frames = tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0))
        normalised, mean, variance = self.normalise(frames)
        for moving, value in (
            (layer.moving_mean, mean),
            (layer.moving_variance, variance),
        ):
            moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
        return tf.reshape(normalised, tf.shape(x))

    def normalise(self, x):
        """(x normalised, mean `[C]`, biased variance `[C]`) of the batch."""
        return _normalise(x, self.batch_norm.beta.value, self.batch_norm.epsilon)


class SynchronisedBatchNorm(FusedBatchNorm):
    """The same with mean and variance of the clips of all replicas."""

    def normalise(self, x):
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return super().normalise(x)
        replica = tf.distribute.get_replica_context()
        if replica is None:
            raise ValueError(
                f"{self.name}: synchronised BatchNorm was called outside of "
                "strategy.run, where there are no replicas"
            )
        kept = _KEPT.get()
        statistics = None if kept is None else kept.get(self.name)
        epsilon = self.batch_norm.epsilon
        if statistics is None:
            statistics = _statistics_of_all(replica, tf.stop_gradient(x), epsilon)
        if kept is not None:
            kept[self.name] = statistics
        mean, variance, count = statistics

        @tf.custom_gradient
        def normalise(x, beta):
            def gradient(dy):
                return _gradient_of_all(replica, dy, x, mean, variance, count, epsilon)

            return _with_statistics(x, 1.0, beta, mean, variance, epsilon), gradient

        return normalise(x, self.batch_norm.beta.value), mean, variance


def _normalise(x, beta, epsilon):
    """(x normalised, mean `[C]`, biased variance `[C]`) of its own values."""
    normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=tf.ones_like(beta),
        offset=beta,
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=epsilon,
        is_training=True,
    )
    # It tells the unbiased variance; Keras's layer keeps the biased one.
    count = _count(x)
    return normalised, mean, variance * (count - 1) / count


def _count(x):
    """Values of a channel."""
    return tf.cast(tf.size(x[..., 0]), tf.float32)


def _statistics_of_all(replica, x, epsilon):
    """(mean `[C]`, biased variance `[C]`, count) over all replicas, float32.

    From each replica's mean and variance, as a sum of squares would lose the digits
    of a variance that is small beside the mean.
    """
    count = _count(x)
    _, own_mean, own_variance = _normalise(x, tf.zeros(x.shape[-1:]), epsilon)
    total, count_of_all = replica.all_reduce("SUM", [count * own_mean, count])
    mean = total / count_of_all
    squares = count * (own_variance + tf.math.squared_difference(own_mean, mean))
    return mean, replica.all_reduce("SUM", squares) / count_of_all, count_of_all


def _with_statistics(x, scale, offset, mean, variance, epsilon):
    """scale * (x - mean) / deviation + offset, in one operation."""
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=tf.broadcast_to(scale, mean.shape),
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=False,
    ).y


def _gradient_of_all(replica, dy, x, mean, variance, count, epsilon):
    """Of the summed losses of all replicas: (by x, by beta of this replica's copy).

    With z the normalised x: dx = (dy - mean of dy - z * mean of dy * z) / deviation.
    """
    # As of constant statistics: the first term, and the sums of dy * z and of dy.
    dx, products, sums, *_ = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=dy,
        x=x,
        scale=tf.ones_like(mean),
        reserve_space_1=mean,
        reserve_space_2=variance,
        reserve_space_3=tf.zeros([0]),
        epsilon=epsilon,
        is_training=False,
    )
    all_products, all_sums = replica.all_reduce("SUM", [products, sums])
    factor = -tf.math.rsqrt(variance + epsilon) / count
    dx += _with_statistics(
        x, factor * all_products, factor * all_sums, mean, variance, epsilon
    )
    return dx, sums
