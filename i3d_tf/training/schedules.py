"""Learning rates."""

import math

import tensorflow as tf


def learning_rate(training, step):
    """The rate of the update after `step` others, float32, before any plateau.

    Args:
      training: `config.StreamTraining`.
      step: int scalar, a tensor or not.
    """
    step = tf.cast(step, tf.float32)
    rates = tf.constant(training.learning_rates, tf.float32)
    # As in TensorFlow 1's piecewise_constant, by which the released models were
    # trained: at the boundary itself the rate before it still applies.
    passed = [tf.cast(step > boundary, tf.int32) for boundary in training.boundaries]
    rate = rates[tf.add_n(passed)] if passed else rates[0]
    if training.schedule == "cosine":
        rate *= (1 + tf.cos(math.pi * tf.minimum(step / training.steps, 1.0))) / 2
    if training.warmup_steps:
        rate *= tf.minimum((step + 1) / training.warmup_steps, 1.0)
    return rate


class Plateau(tf.Module):
    """The factor of a rate that falls when the test loss no longer does.

    Attributes:
      factor: float32 variable.
    """

    def __init__(self, training):
        super().__init__()
        self._training = training
        self.factor = tf.Variable(1.0)
        self.best = tf.Variable(math.inf, dtype=tf.float64)
        self.waited = tf.Variable(0, dtype=tf.int64)

    def evaluated(self, loss):
        """Takes notice of an evaluation's mean loss."""
        if self._training.schedule != "plateau":
            return
        if loss < float(self.best):
            self.best.assign(loss)
            self.waited.assign(0)
            return
        self.waited.assign_add(1)
        if int(self.waited) >= self._training.plateau_patience:
            self.factor.assign(float(self.factor) * self._training.plateau_factor)
            self.waited.assign(0)
