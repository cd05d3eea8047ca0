"""Files of features: .npz for NumPy, .tfrecord for tf.data; one for each video.

Both hold the same: an array for each stream, `times`, and `description`, a JSON text of
how they were made.
"""

import json
import pathlib

import numpy as np
import tensorflow as tf

from flow.files import local_copy, written_aside
from i3d_tf.features import Features

FORMATS = ("npz", "tfrecord")


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
        with tf.io.TFRecordWriter(str(aside)) as writer:
            writer.write(example.SerializeToString())


def read(path):
    """(`Features`, description) of a file of `write`.

    Raises ValueError if it is none.
    """
    try:
        with local_copy(path) as local:
            arrays, text = (_read_npz if _is_npz(path) else _read_record)(local)
        return Features(arrays, arrays.pop("times")), json.loads(text)
    except (OSError, ValueError, KeyError, EOFError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: is no file of features ({reason})") from error


def parse(record, streams=("rgb", "flow")):
    """The record of a .tfrecord -> {"rgb", "flow", "times": tensor}.

    For `Dataset.map`: tf.data.TFRecordDataset(paths).map(parse).
    """
    strings = tf.io.parse_single_example(
        record,
        {name: tf.io.FixedLenFeature([], tf.string) for name in (*streams, "times")},
    )
    return {name: _tensor(name, data) for name, data in strings.items()}


def _read_npz(path):
    with np.load(path) as file:
        arrays = dict(file)
    return arrays, arrays.pop("description").item()


def _read_record(path):
    (record,) = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    feature = dict(tf.train.Example.FromString(record).features.feature)
    data = {name: one.bytes_list.value[0] for name, one in feature.items()}
    text = data.pop("description").decode()
    return {name: _tensor(name, one).numpy() for name, one in data.items()}, text


def _tensor(name, data):
    return tf.io.parse_tensor(data, tf.float64 if name == "times" else tf.float32)


def _is_npz(path):
    return pathlib.PurePath(path).suffix == ".npz"
