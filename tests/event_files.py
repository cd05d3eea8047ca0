"""TensorBoard's event files, read back."""

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event


def read_events(folder):
    """{tag: [(step, value)]} of all event files, in their order."""
    found = {}
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = Event.FromString(record)
            for value in event.summary.value:
                array = tf.make_ndarray(value.tensor)
                found.setdefault(value.tag, []).append((event.step, array))
    return found


def scalars(folder):
    """As `read_events`, of scalars alone, as numbers."""
    return {
        tag: [(step, float(value)) for step, value in points]
        for tag, points in read_events(folder).items()
        if points[0][1].shape == ()
    }
