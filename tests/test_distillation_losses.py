"""Losses of distillation against float64 numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.distillation import losses


def features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def response(t, s, temperature):
    t, s = log_softmax(t / temperature), log_softmax(s / temperature)
    return temperature**2 * np.mean(np.sum(np.exp(t) * (t - s), -1))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def attention(t, s):
    t, s = (unit(np.square(x).mean(-1).reshape(len(x), -1)) for x in (t, s))
    return np.mean((t - s) ** 2)


def similarity(t, s):
    t, s = (x.reshape(len(x), -1) for x in (t, s))
    # The paper's sum over pairs, divided by the square of the batch.
    return np.linalg.norm(unit(t @ t.T) - unit(s @ s.T)) ** 2 / len(t) ** 2


def transfer(t, s):
    t, s = (unit(x.reshape(len(x), -1)) for x in (t, s))
    t, s = ((x @ x.T + 1) / 2 for x in (t, s))
    t, s = (x / x.sum(1, keepdims=True) for x in (t, s))
    return np.mean(t * np.log(t / s))


LOGITS = features(5, 7) * 4, features(5, 7, seed=1) * 4
MAPS = features(5, 2, 4, 3, 6), features(5, 2, 4, 3, 6, seed=1)
NARROW = MAPS[0], features(5, 2, 4, 3, 2, seed=1)
OTHER = MAPS[0], features(5, 9, seed=1)


@pytest.mark.parametrize(
    "loss, both, wanted",
    [
        (losses.Response(1.0), LOGITS, response(*LOGITS, 1)),
        (losses.Response(4.0), LOGITS, response(*LOGITS, 4)),
        (losses.Response(0.5), LOGITS, response(*LOGITS, 0.5)),
        (losses.MeanSquaredError(), MAPS, np.mean((MAPS[0] - MAPS[1]) ** 2)),
        (losses.AttentionTransfer(), MAPS, attention(*MAPS)),
        (losses.AttentionTransfer(), NARROW, attention(*NARROW)),
        (losses.SimilarityPreserving(), OTHER, similarity(*OTHER)),
        (losses.ProbabilisticTransfer(), OTHER, transfer(*OTHER)),
    ],
)
def test_losses_are_their_formulas(loss, both, wanted):
    assert wanted > 1e-3
    got = loss.compute_loss(*(x.astype("float32") for x in both))
    assert got.dtype == "float32" and got.shape == ()
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


ALL = [
    losses.Response(4.0),
    losses.MeanSquaredError(),
    losses.AttentionTransfer(),
    losses.SimilarityPreserving(),
    losses.ProbabilisticTransfer(),
]


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_a_student_like_its_teacher_lacks_nothing_and_the_teacher_learns_nothing(loss):
    x = tf.constant(features(4, 3, 5, 2).astype("float32"))
    y = tf.constant(features(4, 3, 5, 2, seed=1).astype("float32"))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, y])
        same, other = loss.compute_loss(x, x), loss.compute_loss(x, y)
    np.testing.assert_allclose(same, 0, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(same, x), 0, atol=1e-6)
    assert tf.reduce_max(tf.abs(tape.gradient(other, y))) > 1e-5
    # Of `other` x is the teacher.
    assert tape.gradient(other, x) is None


@pytest.mark.parametrize("loss", ALL[2:], ids=lambda loss: type(loss).__name__)
def test_features_of_zeros_have_a_finite_gradient(loss):
    zeros, some = tf.zeros([3, 4, 2]), tf.constant(features(3, 4, 2).astype("float32"))
    for teacher, student in ((some, zeros), (zeros, some)):
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = loss.compute_loss(teacher, student)
        assert np.isfinite(value)
        assert np.isfinite(tape.gradient(value, student)).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_gradient_of_the_response(temperature):
    """T (softmax(s / T) - softmax(t / T)) / B, as Hinton et al. have it."""
    teacher, student = LOGITS
    variable = tf.constant(student.astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = losses.Response(temperature).compute_loss(
            teacher.astype("float32"), variable
        )
    t, s = (np.exp(log_softmax(x / temperature)) for x in LOGITS)
    wanted = temperature * (s - t) / len(student)
    np.testing.assert_allclose(tape.gradient(loss, variable), wanted, atol=1e-6)


def test_a_high_temperature_compares_logits():
    """Equation 4 there: (s - t) / (B C), each without its mean."""
    teacher, student = (x - x.mean(-1, keepdims=True) for x in LOGITS)
    variable = tf.constant(student.astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = losses.Response(1e3).compute_loss(teacher.astype("float32"), variable)
    np.testing.assert_allclose(
        tape.gradient(loss, variable), (student - teacher) / student.size, atol=2e-3
    )


def test_half_precision_is_computed_in_float32():
    teacher, student = (tf.cast(x, tf.bfloat16) for x in LOGITS)
    got = losses.Response(4.0).compute_loss(teacher, student)
    wanted = response(*(tf.cast(x, tf.float64).numpy() for x in (teacher, student)), 4)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"the teacher's is \[4, 3\].*\[4, 5\]: an ad"):
        losses.MeanSquaredError().compute_loss(np.ones([4, 3]), np.ones([4, 5]))
    with pytest.raises(ValueError, match="compares tensors of one shape"):
        losses.AttentionTransfer().compute_loss(np.ones([4, 3, 2]), np.ones([4, 5, 2]))
    with pytest.raises(ValueError, match="wants feature maps"):
        losses.AttentionTransfer().compute_loss(np.ones([4, 3]), np.ones([4, 3]))
    with pytest.raises(ValueError, match="features of one batch"):
        losses.SimilarityPreserving().compute_loss(np.ones([4, 3]), np.ones([5, 3]))
    for temperature in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="must be above 0"):
            losses.Response(temperature)


def test_keras_distiller_takes_them():
    teacher = keras.Sequential([keras.Input([6]), keras.layers.Dense(3)])
    student = keras.Sequential([keras.Input([6]), keras.layers.Dense(3)])
    distiller = keras.distillation.Distiller(
        teacher, student, losses.Response(2.0), student_loss_weight=0.0
    )
    distiller.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = features(64, 6).astype("float32")
    before = losses.Response(2.0).compute_loss(teacher(x), student(x))
    distiller.fit(x, np.zeros(64), epochs=20, verbose=0)
    after = losses.Response(2.0).compute_loss(teacher(x), student(x))
    assert after < 0.1 * before
