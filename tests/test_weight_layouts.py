"""Weights as other projects keep them: Keras's HDF5 files, Flax's pickles."""

import pickle

import h5py
import numpy as np
import pytest
import tiny
from flax_files import as_flax

from i3d_tf import FLOW, RGB, build_i3d
from i3d_tf.weights import load_released
from i3d_tf.weights.checkpoint_file import open_checkpoint
from i3d_tf.weights.layouts import KERAS

SIZES = {"size": 32, "width": 0.125}


@pytest.fixture(scope="module")
def models():
    return tiny.networks(3, (RGB, FLOW))


def assert_same_weights(model, other):
    for got, wanted in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted.numpy(), err_msg=got.path)


def port_name(unit):
    """The name of our unit in dlpbc's port, such as Conv3d_3b_1b_3x3."""
    if unit.startswith("Logits"):
        return "Conv3d_6a_1x1"
    if not unit.startswith("Mixed"):
        return unit
    module, branch, convolution = unit.split("-")
    stage, number = module.removeprefix("Mixed_"), branch[-1]
    letter, size = convolution.removeprefix("Conv3d_0").split("_")
    if (stage, number, size) == ("5b", "2", "3x3"):
        letter = "b"
    return f"Conv3d_{stage}_{number}{letter}_{size}"


def write_port(path, model, *, top=True, numbered=False, inside=None, old=False):
    """Writes a network as the port's files have it.

    Args:
      top: whether with its classifier.
      numbered: whether BatchNorms have the names that Keras gives by itself.
      inside: group that the layers lie in, as in whole saved models.
      old: whether statistics have the names of Keras 1.
    """
    norms = [layer for layer in model.layers if "batch_norm" in layer.name]
    order = [port_name(layer.name.removesuffix("-batch_norm")) for layer in norms]
    created = sorted(order, key=_place)
    with h5py.File(path, "w") as file:
        root = file.create_group(inside) if inside else file
        names = []
        for layer in model.layers:
            if not layer.weights or (layer.name.startswith("Logits") and not top):
                continue
            unit = layer.name.removesuffix("-conv_3d").removesuffix("-batch_norm")
            name = port_name(unit)
            if "batch_norm" in layer.name:
                name = (
                    f"batch_normalization_{created.index(name) + 1}"
                    if numbered
                    else f"{name}_bn"
                )
            else:
                name += "_conv"
            group = root.create_group(name)
            weights = []
            for variable in layer.weights:
                leaf = variable.name
                if old:
                    leaf = {
                        "moving_mean": "running_mean",
                        "moving_variance": "running_std",
                    }.get(leaf, leaf)
                weights.append(f"{name}/{leaf}:0")
                group.create_dataset(weights[-1], data=variable.numpy())
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            names.append(name.encode())
        root.attrs["layer_names"] = names


def _place(name):
    """Where in the order of creation the port has a unit."""
    parts = name.split("_")
    if len(parts) == 3:
        return parts[1], ""
    return parts[1], "_".join(parts[2:])


@pytest.mark.parametrize("stream", [RGB, FLOW], ids=["rgb", "flow"])
@pytest.mark.parametrize(
    "options",
    [{}, {"numbered": True}, {"inside": "model_weights"}, {"old": True}],
    ids=["named", "numbered", "whole model", "old names"],
)
def test_the_keras_port(models, stream, options, tmp_path):
    write_port(tmp_path / "port.h5", models[stream.name], **options)
    model = build_i3d(stream, weights=tmp_path / "port.h5", **SIZES)
    assert_same_weights(model, models[stream.name])


def test_the_keras_port_without_top(models, tmp_path):
    path = tmp_path / "port_no_top.h5"
    write_port(path, models["rgb"], top=False)
    with pytest.raises(ValueError, match="no kernel of Logits"):
        build_i3d(RGB, weights=path, **SIZES)
    model = build_i3d(RGB, 5, weights=path, seed=3, **SIZES)
    for got, wanted in zip(model.weights[:-2], models["rgb"].weights[:-2], strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted.numpy())
    fresh = build_i3d(RGB, 5, seed=3, **SIZES)
    np.testing.assert_array_equal(model.weights[-2], fresh.weights[-2])
    with pytest.raises(ValueError, match="has no classifier; give the number of cla"):
        load_released(fresh, path)


