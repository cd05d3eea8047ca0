"""New classifiers and frozen units: what moves in training, and what must not."""

import dataclasses
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from i3d_tf import training
from i3d_tf.checkpoints import load_workdir, restore_whole
from i3d_tf.config import StreamTraining
from i3d_tf.fine_tuning import (
    ENDPOINTS,
    HEAD,
    freeze_all_but_head,
    freeze_up_to,
    replace_head,
)
from i3d_tf.inception import build_i3d, build_inception_v1
from i3d_tf.streams import FLOW, RGB
from i3d_tf.training.progress import Progress
from i3d_tf.training.state import new_stream_state
from i3d_tf.training.strategies import distribute
from i3d_tf.training.updates import make_updates

pytestmark = pytest.mark.usefixtures("shallow_network")


@pytest.fixture(scope="module")
def network():
    """RGB, 5 classes, with dropout and statistics as after training."""
    model = build_i3d(RGB, 5, size=32, width=0.125, dropout=0.25, seed=0)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name == "moving_variance":
            variable.assign(rng.uniform(0.4, 0.8, variable.shape))
        elif variable.name != "kernel":
            variable.assign(rng.normal(0, 0.2, variable.shape))
    return model


def _clip(frames=9, channels=3):
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 1, (2, frames, 32, 32, channels)).astype(np.float32)


def _features(model, clip):
    return keras.Model(model.input, model.get_layer("Dropout_0b").output)(clip).numpy()


def test_a_new_head_answers_from_the_same_features(network):
    model = replace_head(network, 7, seed=4)
    assert (model.name, model.output_shape) == ("i3d_rgb", (None, 7))
    assert [layer.name for layer in model.layers] == [
        layer.name for layer in network.layers
    ]
    assert model.get_layer("Dropout_0b").rate == 0.25
    clip = _clip(17)
    features = _features(model, clip)
    np.testing.assert_array_equal(features, _features(network, clip))
    kernel, bias = model.get_layer(HEAD).get_weights()
    assert kernel.shape == (1, 1, 1, 128, 7)
    assert not bias.any()
    want = features.mean((1, 2, 3)) @ kernel[0, 0, 0]
    np.testing.assert_allclose(model(clip), want, rtol=0, atol=1e-5)
    assert np.ptp(want) > 0.1


def test_the_new_head_is_drawn_as_the_networks(network):
    kernels = [
        replace_head(network, 400, seed=seed).get_layer(HEAD).kernel.numpy()
        for seed in (4, 4, 5, None)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    for other in kernels[2:]:
        assert not np.array_equal(kernels[0], other)
    # Of variance 1 / inputs, cut at two standard deviations of the normal.
    np.testing.assert_allclose(kernels[0].std(), 128**-0.5, rtol=0.01)
    assert np.abs(kernels[0]).max() < 2.28 * 128**-0.5


def test_replacing_a_head_leaves_the_network_alone(network):
    before = network.get_weights()
    model = replace_head(network, 5, seed=4)
    for variable in model.weights:
        variable.assign(tf.ones_like(variable.value))
    for value, want in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, want)
    assert not np.array_equal(
        network.get_layer(HEAD).kernel, model.get_layer(HEAD).kernel
    )


def test_the_head_of_a_keras_file(network, tmp_path):
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    model, want = replace_head(loaded, 3, seed=4), replace_head(network, 3, seed=4)
    np.testing.assert_array_equal(model(_clip()), want(_clip()))
    with pytest.raises(ValueError, match="i3d_rgb: a clip of 8 frames; at least 9"):
        model(_clip(8))
    model.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again(_clip()), want(_clip()))


def test_a_new_head_of_a_bfloat16_network_is_float32():
    model = build_i3d(FLOW, 2, size=32, width=0.02, dtype="mixed_bfloat16")
    model = replace_head(model, 3)
    assert model.get_layer("Mixed_5c").output.dtype == "bfloat16"
    assert model(_clip(9, 2)).dtype == tf.float32


def test_a_new_head_keeps_what_is_frozen(network):
    model = replace_head(network, 3)
    freeze_up_to(model, "Mixed_4f")
    again = replace_head(model, 4)
    assert _trainable(again) == _trainable(model)


