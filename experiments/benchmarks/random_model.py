"""Models of random weights, which take as long as trained ones."""

from i3d_tf.export import export
from i3d_tf.inception import build_two_stream
from i3d_tf.streams import FLOW, RGB

# They decide next to nothing of the time.
_CLASSES = 400


def export_random(path, data, streams=(RGB, FLOW), width=1.0, endpoints=()):
    """Writes a SavedModel of networks of these streams, for a `config.Data`."""
    models = build_two_stream(_CLASSES, streams, size=data.size, width=width)
    labels = [str(number) for number in range(_CLASSES)]
    export(models, labels, data, path, endpoints=endpoints)
