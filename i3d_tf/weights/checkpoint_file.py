"""Opens a file of published weights, of whatever kind, under our names."""

import pathlib
import re
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from i3d_tf.checkpoints import find_run, load_workdir, read_config
from i3d_tf.config import Data
from i3d_tf.weights.catalogue import (
    NETWORKS,
    class_names,
    network_at,
    unknown_name,
)
from i3d_tf.weights.download import fetch_weights
from i3d_tf.weights.file_kinds import describe
from i3d_tf.weights.flax_file import checkpoint_arrays, read_arrays
from i3d_tf.weights.hdf5_file import read_hdf5
from i3d_tf.weights.kernels import EPSILON
from i3d_tf.weights.layouts import FIRST, HEAD, KERAS, Layout, recognise
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
      class_names: names of its classes in order, of published networks and runs.
      data: the `config.Data` of a run.
    """

    path: str
    layout: Layout
    names: dict[tuple[str, str], str]
    unknown: list[str]
    epsilon: float
    read: Callable[[str], np.ndarray]
    class_names: list[str] | None = None
    data: Data | None = None

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return self._kernel(FIRST).shape[-2]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self._kernel(HEAD).shape[-1]

    @property
    def width(self) -> float:
        """Filter counts as a multiple of those of the published networks."""
        return self._kernel(FIRST).shape[-1] / 64

    @property
    def is_of_images(self) -> bool:
        """True of a 2D network."""
        return self._kernel(FIRST).ndim == 4

    def _kernel(self, unit):
        if (unit, "kernel") not in self.names:
            raise ValueError(f"{self.path}: it has no kernel of {unit}")
        return self.array(unit, "kernel")

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


def open_checkpoint(path, stream=None):
    """Returns the `CheckpointFile` at `path`: its kind and layout are found out.

    Args:
      path: a TensorFlow checkpoint's prefix, one of its files, or a folder with one
        checkpoint or a SavedModel; a PyTorch or a `.keras` file, an HDF5 file of Keras
        or a pickle of Flax's arrays; the workdir of a training, or one of its
        checkpoints; or the name of a network in the catalogue, which is downloaded into
        the cache. A `CheckpointFile` is returned as it is.
      stream: name of the stream to take from a training of several.

    Raises:
      ValueError: it is none of these, or no layout knows its names.
      OSError: there is no such file, or a network of the catalogue cannot be
        downloaded.
    """
    if isinstance(path, CheckpointFile):
        return path
    if str(path) in NETWORKS and not pathlib.Path(path).exists():
        path = fetch_weights(str(path))
    run = find_run(path)
    if run:
        return _of_run(*run, stream)
    _require_file(path)
    kind = _kind(pathlib.Path(path))
    names, read, epsilon = kind(path)
    try:
        layout, known, unknown = recognise(names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    classes = None
    if kind is _tensorflow and (network := network_at(_prefix(pathlib.Path(path)))):
        classes = class_names(network.classes)
    return CheckpointFile(str(path), layout, known, unknown, epsilon, read, classes)


def _require_file(path):
    """Raises FileNotFoundError with a remedy if nothing begins with this path."""
    path = pathlib.Path(path)
    if path.exists() or path.with_name(f"{path.name}.index").exists():
        return
    told = f"{path}: there is no such file"
    if path.name == str(path) and not path.suffix:
        told += f"; as a name, {unknown_name(path.name, NETWORKS)}"
    raise FileNotFoundError(told)


def _of_run(workdir, checkpoint, stream):
    """Returns the `CheckpointFile` of a network that a run has trained."""
    path = checkpoint or workdir
    trained = [trained.name for trained in read_config(workdir)[0].streams]
    if stream not in trained and len(trained) > 1:
        wanted = f"none is {stream!r}" if stream else "name one"
        raise ValueError(f"{path}: it trained {' and '.join(trained)}; {wanted}")
    name = stream if stream in trained else trained[0]
    config, classes, models = load_workdir(
        workdir, checkpoint=checkpoint, streams=[name]
    )
    variables = {variable.path: variable for variable in models[name].weights}
    known, unknown = KERAS.translate(variables)
    return CheckpointFile(
        f"{path} ({name})",
        KERAS,
        known,
        unknown,
        EPSILON,
        lambda variable: keras.ops.convert_to_numpy(variables[variable]),
        classes,
        config.data,
    )


def _kind(path):
    """The function that reads the file at `path`, by how it begins."""
    if not path.is_file() or _prefix(path) != str(path):
        return _tensorflow
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        return _keras if _has_member(path, "model.weights.h5") else _torch
    if start == b"\x89HDF\r\n\x1a\n":
        return _hdf5
    # The instruction that begins a pickle.
    return _pickle if start.startswith(b"\x80") else _tensorflow


def _has_member(path, *endings):
    """Returns whether a ZIP archive has a file whose name ends so."""
    try:
        return any(name.endswith(endings) for name in zipfile.ZipFile(path).namelist())
    except (zipfile.BadZipFile, ValueError):
        return False


def _foreign(path):
    """Returns the error for a file that is not one of weights."""
    return ValueError(
        f"{path}: is {describe(pathlib.Path(path))}, not weights of TensorFlow, "
        "PyTorch, Keras or Flax"
    )


def _torch(path):
    if zipfile.is_zipfile(path) and not _has_member(path, "data.pkl"):
        raise _foreign(path)
    arrays = read_torch_file(path)
    # Both ports keep TensorFlow's epsilon.
    return arrays, arrays.__getitem__, EPSILON


def _pickle(path):
    """Reads Flax's arrays, or PyTorch's before 1.6."""
    try:
        nested = read_arrays(pathlib.Path(path).read_bytes())
    except ValueError:
        return _torch(path)
    try:
        arrays = checkpoint_arrays(nested)
    except ValueError as error:
        raise ValueError(
            f"{path}: is a pickle of arrays, and not of I3D's: {error}"
        ) from None
    return arrays, arrays.__getitem__, EPSILON


def _hdf5(path):
    arrays = read_hdf5(pathlib.Path(path))
    # Keras's default, which the port keeps, is TensorFlow's too.
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
    prefix = _prefix(pathlib.Path(path))
    try:
        reader = tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError) as error:
        for file in (pathlib.Path(path), pathlib.Path(f"{prefix}.index")):
            if file.is_file():
                raise _foreign(file) from None
        raise ValueError(
            f"{path}: not a checkpoint of TensorFlow, PyTorch, Keras or Flax ({error})"
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
    if not found:
        raise ValueError(
            f"{path}: has neither a checkpoint nor the config.json of a training"
        )
    if len(found) != 1:
        raise ValueError(
            f"{path}: has {len(found)} checkpoints; name one of them, such as "
            f"{found[0].with_suffix('')}"
        )
    return str(found[0]).removesuffix(".index")
