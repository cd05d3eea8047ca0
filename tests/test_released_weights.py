"""Published weights: every layout, what is refused, what the network answers."""

import re
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch_files

from i3d_tf.inception import build_i3d, build_inception_v1
from i3d_tf.streams import CT, FLOW, RGB
from i3d_tf.weights import load_released
from i3d_tf.weights.released import Match

ENDPOINTS = ("Conv3d_1a_7x7", "Mixed_3c", "Mixed_4f", "Mixed_5c")
HEAD = "Logits/Conv3d_0c_1x1/conv_3d"
RGB_PREFIX, FLOW_PREFIX = "RGB/inception_i3d/", "Flow/inception_i3d/"
# What the PyTorch ports call the units of a module, and these units' variables.
MIXED_UNITS = {
    "Branch_0/Conv3d_0a_1x1": ("b0", "branch_0"),
    "Branch_1/Conv3d_0a_1x1": ("b1a", "branch_1.0"),
    "Branch_1/Conv3d_0b_3x3": ("b1b", "branch_1.1"),
    "Branch_2/Conv3d_0a_1x1": ("b2a", "branch_2.0"),
    "Branch_2/Conv3d_0b_3x3": ("b2b", "branch_2.1"),
    "Branch_2/Conv3d_0a_3x3": ("b2b", "branch_2.1"),
    "Branch_3/Conv3d_0b_1x1": ("b3b", "branch_3.1"),
}
PORT_LEAVES = {
    "conv_3d/w": "conv3d.weight",
    "conv_3d/b": "conv3d.bias",
    "batch_norm/beta": "{norm}.bias",
    "batch_norm/moving_mean": "{norm}.running_mean",
    "batch_norm/moving_variance": "{norm}.running_var",
}


def _tiny(stream=RGB, classes=5, seed=0):
    return build_i3d(stream, classes, size=32, width=0.125, seed=seed)


def _released(model, prefix=RGB_PREFIX):
    """{variable name as released: variable}."""
    named = {}
    for variable in model.variables:
        layer, leaf = variable.path.split("/")
        layer = layer.replace("-", "/").replace("Logits/Conv3d_0c_1x1", HEAD)
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


@pytest.mark.parametrize("prefix", [RGB_PREFIX, FLOW_PREFIX])
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
        f"{checkpoint}: {RGB_PREFIX}{HEAD}/w has shape [1, 1, 1, 128, 5], the model "
        "i3d_rgb needs [1, 1, 1, 128, 7]: the checkpoint has 5 classes, the model 7"
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
            norm = model.get_layer(layer.replace("/", "-"))
            np.testing.assert_array_equal(norm.beta.numpy(), value)


def test_new_head_takes_a_classifier_that_fits(checkpoint, values, tiny):
    model, _ = tiny
    load_released(model, checkpoint, new_head=True)
    head = model.get_layer("Logits-Conv3d_0c_1x1")
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
        f"{checkpoint}: {RGB_PREFIX}Conv3d_1a_7x7/conv_3d/w has shape "
        "[7, 7, 7, 3, 8], the model i3d_flow needs [7, 7, 7, 2, 8]: the checkpoint is "
        "of 3 channels, the model of 2"
    )
    _assert_untouched(model, before)


def test_left_over_variables_are_listed_on_both_sides(values, tiny, tmp_path):
    changed = dict(values)
    for number in range(6):
        changed[f"RGB/inception_i3d/Extra_{number}/w"] = np.zeros(1, np.float32)
    beta = "Mixed_4c-Branch_0-Conv3d_0a_1x1-batch_norm/beta"
    del changed[f"{RGB_PREFIX}{beta.replace('-', '/')}"]
    path = _write(tmp_path / "model.ckpt", changed)
    model, before = tiny
    with pytest.raises(ValueError) as error:
        load_released(model, path)
    assert str(error.value) == (
        f"{path} does not fit i3d_rgb: 1 variables are not in the checkpoint "
        f"['{beta}'], 6 of the checkpoint are not in the model "
        f"{[f'{RGB_PREFIX}Extra_{number}/w' for number in range(6)]}"
    )
    _assert_untouched(model, before)


