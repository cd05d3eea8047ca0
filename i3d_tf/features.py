"""Features of video files: what a layer of an exported model says of each window."""

import dataclasses
from typing import NamedTuple

import numpy as np

from flow.tvl1 import TVL1
from flow.video import VideoError
from i3d_tf import protocols, raw_videos
from i3d_tf.inception import MIN_FRAMES
from i3d_tf.long_videos import CHUNK, check_chunk, steps_of
from i3d_tf.streams import STREAMS
from i3d_tf.trunk import AVERAGE_POOL

_FEATURES = "_features"  # what signatures of one stream's features end with


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
    """What is taken of a video.

    Attributes:
      endpoint: a layer that the model was exported with.
      window: frames of a window, at least 9; None: the whole video is one clip, and its
        steps in time are the features, one for each 2, 4 or 8 frames.
      stride: frames from a window to the next; None: as long as a window.
      streams: names of the model's streams; empty: all of it.
      crops: 1, the centre; 3, 5 or 10, in the order of `protocols.crop_corners`.
      tail: what becomes of frames behind the last window, `raw_videos.window_starts`.
      loop_short: a video that is shorter than a window (than 9 frames) is looped;
        else it is refused.
      keep_grid: the layer's places and steps are kept, and no mean is taken of them.

    Raises ValueError for what is none of these.
    """

    endpoint: str = AVERAGE_POOL
    window: int | None = 64
    stride: int | None = None
    streams: tuple[str, ...] = ()
    crops: int = 1
    tail: str = "drop"
    loop_short: bool = True
    keep_grid: bool = False

    def __post_init__(self):
        steps_of(self.endpoint)
        if self.least < MIN_FRAMES:
            raise ValueError(
                f"window is {self.window} frames; the network needs {MIN_FRAMES}"
            )
        if self.crops not in protocols.CROPS:
            known = ", ".join(map(str, protocols.CROPS))
            raise ValueError(f"crops is {self.crops}; known: {known}")
        if self.window is None and (self.stride, self.tail) != (None, "drop"):
            raise ValueError(
                f"stride is {self.stride} and tail {self.tail!r}; a whole video as one "
                "clip has neither"
            )
        if self.stride is not None and self.stride < 1:
            raise ValueError(f"stride is {self.stride}; it must be at least 1")
        if self.tail not in raw_videos.TAILS:
            raise ValueError(
                f"tail is {self.tail!r}; known: {', '.join(raw_videos.TAILS)}"
            )

    @property
    def least(self):
        """Frames that a video needs if it is not to be looped."""
        return MIN_FRAMES if self.window is None else self.window


class Features(NamedTuple):
    """Features of a video.

    Attributes:
      values: {stream name: `[N, C]` float32}, N windows or steps; `[N, crops, C]` of
        several crops; with the grid, `h, w` (of windows `t, h, w`) before C.
      times: `[N, 2]` float64, begin and end in seconds of the video, of which a window,
        or a step's own frames (it sees many more on both sides), are made.
    """

    values: dict[str, np.ndarray]
    times: np.ndarray


