"""Measures beside values worked out by hand."""

import numpy as np
import pytest
from known_answers import LABELS, SCORES

from i3d_tf.evaluation import metrics

COUNTS = [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_answers_and_confusion():
    answers = metrics.answers(SCORES, LABELS)
    np.testing.assert_array_equal(answers, [0, 0, 1, 1, 0, 1])
    counts = metrics.confusion_counts(LABELS, answers, 4)
    np.testing.assert_array_equal(counts, COUNTS)


def test_class_accuracies_leave_out_classes_without_videos():
    counts = np.array(COUNTS)
    np.testing.assert_array_equal(
        metrics.class_accuracies(counts), [2 / 3, 1 / 2, 0, np.nan]
    )
    assert metrics.mean_class_accuracy(counts) == pytest.approx(7 / 18, abs=1e-15)
    assert metrics.top_k(SCORES, LABELS, 1) == 1 / 2


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ([2.0, 1.0, 0.0], 0),
        ([1.0, 2.0, 0.0], 1),  # the labelled one
        ([1.0, 1.0, 0.0], 0),  # a tie is another one
        ([1.0, 1.0, 1.0], 0),
        ([0.0, 1.0, 1.0], 2),
        ([0.0, np.nan, 1.0], 2),
        ([0.0, 5.0, np.nan], 2),  # NaN of another is ahead
        ([np.nan, np.nan, np.nan], 0),
    ],
)
def test_answers_are_right_only_where_top_1_counts_them(row, answer):
    scores, labels = np.array([row]), np.array([1])
    assert metrics.answers(scores, labels).tolist() == [answer]
    assert metrics.top_k(scores, labels, 1) == (answer == 1)


def test_calibration_error_by_hand():
    # Four bins, (0, .25], (.25, .5], (.5, .75], (.75, 1].
    probabilities = np.array(
        [
            [0.5, 0.3, 0.2],  # right, on the edge: second bin
            [0.4, 0.35, 0.25],  # wrong, second
            [0.1, 0.8, 0.1],  # right, fourth
            [0.0, 1.0, 0.0],  # right, fourth
            [0.0, 0.1, 0.9],  # wrong, fourth
        ]
    )
    labels = np.array([0, 1, 1, 1, 0])
    found = metrics.reliability(probabilities, labels, bins=4)
    np.testing.assert_array_equal(found.edges, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(found.videos, [0, 2, 0, 3])
    np.testing.assert_allclose(found.confidence, [np.nan, 0.45, np.nan, 0.9])
    np.testing.assert_allclose(found.accuracy, [np.nan, 0.5, np.nan, 2 / 3])
    expected = 2 / 5 * 0.05 + 3 / 5 * (0.9 - 2 / 3)
    assert found.error == pytest.approx(expected, abs=1e-15)


def test_calibration_has_fifteen_bins_and_counts_every_video():
    rng = np.random.default_rng(0)
    probabilities = metrics.softmax(3 * rng.normal(size=(500, 7)))
    labels = rng.integers(0, 7, 500)
    found = metrics.reliability(probabilities, labels)
    confidence = probabilities.max(1)
    error = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            right = np.mean(probabilities[inside].argmax(1) == labels[inside])
            error += inside.mean() * abs(right - confidence[inside].mean())
    assert len(found.videos) == 15 and found.videos.sum() == 500
    assert found.error == pytest.approx(error, abs=1e-12)


def test_perfect_confidence_has_no_error():
    assert metrics.reliability(np.eye(3), np.arange(3)).error == 0


def test_ties_and_nan_are_wrong_in_the_calibration():
    # A tie: half sure and wrong. NaN: fully sure and wrong.
    tie = metrics.reliability(np.array([[0.5, 0.5]]), np.array([0]))
    assert tie.error == 0.5
    nan = metrics.reliability(np.array([[np.nan, np.nan]]), np.array([0]))
    assert nan.error == 1.0 and nan.videos[-1] == 1


def test_softmax():
    logits = np.array([[0.0, np.log(3)], [1000.0, 1000.0], [0.0, -500.0]])
    found = metrics.softmax(logits)
    np.testing.assert_allclose(found[:2], [[0.25, 0.75], [0.5, 0.5]], rtol=1e-14)
    # In float32 this would be 0, and level with all other classes.
    assert found[2, 1] == pytest.approx(np.exp(-500), rel=1e-12)
    assert np.isnan(metrics.softmax(np.array([np.nan, 1.0]))).all()