@pytest.mark.parametrize("drop", ["beta", "moving_mean", "w"])
def test_one_missing_variable_is_an_error(values, tiny, tmp_path, drop):
    layer = "conv_3d" if drop == "w" else "batch_norm"
    ours = f"Conv3d_2b_1x1-{layer}/{'kernel' if drop == 'w' else drop}"
    name = f"{RGB_PREFIX}Conv3d_2b_1x1/{layer}/{drop}"
    path = tmp_path / "model.ckpt"
    _write(path, {key: value for key, value in values.items() if key != name})
    model, before = tiny
    with pytest.raises(ValueError, match=f"1 variables .*{re.escape(ours)}"):
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
    told = (
        "model.ckpt: has neither a checkpoint|model.ckpt: there is no such file|"
        r"model.ckpt(.index)?: is a text file, not weights"
    )
    with pytest.raises((ValueError, FileNotFoundError), match=told):
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


def _port(values, which):
    """As the PyTorch ports name and turn them; `which` is 0, piergiaj's, or 1."""
    norm = ("bn", "batch3d")[which]
    arrays = {}
    for name, value in values.items():
        unit, leaf = re.fullmatch(
            f"{RGB_PREFIX}(.+)/((?:conv_3d|batch_norm)/.+)", name
        ).groups()
        for released, theirs in MIXED_UNITS.items():
            unit = unit.replace(f"/{released}", f".{theirs[which]}")
        unit = unit.replace("Logits/Conv3d_0c_1x1", ("logits", "conv3d_0c_1x1")[which])
        unit = unit[0].lower() + unit[1:] if which else unit
        if leaf == "conv_3d/w":
            value = value.transpose(4, 3, 0, 1, 2)
        elif leaf == "batch_norm/beta":
            arrays[f"{unit}.{norm}.weight"] = np.ones_like(value)
            arrays[f"{unit}.{norm}.num_batches_tracked"] = np.array(0)
        arrays[f"{unit}.{PORT_LEAVES[leaf].format(norm=norm)}"] = value
    assert len(arrays) == 344
    return arrays


