"""From networks and records to scores, under every protocol, without training."""

import dataclasses

import numpy as np
import pytest
import tiny

from i3d_tf import FLOW, RGB, pipeline, protocols
from i3d_tf.datasets import open_dataset
from i3d_tf.evaluation import runs
from i3d_tf.evaluation.metrics import softmax
from i3d_tf.evaluation.score_files import join_scores, save_scores
from i3d_tf.weights.networks import Networks

pytestmark = pytest.mark.usefixtures("shallow_network")

PAIRS = 11


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("runs")
    tiny.build(folder, write_video, videos_per_class=3, frames=PAIRS + 1)
    return folder / "data"


@pytest.fixture(scope="module")
def models():
    return tiny.networks(len(tiny.LABELS), (RGB, FLOW))


@pytest.fixture
def evaluate(data_folder, models, monkeypatch):
    """evaluate(make_protocol, ...) of networks as if they came from workdirs."""

    def evaluate(make_protocol, *, streams=("rgb", "flow"), num_frames=9, **options):
        config = tiny.config()
        data = dataclasses.replace(config.data, num_frames=num_frames)
        config = dataclasses.replace(config, data=data)
        chosen = {name: models[name] for name in streams}
        loaded = config, list(tiny.LABELS), chosen
        monkeypatch.setattr(runs, "load_workdirs", lambda *_: loaded)
        return runs.evaluate_runs(["run"], data_folder, make_protocol, **options)

    return evaluate


def assert_equal(scores, others):
    assert scores.ids == others.ids
    np.testing.assert_array_equal(scores.labels, others.labels)
    for name, value in scores.logits.items():
        np.testing.assert_array_equal(value, others.logits[name])


def test_one_clip_and_one_crop_are_center(evaluate):
    center, names, about = evaluate(protocols.center, batch_size=2)
    views, *_ = evaluate(lambda n: protocols.views(n, 1, 1), batch_size=2)
    assert_equal(views, center)
    assert sorted(center.ids) == [f"{label}/v2.mkv" for label in sorted(tiny.LABELS)]
    assert [id_.split("/")[0] for id_ in center.ids] == [
        tiny.LABELS[label] for label in center.labels
    ]
    assert names == list(tiny.LABELS)
    assert about == {
        "dataset": "two_stream_folder/tiny",
        "split": "test",
        "protocol": {"name": "center", "num_frames": 9, "clips": 1, "crops": 1},
        "protocol_text": "middle 9 frames, centre crop",
        "dtype": "float32",
        "coverage": {
            "listed": 3,
            "present": 3,
            "used": 3,
            "damaged": 0,
            "classes": 3,
            "unused_classes": [],
        },
    }


def train_views(data_folder, protocol):
    """Views of the training videos, six at a time, as the networks get them."""
    return pipeline.eval_batches(
        open_dataset(data_folder, "two_stream_folder/tiny"),
        tiny.config().data,
        (RGB, FLOW),
        split="train",
        batch_size=6,
        protocol=protocol,
    )


def test_of_videos_as_long_as_a_clip_full_is_center(evaluate):
    center, *_ = evaluate(protocols.center, num_frames=PAIRS, batch_size=1)
    whole, *_ = evaluate(lambda _: protocols.full(None), batch_size=4)
    first, *_ = evaluate(lambda _: protocols.full(PAIRS), batch_size=1)
    assert_equal(whole, center)
    assert_equal(first, center)


def test_logits_are_those_of_the_networks(evaluate, models, data_folder):
    scores, *_ = evaluate(lambda _: protocols.full(20), split="train", batch_size=4)
    batches = train_views(data_folder, protocols.full(20))
    inputs, _, ids = next(iter(batches))
    assert [id_.decode() for id_ in ids.numpy()] == scores.ids
    for name, model in models.items():
        expected = model(inputs[name], training=False)
        np.testing.assert_allclose(scores.logits[name], expected, atol=1e-5)
        # Not all the same, which any mix-up of videos would pass.
        assert np.ptp(scores.logits[name], axis=0).max() > 1e-3


