"""Reads HDF5 files of Keras: the I3D port of dlpbc, and `.weights.h5` of this project.

In the port's files, of Keras 2, each layer is a group that lists its arrays by name. In
those of Keras 3 a layer is a group called after its class and a number, which has its
name as an attribute, and its arrays are numbered.
"""

import pathlib
import re

import h5py
import numpy as np

from i3d_tf.trunk import INCEPTION_V1, MIXED

# Arrays of a layer in the order in which Keras 3 numbers them, by their number.
_NUMBERED = {
    "conv3d": {1: ("kernel",), 2: ("kernel", "bias")},
    "conv2d": {1: ("kernel",), 2: ("kernel", "bias")},
    "batch_normalization": {
        3: ("beta", "moving_mean", "moving_variance"),
        4: ("gamma", "beta", "moving_mean", "moving_variance"),
    },
}


def read_hdf5(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns {LAYER/NAME: array} of an HDF5 file of weights.

    Raises:
      ValueError: the file is damaged, or is not one of Keras.
    """
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if "layer_names" in root.attrs:
                return _of_keras_2(root)
            if "layers" in file:
                return _of_keras_3(file["layers"])
            content = ", ".join(list(file)[:5]) or "nothing"
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: is a damaged HDF5 file ({error})") from error
    raise ValueError(
        f"{path}: is an HDF5 file of {content}; of Keras it would have the weights of "
        "layers"
    )


def _of_keras_2(root):
    names = [_text(name) for name in root.attrs["layer_names"]]
    called = _names_of_unnamed_norms(names)
    arrays = {}
    for layer in names:
        for weight in root[layer].attrs["weight_names"]:
            leaf = _text(weight).rpartition("/")[2].partition(":")[0]
            array = np.asarray(root[layer][_text(weight)])
            arrays[f"{called.get(layer, layer)}/{leaf}"] = array
    return arrays


def _of_keras_3(layers):
    arrays = {}
    for group in layers.values():
        variables = group.get("vars")
        if not variables:
            continue
        name = _text(variables.attrs.get("name", ""))
        kind = re.sub(r"_\d+$", "", group.name.rpartition("/")[2])
        leaves = _NUMBERED.get(kind, {}).get(len(variables))
        if not name or leaves is None:
            # A dropout's random state, or a layer of another network.
            continue
        for number, leaf in enumerate(leaves):
            arrays[f"{name}/{leaf}"] = np.asarray(variables[str(number)])
    return arrays


def _names_of_unnamed_norms(layers):
    """Returns {layer: name} for the BatchNorms that Keras has numbered itself.

    Files exist whose BatchNorms bear the names of their units, and files in which they
    are `batch_normalization_1` and so on, in the order in which the port makes them.
    """
    numbered = {}
    for layer in layers:
        match = re.fullmatch(r"batch_normalization(?:_(\d+))?", layer)
        if match:
            numbered[int(match[1] or 0)] = layer
    return {
        numbered[number]: f"{unit}_bn"
        for number, unit in zip(sorted(numbered), _port_units(), strict=False)
    }


def _port_units():
    """Returns the port's names of its units in the order in which it makes them."""
    units = []
    for kind, name, *_ in INCEPTION_V1:
        if kind == MIXED:
            stage = name.removeprefix("Mixed_")
            units += [
                f"Conv3d_{stage}_{unit}"
                for unit in ("0a_1x1", "1a_1x1", "1b_3x3", "2a_1x1", "2b_3x3", "3b_1x1")
            ]
        elif name.startswith("Conv"):
            units.append(name)
    return units


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)
