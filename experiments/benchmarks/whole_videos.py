r"""Seconds that a whole video takes: predict with its start-up, and features.

    python -m experiments.benchmarks.whole_videos --video clip.avi

The video is shown again and again, in 320x240 px at 25 fps, until it has --seconds.
Models of random weights, which take as long as trained ones, of RGB and flow and of RGB
alone; clips of 64 frames of 224 px of 256. All take turns, and the median of --rounds
is told:

- predict: the command as a process, of the middle and of all of the video (--stride
  64); beside it the same call in a process that has made one before. The rest is
  start-up: Python, TensorFlow, the model, and its graph at the first call.
- features: `features.FeatureExtractor`, windows of 64 frames one behind the other and
  the video as one clip, with the flow of either engine and of RGB alone; seconds for a
  minute of video, everything loaded.

Prints tables and leaves whole_videos.json in --output.
"""

import functools
import itertools
import pathlib
import statistics
import subprocess
import sys
import tempfile

import cv2
from absl import flags

from experiments import command

_VIDEO = flags.DEFINE_string("video", None, "A video file.", required=True)
_SECONDS = flags.DEFINE_integer("seconds", 10, "Of the video that is made of it.", 1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Timed runs of each.", lower_bound=1)
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
_WIDTH, _HEIGHT = 320, 240


def main():
    from experiments.benchmarks import machine
    from experiments.benchmarks.random_model import export_random
    from flow.files import write_json
    from i3d_tf.config import Data
    from i3d_tf.export import ENDPOINTS
    from i3d_tf.streams import FLOW, RGB

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        video = folder / "video.mp4"
        _write(video)
        models = {}
        for name, streams in (("rgb and flow", (RGB, FLOW)), ("rgb", (RGB,))):
            models[name] = folder / name
            export_random(models[name], Data("none"), streams, endpoints=ENDPOINTS)
        result = {
            "machine": machine.describe(),
            "seconds": _SECONDS.value,
            "size": [_WIDTH, _HEIGHT],
            "rounds": _ROUNDS.value,
            "predict": _predictions(models, video),
            "features": _features(models, video),
        }
    print(f"\n{result['machine']}; {_SECONDS.value} s of {_WIDTH}x{_HEIGHT} px\n")
    print("| predict | model of | s in all | start-up |\n|---|---|---|---|")
    for row in result["predict"]:
        print(
            f"| {row['frames']} | {row['model']} | {row['process']:.1f} | "
            f"{row['process'] - row['call']:.1f} |"
        )
    print("\n| features | of | s a minute of video |\n|---|---|---|")
    for row in result["features"]:
        print(f"| {row['clips']} | {row['of']} | {row['seconds_per_minute']:.0f} |")
    path = pathlib.Path(_OUTPUT.value) / "whole_videos.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)


def _write(path):
    from flow.film import write_mp4
    from flow.video import FPS, decode, resample

    frames = [
        cv2.resize(image, (_WIDTH, _HEIGHT))
        for image in resample(decode(_VIDEO.value), FPS)
    ]
    shown = itertools.islice(itertools.cycle(frames), _SECONDS.value * FPS)
    write_mp4(path, shown, FPS)


def _predictions(models, video):
    from experiments.benchmarks import turns
    from i3d_tf.prediction import Predictor

    def process(model, flags):
        subprocess.run(
            [
                *(sys.executable, "-m", "experiments.predict"),
                *(f"--model={model}", f"--video={video}", *flags),
            ],
            check=True,
            capture_output=True,
        )

    kinds = []
    for name, model in models.items():
        predictor = Predictor(model)
        middle = functools.partial(predictor, video)
        whole = functools.partial(_exhaust, predictor, video)
        kinds += [
            ("middle 64", name, functools.partial(process, model, []), middle),
            ("all", name, functools.partial(process, model, ["--stride=64"]), whole),
        ]
        middle()
    found = [([], []) for _ in kinds]
    for _ in range(_ROUNDS.value):
        for (*_, of_process, of_call), times in zip(kinds, found, strict=True):
            times[0].append(turns.seconds(of_process))
            times[1].append(turns.seconds(of_call))
    return [
        {
            "frames": frames,
            "model": name,
            "process": statistics.median(times[0]),
            "call": statistics.median(times[1]),
        }
        for (frames, name, *_), times in zip(kinds, found, strict=True)
    ]


def _exhaust(predictor, video):
    for _ in predictor.windows(video, 64):
        pass


def _features(models, video):
    from experiments.benchmarks import turns
    from i3d_tf.exported import ExportedModel
    from i3d_tf.features import FeatureExtractor, FeatureSettings

    model = ExportedModel(models["rgb and flow"])
    kinds = [
        (
            clips,
            of,
            FeatureExtractor(model, FeatureSettings(window=window, **streams), **more),
        )
        for clips, window in (("windows of 64", 64), ("one clip", None))
        for of, streams, more in (
            ("rgb and flow, fast", {}, {}),
            ("rgb and flow, OpenCV's flow", {}, {"engine": "opencv"}),
            ("rgb", {"streams": ("rgb",)}, {}),
        )
    ]
    found = [[] for _ in kinds]
    for _, _, extractor in kinds:
        # OpenCV has nothing to compile, and takes minutes.
        if extractor.description()["engine"] != "opencv":
            extractor(video)
    for _ in range(_ROUNDS.value):
        for (*_, extractor), seconds in zip(kinds, found, strict=True):
            seconds.append(turns.seconds(functools.partial(extractor, video)))
    return [
        {
            "clips": clips,
            "of": of,
            "seconds_per_minute": statistics.median(seconds) * 60 / _SECONDS.value,
        }
        for (clips, of, _), seconds in zip(kinds, found, strict=True)
    ]


if __name__ == "__main__":
    command.run(main)
