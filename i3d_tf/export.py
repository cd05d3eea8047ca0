"""Trained networks -> a SavedModel that TensorFlow alone can load and serve."""

import json
import os
import pathlib
import shutil
import tempfile

import tensorflow as tf

from flow.files import make_folder
from flow.video import FPS
from i3d_tf import dtypes
from i3d_tf.exported import LABELS, PREPROCESSING
from i3d_tf.fast.views import with_features
from i3d_tf.fine_tuning import ENDPOINTS as TRUNK
from i3d_tf.fine_tuning import HEAD
from i3d_tf.serving.signatures import action_signatures, pose_signatures
from i3d_tf.storage import storage_errors
from i3d_tf.tasks import task_of
from i3d_tf.trunk import AVERAGE_POOL

_OF_PICTURES = {
    "cut": "the square in the middle, resized",
    "joints": "m in the camera's coordinates: x to the right, y down, z away from it",
}
# Served by `features`: a grid of 14x14 and one of 7x7, what classifiers get, and their
# logits step by step.
ENDPOINTS = ("Mixed_4f", "Mixed_5c", AVERAGE_POOL, HEAD)


def export(models, labels, data, output, endpoints=ENDPOINTS):
    """Writes a SavedModel.

    Clips are those of `models`: `rgb` uint8 `[B, T, size, size, 3]`, 0 to 255, and
    `flow` float32 `[B, T, size, size, 2]` in px (cut at +-20), any T >= 9 frames at 25
    fps. Signatures, of which those that need another stream are left out:

    - `serving_default`: clips of all streams, fused 1:1; `rgb`, `flow`: of one;
    - `normalised`: of all streams as float32 in [-1, 1], as the networks take them;
    - `video`: `frames` uint8 `[B, T, H, W, 3]` of any size at 25 fps, T >= 2, whose
      middle is resized, cropped and, if there is a flow stream, given its flow;
    - `encoded`: `encoded` `[N]`, JPEGs of a video's frames or one GIF;
    - `activation`: as `serving_default`, and it answers `activation` `[B, t, h, w,
      num_classes]` too, the class activation map (Zhou et al. 2016): the logits that
      each place of Mixed_5c speaks for, fused. Their mean over the grid and over every
      two neighbouring steps is `logits`;
    - `features`: clips -> `<stream>_<endpoint>`; `<stream>_features`: of one stream;
    - `default`: `rgb_input` float32 in [-1, 1] -> `default`, RGB's logits, as TF-Hub's.

    The first seven answer `logits` and `probabilities` `[B, num_classes]`,
    `<stream>_logits` of each stream, and `classes` (strings) and `scores`
    (probabilities) `[B, 5]`, the best first.

    Of networks of pictures (`data.num_frames` 1) there is `serving_default` alone, of
    `rgb` uint8 `[B, size, size, 3]` or `depth` uint16 `[B, size, size, 1]` in mm, and
    the answer is `joints` `[B, J, 3]`, metres, the mean of several streams.

    Assets: labels.txt, line k = class k or joint k, and preprocessing.json.

    Args:
      models: {stream name: network}.
      labels: class names, or those of joints.
      data: `config.Data`, for the preprocessing.
      output: folder; a SavedModel that is there is replaced.
      endpoints: names of the layers that `features` serves.

    Raises:
      ValueError: `output` is there and is no SavedModel, or an endpoint is none.
      OSError: `output` cannot be written.
    """
    output = pathlib.Path(output)
    if output.exists() and not (output / "saved_model.pb").is_file():
        raise ValueError(f"{output}: exists and is no SavedModel; choose another name")
    make_folder(output.parent)  # what is wrong with it shows at once
    aside = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory() as assets:
            module, signatures = _module(
                models, labels, data, pathlib.Path(assets), endpoints
            )
            with storage_errors(output):
                tf.saved_model.save(module, str(aside), signatures=signatures)
        if output.exists():
            shutil.rmtree(output)
        aside.rename(output)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _dtype(models):
    layers = [layer for model in models.values() for layer in model.layers]
    is_mixed = any(layer.compute_dtype == "bfloat16" for layer in layers)
    return dtypes.BFLOAT16 if is_mixed else dtypes.FLOAT32


def _module(models, labels, data, assets, endpoints):
    """(what is saved, {signature name: function})."""
    (assets / LABELS).write_text("".join(f"{label}\n" for label in labels), "utf-8")
    is_picture = data.num_frames == 1
    preprocessing = {
        "streams": list(models),
        **(_OF_PICTURES if is_picture else {"fps": FPS}),
        "smaller_side": data.smaller_side,
        "size": data.size,
        "num_frames": data.num_frames,
        "dtype": _dtype(models),
    }
    (assets / PREPROCESSING).write_text(json.dumps(preprocessing, indent=2) + "\n")
    ready = task_of(data).for_inference
    if is_picture:
        networks = {name: ready(model) for name, model in models.items()}
        signatures = pose_signatures(networks, data)
    else:
        networks = {
            name: ready(with_features(model, (TRUNK[-1], *endpoints)))
            for name, model in models.items()
        }
        signatures = action_signatures(networks, labels, data, endpoints)
    module = tf.Module()
    # The variables alone: the networks' own Keras objects need not be saved.
    module.network_variables = [
        variable.value
        for network in networks.values()
        for variable in network.variables
    ]
    module.labels = tf.saved_model.Asset(str(assets / LABELS))
    module.preprocessing = tf.saved_model.Asset(str(assets / PREPROCESSING))
    return module, signatures
