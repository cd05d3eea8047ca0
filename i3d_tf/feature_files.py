"""Files of features: .npz for NumPy, .tfrecord for tf.data; one for each video.

Both hold the same: an array for each stream, `times`, and `description`, a JSON text of
how they were made.
"""

import contextlib
import json
import pathlib
import zipfile
import zlib

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from flow.files import local_copy, written_aside
from i3d_tf.features import Features
from i3d_tf.storage import storage_errors

FORMATS = ("npz", "tfrecord")
_STREAMS = ("rgb", "flow")
# What NumPy and TensorFlow raise for files that are damaged, or others.
_DAMAGE = (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile)
_DAMAGE += (zlib.error, tf.errors.OpError, DecodeError)


def write(path, features, description):
    """Writes `Features` and a dict for JSON to a path with the suffix of a format."""
    arrays = {**features.values, "times": features.times}
    text = json.dumps(description, ensure_ascii=False)
    with written_aside(path) as aside:
        if _is_npz(path):
            np.savez(aside, description=np.array(text), **arrays)
            return
        example = tf.train.Example()
        feature = example.features.feature
        feature["description"].bytes_list.value.append(text.encode())
        for name, array in arrays.items():
            data = tf.io.serialize_tensor(array).numpy()
            feature[name].bytes_list.value.append(data)
        with storage_errors(path), tf.io.TFRecordWriter(str(aside)) as writer:
            writer.write(example.SerializeToString())


def read(path):
    """(`Features`, description) of a file of `write`.

    Raises ValueError if it is none, or damaged.
    """
    with _opened(path) as (arrays, description):
        values = {name: arrays[name] for name in arrays if name in _STREAMS}
        return Features(values, arrays["times"]), description


def describe(path):
    """(how many features, description) of a file of `write`; an .npz is not read whole.

    Raises ValueError as `read`.
    """
    with _opened(path) as (arrays, description):
        return len(arrays["times"]), description


def parse(record, streams=_STREAMS):
    """The record of a .tfrecord -> {"rgb", "flow", "times": tensor}.

    For `Dataset.map`: tf.data.TFRecordDataset(paths).map(parse).
    """
    strings = tf.io.parse_single_example(
        record,
        {name: tf.io.FixedLenFeature([], tf.string) for name in (*streams, "times")},
    )
    return {name: _tensor(name, data) for name, data in strings.items()}


@contextlib.contextmanager
def _opened(path):
    """(mapping of arrays, description); errors of either format become ValueErrors."""
    try:
        with local_copy(path) as local, contextlib.ExitStack() as stack:
            if _is_npz(path):
                # NumPy leaves a damaged file open that it has opened itself.
                file = stack.enter_context(open(local, "rb"))
                arrays = stack.enter_context(np.load(file))
                text = arrays["description"].item()
            else:
                (record,) = tf.data.TFRecordDataset(str(local)).as_numpy_iterator()
                feature = tf.train.Example.FromString(record).features.feature
                data = {name: one.bytes_list.value[0] for name, one in feature.items()}
                text = data.pop("description").decode()
                arrays = {k: _tensor(k, one).numpy() for k, one in data.items()}
            description = json.loads(text)
            if not isinstance(description, dict):
                raise ValueError(f"its description is {text}")
            yield arrays, description
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: is no file of features ({reason})") from error


def _tensor(name, data):
    return tf.io.parse_tensor(data, tf.float64 if name == "times" else tf.float32)


def _is_npz(path):
    return pathlib.PurePath(path).suffix == ".npz"
