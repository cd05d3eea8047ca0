"""Begins a training with weights from elsewhere."""

import keras

from i3d_tf.streams import FLOW, RGB, Stream
from i3d_tf.weights.catalogue import NETWORKS
from i3d_tf.weights.checkpoint_file import open_checkpoint
from i3d_tf.weights.download import Unreachable
from i3d_tf.weights.released import load_released


def set_initial_weights(model: keras.Model, stream: Stream, source: str) -> None:
    """Assigns published weights, or those of another training, to a new network.

    A classifier of another number of classes is not taken. Where flow begins with
    weights of RGB, its first kernel is their mean over the channels, repeated
    (cross-modality initialisation, Wang et al. 2016, section 3.3), and a line says so.
    Flow also begins with them where its own published weights cannot be downloaded.

    Args:
      model: network of `build_i3d`.
      stream: the stream whose clips it takes.
      source: weights that `load_released` takes.

    Raises:
      ValueError: the weights do not fit, or RGB is to begin with weights of flow.
      OSError: the weights cannot be read or downloaded.
    """
    try:
        checkpoint = open_checkpoint(source, stream.name)
    except Unreachable as error:
        substitute = _of_rgb(source)
        if substitute is None:
            raise
        print(f"{error}", flush=True)
        checkpoint = open_checkpoint(substitute)
    crosses = (stream, checkpoint.channels) == (FLOW, RGB.channels)
    load_released(model, checkpoint, new_head=True, new_channels=crosses)
    if crosses and not checkpoint.is_of_images:
        print(
            f"{stream.name}: begins with {checkpoint.path}, weights of "
            f"{checkpoint.channels} channels; its first kernel is their mean over the "
            "channels (cross-modality initialisation)",
            flush=True,
        )


def _of_rgb(source: str) -> str | None:
    """Returns the RGB network that was trained as a published one of flow, or None."""
    if source not in NETWORKS or "-flow" not in source:
        return None
    return source.replace("-flow", "-rgb")
