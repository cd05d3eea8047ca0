"""Raw videos through an exported model, all preprocessing included."""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from flow import code
from flow.tvl1 import TVL1, video_flow
from flow.video import VideoError, decode, read_video, resample
from i3d_tf.export import read_assets


class Prediction(NamedTuple):
    """What a model says of a video.

    Attributes:
      classes: [K] class names, the likeliest first.
      scores: [K] their probabilities.
      rgb: [T, H, W, 3] uint8, the frames that were looked at, before the crop.
      flow: [T, H, W, 2] float32 px, from the frame before each to it.
    """

    classes: list[str]
    scores: list[float]
    rgb: np.ndarray
    flow: np.ndarray


def predict_video(model_dir, video, *, engine=TVL1.engine):
    """Classifies the middle of a video file.

    As in evaluation: 25 fps, smaller side 256, TV-L1 flow, the middle 64 frames (a
    shorter video is looped), centre crop; sizes as the model was trained with.

    Args:
      model_dir: a SavedModel of `export.export`.
      video: path of a video file.
      engine: of `TVL1`.

    Returns a Prediction of all classes.

    Raises:
      ValueError: not such a model, or the video cannot be decoded or has fewer
        than 2 frames.
    """
    labels, made_for = read_assets(model_dir)
    if made_for["num_frames"] == 1:
        raise ValueError(
            f"{model_dir}: tells where joints are in a picture; videos are for models "
            "of actions"
        )
    rgb, flow = _middle(video, made_for, engine)
    indices = np.arange(made_for["num_frames"]) % len(rgb)
    rgb, flow = rgb[indices], flow[indices]
    clips = {"rgb": rgb, "flow": flow}
    inputs = {
        name: tf.constant(_centre_crop(clips[name], made_for["size"])[None])
        for name in made_for["streams"]
    }
    serve = tf.saved_model.load(str(model_dir)).signatures["serving_default"]
    probabilities = serve(**inputs)["probabilities"][0].numpy()
    order = np.argsort(-probabilities, kind="stable")
    return Prediction(
        [labels[index] for index in order],
        [float(probabilities[index]) for index in order],
        rgb,
        flow,
    )


def _middle(video, made_for, engine):
    """RGB and flow of the middle pairs of a video, at most `num_frames` of them."""
    frames = sum(1 for _ in resample(decode(video), made_for["fps"]))
    if frames < 2:
        raise VideoError(
            f"{video}: {frames} frame at {made_for['fps']} fps; flow needs at least 2"
        )
    # Pair k is frame k + 1 and the flow from frame k.
    start = max(frames - 1 - made_for["num_frames"], 0) // 2
    images = read_video(
        video, fps=made_for["fps"], smaller_side=made_for["smaller_side"]
    )
    images = list(itertools.islice(images, start, start + made_for["num_frames"] + 1))
    # Through the code and back: the networks were trained on what 8 bits hold.
    flow = [
        code.decode(code.encode(field)) for field in video_flow(images, TVL1(engine))
    ]
    return np.stack(images[1:]), np.stack(flow)


def _centre_crop(clip, size):
    top, left = ((side - size) // 2 for side in clip.shape[1:3])
    return clip[:, top : top + size, left : left + size]
