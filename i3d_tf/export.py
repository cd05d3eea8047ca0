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
from i3d_tf.inception import MIN_FRAMES
from i3d_tf.streams import ALL_STREAMS
from i3d_tf.tasks import task_of

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

    Of networks of pictures (`data.num_frames` 1) the inputs are `rgb` uint8
    `[B, size, size, 3]` or `depth` uint16 `[B, size, size, 1]` in mm, and the output is
    `joints` `[B, J, 3]`, metres, the mean of several streams.

    Assets: labels.txt, line k = class k or joint k, and preprocessing.json.

    Args:
      models: {stream name: network}.
      labels: class names, or those of joints.
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
    streams = [stream for stream in ALL_STREAMS if stream.name in models]
    ready = task_of(data).for_inference
    networks = {name: ready(model) for name, model in models.items()}
    is_picture = data.num_frames == 1

    def serve(**inputs):
        answers = {
            stream.name: networks[stream.name](
                clips.normalise_raw(inputs[stream.name], stream), training=False
            )
            for stream in streams
        }
        if is_picture:
            return {"joints": fuse(list(answers.values()))}
        for name in answers:
            tf.debugging.assert_greater_equal(
                tf.shape(inputs[name])[1],
                MIN_FRAMES,
                f"{name}: a clip needs at least {MIN_FRAMES} frames",
            )
        return _of_logits(answers, tf.constant(labels))

    module = tf.Module()
    # The variables alone: the networks' own Keras objects need not be saved.
    module.network_variables = [
        variable.value
        for network in networks.values()
        for variable in network.variables
    ]
    module.labels = tf.saved_model.Asset(str(assets / LABELS))
    module.preprocessing = tf.saved_model.Asset(str(assets / PREPROCESSING))
    frames = [None] if is_picture else [None, None]
    module.serve = tf.function(serve).get_concrete_function(
        **{
            stream.name: tf.TensorSpec(
                [*frames, data.size, data.size, stream.channels],
                stream.raw_dtype,
                name=stream.name,
            )
            for stream in streams
        }
    )
    return module


def _of_logits(logits, class_names):
    """What is served of {stream name: logits}."""
    fused = fuse(list(logits.values()))
    probabilities = tf.nn.softmax(fused)
    best = tf.math.top_k(probabilities, min(TOP, len(class_names)))
    return {
        **{f"{name}_logits": of_stream for name, of_stream in logits.items()},
        "logits": fused,
        "probabilities": probabilities,
        "classes": tf.gather(class_names, best.indices),
        "scores": best.values,
    }
