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
      flow: [T, H, W, 2] float32 px, from the frame before each to it; None of a model
        that does without.
    """

    classes: list[str]
    scores: list[float]
    rgb: np.ndarray
    flow: np.ndarray | None

    def best(self, count):
        """The likeliest classes: [(name, probability), ...]."""
        return list(zip(self.classes, self.scores, strict=True))[:count]


class Predictor:
    """An exported model, read once, which classifies the middle of video files.

    As in evaluation: 25 fps, smaller side 256, the middle 64 frames (a shorter video is
    looped), centre crop; sizes as the model was trained with. TV-L1 flow is computed if
    the model has a flow stream, and is most of the time that a video takes.
    """

    def __init__(self, model_dir, *, engine=TVL1.engine):
        """Loads the model.

        Args:
          model_dir: a SavedModel of `export.export`.
          engine: of `TVL1`.

        Raises:
          ValueError: it is none, or one of pictures.
        """
        self._labels, self._made_for = read_assets(model_dir)
        if self._made_for["num_frames"] == 1:
            raise ValueError(
                f"{model_dir}: tells where joints are in a picture; videos are for "
                "models of actions"
            )
        self._engine = engine
        # The functions live as long as the model does.
        self._model = tf.saved_model.load(str(model_dir))

    def __call__(self, video):
        """Classifies a video file; returns a Prediction of all classes.

        Raises:
          ValueError: it cannot be decoded or has fewer than 2 frames.
        """
        rgb, flow = self._middle(video)
        clips = {"rgb": rgb, "flow": flow}
        inputs = {
            name: tf.constant(_centre_crop(clips[name], self._made_for["size"])[None])
            for name in self._made_for["streams"]
        }
        serve = self._model.signatures["serving_default"]
        probabilities = serve(**inputs)["probabilities"][0].numpy()
        order = np.argsort(-probabilities, kind="stable")
        return Prediction(
            [self._labels[index] for index in order],
            [float(probabilities[index]) for index in order],
            rgb,
            flow,
        )

    def _middle(self, video):
        """RGB and flow of the middle pairs of a video, looped to `num_frames`."""
        fps, wanted = self._made_for["fps"], self._made_for["num_frames"]
        frames = sum(1 for _ in resample(decode(video), fps))
        if frames < 2:
            raise VideoError(
                f"{video}: {frames} frame at {fps} fps; needed are at least 2, as in "
                "training a video's first frame, which has no flow, is left out"
            )
        # Pair k is frame k + 1 and the flow from frame k.
        start = max(frames - 1 - wanted, 0) // 2
        smaller_side = self._made_for["smaller_side"]
        images = read_video(video, fps=fps, smaller_side=smaller_side)
        images = list(itertools.islice(images, start, start + wanted + 1))
        indices = np.arange(wanted) % (len(images) - 1)
        rgb = np.stack(images[1:])[indices]
        if "flow" not in self._made_for["streams"]:
            return rgb, None
        # Through the code and back: the networks were trained on what 8 bits hold.
        flow = [
            code.decode(code.encode(field))
            for field in video_flow(images, TVL1(self._engine))
        ]
        return rgb, np.stack(flow)[indices]


def _centre_crop(clip, size):
    top, left = ((side - size) // 2 for side in clip.shape[1:3])
    return clip[:, top : top + size, left : left + size]
