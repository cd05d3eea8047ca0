"""Builds the networks of a model from weights, with their class names."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

from i3d_tf.checkpoints import find_run, read_config
from i3d_tf.config import Data
from i3d_tf.inception import build_i3d
from i3d_tf.streams import STREAMS, Stream
from i3d_tf.weights.catalogue import (
    LABEL_MAPS,
    TWO_STREAM_MODELS,
    class_names,
    is_published,
    networks_of,
)
from i3d_tf.weights.checkpoint_file import CheckpointFile, open_checkpoint
from i3d_tf.weights.released import load_released

# The clips of the published networks: 64 frames of 224x224 px of videos of 256 px.
DATA = Data("none")


class Networks(NamedTuple):
    """Networks of one or two streams that name the same classes.

    Attributes:
      models: {stream name: network}, RGB first.
      class_names: names of their classes, in order.
      data: the clips that they see.
    """

    models: dict[str, keras.Model]
    class_names: list[str]
    data: Data


def load_networks(
    sources: Iterable[str],
    *,
    labels: str | os.PathLike | None = None,
    data: Data | None = None,
    dtype: str = "float32",
) -> Networks:
    """Builds networks with weights from elsewhere.

    Args:
      sources: for each stream `STREAM=WEIGHTS`, such as "rgb=kinetics400-rgb" or
        "flow=flow_imagenet/model.ckpt", or the weights alone, whose input channels tell
        the stream. Weights are the name of a published network or two-stream model, or
        what `open_checkpoint` takes.
      labels: file with a class name in each line, or "kinetics400" or "kinetics600".
        By default the names are those of a published network or of a training.
      data: the clips that the networks see; by default those of a training, or else 64
        frames of 224x224 px.
      dtype: a Keras dtype policy.

    Raises:
      ValueError: the sources cannot be read, are of the same or of another stream, or
        have other classes.
      OSError: weights cannot be downloaded.
    """
    found = _open_all(sources)
    names = _agreed_names(found, labels)
    for checkpoint in found.values():
        if data is None:
            data = checkpoint.data
        elif checkpoint.data and _seen(checkpoint.data) != _seen(data):
            raise ValueError(
                f"{checkpoint.path}: was trained on clips of {_seen(checkpoint.data)}, "
                f"wanted are {_seen(data)}"
            )
    data = data or DATA
    models = {}
    for stream in STREAMS:
        if stream.name not in found:
            continue
        checkpoint = found[stream.name]
        if checkpoint.is_of_images:
            raise ValueError(
                f"{checkpoint.path}: its weights are of images; fine-tune them on "
                "videos first (--set rgb.initial_weights=...)"
            )
        models[stream.name] = model = build_i3d(
            stream, len(names), size=data.size, width=checkpoint.width, dtype=dtype
        )
        load_released(model, checkpoint)
    return Networks(models, names, data)


def read_labels(labels: str | os.PathLike) -> list[str]:
    """Returns the class names in a file, or those of "kinetics400" or "kinetics600".

    Raises:
      ValueError: a line is empty, or two are the same.
      OSError: there is no such file.
    """
    if str(labels) in LABEL_MAPS and not pathlib.Path(labels).exists():
        return class_names(str(labels))
    try:
        names = pathlib.Path(labels).read_text("utf-8-sig").split("\n")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{labels}: there is no such file; pass a file with the name of a class in "
            f"each line, or {' or '.join(LABEL_MAPS)}"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{labels}: it is not a text file in UTF-8") from error
    names = [name.strip() for name in names]
    if names and not names[-1]:
        names.pop()
    for number, name in enumerate(names, 1):
        if not name:
            raise ValueError(f"{labels}: line {number} is empty; each names a class")
        if name in names[: number - 1]:
            raise ValueError(f"{labels}: line {number} repeats the class {name!r}")
    return names


def _open_all(sources: Iterable[str]) -> dict[str, CheckpointFile]:
    """Returns {stream name: checkpoint}."""
    found = {}
    for source in sources:
        for stream, weights in _parts(str(source)):
            checkpoint = open_checkpoint(weights, stream)
            own = _stream_of(checkpoint)
            if stream not in (None, own.name):
                raise ValueError(
                    f"{source}: the weights are of {checkpoint.channels} channels, so "
                    f"they belong to the stream {own.name}"
                )
            if own.name in found:
                raise ValueError(
                    f"{source}: {found[own.name].path} gives {own.name} already"
                )
            found[own.name] = checkpoint
    if not found:
        raise ValueError("no weights are given")
    return found


def _parts(source: str) -> Sequence[tuple[str | None, str]]:
    """Returns (stream name or None, weights) of each stream that a source gives."""
    if is_published(source) and not pathlib.Path(source).exists():
        return [(network.stream.name, network.name) for network in networks_of(source)]
    stream, equals, weights = source.partition("=")
    if not equals or "/" in stream:
        return [(stream, source) for stream in _streams_of_run(source)]
    names = [stream.name for stream in STREAMS]
    if stream not in names or not weights:
        raise ValueError(
            f"{source!r}: expected {' or '.join(f'{name}=WEIGHTS' for name in names)}"
        )
    if weights in TWO_STREAM_MODELS and not pathlib.Path(weights).exists():
        networks = {network.stream.name: network for network in networks_of(weights)}
        weights = networks[stream].name
    return [(stream, weights)]


def _streams_of_run(source: str) -> Sequence[str | None]:
    """Returns the names of a run's streams, or None for other kinds of weights."""
    run = find_run(source)
    if run is None:
        return [None]
    config, _ = read_config(run[0])
    return [stream.name for stream in config.streams]


def _stream_of(checkpoint: CheckpointFile) -> Stream:
    for stream in STREAMS:
        if stream.channels == checkpoint.channels:
            return stream
    raise ValueError(
        f"{checkpoint.path}: the weights are of {checkpoint.channels} channels; those "
        "of RGB have 3 and those of flow 2"
    )


def _agreed_names(found, labels) -> list[str]:
    """Returns the class names of all checkpoints."""
    names, giver = None, None
    if labels is not None:
        names, giver = read_labels(labels), str(labels)
    for checkpoint in found.values():
        if names is None and checkpoint.class_names is not None:
            names, giver = checkpoint.class_names, checkpoint.path
    for checkpoint in found.values():
        count = checkpoint.num_classes
        if names is None:
            raise ValueError(
                f"{checkpoint.path}: has {count} classes without names; give them with "
                "--labels, a file with a name in each line, or "
                f"{' or '.join(LABEL_MAPS)}"
            )
        if count != len(names):
            raise ValueError(
                f"{checkpoint.path}: has {count} classes, {giver} names {len(names)}"
            )
        if labels is None and checkpoint.class_names not in (None, names):
            raise ValueError(
                f"{checkpoint.path}: its class names differ from those of {giver}; "
                "name them with --labels"
            )
    return names


def _seen(data: Data) -> str:
    """Returns a description of the clips that networks see."""
    side = data.size
    return f"{data.num_frames} frames of {side}x{side} of {data.smaller_side} px"
