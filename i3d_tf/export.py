"""Trained networks -> a SavedModel that TensorFlow alone can load and serve."""

import json
import os
import pathlib
import shutil
import tempfile

import tensorflow as tf

from flow.video import FPS
from i3d_tf import clips
from i3d_tf.evaluation import fuse
from i3d_tf.fast import for_inference
from i3d_tf.inception import MIN_FRAMES
from i3d_tf.streams import STREAMS

# Files among the SavedModel's assets.
LABELS = "labels.txt"
PREPROCESSING = "preprocessing.json"
TOP = 5


def export(models, labels, data, output):
    """Writes a SavedModel with the signature `serving_default`.

    Inputs, those of `models`: `rgb` uint8 `[B, T, size, size, 3]` and `flow` float32
    `[B, T, size, size, 2]` in px (cut at +-20), any T >= 9 frames at 25 fps.
    Outputs: `logits` and `probabilities` `[B, num_classes]` of the streams fused 1:1,
    `<stream>_logits` of each, and `classes` (strings) and `scores` (probabilities)
    `[B, 5]`, the best first.

    Assets: labels.txt, line k = class k, and preprocessing.json.

    Args:
      models: {stream name: network}.
      labels: class names.
      data: `config.Data`, for the preprocessing.
      output: folder; a SavedModel that is there is replaced.

    Raises:
      ValueError: `output` is there and is no SavedModel.
    """
    output = pathlib.Path(output)
    if output.exists() and not (output / "saved_model.pb").is_file():
        raise ValueError(f"{output}: exists and is no SavedModel; choose another name")
    output.parent.mkdir(parents=True, exist_ok=True)
    aside = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory() as assets:
            module = _module(models, labels, data, pathlib.Path(assets))
            tf.saved_model.save(
                module, str(aside), signatures={"serving_default": module.serve}
            )
        if output.exists():
            shutil.rmtree(output)
        aside.rename(output)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_assets(model_dir):
    """(class names, preprocessing dict) of an exported model.

    Raises ValueError if `model_dir` is not one of `export`.
    """
    assets = pathlib.Path(model_dir) / "assets"
    try:
        # Not splitlines(): a class name may hold a Unicode line separator.
        labels = (assets / LABELS).read_text("utf-8").split("\n")[:-1]
        return labels, json.loads((assets / PREPROCESSING).read_text("utf-8"))
    except OSError as error:
        raise ValueError(
            f"{model_dir}: not a SavedModel of experiments.export ({error.strerror}: "
            f"{error.filename})"
        ) from None


def _module(models, labels, data, assets):
    (assets / LABELS).write_text("".join(f"{label}\n" for label in labels), "utf-8")
    preprocessing = {
        "streams": list(models),
        "fps": FPS,
        "smaller_side": data.smaller_side,
        "size": data.size,
        "num_frames": data.num_frames,
    }
    (assets / PREPROCESSING).write_text(json.dumps(preprocessing, indent=2) + "\n")
    streams = [stream for stream in STREAMS if stream.name in models]
    class_names = tf.constant(labels)
    networks = {name: for_inference(model) for name, model in models.items()}

    def serve(**inputs):
        outputs = {}
        for stream in streams:
            clip = inputs[stream.name]
            tf.debugging.assert_greater_equal(
                tf.shape(clip)[1],
                MIN_FRAMES,
                f"{stream.name}: a clip needs at least {MIN_FRAMES} frames",
            )
            outputs[f"{stream.name}_logits"] = networks[stream.name](
                clips.normalise_raw(clip, stream), training=False
            )
        logits = fuse(list(outputs.values()))
        probabilities = tf.nn.softmax(logits)
        best = tf.math.top_k(probabilities, min(TOP, len(labels)))
        return {
            **outputs,
            "logits": logits,
            "probabilities": probabilities,
            "classes": tf.gather(class_names, best.indices),
            "scores": best.values,
        }

    module = tf.Module()
    # The variables alone: the networks' own Keras objects need not be saved.
    module.network_variables = [
        variable.value
        for network in networks.values()
        for variable in network.variables
    ]
    module.labels = tf.saved_model.Asset(str(assets / LABELS))
    module.preprocessing = tf.saved_model.Asset(str(assets / PREPROCESSING))
    module.serve = tf.function(serve).get_concrete_function(
        **{
            stream.name: tf.TensorSpec(
                [None, None, data.size, data.size, stream.channels],
                stream.raw_dtype,
                name=stream.name,
            )
            for stream in streams
        }
    )
    return module
