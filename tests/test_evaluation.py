"""Accuracy, fusion and the pass over a data set."""

import numpy as np
import pytest
import tensorflow as tf

from i3d_tf import evaluation
from i3d_tf.evaluation import Fusion, Scores
from i3d_tf.evaluation.metrics import softmax
from i3d_tf.evaluation.scores import FUSIONS, parse_weights, predictions

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


def test_views_of_a_video_are_averaged_across_batches():
    # Videos of three Views each, in batches of two.
    def thirds(inputs, labels, ids):
        number = tf.strings.to_number(tf.strings.substr(ids, 1, 1), tf.int32)
        return inputs, tf.one_hot(number // 3, 3), tf.strings.as_string(number // 3)

    batches = _batches(9, batch_size=2).map(thirds)
    models = {"rgb": _network(0.01, []), "flow": _network(-0.02, [])}
    scores = evaluation.score(models, batches, views=3)
    assert scores.ids == ["0", "1", "2"]
    np.testing.assert_array_equal(scores.labels, [0, 1, 2])
    views = 0.27 * np.arange(9)[:, None] * [1, 2, 3]
    mean = views.reshape(3, 3, 3).mean(1)
    np.testing.assert_allclose(scores.logits["rgb"], mean, rtol=1e-6)
    np.testing.assert_allclose(scores.logits["flow"], 4 / 3 * mean, rtol=1e-6)
    powers = np.exp(views)
    shares = (powers / powers.sum(1, keepdims=True)).reshape(3, 3, 3).mean(1)
    np.testing.assert_allclose(scores.probabilities["rgb"], shares, rtol=1e-6)
    assert scores.logits["rgb"].dtype == np.float32


def test_one_view_has_no_other_probabilities_than_its_softmax():
    scores = evaluation.score({"rgb": _network(0.01, [])}, _batches(3, batch_size=2))
    assert scores.probabilities is None
    values, probabilities = predictions(scores, Fusion("probabilities"))["rgb"]
    np.testing.assert_array_equal(probabilities, softmax(scores.logits["rgb"]))
    np.testing.assert_allclose(np.exp(values), probabilities, rtol=1e-12)


def test_networks_are_traced_once():
    traced = []

    def network(clip, training):
        traced.append(clip.shape)
        return tf.reduce_sum(clip, [1, 2, 3])

    # Whole videos of many lengths, and then a last batch that is smaller.
    def example(k):
        clip = tf.ones([9 + k, 1, 1, 3])
        return {"rgb": clip}, tf.one_hot(0, 3), tf.strings.format("v{}", k)

    whole = tf.data.Dataset.range(5).map(example).batch(1)
    evaluation.score({"rgb": network}, whole)
    evaluation.score({"rgb": network}, _batches(5, batch_size=2))
    assert [shape.as_list() for shape in traced] == [
        [None, None, 1, 1, 3],
        [None, 9, 1, 1, 3],
    ]


def test_weighted_fusion():
    rgb, flow = np.array([[1.0, 5.0]]), np.array([[4.0, -4.0]])
    np.testing.assert_array_equal(evaluation.fuse([rgb, flow], [1, 2]), [[3, -1]])
    # By name, and not by the order in which they are given.
    both = evaluation.with_fused({"rgb": rgb, "flow": flow}, {"flow": 2.0, "rgb": 1.0})
    np.testing.assert_array_equal(both["fused"], [[3, -1]])
    alone = evaluation.with_fused({"rgb": rgb}, {"rgb": 3.0})
    assert list(alone) == ["rgb"] and alone["rgb"] is rgb


@pytest.mark.parametrize("weights", [{"rgb": 1.0}, {"rgb": 1.0, "depth": 1.0}, {}])
def test_weights_of_other_streams_are_refused(weights):
    with pytest.raises(ValueError, match="the streams are rgb, flow; give each"):
        evaluation.with_fused({"rgb": LOGITS, "flow": LOGITS}, weights)


def test_fusions_differ_where_one_stream_is_surer():
    # The mean of logits follows flow's large ones, that of probabilities does not:
    # two thirds and one third of rgb, and of flow nearly all for the first.
    logits = {
        "rgb": np.log([[1.0, 8.0, 1.0]]).astype(np.float32),
        "flow": np.array([[30.0, 0.0, 29.9]], np.float32),
    }
    scores = Scores(["a"], np.array([0]), logits)
    values, probabilities = predictions(scores, Fusion())["fused"]
    mean = (logits["rgb"] + logits["flow"]) / 2
    np.testing.assert_array_equal(values, mean)
    np.testing.assert_allclose(probabilities, softmax(mean))
    values, probabilities = predictions(scores, Fusion("probabilities"))["fused"]
    near = 1 / (1 + np.exp(-0.1))
    expected = [[(0.1 + near) / 2, 0.4, (0.1 + 1 - near) / 2]]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    np.testing.assert_allclose(np.exp(values), probabilities, rtol=1e-12)
    weighted = Fusion("probabilities", {"rgb": 3.0, "flow": 1.0})
    _, probabilities = predictions(scores, weighted)["fused"]
    np.testing.assert_allclose(probabilities[0, 1], 0.6, rtol=1e-5)
    alone = Fusion("probabilities", {"rgb": 1.0, "flow": 0.0})
    found = predictions(scores, alone)
    np.testing.assert_allclose(found["fused"][1], found["rgb"][1], rtol=1e-12)


def test_classes_far_behind_keep_their_places():
    """Whatever is averaged, one stream's own ranks are those of its logits."""
    logits = np.array([[1300.0, -1700.0, -900.0, 0.0, -901.0, -1500.0]], np.float32)
    scores = Scores(["a"], np.array([4]), {"rgb": logits, "flow": logits + 5})
    assert softmax(logits)[0, 1:].max() == 0
    for kind in FUSIONS:
        for name, (values, probabilities) in predictions(scores, Fusion(kind)).items():
            shares = [evaluation.top_k(values, scores.labels, k) for k in (3, 4)]
            assert shares == [0, 1], (kind, name)
            np.testing.assert_array_equal(probabilities, [[1, 0, 0, 0, 0, 0]])


def test_probabilities_over_views_are_those_that_are_fused():
    of_views = {"rgb": np.array([[0.25, 0.75]]), "flow": np.array([[0.75, 0.25]])}
    logits = {name: np.zeros([1, 2], np.float32) for name in of_views}
    scores = Scores(["a"], np.array([0]), logits, of_views)
    found = predictions(scores, Fusion("probabilities", {"rgb": 3.0, "flow": 1.0}))
    np.testing.assert_allclose(found["rgb"][1], of_views["rgb"], rtol=1e-12)
    np.testing.assert_allclose(found["fused"][1], [[0.375, 0.625]], rtol=1e-12)


def test_weights_are_named():
    assert parse_weights(["rgb=1", "flow=1.5"]) == {"rgb": 1.0, "flow": 1.5}
    assert parse_weights([]) is None


@pytest.mark.parametrize(
    ("texts", "wrong"),
    [
        (["rgb"], "'rgb'"),
        (["rgb=x"], "'rgb=x'"),
        (["rgb=-1"], "'rgb=-1'"),
        (["rgb=nan"], "'rgb=nan'"),
        (["rgb=inf"], "'rgb=inf'"),
        (["rgb=1", "rgb=2"], "'rgb=2'"),
        (["rgb=0", "flow=0"], "all are 0"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(texts, wrong):
    with pytest.raises(ValueError, match=f"^weights {','.join(texts)}: {wrong}"):
        parse_weights(texts)