def _image_values(values):
    """The middle of the kernels, as TF-Slim names them, with what it leaves behind."""
    arrays = {"global_step": np.array(7, np.int64)}
    for name, value in values.items():
        name = name.removeprefix(RGB_PREFIX).replace("Conv3d", "Conv2d")
        scope = "" if name.startswith("Logits") else "InceptionV1/"
        name = name.replace("conv_3d/w", "weights").replace("conv_3d/b", "biases")
        name = f"InceptionV1/{scope}{name.replace('batch_norm', 'BatchNorm')}"
        arrays[name] = value[value.shape[0] // 2] if value.ndim == 5 else value
        for slot in ("RMSProp", "RMSProp_1", "Momentum", "ExponentialMovingAverage"):
            arrays[f"{name}/{slot}"] = np.full(1, np.nan, np.float32)
    return arrays


def _assert_values(model, values):
    for name, variable in _released(model).items():
        np.testing.assert_array_equal(variable.numpy(), values[name], err_msg=name)


def test_what_was_matched(checkpoint, tiny):
    model, _ = tiny
    matches = load_released(model, checkpoint)
    assert {match.ours for match in matches} == {v.path for v in model.variables}
    assert len(matches) == 230 and {match.note for match in matches} == {""}
    assert (
        Match(
            "Mixed_5b-Branch_2-Conv3d_0a_3x3-conv_3d/kernel",
            f"{RGB_PREFIX}Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w",
            (3, 3, 3, 4, 16),
            "",
        )
        in matches
    )


def test_a_kept_head_is_matched_as_such(checkpoint, tiny_of_7):
    model, _ = tiny_of_7
    notes = {m.ours: m.note for m in load_released(model, checkpoint, new_head=True)}
    kept = {name for name, note in notes.items() if note}
    assert kept == {"Logits-Conv3d_0c_1x1/kernel", "Logits-Conv3d_0c_1x1/bias"}
    assert notes["Logits-Conv3d_0c_1x1/bias"] == "kept: new head of 7 classes"


@pytest.mark.parametrize("how", ["prefix", "index", "data", "folder", "SavedModel"])
def test_ways_to_name_a_checkpoint(values, tiny, tmp_path, how):
    prefix = tmp_path / "model.ckpt"
    if how == "SavedModel":
        (tmp_path / "variables").mkdir()
        (tmp_path / "saved_model.pb").touch()
        prefix = tmp_path / "variables/variables"
    _write(prefix, values)
    path = {
        "prefix": prefix,
        "index": f"{prefix}.index",
        "data": f"{prefix}.data-00000-of-00001",
    }.get(how, tmp_path)
    load_released(tiny[0], path)
    _assert_values(tiny[0], values)


def test_a_folder_of_two_checkpoints(values, tiny, tmp_path):
    for name in ("a", "b"):
        _write(tmp_path / name, {"x": np.zeros(1, np.float32)})
    with pytest.raises(
        ValueError, match="has 2 checkpoints; name one of them, such as .*/a$"
    ):
        load_released(tiny[0], tmp_path)


@pytest.mark.parametrize("prefix", ["", RGB_PREFIX])
def test_kinetics_600_and_hub(values, tiny, tmp_path, prefix):
    """BatchNorm's vectors as [1, 1, 1, 1, C]; K600 without prefix, with Momentum."""
    arrays = {}
    for name, value in values.items():
        name = name.replace(RGB_PREFIX, prefix)
        arrays[name] = value[None, None, None, None] if "/batch_" in name else value
        if not prefix and not name.endswith(("mean", "variance")):
            arrays[f"{name}/Momentum"] = np.full_like(arrays[name], np.nan)
    assert len(arrays) == (230 if prefix else 346)
    load_released(tiny[0], _write(tmp_path / "model.ckpt", arrays))
    _assert_values(tiny[0], values)


@pytest.mark.parametrize("variation", ["archive", "stream", "wrapped", "old"])
@pytest.mark.parametrize("port", [0, 1])
def test_ports_to_pytorch(values, tiny, tmp_path, port, variation):
    arrays = _port(values, port)
    write = torch_files.stream if variation == "stream" else torch_files.archive
    if variation == "wrapped":
        arrays = {f"module.{name}": value for name, value in arrays.items()}
        arrays = {"epoch": 3, "state_dict": arrays}
    elif variation == "old":
        arrays = {n: v for n, v in arrays.items() if not n.endswith("_tracked")}
    path = tmp_path / "rgb_imagenet"
    path.write_bytes(write(arrays))
    load_released(tiny[0], path)
    _assert_values(tiny[0], values)


def test_a_fine_tuned_ports_scale_is_folded_in(values, tiny, tmp_path):
    arrays = _port(values, 0)
    scale = np.linspace(-1, 2, 16, dtype=np.float32)
    arrays["Mixed_4b.b1b.bn.weight"] = np.resize(scale, 26)
    (tmp_path / "charades.pt").write_bytes(torch_files.archive(arrays))
    matches = load_released(tiny[0], tmp_path / "charades.pt")
    unit = "Mixed_4b-Branch_1-Conv3d_0b_3x3"
    assert {match.ours: match.note for match in matches if match.note} == {
        f"{unit}-conv_3d/kernel": "scale folded in"
    }
    scaled = dict(values)
    for leaf in ("conv_3d/w", "batch_norm/moving_mean"):
        scaled[f"{RGB_PREFIX}{unit.replace('-', '/')}/{leaf}"] = values[
            f"{RGB_PREFIX}{unit.replace('-', '/')}/{leaf}"
        ] * np.resize(scale, 26)
    _assert_values(tiny[0], scaled)


def _with_more(layer):
    """The layer as others build it: convolutions with bias, BatchNorms with scale."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization):
        config |= {"scale": True, "epsilon": 1e-5}
    elif isinstance(layer, keras.layers.Conv3D):
        config |= {"use_bias": True}
    return type(layer).from_config(config)


def test_a_keras_file_of_other_units_answers_alike(tiny, tmp_path):
    model, _ = tiny
    other = keras.models.clone_model(model, clone_function=_with_more)
    rng = np.random.default_rng(3)
    for variable in other.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif variable.name != "kernel":
            variable.assign(rng.normal(0, 0.3, variable.shape))
    other.save(tmp_path / "other.keras")
    matches = load_released(model, tmp_path / "other.keras")
    assert matches[0].note == "scale folded in, bias folded in, epsilon 1e-05 folded in"
    clip = rng.uniform(-1, 1, [1, 9, 32, 32, 3]).astype(np.float32)
    got, want = model(clip).numpy(), other(clip).numpy()
    assert np.abs(want).max() > 0.1
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*includes a `lambda`:UserWarning:keras")
def test_a_keras_file_of_ours(values, checkpoint, tiny, tmp_path):
    model = build_i3d(RGB, 5, size=64, width=0.125, dropout=0.5, seed=3)
    load_released(model, checkpoint)
    # With a loss that only who trained it knows.
    model.compile("sgd", loss=lambda labels, logits: logits - labels)
    model.save(tmp_path / "own.keras")
    load_released(tiny[0], tmp_path / "own.keras")
    _assert_values(tiny[0], values)


@pytest.mark.parametrize("content", ["config", "weights", "text"])
def test_a_torn_keras_file(tiny, tmp_path, content):
    model, before = tiny
    path = tmp_path / "own.keras"
    model.save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    torn = {"config": "config.json", "weights": "model.weights.h5", "text": ""}[content]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data[: len(data) // 2] if name == torn else data)
    if content == "text":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="own.keras: not a (.keras|PyTorch) file"):
        load_released(model, path)
    _assert_untouched(model, before)


@pytest.mark.parametrize("old_format", [False, True])
def test_slims_images_are_inflated(values, tiny, tmp_path, old_format):
    images = _image_values(values)
    path = tmp_path / "inception_v1.ckpt"
    if old_format:
        names = list(images)
        tf.raw_ops.Save(filename=str(path), tensor_names=names, data=images.values())
        assert path.is_file()
    else:
        _write(path, images)
    matches = load_released(tiny[0], path)
    assert {m.note for m in matches if m.ours.endswith("/kernel")} == {
        "inflated in time"
    }
    for name, variable in _released(tiny[0]).items():
        value = values[name]
        if value.ndim == 5:
            steps = value.shape[0]
            value = np.stack([value[steps // 2] / np.float32(steps)] * steps)
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=name)


@pytest.mark.parametrize("channels", [1, 2])
def test_slims_images_for_other_channels(values, tmp_path, channels):
    stream = {1: CT, 2: FLOW}[channels]
    path = _write(tmp_path / "inception_v1.ckpt", _image_values(values))
    model = _tiny(stream, seed=1)
    matches = load_released(model, path)
    how = {1: "sum", 2: "mean"}[channels]
    assert matches[0].note == f"inflated in time, {how} over 3 channels"
    image = values[f"{RGB_PREFIX}Conv3d_1a_7x7/conv_3d/w"][3]
    image = image.sum(2, keepdims=True) if channels == 1 else image.mean(2)[:, :, None]
    kernel = model.get_layer("Conv3d_1a_7x7-conv_3d").kernel.numpy()
    want = np.broadcast_to(image / 7, kernel.shape)
    np.testing.assert_allclose(kernel, want, rtol=1e-6, atol=1e-7)


def test_slims_images_in_the_image_network(values, checkpoint, tmp_path):
    images = _image_values(values)
    model = build_inception_v1(5, size=32, width=0.125, seed=1)
    before = model.get_weights()
    with pytest.raises(ValueError, match="of a video network, the model is for images"):
        load_released(model, checkpoint)
    _assert_untouched(model, before)
    matches = load_released(model, _write(tmp_path / "inception_v1.ckpt", images))
    assert len(matches) == 230 and {match.note for match in matches} == {""}
    for match in matches:
        value = next(v for v in model.weights if v.path == match.ours).numpy()
        np.testing.assert_array_equal(value, images[match.theirs])


def test_a_narrower_network(values, checkpoint, tmp_path):
    model = build_i3d(RGB, 5, size=32, width=0.25, seed=1)
    with pytest.raises(ValueError) as error:
        load_released(model, checkpoint, new_head=True, new_channels=True)
    assert str(error.value) == (
        f"{checkpoint}: {RGB_PREFIX}Conv3d_1a_7x7/conv_3d/w has shape "
        "[7, 7, 7, 3, 8], the model i3d_rgb needs [7, 7, 7, 3, 16]"
    )


BETA = f"{RGB_PREFIX}Mixed_4c/Branch_0/Conv3d_0a_1x1/batch_norm/beta"


@pytest.mark.parametrize(
    "value, expected",
    [
        (np.full(20, np.nan, np.float32), "beta has values that are not finite"),
        (np.full(20, 1e300), "beta has values that are not finite"),
        (np.zeros(20, np.int32), "beta holds int32, not floats"),
        (np.array([b"text"] * 20), "beta holds object, not floats"),
        (np.zeros([4, 5], np.float32), r"beta has shape \[4, 5\], its kernel \[1, 1, "),
        (np.zeros(1, np.float32), r"beta has shape \[1\], its kernel \[1, 1, 1, 64, 2"),
    ],
)
def test_values_that_are_refused(values, tiny, tmp_path, value, expected):
    path = _write(tmp_path / "model.ckpt", {**values, BETA: value})
    with pytest.raises(ValueError, match=expected):
        load_released(tiny[0], path)
    _assert_untouched(*tiny)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats_become_float32(values, tiny, tmp_path, dtype):
    numpy_dtype = tf.as_dtype(dtype).as_numpy_dtype
    others = {name: value.astype(numpy_dtype) for name, value in values.items()}
    load_released(tiny[0], _write(tmp_path / "model.ckpt", others))
    _assert_values(tiny[0], {n: v.astype(np.float32) for n, v in others.items()})


def test_two_networks_in_one_checkpoint(values, tiny, tmp_path):
    both = {name.replace(RGB_PREFIX, FLOW_PREFIX): v for name, v in values.items()}
    path = _write(tmp_path / "model.ckpt", {**both, **values})
    beta = "inception_i3d/Conv3d_1a_7x7/batch_norm/beta"
    with pytest.raises(ValueError) as error:
        load_released(tiny[0], path)
    assert str(error.value) == (
        f"{path}: Flow/{beta} and RGB/{beta} are weights of two networks"
    )


def test_an_unknown_layout(tiny, tmp_path):
    names = [f"resnet/block_{number}/kernel:0" for number in range(7)]
    arrays = {name: np.zeros(1, np.float32) for name in names}
    path = _write(tmp_path / "model.ckpt", arrays)
    with pytest.raises(ValueError) as error:
        load_released(tiny[0], path)
    assert str(error.value) == (
        f"{path}: unknown layout: 7 names, {names[:5]}; known layouts are "
        "DeepMind's (Conv3d_1a_7x7/conv_3d/w), "
        "piergiaj's (Conv3d_1a_7x7.conv3d.weight), "
        "hassony2's (conv3d_1a_7x7.conv3d.weight), "
        "dlpbc's Keras port (Conv3d_1a_7x7_conv/kernel), "
        "TF-Slim's 2D inception_v1 (InceptionV1/InceptionV1/Conv2d_1a_7x7/weights), "
        "Keras (Conv3d_1a_7x7-conv_3d/kernel)"
    )


def test_left_over_in_a_port(values, tiny, tmp_path):
    arrays = _port(values, 0)
    arrays["Mixed_3b.b4.conv3d.weight"] = arrays.pop("Mixed_3b.b0.conv3d.weight")
    arrays["fc.weight"] = arrays["logits.conv3d.bias"]
    (tmp_path / "weights.pt").write_bytes(torch_files.archive(arrays))
    with pytest.raises(ValueError) as error:
        load_released(tiny[0], tmp_path / "weights.pt")
    assert str(error.value) == (
        f"{tmp_path / 'weights.pt'} does not fit i3d_rgb: 1 variables are not in the "
        "checkpoint ['Mixed_3b-Branch_0-Conv3d_0a_1x1-conv_3d/kernel'], 2 of the "
        "checkpoint are not in the model ['Mixed_3b.b4.conv3d.weight', 'fc.weight']"
    )
    _assert_untouched(*tiny)


@pytest.mark.parametrize("left", ["Mixed_6a/conv_3d/w", "Logits/conv_3d/w", "extra"])
def test_left_over_in_the_checkpoint_alone(values, tiny, tmp_path, left):
    more = {**values, f"{RGB_PREFIX}{left}": np.zeros(1, np.float32)}
    with pytest.raises(ValueError, match=f": 0 .*, 1 of the .* .'{RGB_PREFIX}{left}'"):
        load_released(tiny[0], _write(tmp_path / "model.ckpt", more))
    _assert_untouched(*tiny)


def test_another_model(checkpoint):
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2, name="dense")])
    with pytest.raises(ValueError, match="2 variables are not in the checkpoint "):
        load_released(model, checkpoint)


@pytest.fixture(scope="module")
def networks():
    return {"rgb": build_i3d(RGB, seed=0), "flow": build_i3d(FLOW, seed=0)}


@pytest.mark.parametrize(
    "name",
    ["rgb_imagenet", "rgb_scratch", "flow_imagenet", "flow_scratch"]
    + ["rgb_scratch_kin600"],
)
def test_names_and_shapes_of_the_released_files(data_dir, networks, tmp_path, name):
    """A checkpoint of just these, each variable full of its own number, is loaded."""
    index = tf.train.load_checkpoint(str(data_dir / "reference/deepmind_index" / name))
    shapes = index.get_variable_to_shape_map()
    numbers = {theirs: number for number, theirs in enumerate(sorted(shapes))}
    path = _write(
        tmp_path / name,
        {n: np.full(shapes[n], number, np.float32) for n, number in numbers.items()},
    )
    model = networks[name.split("_")[0]]
    prefix = {"rgb": RGB_PREFIX, "flow": FLOW_PREFIX}[name.split("_")[0]]
    if name.endswith("600"):
        model, prefix = build_i3d(RGB, 600, seed=0), ""
    else:
        assert len(shapes) == 230
    matches = load_released(model, path)
    assert len(matches) == 230
    for theirs, variable in _released(model, prefix).items():
        assert np.unique(variable.numpy()) == [numbers[theirs]], theirs


@pytest.fixture(scope="module")
def reference(data_dir):
    """The clip of T frames and what the original graph computes of it."""
    with np.load(data_dir / "reference/deepmind_rgb/reference.npz") as file:
        kept = dict(file)

    def get(frames):
        clip = kept[f"input_{frames}"].astype(np.float32) / 16
        assert clip.shape == (1, frames, 224, 224, 3)
        ending = f"_{frames}"
        return clip, {
            name.removesuffix(ending): value
            for name, value in kept.items()
            if name.endswith(ending)
        }

    return get


def _check(model, clip, want):
    features = keras.Model(
        model.input,
        {name: model.get_layer(name).output for name in ENDPOINTS}
        | {"logits": model.output},
    )
    outputs = features(clip, training=False)
    got = {name: value.numpy() for name, value in outputs.items()}
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


def _reference_file(data_dir, tmp_path, layout):
    folder = data_dir / "reference"
    if layout == "piergiaj":
        return folder / "piergiaj_rgb.pt"
    if layout == "DeepMind":
        return folder / "deepmind_rgb/model.ckpt"
    reader = tf.train.load_checkpoint(str(folder / "deepmind_rgb/model.ckpt"))
    names = reader.get_variable_to_shape_map()
    arrays = _port({name: reader.get_tensor(name) for name in names}, 1)
    (tmp_path / "model_rgb.pth").write_bytes(torch_files.archive(arrays))
    return tmp_path / "model_rgb.pth"


@pytest.mark.parametrize("layout", ["DeepMind", "piergiaj", "hassony2"])
@pytest.mark.parametrize("frames", [16, pytest.param(32, marks=pytest.mark.slow)])
def test_answers_as_the_original_graph(
    data_dir, networks, reference, tmp_path, layout, frames
):
    model = networks["rgb"]
    model.set_weights([np.zeros(v.shape, np.float32) for v in model.weights])
    load_released(model, _reference_file(data_dir, tmp_path, layout))
    _check(model, *reference(frames))


def _assert_alike(got, want):
    assert got.dtype == np.float32 and np.argmax(got) == np.argmax(want)
    cosine = got @ want / np.linalg.norm(got) / np.linalg.norm(want)
    # Of equal logits it could be that bfloat16 was not in use.
    assert 0.999 <= cosine and not np.array_equal(got, want)


def test_answers_alike_in_bfloat16(data_dir, reference):
    """A part of the clip: two cores without bfloat16 take 25 s for the whole."""
    clip = reference(16)[0][:, :9, 80:144, 80:144]
    logits = []
    for dtype in ("mixed_bfloat16", "float32"):
        model = build_i3d(RGB, size=64, dtype=dtype, seed=0)
        load_released(model, _reference_file(data_dir, None, "DeepMind"))
        logits.append(model(clip, training=False).numpy()[0])
    _assert_alike(*logits)


@pytest.mark.slow
def test_answers_in_bfloat16_as_the_original_graph(data_dir, reference):
    model = build_i3d(RGB, dtype="mixed_bfloat16", seed=0)
    load_released(model, _reference_file(data_dir, None, "DeepMind"))
    clip, want = reference(16)
    _assert_alike(model(clip, training=False).numpy()[0], want["logits"][0])
