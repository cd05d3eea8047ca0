"""DeepMind's checkpoints: what the loader refuses, and what the network answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.inception import build_i3d
from i3d_tf.streams import FLOW, RGB
from i3d_tf.weights import load_released

ENDPOINTS = ("Conv3d_1a_7x7", "Mixed_3c", "Mixed_4f", "Mixed_5c")
HEAD = "Logits/Conv3d_0c_1x1/conv_3d"
KINETICS_400 = ("rgb_imagenet", "rgb_scratch", "flow_imagenet", "flow_scratch")


def _tiny(stream=RGB, classes=5, seed=0):
    return build_i3d(stream, classes, size=32, width=0.125, seed=seed)


def _released(model, prefix="RGB/inception_i3d/"):
    """{variable name as released: variable}."""
    named = {}
    for variable in model.variables:
        layer, leaf = variable.path.split("/")
        layer = layer.replace(".", "/").replace("Logits/Conv3d_0c_1x1", HEAD)
        leaf = {"kernel": "w", "bias": "b"}.get(leaf, leaf)
        named[f"{prefix}{layer}/{leaf}"] = variable
    return named


def _values(model):
    """All weights, as arrays, with no two alike: the statistics begin alike."""
    rng = np.random.default_rng(5)
    return {
        name: rng.normal(size=variable.shape).astype(np.float32)
        for name, variable in _released(model).items()
    }


def _write(path, values):
    """A checkpoint with these names; returns its prefix."""
    names = list(values)
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(values[name]) for name in names],
    )
    return path


def _assert_untouched(model, before):
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.fixture(scope="module")
def values():
    return _values(_tiny())


@pytest.fixture(scope="module")
def checkpoint(values, tmp_path_factory):
    """Of `_tiny()`, 230 variables."""
    assert len(values) == 230
    return _write(tmp_path_factory.mktemp("released") / "model.ckpt", values)


@pytest.fixture(scope="module")
def fresh():
    """{classes: network that is not the checkpoint's, its weights}."""
    models = {classes: _tiny(classes=classes, seed=1) for classes in (5, 7)}
    return {classes: (model, model.get_weights()) for classes, model in models.items()}


@pytest.fixture
def tiny(fresh):
    """A network that is not the checkpoint's, and its weights."""
    model, before = fresh[5]
    model.set_weights(before)
    return model, before


@pytest.fixture
def tiny_of_7(fresh):
    """The same with 7 classes, of which the checkpoint has 5."""
    model, before = fresh[7]
    model.set_weights(before)
    return model, before


@pytest.mark.parametrize("prefix", ["RGB/inception_i3d/", "Flow/inception_i3d/"])
def test_every_variable_arrives(values, tiny, tmp_path, prefix):
    renamed = {
        name.replace("RGB/inception_i3d/", prefix): value
        for name, value in values.items()
    }
    path = _write(tmp_path / "model.ckpt", renamed)
    model, _ = tiny
    load_released(model, str(path))
    for name, variable in _released(model).items():
        np.testing.assert_array_equal(variable.numpy(), values[name], err_msg=name)


def test_kernels_are_laid_out_as_released(values):
    # [t, h, w, in, out]: the network's first, and one whose shape is symmetric.
    assert values["RGB/inception_i3d/Conv3d_1a_7x7/conv_3d/w"].shape == (7, 7, 7, 3, 8)
    assert "RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w" in values
    assert values[f"RGB/inception_i3d/{HEAD}/w"].shape == (1, 1, 1, 128, 5)
    assert values[f"RGB/inception_i3d/{HEAD}/b"].shape == (5,)


def test_another_number_of_classes(checkpoint, tiny_of_7):
    model, before = tiny_of_7
    with pytest.raises(ValueError) as error:
        load_released(model, checkpoint)
    assert str(error.value) == (
        f"{checkpoint}: {HEAD}/w has shape [1, 1, 1, 128, 5], the model i3d_rgb needs "
        "[1, 1, 1, 128, 7]: the checkpoint has 5 classes"
    )
    _assert_untouched(model, before)


def test_new_head_loads_all_but_the_classifier(checkpoint, values, tiny_of_7):
    model, before = tiny_of_7
    before = dict(zip(_released(model), before, strict=True))
    load_released(model, checkpoint, new_head=True)
    kept = []
    for name, variable in _released(model).items():
        if HEAD in name:
            kept.append(name.rsplit("/", 1)[-1])
            np.testing.assert_array_equal(variable.numpy(), before[name])
        else:
            np.testing.assert_array_equal(variable.numpy(), values[name])
    assert sorted(kept) == ["b", "w"]


def test_a_network_with_dropout(checkpoint, values):
    # Its random state is a variable too, and none of the checkpoint's.
    model = build_i3d(RGB, 5, size=32, width=0.125, dropout=0.5, seed=1)
    assert len(model.variables) == 231
    load_released(model, checkpoint)
    for name, value in values.items():
        layer, leaf = name.removeprefix("RGB/inception_i3d/").rsplit("/", 1)
        if leaf == "beta":
            norm = model.get_layer(layer.replace("/", "."))
            np.testing.assert_array_equal(norm.beta.numpy(), value)


def test_new_head_takes_a_classifier_that_fits(checkpoint, values, tiny):
    model, _ = tiny
    load_released(model, checkpoint, new_head=True)
    head = model.get_layer("Logits.Conv3d_0c_1x1")
    np.testing.assert_array_equal(
        head.bias.numpy(), values[f"RGB/inception_i3d/{HEAD}/b"]
    )


@pytest.mark.parametrize("new_head", [False, True])
def test_the_other_streams_network(checkpoint, new_head):
    model = _tiny(FLOW)
    before = model.get_weights()
    with pytest.raises(ValueError) as error:
        load_released(model, checkpoint, new_head=new_head)
    assert str(error.value) == (
        f"{checkpoint}: Conv3d_1a_7x7/conv_3d/w has shape [7, 7, 7, 3, 8], the model "
        "i3d_flow needs [7, 7, 7, 2, 8]: the checkpoint is of a stream with 3 channels"
    )
    _assert_untouched(model, before)


def test_left_over_variables_are_listed_on_both_sides(values, tiny, tmp_path):
    changed = dict(values)
    for number in range(6):
        changed[f"RGB/inception_i3d/Extra_{number}/w"] = np.zeros(1, np.float32)
    beta = "Mixed_4c/Branch_0/Conv3d_0a_1x1/batch_norm/beta"
    del changed[f"RGB/inception_i3d/{beta}"]
    path = _write(tmp_path / "model.ckpt", changed)
    model, before = tiny
    with pytest.raises(ValueError) as error:
        load_released(model, path)
    assert str(error.value) == (
        f"{path} does not fit i3d_rgb: 1 variables are not in the checkpoint "
        f"['{beta}'], 6 of the checkpoint are not in the model ['Extra_0/w', "
        "'Extra_1/w', 'Extra_2/w', 'Extra_3/w', 'Extra_4/w']"
    )
    _assert_untouched(model, before)


@pytest.mark.parametrize("drop", ["beta", "moving_mean", "w"])
def test_one_missing_variable_is_an_error(values, tiny, tmp_path, drop):
    layer = "conv_3d" if drop == "w" else "batch_norm"
    name = f"RGB/inception_i3d/Conv3d_2b_1x1/{layer}/{drop}"
    path = tmp_path / "model.ckpt"
    _write(path, {key: value for key, value in values.items() if key != name})
    model, before = tiny
    with pytest.raises(ValueError, match=f"1 variables .*Conv3d_2b_1x1/{layer}/{drop}"):
        load_released(model, path)
    _assert_untouched(model, before)


def test_the_mixed_5b_name_is_not_mended(values, tiny, tmp_path):
    quirk, mended = "Mixed_5b/Branch_2/Conv3d_0a_3x3", "Mixed_5b/Branch_2/Conv3d_0b_3x3"
    changed = {name.replace(quirk, mended): value for name, value in values.items()}
    with pytest.raises(ValueError, match="4 variables are not .*, 4 of the checkpoint"):
        load_released(tiny[0], _write(tmp_path / "model.ckpt", changed))


@pytest.mark.parametrize("what", ["nothing", "folder", "text", "index of text"])
def test_not_a_checkpoint(tiny, tmp_path, what):
    path = tmp_path / "model.ckpt"
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("weights")
    elif what == "index of text":
        (tmp_path / "model.ckpt.index").write_text("weights" * 100)
    model, before = tiny
    with pytest.raises(ValueError, match="model.ckpt: not a TensorFlow checkpoint"):
        load_released(model, path)
    _assert_untouched(model, before)


@pytest.mark.parametrize("kept_bytes", [None, 0, 4096])
def test_a_data_file_that_is_missing_or_cut_short(values, tiny, tmp_path, kept_bytes):
    path = _write(tmp_path / "model.ckpt", values)
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    if kept_bytes is None:
        data.unlink()
    else:
        data.write_bytes(data.read_bytes()[:kept_bytes])
    model, before = tiny
    with pytest.raises(ValueError, match="model.ckpt: cannot be read"):
        load_released(model, path)
    _assert_untouched(model, before)


@pytest.fixture(scope="module")
def networks():
    return {"rgb": build_i3d(RGB, seed=0), "flow": build_i3d(FLOW, seed=0)}


@pytest.mark.parametrize("name", KINETICS_400)
def test_names_and_shapes_are_the_released_ones(data_dir, networks, name):
    path = data_dir / "reference/deepmind_index" / name
    theirs = tf.train.load_checkpoint(str(path)).get_variable_to_shape_map()
    stream, prefix = (
        ("rgb", "RGB/inception_i3d/")
        if name.startswith("rgb")
        else ("flow", "Flow/inception_i3d/")
    )
    ours = _released(networks[stream], prefix)
    assert {name: list(variable.shape) for name, variable in ours.items()} == theirs


@pytest.fixture(scope="module")
def reference(data_dir, networks):
    """T -> (what the network computes, what the original graph did)."""
    folder = data_dir / "reference/deepmind_rgb"
    model = networks["rgb"]
    load_released(model, folder / "model.ckpt")
    with np.load(folder / "reference.npz") as file:
        kept = dict(file)
    features = keras.Model(
        model.input,
        {name: model.get_layer(name).output for name in ENDPOINTS}
        | {"logits": model.output},
    )

    def answer(frames):
        clip = kept[f"input_{frames}"].astype(np.float32) / 16
        assert clip.shape == (1, frames, 224, 224, 3)
        got = features(clip, training=False)
        ending = f"_{frames}"
        want = {
            name.removesuffix(ending): value
            for name, value in kept.items()
            if name.endswith(ending)
        }
        return {name: value.numpy() for name, value in got.items()}, want

    return answer


def _check(got, want):
    np.testing.assert_allclose(got["logits"], want["logits"], rtol=0, atol=1e-4)
    predictions = tf.nn.softmax(got["logits"]).numpy()
    np.testing.assert_allclose(predictions, want["predictions"], rtol=0, atol=1e-5)
    for name in ENDPOINTS:
        feature = got[name]
        np.testing.assert_allclose(
            feature.mean((0, 1, 2, 3)), want[f"{name}_mean"], rtol=1e-4, atol=1e-4
        )
        _, _, height, width, _ = feature.shape
        centre = feature[0, :, height // 2, width // 2]
        np.testing.assert_allclose(centre, want[f"{name}_centre"], rtol=1e-4, atol=1e-4)


def test_answers_as_the_original_graph(reference):
    _check(*reference(16))


@pytest.mark.slow
def test_answers_as_the_original_graph_to_32_frames(reference):
    _check(*reference(32))
