"""Classifiers that are fitted to features: the regression, and a run of it."""

import dataclasses
import json

import numpy as np
import pytest
import tiny

from i3d_tf import FLOW, RGB, pipeline, training
from i3d_tf.checkpoints import load_workdir
from i3d_tf.config import Linear
from i3d_tf.datasets import open_dataset
from i3d_tf.evaluation.metrics import softmax
from i3d_tf.training.linear import fit_ridge
from i3d_tf.training.state import new_stream_state

pytestmark = pytest.mark.usefixtures("shallow_network")


def clouds(videos=12, views=3, size=40, classes=3, seed=0, spread=1.2):
    """Features of three classes; videos differ by `spread`, Views by less."""
    rng = np.random.default_rng(seed)
    labels = np.arange(videos) % classes
    centres = rng.normal(0, 1, (classes, size))
    of_videos = centres[labels] + rng.normal(0, spread, (videos, size))
    features = of_videos[:, None] + rng.normal(0, 0.3, (videos, views, size))
    return (5 * features + 2).astype(np.float32), labels


def by_hand(rows, labels, classes, penalty):
    """Answers of a ridge regression, written with scikit-learn's formula of an SVD."""
    mean, deviation = rows.mean(0), rows.std(0)
    standard = (rows - mean) / deviation
    targets = np.eye(classes)[labels]
    left, values, right = np.linalg.svd(standard, full_matrices=False)
    shrunk = values / (values**2 + penalty)
    kernel = right.T @ (shrunk[:, None] * (left.T @ (targets - targets.mean(0))))
    return lambda new: (new - mean) / deviation @ kernel + targets.mean(0)


def test_the_classifier_is_a_ridge_regression():
    """Its logits are the regression's answers, times one factor."""
    features, labels = clouds()
    fit = fit_ridge(features, labels, 3, penalty=7.0)
    rows = features.reshape(-1, 40).astype(np.float64)
    answer = by_hand(rows, np.repeat(labels, 3), 3, 7.0)
    new = 5 * np.random.default_rng(5).normal(size=(20, 40)) + 2
    logits, wanted = new @ fit.kernel + fit.bias, answer(new)
    factor = (logits * wanted).sum() / (wanted**2).sum()
    assert 0.5 <= factor <= 50
    np.testing.assert_allclose(logits, factor * wanted, atol=1e-4 * factor)


def test_top1_is_of_videos_that_are_left_out():
    """All Views of a video are left out together, and mean and prior are of the rest.

    Of features that say nothing it is therefore not above chance.
    """
    features, labels = clouds(videos=30, views=2, seed=3, spread=4)
    found = fit_ridge(features, labels, 3, penalty=20.0).top1
    rows = features.astype(np.float64)
    deviation = rows.reshape(-1, 40).std(0)
    targets = np.eye(3)[labels]
    right = []
    for video in range(30):
        rest = np.arange(30) != video
        some = rows[rest].reshape(-1, 40)
        mean, prior = some.mean(0), targets[rest].mean(0)
        some = (some - mean) / deviation
        wanted = np.repeat(targets[rest] - prior, 2, 0)
        kernel = np.linalg.solve(some.T @ some + 20 * np.eye(40), some.T @ wanted)
        answer = (rows[video, -1] - mean) / deviation @ kernel + prior
        right.append(answer.argmax() == labels[video])
    assert found == np.mean(right) and 0 < found < 1
    noise = np.random.default_rng(4).normal(size=(30, 2, 40)).astype(np.float32)
    assert fit_ridge(noise, labels, 3, penalty=20.0).top1 < 0.6