@pytest.mark.parametrize("stream", [RGB, FLOW], ids=["rgb", "flow"])
def test_weights_files_of_this_project(models, stream, tmp_path):
    models[stream.name].save_weights(tmp_path / "own.weights.h5")
    model = build_i3d(stream, weights=tmp_path / "own.weights.h5", **SIZES)
    assert_same_weights(model, models[stream.name])


def test_a_weights_file_of_a_network_with_dropout(tmp_path):
    """Its random state is no weight."""
    network = build_i3d(RGB, 4, dropout=0.5, seed=0, **SIZES)
    network.save_weights(tmp_path / "own.weights.h5")
    model = build_i3d(RGB, weights=tmp_path / "own.weights.h5", **SIZES)
    assert_same_weights(model, build_i3d(RGB, 4, seed=0, **SIZES))


@pytest.mark.parametrize("statistics", ["params", "batch_stats"])
@pytest.mark.parametrize("stream", [RGB, FLOW], ids=["rgb", "flow"])
def test_a_pickle_of_flax(models, stream, statistics, tmp_path):
    named = {variable.path: variable for variable in models[stream.name].weights}
    known, _ = KERAS.translate(named)
    arrays = {key: named[name].numpy() for key, name in known.items()}
    nested = as_flax(arrays, statistics)
    (tmp_path / "flax.ckpt").write_bytes(pickle.dumps(nested))
    model = build_i3d(stream, weights=tmp_path / "flax.ckpt", **SIZES)
    assert_same_weights(model, models[stream.name])


def test_a_pickle_of_other_arrays_is_told(tmp_path):
    nested = {"params": {"Dense_0": {"kernel": np.zeros((2, 2), np.float32)}}}
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(nested))
    with pytest.raises(
        ValueError, match="is a pickle of arrays, and not of I3D's: its array params/De"
    ):
        open_checkpoint(tmp_path / "other.pkl")


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros(3)


def write_npz(path):
    with path.open("wb") as file:
        np.savez(file, a=1)


def write_npy(path):
    with path.open("wb") as file:
        np.save(file, 1)


@pytest.mark.parametrize(
    "write, told",
    [
        (write_hdf5, "is an HDF5 file of features; of Keras it would have the weights"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\ncut"), "a damaged HDF5 file"),
        (write_npz, "is a ZIP archive of a.npy, not"),
        (write_npy, "is a NumPy array, not weights of"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(9)), "is a GIF image, not"),
        (
            lambda path: path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(9)),
            "is an MP4 or MOV video, not weights",
        ),
        (
            lambda path: path.write_text(
                "version https://git-lfs.github.com/spec/v1\n"
            ),
            "is a pointer of Git LFS; run `git lfs pull` there, not weights",
        ),
        (
            lambda path: path.write_text("<!DOCTYPE html>\n<html>"),
            "is an HTML or XML p",
        ),
        (lambda path: path.write_text('{"a": 1}'), "is a JSON file, not weights"),
        (lambda path: path.write_text("weights\n"), "is a text file, not weights"),
        (lambda path: path.write_bytes(b""), "is an empty file, not weights"),
        (
            lambda path: path.write_bytes(b"\x10" + bytes(7) + b'{"a":{}}'),
            "is a safetensors file, not weights",
        ),
        (
            lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(9)),
            "is a TensorFlow Lite model, not weights",
        ),
        (
            lambda path: path.write_bytes(b"\x08\x07\x12\x07pytorch\0"),
            "is a protocol buffer, such as an ONNX model, not weights",
        ),
    ],
)
def test_other_files_are_told_by_what_they_are(tmp_path, write, told):
    path = tmp_path / "weights"
    write(path)
    with pytest.raises(ValueError, match=told) as error:
        open_checkpoint(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_keras_layers_of_another_network_do_not_fit(models, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"conv/kernel:0"]
        group["conv/kernel:0"] = np.zeros((2, 2))
    with pytest.raises(
        ValueError, match="does not fit i3d_rgb: .* 1 of the checkpoint"
    ):
        load_released(models["rgb"], tmp_path / "other.h5", new_head=True)


def test_a_checkpoint_whose_index_is_a_pointer_of_git_lfs(tmp_path):
    (tmp_path / "model.ckpt.index").write_text("version https://git-lfs.github.com/\n")
    with pytest.raises(ValueError, match="index: is a pointer of Git LFS"):
        open_checkpoint(tmp_path / "model.ckpt")
