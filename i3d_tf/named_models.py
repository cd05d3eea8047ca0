"""SavedModels of published networks, made on first use and kept in the cache."""

import os
import pathlib
import sys

import filelock

import i3d_tf
from i3d_tf.weights.catalogue import (
    PUBLISHED_NAMES,
    is_published,
    unknown_name,
)
from i3d_tf.weights.download import cache_folder


def find_model(model: str | os.PathLike) -> pathlib.Path | str | os.PathLike:
    """Returns the folder of a SavedModel, given the folder or the name of a model.

    Args:
      model: folder of a SavedModel; or the name of a published network or two-stream
        model, such as "kinetics400" or "kinetics400-rgb". Its weights are downloaded
        and its SavedModel is written on first use, and both are kept in the cache. A
        folder of the same name takes precedence.

    Raises:
      ValueError: there is neither a folder nor a published model of this name.
      OSError: the weights cannot be downloaded, or the cache cannot be written.
    """
    name = str(model)
    if os.path.basename(name) != name or pathlib.Path(name).exists():
        return model
    if not is_published(name):
        raise ValueError(
            f"{name}: there is no such folder; as a name, "
            + unknown_name(name, PUBLISHED_NAMES)
        )
    # Another version of this project may write other signatures.
    output = cache_folder() / "saved_models" / i3d_tf.__version__ / name
    output.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(output.with_name(f".{name}.lock")):
        if not (output / "saved_model.pb").is_file():
            _write(name, output)
    return output


def _write(name: str, output: pathlib.Path) -> None:
    # Where the SavedModel is there, neither Keras nor the networks need be imported.
    from i3d_tf.export import export
    from i3d_tf.weights.networks import load_networks

    networks = load_networks([name])
    print(f"{name}: writing the SavedModel {output}", file=sys.stderr, flush=True)
    export(networks.models, networks.class_names, networks.data, output)
