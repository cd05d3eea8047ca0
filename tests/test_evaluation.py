"""Accuracy, fusion and the pass over a data set."""

import numpy as np
import pytest
import tensorflow as tf

from i3d_tf import evaluation
from i3d_tf.evaluation import Scores

LOGITS = np.array(
    [
        [0.9, 0.5, 0.1, 0.2, 0.3, 0.4],
        [0.9, 0.5, 0.1, 0.2, 0.3, 0.4],
        [0.9, 0.5, 0.1, 0.2, 0.3, 0.4],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    ],
    np.float32,
)
# Ranks of these classes: 1st, 2nd, 6th, 1st.
LABELS = np.array([0, 1, 2, 5])


@pytest.mark.parametrize("k, share", [(1, 0.5), (2, 0.75), (5, 0.75), (6, 1.0)])
def test_top_k(k, share):
    assert evaluation.top_k(LOGITS, LABELS, k) == share


@pytest.mark.parametrize("k, share", [(1, 0.0), (2, 0.0), (3, 0.5), (4, 1.0)])
def test_ties_count_against_the_network(k, share):
    # Behind: one above and one level, so rank 3; then three level, so rank 4.
    logits = np.array([[2.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    assert evaluation.top_k(logits, np.array([1, 3]), k) == share


@pytest.mark.parametrize(
    "row", [[np.nan] * 3, [np.nan, 1.0, 0.0], [np.nan, 0.0, 1.0], [0.0, 1.0, np.nan]]
)
def test_nan_is_never_right(row):
    assert evaluation.top_k(np.array([row]), np.array([1]), 1) == 0.0


def test_fusion_is_the_mean():
    rgb, flow = np.array([[1.0, 5.0], [0.0, -2.0]]), np.array([[3.0, -5.0], [1.0, 2.0]])
    np.testing.assert_array_equal(evaluation.fuse([rgb, flow]), [[2, 0], [0.5, 0]])
    np.testing.assert_array_equal(evaluation.fuse([rgb]), rgb)
    fused = evaluation.fuse([tf.constant(rgb), tf.constant(flow)])
    np.testing.assert_array_equal(fused, [[2, 0], [0.5, 0]])


def test_accuracies_of_one_stream():
    scores = Scores(list("abcd"), LABELS, {"flow": LOGITS})
    assert evaluation.accuracies(scores) == {"flow": {"top1": 0.5, "top5": 0.75}}


def test_accuracies_of_two_streams_and_their_fusion():
    rgb = np.array([[5, 0, 0], [0, 1, 2], [0, 1, 2]], np.float32)
    flow = np.array([[1, 2, 0], [0, 4, 1], [3, 0, 1]], np.float32)
    labels = np.array([0, 1, 2])
    # Right are rgb: first, third; flow: second; fused: first, second, and the third
    # is a tie of classes 0 and 2.
    got = evaluation.accuracies(Scores(list("abc"), labels, {"rgb": rgb, "flow": flow}))
    assert got == {
        "rgb": {"top1": 2 / 3, "top5": 1.0},
        "flow": {"top1": 1 / 3, "top5": 1.0},
        "fused": {"top1": 2 / 3, "top5": 1.0},
    }


def test_with_fused_leaves_one_stream_alone():
    assert list(evaluation.with_fused({"rgb": LOGITS})) == ["rgb"]
    both = evaluation.with_fused({"rgb": LOGITS, "flow": -LOGITS})
    assert list(both) == ["rgb", "flow", "fused"]
    np.testing.assert_array_equal(both["rgb"], LOGITS)
    np.testing.assert_array_equal(both["fused"], np.zeros_like(LOGITS))


def _batches(count, batch_size):
    """Clips [9, 1, 1, C] filled with the video's number; its label is number % 3."""
    number = tf.data.Dataset.range(count)

    def example(k):
        value = tf.cast(k, tf.float32)
        inputs = {"rgb": tf.fill([9, 1, 1, 3], value)}
        inputs["flow"] = tf.fill([9, 1, 1, 2], -value)
        return inputs, tf.one_hot(k % 3, 3), tf.strings.format("v{}", k)

    return number.map(example).batch(batch_size)


def _network(scale, calls):
    """A network whose logits are the clip's sum times (1, 2, 3) times `scale`."""

    def network(clip, training):
        calls.append(training)
        total = tf.reduce_sum(clip, [1, 2, 3, 4])
        return scale * total[:, None] * tf.constant([[1.0, 2.0, 3.0]])

    return network


def test_score_keeps_order_and_the_last_partial_batch():
    calls = []
    models = {"rgb": _network(1.0, calls), "flow": _network(2.0, calls)}
    scores = evaluation.score(models, _batches(5, batch_size=2))
    numbers = np.arange(5, dtype=np.float32)[:, None]
    assert scores.ids == ["v0", "v1", "v2", "v3", "v4"]
    np.testing.assert_array_equal(scores.labels, [0, 1, 2, 0, 1])
    assert list(scores.logits) == ["rgb", "flow"]
    np.testing.assert_array_equal(scores.logits["rgb"], 27 * numbers * [1, 2, 3])
    np.testing.assert_array_equal(scores.logits["flow"], -36 * numbers * [1, 2, 3])
    assert calls and not any(calls)  # never in training mode


def test_score_runs_the_streams_it_is_given():
    scores = evaluation.score({"flow": _network(1.0, [])}, _batches(2, batch_size=4))
    assert list(scores.logits) == ["flow"]
    np.testing.assert_array_equal(scores.logits["flow"], [[0, 0, 0], [-18, -36, -54]])


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no videos to evaluate"):
        evaluation.score({"rgb": _network(1.0, [])}, _batches(0, batch_size=2))


def test_videos_without_a_label_are_refused():
    def unlabel(inputs, labels, ids):
        return inputs, tf.where(ids[:, None] == b"v3", 0.0, labels), ids

    batches = _batches(5, batch_size=2).map(unlabel)
    with pytest.raises(ValueError, match="^v3: has no label; the accuracy of a split"):
        evaluation.score({"rgb": _network(1.0, [])}, batches)