@pytest.mark.parametrize("classes", [0, -1])
def test_a_head_of_no_classes(network, classes):
    with pytest.raises(ValueError) as error:
        replace_head(network, classes)
    assert str(error.value) == f"num_classes is {classes}; it must be at least 1"


@pytest.mark.parametrize("change", [replace_head, freeze_up_to])
def test_another_network(change):
    images = build_inception_v1(3, size=32, width=0.02)
    with pytest.raises(ValueError) as error:
        change(images, 3 if change is replace_head else "Mixed_4f")
    assert str(error.value) == (f"inception_v1: has no layer '{HEAD}'; is it an I3D?")


def _trainable(model):
    return [variable.path for variable in model.trainable_variables]


@pytest.mark.parametrize(
    "endpoint, first",
    [
        ("Conv3d_1a_7x7", "Conv3d_2b_1x1"),
        ("Conv3d_2c_3x3", "Mixed_3b"),
        ("MaxPool3d_3a_3x3", "Mixed_3b"),
        ("Mixed_4f", "Mixed_5c"),
        ("Mixed_5c", "Logits"),
    ],
)
def test_what_lies_at_or_before_the_endpoint_is_frozen(network, endpoint, first):
    model = replace_head(network, 3)
    every = _trainable(model)
    freeze_up_to(model, endpoint)
    left = _trainable(model)
    begin = next(i for i, path in enumerate(every) if path.split("-")[0] == first)
    assert left == every[begin:]
    # Further down or up again, whatever was frozen before.
    freeze_all_but_head(model)
    assert _trainable(model) == [f"{HEAD}/kernel", f"{HEAD}/bias"]
    freeze_up_to(model, endpoint)
    assert _trainable(model) == left


@pytest.mark.parametrize(
    "name, close", [("Mixed_4g", "Mixed_4f"), ("mixed_5c", "Mixed_5c"), ("", None)]
)
def test_an_unknown_endpoint(network, name, close):
    with pytest.raises(ValueError) as error:
        freeze_up_to(network, name)
    message = str(error.value)
    assert message.startswith(f"no endpoint {name!r}; the closest is ")
    assert message.endswith(f" of {', '.join(ENDPOINTS)}")
    assert close is None or f"closest is {close!r}" in message
    # A kernel and an offset of each unit, and the classifier's two.
    assert len(network.trainable_variables) == 2 * 21 + 2


STREAM = StreamTraining(
    steps=4, learning_rates=(0.005,), weight_decay=1e-2, dropout=0.5, momentum=0.9
)


def _save_released(path, model):
    """A checkpoint with the released names of an RGB network."""
    names = []
    for variable in model.weights:
        layer, leaf = variable.path.split("/")
        layer = layer.replace(HEAD, f"{HEAD}-conv_3d").replace("-", "/")
        leaf = {"kernel": "w", "bias": "b"}.get(leaf, leaf)
        names.append(f"RGB/inception_i3d/{layer}/{leaf}")
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(value) for value in model.get_weights()],
    )
    return str(path)


@pytest.fixture(scope="module")
def weights_file(network, tmp_path_factory):
    return _save_released(tmp_path_factory.mktemp("w") / "model.ckpt", network)


def _config(weights_file, endpoint, **changes):
    rgb = dataclasses.replace(
        STREAM, initial_weights=weights_file, freeze_up_to=endpoint
    )
    return tiny.config(rgb=rgb, flow=None, checkpoint_steps=1, **changes)


