"""Learning rates, each against its definition."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.config import StreamTraining
from i3d_tf.training.schedules import Plateau, learning_rate

STEPS = StreamTraining(steps=10, learning_rates=(0.4, 0.2, 0.1), boundaries=(3, 6))


def rates(training):
    return [float(learning_rate(training, step)) for step in range(training.steps)]


def test_a_rate_holds_up_to_its_boundary_and_at_it():
    wanted = [0.4] * 4 + [0.2] * 3 + [0.1] * 3
    np.testing.assert_allclose(rates(STEPS), wanted, rtol=1e-6)


def test_cosine_falls_to_zero_after_the_last_step():
    cosine = StreamTraining(steps=8, learning_rates=(0.4,), schedule="cosine")
    wanted = 0.2 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(rates(cosine), wanted, atol=1e-7)
    assert float(learning_rate(cosine, 8)) == pytest.approx(0, abs=1e-7)
    assert float(learning_rate(cosine, 12)) == pytest.approx(0, abs=1e-7)


def test_warmup_rises_to_the_whole_rate_in_its_last_step():
    warm = dataclasses.replace(STEPS, warmup_steps=4)
    wanted = np.multiply(rates(STEPS), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(rates(warm), wanted, rtol=1e-6)


PLATEAU = StreamTraining(
    steps=10,
    learning_rates=(0.4,),
    schedule="plateau",
    plateau_factor=0.5,
    plateau_patience=2,
)


def factors(plateau, losses):
    found = []
    for loss in losses:
        plateau.evaluated(loss)
        found.append(float(plateau.factor))
    return found


def test_plateau_falls_after_so_many_losses_that_are_not_the_lowest():
    # The best is 2.0, then 1.5; 1.8 is lower than the one before and yet no best.
    losses = [2.0, 2.1, 1.5, 1.9, 1.8, 1.7, 1.5, 1.4]
    wanted = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert factors(Plateau(PLATEAU), losses) == wanted


def test_a_loss_that_is_not_a_number_is_none_that_falls():
    assert factors(Plateau(PLATEAU), [2.0, np.nan, np.nan]) == [1.0, 1.0, 0.5]


def test_plateau_goes_on_where_it_was_saved(tmp_path):
    first = Plateau(PLATEAU)
    factors(first, [1.0, 2.0, 2.0, 2.0])
    path = tf.train.Checkpoint(plateau=first).write(str(tmp_path / "plateau"))
    second = Plateau(PLATEAU)
    tf.train.Checkpoint(plateau=second).read(path).assert_consumed()
    # One has been waited for, and 1.0 is still the best.
    assert factors(second, [1.5, 1.5, 0.9]) == [0.25, 0.25, 0.25]


def test_other_schedules_take_no_notice_of_losses():
    assert factors(Plateau(STEPS), [1.0, 2.0, 2.0, 2.0]) == [1.0] * 4