class FeatureExtractor:
    """Gives features of video files, by an exported model.

    Preprocessing is that of the training: 25 fps, the smaller side, flow against the
    frame before; the first frame, which has none, is left out.
    """

    def __init__(self, model, settings, *, engine=TVL1.engine, chunk=CHUNK):
        """Looks whether the model has what is wanted.

        Args:
          model: an `ExportedModel`.
          settings: the `FeatureSettings`.
          engine: of `TVL1`.
          chunk: frames, a multiple of 8, of whole videos that are run at once.

        Raises ValueError if it has no such stream or endpoint, or the engine cannot be
        used.
        """
        check_chunk(chunk)
        TVL1(engine)  # what is wrong with it shows before any video is read
        self.settings, self._engine, self._chunk = settings, engine, chunk
        self._model = model
        made_for = model.made_for
        self.streams = settings.streams or tuple(made_for["streams"])
        for stream in self.streams:
            if stream not in made_for["streams"]:
                raise ValueError(
                    f"{model.model_dir}: has no stream {stream!r}; there are "
                    f"{', '.join(made_for['streams'])}"
                )
            names = model.output_names(stream + _FEATURES)
            if f"{stream}_{settings.endpoint}" not in names:
                found = [name.removeprefix(f"{stream}_") for name in names]
                raise ValueError(
                    f"{model.model_dir}: has no features of {settings.endpoint!r}, "
                    f"only of {', '.join(found) or 'none'}; see export --endpoints"
                )

    def __call__(self, video):
        """The `Features` of a video file.

        Memory is, beside the features, that of a window, or of a chunk and what its
        steps see around it: 112 frames for the last layers.

        Raises ValueError if it cannot be decoded, has fewer than 2 frames, or is short
        where that is refused.
        """
        count = raw_videos.count_pairs(video, self._model.made_for["fps"])
        least = self.settings.least
        if count < least and not self.settings.loop_short:
            raise VideoError(
                f"{video}: {count + 1} frames at {self._model.made_for['fps']} fps; "
                f"needed are {least} and the first, which has no flow"
            )
        plan = (self._parts if self.settings.window is None else self._windows)(count)
        ranges, times, kept = zip(*plan, strict=True)
        pairs = raw_videos.read_pairs(
            video,
            self._model.made_for,
            count=ranges[-1][1],
            with_flow="flow" in self.streams,
            engine=self._engine,
        )
        found = {stream: [] for stream in self.streams}
        clips = raw_videos.cut(pairs, ranges)
        for clip, keep in zip(clips, kept, strict=True):
            for stream, values in found.items():
                values.append(self._run(stream, clip[stream])[keep])
        return Features(
            {stream: np.concatenate(values) for stream, values in found.items()},
            np.concatenate(times),
        )

    def description(self):
        """How the features are made, as a dict for JSON."""
        return {
            **dataclasses.asdict(self.settings),
            "stride": self.settings.stride or self.settings.window,
            "streams": list(self.streams),
            "engine": self._engine if "flow" in self.streams else None,
            "model": self._model.fingerprint,
            "fps": self._model.made_for["fps"],
        }

    def _windows(self, count):
        """[(range of pairs, their times, what of the answer is kept)] of windows."""
        length = self.settings.window
        stride = self.settings.stride or length
        return [
            ((start, start + length), self._times(start, start + length, count), ...)
            for start in raw_videos.window_starts(
                count, length, stride, self.settings.tail
            )
        ]

    def _parts(self, count):
        """The same of the parts of a whole video; times of the steps that are kept."""
        # Fewer pairs than the network needs are looped; steps of their second round
        # alone are left out.
        frames = max(count, MIN_FRAMES)
        steps, first, plan = steps_of(self.settings.endpoint), 0, []
        total = min(steps.count(frames), -(-count // steps.stride))
        while first < total:
            last, begin, end = map(int, steps.part(first, frames, self._chunk))
            last = min(last, total)
            begins = steps.stride * np.arange(first, last)
            times = [
                self._times(at, at + steps.stride * steps.joined, count)
                for at in begins
            ]
            skipped = begin // steps.stride
            kept = slice(first - skipped, last - skipped)
            plan.append(((begin, end), np.concatenate(times), kept))
            first = last
        return plan

    def _times(self, begin, end, count):
        """`[1, 2]` seconds of the frames of pairs: pair k shows frame k + 1."""
        # Of a looped video all is within its one round.
        frames = np.minimum([[begin, end]], count) + 1
        return frames / self._model.made_for["fps"]

    def _run(self, stream, clip):
        """Clip `[T, H, W, C]` -> features `[steps, ...]`, of a window `[1, ...]`."""
        size, crops = self._model.made_for["size"], self.settings.crops
        protocol = protocols.views(len(clip), 1, crops)
        corners = protocols.crop_corners(protocol, *clip.shape[1:3], size)
        (signs,) = (s.mirror_signs for s in STREAMS if s.name == stream)
        found = []
        # One by one: at once they would take no less time, and more memory.
        for top, left, mirrored in zip(*(np.asarray(c) for c in corners), strict=True):
            crop = clip[:, top : top + size, left : left + size]
            if mirrored:
                crop = crop[:, :, ::-1] * np.array(signs, clip.dtype)
            answers = self._model(stream + _FEATURES, **{stream: crop[None]})
            found.append(self._pooled(answers[f"{stream}_{self.settings.endpoint}"][0]))
        values = np.stack(found, axis=1)
        return values if crops > 1 else values[:, 0]

    def _pooled(self, values):
        """`[t, h, w, C]` -> `[t, C]` of whole videos, of windows `[1, C]`."""
        if self.settings.window is None:
            return values if self.settings.keep_grid else values.mean((1, 2))
        return values[None] if self.settings.keep_grid else values.mean((0, 1, 2))[None]
