"""Raw videos through an exported model, all preprocessing included."""

import math
from typing import NamedTuple

import numpy as np

from flow.tvl1 import TVL1
from flow.video import resize
from i3d_tf import raw_videos
from i3d_tf.evaluation.metrics import softmax
from i3d_tf.exported import ExportedModel


class Prediction(NamedTuple):
    """What a model says of a clip of a video.

    Attributes:
      classes: [K] class names, the likeliest first.
      scores: [K] their probabilities.
      stream_scores: {stream name: [K] probabilities of the same classes}, each
        stream's alone.
      activation: [t, h, w, K] float32, the same classes' activation map: logits that
        places of the crop and times of the clip speak for, a step for 8 frames.
      rgb: [T, H, W, 3] uint8, the frames that were looked at, before the crop.
      flow: [T, H, W, 2] float32 px, from the frame before each to it; None of a model
        that does without.
      begin, end: where in the video that is, in seconds.
      fps: frames of `rgb` per second.
      size: side of the crop in the middle that the networks saw, px.
    """

    classes: list[str]
    scores: list[float]
    stream_scores: dict[str, list[float]]
    activation: np.ndarray
    rgb: np.ndarray
    flow: np.ndarray | None
    begin: float
    end: float
    fps: float
    size: int

    def best(self, count):
        """The likeliest classes: [(name, probability), ...]."""
        return list(zip(self.classes, self.scores, strict=True))[:count]

    def over_time(self):
        """[t, K] probabilities of the classes, of each step of the activation alone."""
        return softmax(self.activation.mean((1, 2)))


class Predictor:
    """An exported model, read once, which classifies video files.

    As in evaluation: 25 fps, smaller side 256, 64 frames (a shorter video is looped),
    centre crop; sizes as the model was trained with. TV-L1 flow is computed if the
    model has a flow stream, and is most of the time that a video takes.

    Attributes:
      made_for: see `ExportedModel`.
    """

    def __init__(self, model_dir, *, engine=TVL1.engine):
        """Loads the model.

        Args:
          model_dir: a SavedModel of `export.export`, or the name of a published model,
            such as "kinetics400"; see `named_models.find_model`.
          engine: engine of `TVL1`.

        Raises:
          ValueError: there is no such model, it is one of pictures, or the engine
            cannot be used.
          OSError: a published model cannot be downloaded.
        """
        TVL1(engine)  # what is wrong with it shows before any video is read
        self._model = ExportedModel(model_dir)
        self.made_for = self._model.made_for
        self._engine = engine
        if not self._model.output_names("activation"):
            raise ValueError(
                f"{model_dir}: has no signature 'activation'; export it once more"
            )

    def __call__(self, video):
        """Classifies the middle of a video file; returns a Prediction of all classes.

        Raises:
          ValueError: it cannot be decoded or has fewer than 2 frames.
        """
        count = raw_videos.count_pairs(video, self.made_for["fps"])
        length = self.made_for["num_frames"]
        start = max(count - length, 0) // 2
        pairs = self._pairs(video, start, length)
        (clip,) = raw_videos.cut(pairs, [(0, length)])
        return self._classify(clip, start, min(start + length, count))

    def windows(self, video, stride, max_seconds=math.inf):
        """Yields a Prediction for every `stride` frames of a video file.

        They are of windows as long as the model's clips, the last one shifted back to
        end with the video. One window is held at a time.

        Raises ValueError as a call, and if the video is longer than `max_seconds`.
        """
        count = raw_videos.count_pairs(video, self.made_for["fps"], max_seconds)
        length = self.made_for["num_frames"]
        starts = raw_videos.window_starts(count, length, stride, "shift")
        ranges = [(start, start + length) for start in starts]
        clips = raw_videos.cut(self._pairs(video, 0, None), ranges)
        for (start, end), clip in zip(ranges, clips, strict=True):
            yield self._classify(clip, start, min(end, count))

    def of_frames(self, frames):
        """Classifies the first frames of a list, one more than the model's clip has.

        They are `[H, W, 3]` uint8 RGB at 25 fps; if they are fewer they are looped.

        Raises ValueError if there are fewer than 2.
        """
        if len(frames) < 2:
            raise ValueError(f"frames are {len(frames)}; needed are at least 2")
        side = self.made_for["smaller_side"]
        pairs = raw_videos.pairs_of(
            (resize(frame, side) for frame in frames),
            with_flow="flow" in self.made_for["streams"],
            engine=self._engine,
        )
        length = self.made_for["num_frames"]
        (clip,) = raw_videos.cut(pairs, [(0, length)])
        return self._classify(clip, 0, min(len(frames) - 1, length))

    def _pairs(self, video, first, count):
        return raw_videos.read_pairs(
            video,
            self.made_for,
            first=first,
            count=count,
            with_flow="flow" in self.made_for["streams"],
            engine=self._engine,
        )

    def _classify(self, clip, start, end):
        """The Prediction of a clip of the pairs start ... end - 1, maybe looped."""
        size = self.made_for["size"]
        crop = raw_videos.centre(*clip["rgb"].shape[1:3], size)
        answers = self._model(
            "activation",
            **{name: clip[name][None, :, *crop] for name in self.made_for["streams"]},
        )
        probabilities = answers["probabilities"][0]
        order = np.argsort(-probabilities, kind="stable")
        return Prediction(
            [self._model.labels[index] for index in order],
            probabilities[order].tolist(),
            {
                name: softmax(answers[f"{name}_logits"][0])[order].tolist()
                for name in self.made_for["streams"]
            },
            answers["activation"][0][..., order],
            clip["rgb"],
            clip.get("flow"),
            # Pair k shows frame k + 1.
            (start + 1) / self.made_for["fps"],
            (end + 1) / self.made_for["fps"],
            self.made_for["fps"],
            size,
        )
