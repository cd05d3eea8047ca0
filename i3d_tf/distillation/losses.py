"""What a student's outputs or features lack of its teacher's.

All are `keras.distillation.DistillationLoss`es, so Keras's own `Distiller` takes them
too: `compute_loss(teacher_outputs, student_outputs)` gives a scalar, float32 whatever
the networks compute in. No gradient goes to the teacher. Weights that the field uses
for them are in the docstrings; they belong to means, as these all are, and not to sums.
"""

import math

import keras
from keras import ops

# Keeps square roots and quotients finite where a feature map is zero everywhere.
_EPSILON = 1e-12


class _Loss(keras.distillation.DistillationLoss):
    """Checks shapes and types, then `_of(teacher, student)`, both float32."""

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Scalar of two tensors of the same batch; raises ValueError for others."""
        del kwargs  # Keras's Distiller passes some.
        teacher = ops.convert_to_tensor(teacher_outputs)
        student = ops.convert_to_tensor(student_outputs)
        self._check(tuple(teacher.shape), tuple(student.shape))
        teacher = ops.stop_gradient(ops.cast(teacher, "float32"))
        return self._of(teacher, ops.cast(student, "float32"))

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def _check(self, teacher, student):
        if len(teacher) != len(student) or not all(map(_alike, teacher, student)):
            raise ValueError(
                f"{type(self).__name__} compares tensors of one shape; the teacher's "
                f"is {list(teacher)}, the student's {list(student)}: an adapter can "
                "make them alike"
            )


class Response(_Loss):
    """Hinton's loss of logits `[B, classes]` (Hinton et al. 2015, section 2).

    T^2 times the Kullback-Leibler divergence of the softmax at temperature T, mean over
    the batch. Its gradient keeps its size as T grows; at T = 4 it is usually weighted
    by 0.9 beside 0.1 of the labels' loss.

    Args:
      temperature: T, above 0.
    """

    def __init__(self, temperature=4.0):
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; it must be above 0")
        self.temperature = temperature

    def get_config(self):
        return {"temperature": self.temperature}

    def _of(self, teacher, student):
        wanted = ops.log_softmax(teacher / self.temperature)
        got = ops.log_softmax(student / self.temperature)
        divergence = ops.sum(ops.exp(wanted) * (wanted - got), axis=-1)
        return self.temperature**2 * ops.mean(divergence)


class MeanSquaredError(_Loss):
    """Mean squared difference of outputs or features of one shape.

    Of logits it is D3D's loss (Stroud et al. 2020), of regressed numbers that of the
    response, of features FitNets' hint (Romero et al. 2015; weight 100) and, of the
    globally pooled ones, MARS's (Crasto et al. 2019; weight 50).
    """

    def _of(self, teacher, student):
        return ops.mean(ops.square(teacher - student))


class AttentionTransfer(_Loss):
    """Where features are strong (Zagoruyko & Komodakis 2017, equation 2; weight 1000).

    A map's squares, mean over channels, as a vector of length 1 per example; the mean
    squared difference of both vectors. Channels may differ in number, time and space
    may not.
    """

    def _check(self, teacher, student):
        super()._check(teacher[:-1], student[:-1])
        if len(teacher) < 3:
            raise ValueError(
                f"AttentionTransfer wants feature maps [B, ..., C]; got {list(teacher)}"
            )

    def _of(self, teacher, student):
        return ops.mean(ops.square(_attention(teacher) - _attention(student)))


class _OfPairs(_Loss):
    """Of all pairs of a batch's examples, whose features may have any shapes."""

    def _check(self, teacher, student):
        if not teacher or not student or not _alike(teacher[0], student[0]):
            raise ValueError(
                f"{type(self).__name__} compares features of one batch; the teacher's "
                f"are {list(teacher)}, the student's {list(student)}"
            )


class SimilarityPreserving(_OfPairs):
    """Which examples of a batch are alike (Tung & Mori 2019, equation 4; weight 3000).

    The products of all pairs of examples, each row of length 1; the mean squared
    difference of the two matrices. Features may have any shapes after the batch.
    """

    def _of(self, teacher, student):
        return ops.mean(ops.square(_similarities(teacher) - _similarities(student)))


class ProbabilisticTransfer(_OfPairs):
    """PKT (Passalis & Tefas 2018, equations 6 and 7; weight 30000).

    From each example's cosines to all of the batch, 1 added, a distribution; the
    divergence of the student's from the teacher's, mean over all pairs. Features may
    have any shapes after the batch.
    """

    def _of(self, teacher, student):
        wanted, got = _neighbours(teacher), _neighbours(student)
        return ops.mean(wanted * (ops.log(wanted) - ops.log(got)))


def _alike(first, second):
    return first is None or second is None or first == second


def _flat(features):
    """`[B, all]`."""
    return ops.reshape(features, [ops.shape(features)[0], -1])


def _unit(vectors):
    """Each row divided by its length; zeros stay zeros."""
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, _EPSILON))


def _attention(features):
    return _unit(_flat(ops.mean(ops.square(features), axis=-1)))


def _similarities(features):
    rows = _flat(features)
    return _unit(rows @ ops.transpose(rows))


def _neighbours(features):
    """`[B, B]`, positive, rows sum to 1."""
    rows = _unit(_flat(features))
    # Opposite vectors have 0, whose logarithm is none.
    scores = ops.maximum(rows @ ops.transpose(rows) + 1, 1e-7)
    return scores / ops.sum(scores, axis=-1, keepdims=True)