def test_probabilities_mean_something():
    """Videos of classes that lie far apart are sure, those of noise are not."""
    features, labels = clouds(videos=60, seed=1)
    sure = fit_ridge(features, labels, 3, penalty=10.0)
    noise = np.random.default_rng(2).normal(size=(60, 3, 40)).astype(np.float32)
    unsure = fit_ridge(noise, labels, 3, penalty=10.0)

    def mean_of_best(fit, rows):
        return softmax(rows[:, -1] @ fit.kernel + fit.bias).max(-1).mean()

    new, truth = clouds(videos=60, seed=1)
    assert sure.top1 > 0.95 and mean_of_best(sure, new) > 0.85
    other = np.random.default_rng(9).normal(size=(60, 3, 40)).astype(np.float32)
    assert mean_of_best(unsure, other) < 0.5


def test_a_feature_that_does_not_vary_says_nothing():
    features, labels = clouds()
    features[..., 4] = 3.5
    fit = fit_ridge(features, labels, 3, penalty=7.0)
    np.testing.assert_array_equal(fit.kernel[4], 0)
    without = np.delete(features, 4, -1)
    other = fit_ridge(without, labels, 3, penalty=7.0)
    np.testing.assert_allclose(np.delete(fit.kernel, 4, 0), other.kernel, rtol=1e-4)


def test_one_label_is_refused():
    features, labels = clouds()
    with pytest.raises(ValueError, match="the training videos have one label; two and"):
        fit_ridge(features, 0 * labels, 3, penalty=7.0)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("linear")
    tiny.build(folder, write_video)
    return folder / "data"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Both streams, from the weights of a training that was never made."""
    begin = tiny.written_run(tiny.config(), tmp_path_factory.mktemp("begin"))
    stream = dataclasses.replace(
        tiny.config().rgb, steps=1, boundaries=(), learning_rates=(0.0,)
    )
    stream = dataclasses.replace(stream, initial_weights=str(begin))
    return tiny.config(
        rgb=stream, flow=stream, linear=Linear(views=1, penalty=1.0), batch_size=1
    )


def test_a_run_leaves_what_others_leave(config, data_folder, tmp_path):
    """The trunk is that of the initial weights, the classifier is new."""
    history = training.train(config, tmp_path, data_folder)
    assert json.loads((tmp_path / "history.json").read_text()) == history
    (entry,) = history
    assert entry["step"] == 1
    assert set(entry["train"]) == {"rgb_top1", "flow_top1"}
    assert {"rgb_top1", "flow_top1", "fused_top1"} <= set(entry["test"])
    kept, labels, models = load_workdir(tmp_path)
    assert kept == config and labels == list(tiny.LABELS)
    for name, begun in tiny.networks(3, (RGB, FLOW)).items():
        for variable, before in zip(
            models[name].weights[:-2], begun.weights[:-2], strict=True
        ):
            np.testing.assert_array_equal(variable.numpy(), before.numpy())
        assert np.abs(models[name].weights[-2] - begun.weights[-2]).max() > 1e-3
    # Started again it is at its end, and on another day it gives the same.
    assert training.train(config, tmp_path, data_folder) == history
    again = training.train(config, tmp_path / "again", data_folder)
    assert again == history


def test_ids_of_an_epoch_are_those_of_its_batches(config, data_folder):
    builder = open_dataset(data_folder, config.data.dataset)
    epoch = builder, config.data, 3, 1
    one_by_one = [pipeline.train_id(*epoch, number) for number in range(9)]
    assert list(pipeline.train_ids(*epoch)) == one_by_one
    assert len(set(one_by_one)) == 9


def test_linear_goes_without_a_pose_or_a_teacher():
    with pytest.raises(ValueError, match="linear.views is -1; it must be at least 0"):
        Linear(views=-1)
    with pytest.raises(ValueError, match="linear.penalty is 0; it must be above 0"):
        Linear(penalty=0)


def test_several_devices_are_refused(config, data_folder, tmp_path):
    state = new_stream_state(RGB, config, 3)
    assert state.model.output.shape == (None, 3)

    class Two:
        num_replicas_in_sync = 2

    from i3d_tf.training.loop import _fit

    with pytest.raises(ValueError, match="are fitted on one device; --strategy one"):
        _fit(config, Two(), {"rgb": state}, None, None, tmp_path)