def test_views_are_averaged_for_each_video(evaluate, models, data_folder):
    protocol = protocols.views(9, 2, 3)
    scores, *_ = evaluate(
        lambda n: protocols.views(n, 2, 3), split="train", batch_size=4
    )
    batches = train_views(data_folder, protocol)
    for row, (inputs, _, ids) in enumerate(batches):
        assert {id_.decode() for id_ in ids.numpy()} == {scores.ids[row]}
        for name, model in models.items():
            views = model(inputs[name], training=False).numpy()
            assert np.ptp(views, axis=0).max() > 1e-3
            np.testing.assert_allclose(
                scores.logits[name][row], views.mean(0), atol=1e-5
            )
            np.testing.assert_allclose(
                scores.probabilities[name][row], softmax(views).mean(0), atol=1e-5
            )


def test_saved_streams_are_fused_to_what_both_would_be(evaluate, tmp_path):
    def make(num_frames):
        return protocols.views(num_frames, 2, 1)

    both, names, about = evaluate(make)
    for stream in ("flow", "rgb"):
        save_scores(tmp_path / f"{stream}.npz", *evaluate(make, streams=(stream,)))
    joined, joined_names, joined_about = join_scores(
        [tmp_path / "rgb.npz", tmp_path / "flow.npz"]
    )
    assert_equal(joined, both)
    assert (joined_names, joined_about) == (names, about)
    for name, value in both.probabilities.items():
        np.testing.assert_array_equal(joined.probabilities[name], value)


def test_weights_are_refused_before_the_networks_run(evaluate, monkeypatch):
    monkeypatch.setattr(runs, "score", None)
    with pytest.raises(ValueError, match="weights are of rgb, the streams are rgb, f"):
        evaluate(protocols.center, weights={"rgb": 1.0})


def test_other_classes_are_refused(data_folder, models, monkeypatch):
    loaded = tiny.config(), ["down", "right", "up"], models
    monkeypatch.setattr(runs, "load_workdirs", lambda *_: loaded)
    with pytest.raises(ValueError, match="^run: was trained on 3 classes, .* or other"):
        runs.evaluate_runs(["run"], data_folder, protocols.center)


def test_streams_have_one_order_whichever_is_loaded_first(evaluate):
    scores, *_ = evaluate(protocols.center, streams=("flow", "rgb"))
    assert list(scores.logits) == ["rgb", "flow"]


def test_another_split_is_named(evaluate):
    scores, _, about = evaluate(protocols.center, split="train", streams=("flow",))
    assert about["split"] == "train" and len(scores.ids) == 6
    with pytest.raises(ValueError, match="no split 'val'"):
        evaluate(protocols.center, split="val")


def evaluate_weights(monkeypatch, data_folder, class_names, **options):
    """Returns what networks of these classes answer, as if they came from weights."""
    models = tiny.networks(len(class_names), (RGB, FLOW))
    data = dataclasses.replace(tiny.config().data, dataset="none")
    found = Networks(models, class_names, data)
    monkeypatch.setattr(runs, "load_networks", lambda *_, **__: found)
    return runs.evaluate_weights(
        ["name"], data_folder, "two_stream_folder/tiny", protocols.center, **options
    )


def test_classes_of_published_networks_are_matched_by_name(monkeypatch, data_folder):
    """The data set has down, right and still; the networks know more, spelled so."""
    names = ["Still", "up", "down", "left", "RIGHT"]
    scores, class_names, about = evaluate_weights(monkeypatch, data_folder, names)
    assert class_names == names
    assert about["dataset"] == "two_stream_folder/tiny" and about["split"] == "test"
    folders = [id_.split("/")[0] for id_ in scores.ids]
    found = dict(zip(folders, scores.labels.tolist(), strict=True))
    assert found == {"down": 2, "right": 4, "still": 0}
    assert scores.logits["rgb"].shape == (3, 5)


def test_classes_that_published_networks_lack_are_refused(monkeypatch, data_folder):
    with pytest.raises(ValueError) as error:
        evaluate_weights(monkeypatch, data_folder, ["down", "rights", "stil"])
    assert str(error.value).endswith(
        "2 of its 3 classes are unknown to the networks, such as 'right'; the closest "
        "of their 3 classes is 'rights'"
    )
