"""Opens a file of published weights, of whatever kind, under our names."""

import pathlib
import re
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from i3d_tf.weights.catalogue import NETWORKS
from i3d_tf.weights.download import fetch_weights
from i3d_tf.weights.kernels import EPSILON
from i3d_tf.weights.layouts import Layout, recognise
from i3d_tf.weights.torch_file import read_torch_file


class CheckpointFile(NamedTuple):
    """The arrays of one file.

    Attributes:
      path: the file's path, for messages.
      layout: how it names them.
      names: {(unit, leaf): name in the file}; see `layouts`.
      unknown: names that the layout does not know.
      epsilon: the epsilon of its BatchNorms.
      read: a name in the file -> its array.
    """

    path: str
    layout: Layout
    names: dict[tuple[str, str], str]
    unknown: list[str]
    epsilon: float
    read: Callable[[str], np.ndarray]

    def array(self, unit, leaf):
        """Float32: kernels `[(t,) h, w, in, out]`, vectors `[C]`.

        Raises ValueError if it cannot be read, is not of floats, or not finite.
        """
        name = self.names[unit, leaf]
        value = self.read(name)
        if not tf.as_dtype(value.dtype).is_floating:
            raise ValueError(f"{self.path}: {name} holds {value.dtype}, not floats")
        with np.errstate(over="ignore"):
            value = np.asarray(value, np.float32)
        if not np.isfinite(value).all():
            raise ValueError(f"{self.path}: {name} has values that are not finite")
        if leaf == "kernel":
            axes = self.layout.kernel_axes
            ranks = [len(axes)] if axes else [4, 5]
            if value.ndim not in ranks:
                raise ValueError(
                    f"{self.path}: {name} has shape {list(value.shape)}; a kernel has "
                    f"{' or '.join(map(str, ranks))} axes"
                )
            return value.transpose(axes) if axes else value
        # Sonnet's BatchNorm may keep the axes that it averages over: [1, 1, 1, 1, C].
        return value.reshape(-1) if set(value.shape[:-1]) == {1} else value


def open_checkpoint(path):
    """Returns the `CheckpointFile` at `path`: its kind and layout are found out.

    Args:
      path: a TensorFlow checkpoint's prefix, one of its files, or a folder with one
        checkpoint or a SavedModel; a PyTorch or a `.keras` file; or the name of a
        network in the catalogue, which is downloaded into the cache.

    Raises ValueError if it is none of these or no layout knows its names.
    """
    if str(path) in NETWORKS and not pathlib.Path(path).exists():
        path = fetch_weights(str(path))
    kind = _kind(pathlib.Path(path))
    names, read, epsilon = kind(path)
    try:
        layout, known, unknown = recognise(names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return CheckpointFile(str(path), layout, known, unknown, epsilon, read)


def _kind(path):
    """The function that reads the file at `path`, by how it begins."""
    if not path.is_file() or _prefix(path) != str(path):
        return _tensorflow
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK":
        return _keras if _is_keras(path) else _torch
    # The instruction that begins a pickle.
    return _torch if start[:1] == b"\x80" else _tensorflow


def _is_keras(path):
    try:
        return "model.weights.h5" in zipfile.ZipFile(path).namelist()
    except (zipfile.BadZipFile, ValueError):
        return False


def _torch(path):
    arrays = read_torch_file(path)
    # Both ports keep TensorFlow's epsilon.
    return arrays, arrays.__getitem__, EPSILON


def _keras(path):
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # What a torn or hostile file raises is not documented.
        raise ValueError(f"{path}: not a .keras file to be read: {error}") from None
    variables = {variable.path: variable for variable in model.weights}
    norms = (keras.layers.BatchNormalization,)
    epsilons = {layer.epsilon for layer in model.layers if isinstance(layer, norms)}
    if len(epsilons) > 1:
        raise ValueError(f"{path}: its BatchNorms differ in epsilon {sorted(epsilons)}")

    def read(name):
        return keras.ops.convert_to_numpy(variables[name])

    return variables, read, epsilons.pop() if epsilons else EPSILON


def _tensorflow(path):
    """Also a checkpoint of TensorFlow before 0.12, one file, as TF-Slim's."""
    try:
        reader = tf.train.load_checkpoint(_prefix(pathlib.Path(path)))
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            f"{path}: not a checkpoint of TensorFlow, PyTorch or Keras ({error})"
        ) from None

    def read(name):
        try:
            return np.asarray(reader.get_tensor(name))
        except (tf.errors.OpError, IndexError) as error:
            # The index is there, the data file is missing or cut short.
            raise ValueError(f"{path}: cannot be read ({error})") from None

    return reader.get_variable_to_shape_map(), read, EPSILON


def _prefix(path):
    """A checkpoint's prefix, of one of its files or of the folder it lies in."""
    if not path.is_dir():
        return re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", str(path))
    if (path / "variables" / "variables.index").exists():
        return str(path / "variables" / "variables")
    found = sorted(path.glob("*.index"))
    if len(found) != 1:
        raise ValueError(
            f"the folder has {len(found)} checkpoints {[f.name for f in found[:5]]}; "
            "name one"
        )
    return str(found[0]).removesuffix(".index")