def _trainer(state, config, strategy):
    """A function that does some updates with the same four clips of noise."""
    rng = np.random.default_rng(2)
    clips = rng.uniform(-1, 1, (4, 9, 32, 32, 3)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    size = 4 // strategy.num_replicas_in_sync
    batches = tf.data.Dataset.from_tensors(({"rgb": clips}, labels)).unbatch()
    iterator = distribute(
        strategy, lambda: batches.batch(size, drop_remainder=True).repeat()
    )
    update = make_updates(strategy, config, {"rgb": state})

    def train(steps, after=0):
        figures = update(iterator, after, steps, ("rgb",))
        assert np.isfinite(figures.values["rgb_loss"]).all()

    return train


def _begin(config, strategy):
    with strategy.scope():
        return new_stream_state(RGB, config, 3)


def _weights(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def _assert_frozen(before, after, endpoint):
    """Bit for bit what it was up to the endpoint; all else has moved."""
    frozen = ENDPOINTS[: ENDPOINTS.index(endpoint) + 1]
    for path, value in before.items():
        if path.split("-")[0] in frozen:
            np.testing.assert_array_equal(after[path], value, err_msg=path)
        else:
            assert not np.array_equal(after[path], value), path


@pytest.mark.parametrize("endpoint", ["Mixed_3b", "Mixed_5c"])
def test_frozen_units_do_not_move_in_training(weights_file, endpoint):
    """Nor their moving statistics, under weight decay and momentum."""
    config, strategy = _config(weights_file, endpoint), training.make_strategy("one")
    state = _begin(config, strategy)
    before = _weights(state.model)
    _trainer(state, config, strategy)(3)
    _assert_frozen(before, _weights(state.model), endpoint)
    # The counter, the rate and a momentum for each variable that is trained.
    assert len(state.optimizer.variables) == 2 + len(state.model.trainable_variables)


def test_frozen_batch_norms_use_their_moving_statistics_in_training(network):
    model = replace_head(network, 3)
    outputs = [model.get_layer(name).output for name in ("Mixed_3b", "Mixed_4f")]
    endpoints = keras.Model(model.input, outputs)
    below, above = (value.numpy() for value in endpoints(_clip(), training=False))
    freeze_up_to(model, "Mixed_3b")
    trained_below, trained_above = endpoints(_clip(), training=True)
    np.testing.assert_array_equal(trained_below, below)
    assert np.abs(trained_above - above).max() > 0.1


def test_a_frozen_network_goes_on_from_a_checkpoint_bit_for_bit(weights_file, tmp_path):
    """Weights, momentum and dropout."""
    config, strategy = _config(weights_file, "Mixed_5b"), training.make_strategy("one")
    state, resumed = _begin(config, strategy), _begin(config, strategy)
    initial = _weights(state.model)
    train = _trainer(state, config, strategy)
    train(2)
    saved = tf.train.Checkpoint(rgb=state).save(str(tmp_path / "checkpoint"))
    train(1, after=2)
    restore_whole(tf.train.Checkpoint(rgb=resumed), saved, "rgb")
    go_on = _trainer(resumed, config, strategy)
    go_on(1, after=2)
    for name, value in _weights(state.model).items():
        np.testing.assert_array_equal(_weights(resumed.model)[name], value, name)
    _assert_frozen(initial, _weights(resumed.model), "Mixed_5b")
    pairs = zip(resumed.optimizer.variables, state.optimizer.variables, strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.slow
def test_a_frozen_run_resumes_bit_for_bit(
    weights_file, write_video, tmp_path, monkeypatch
):
    tiny.build(tmp_path, write_video)
    copy = tmp_path / "weights"
    weights_file = pathlib.Path(weights_file)
    shutil.copytree(weights_file.parent, copy)
    config = _config(str(copy / weights_file.name), "Mixed_4f", evaluate_epochs=0)
    training.train(config, tmp_path / "whole", tmp_path / "data")
    add = Progress.add

    def interrupted(self, sums):
        if self.step == 3:
            raise KeyboardInterrupt
        add(self, sums)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, tmp_path / "resumed", tmp_path / "data")
    # The weights it began with are in the checkpoint, and their file may be gone.
    shutil.rmtree(copy)
    training.train(config, tmp_path / "resumed", tmp_path / "data")
    whole, resumed = (
        load_workdir(tmp_path / name)[2]["rgb"] for name in ("whole", "resumed")
    )
    for name, value in _weights(whole).items():
        np.testing.assert_array_equal(_weights(resumed)[name], value, name)
    config = _config(str(weights_file), "Mixed_4f")
    initial = _begin(config, training.make_strategy("one")).model
    _assert_frozen(_weights(initial), _weights(whole), "Mixed_4f")
