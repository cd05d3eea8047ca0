r"""Milliseconds of a raw video, with flow and without.

    python -m experiments.benchmarks.raw_video --videos videos
    python -m experiments.benchmarks.raw_video --videos videos \
        --size 112 --smaller_side 128

What a student of RGB alone saves whoever serves it: `prediction.Predictor`, from the
file to the probabilities, with a model of RGB and flow and one of RGB, both loaded
before. The weights are random, which takes as long. All take turns on each video, so
that what else the machine does falls on all. Prints a table and leaves raw_video.json
in --output, in which other sizes stay.
"""

import functools
import json
import pathlib
import statistics
import tempfile

from absl import flags

from experiments import command
from flow.tvl1 import ENGINES, TVL1

_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.", required=True)
_SIZE = flags.DEFINE_integer("size", 224, "Of the crop, px.")
_SIDE = flags.DEFINE_integer("smaller_side", 256, "Of the frames, px.")
_FRAMES = flags.DEFINE_integer("frames", 64, "T of the clip, at 25 fps.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Timed runs of each video.", lower_bound=1)
_ENGINE = flags.DEFINE_enum("engine", TVL1.engine, ENGINES, "TV-L1 implementation.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)


def main():
    from experiments.benchmarks import machine, turns
    from experiments.benchmarks.random_model import export_random
    from flow.files import write_json
    from flow.video_files import find_videos
    from i3d_tf.config import Data
    from i3d_tf.prediction import Predictor
    from i3d_tf.streams import FLOW, RGB

    folder = pathlib.Path(_VIDEOS.value)
    videos = [folder / path for path in find_videos(folder)]
    data = Data(
        "none",
        num_frames=_FRAMES.value,
        size=_SIZE.value,
        smaller_side=_SIDE.value,
    )
    with tempfile.TemporaryDirectory() as aside:
        predictors = {}
        for name, streams in (("rgb and flow", (RGB, FLOW)), ("rgb", (RGB,))):
            model_dir = pathlib.Path(aside) / name
            export_random(model_dir, data, streams)
            predictors[name] = Predictor(model_dir, engine=_ENGINE.value)
            # TensorFlow's graph and numba's code are made at the first call.
            predictors[name](videos[0])
        found = {name: [] for name in predictors}
        for video in videos:
            runs = [
                [
                    turns.seconds(functools.partial(each, video))
                    for each in predictors.values()
                ]
                for _ in range(_ROUNDS.value)
            ]
            for name, seconds in zip(predictors, zip(*runs, strict=True), strict=True):
                found[name].append(statistics.median(seconds))
    result = {
        "machine": machine.describe(),
        "clip": f"{_FRAMES.value} frames of {_SIZE.value} px of {_SIDE.value}",
        "engine": _ENGINE.value,
        "videos": len(videos),
        "rounds": _ROUNDS.value,
        "milliseconds": {
            name: {
                "mean": 1e3 * statistics.mean(seconds),
                "least": 1e3 * min(seconds),
                "most": 1e3 * max(seconds),
            }
            for name, seconds in found.items()
        },
        "ratio": statistics.median(
            both / one for both, one in zip(*found.values(), strict=True)
        ),
    }
    print(f"{result['machine']}; {len(videos)} videos; {result['clip']}\n")
    print("| model of | ms a video | least, most |\n|---|---|---|")
    for name, row in result["milliseconds"].items():
        print(f"| {name} | {row['mean']:.0f} | {row['least']:.0f}, {row['most']:.0f} |")
    print(f"\nwith flow {result['ratio']:.1f} times, the median of all videos")
    path = pathlib.Path(_OUTPUT.value) / "raw_video.json"
    results = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**results, result["clip"]: result})


if __name__ == "__main__":
    command.run(main)
