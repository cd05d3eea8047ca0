"""Classifies raw videos with an exported model.

    python -m experiments.predict --model models/demo --video clip.mp4 --output out
    python -m experiments.predict --model models/demo --video clips --format json

--video is a file, a folder of them or an address of object storage, and repeatable. A
video's classes are printed with their probabilities as soon as it is done: as a table,
or as a line of JSON. One that cannot be read among several is told on stderr, the
others are classified, and the exit code is 1.

With --output it leaves prediction.json, the video annotated with flow and
probabilities, and a picture of frames and flow; of several videos in a folder for each,
named after the video. Of a model of RGB alone no flow is computed, and none is shown.
"""

import json
import pathlib
import sys

from absl import flags

from experiments import command
from flow.tvl1 import ENGINES, TVL1

_MODEL = flags.DEFINE_string("model", None, "SavedModel of export.", required=True)
_VIDEO = flags.DEFINE_multi_string(
    "video", None, "Video file, or folder of them; repeatable.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for videos and pictures.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "Of what is printed.")
_TOP = flags.DEFINE_integer("top", 5, "Classes that are printed.", lower_bound=1)
_ENGINE = flags.DEFINE_enum("engine", TVL1.engine, ENGINES, "TV-L1 implementation.")


def main():
    from i3d_tf.prediction import Predictor

    videos = _videos()
    predictor = Predictor(_MODEL.value, engine=_ENGINE.value)
    failed = 0
    for name, video in videos.items():
        try:
            prediction = predictor(video)
        except (ValueError, OSError) as error:
            if len(videos) == 1:
                raise
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            failed += 1
            continue
        best = prediction.best(_TOP.value)
        record = {
            "video": str(video),
            "predictions": [
                {"class": label, "probability": round(score, 6)}
                for label, score in best
            ],
        }
        _print(record, best, several=len(videos) > 1)
        if _OUTPUT.value:
            output = pathlib.Path(_OUTPUT.value)
            _write(output / name if len(videos) > 1 else output, record, prediction)
    if failed:
        raise ValueError(f"{failed} of {len(videos)} videos could not be classified")


def _videos():
    """{name: path} of all videos, names being relative to the folders given."""
    from flow import files
    from flow.video_files import find_videos

    found = {}
    for given in map(files.as_path, _VIDEO.value):
        videos = {given.name: given}
        if files.is_folder(given):
            videos = {str(path): given / path for path in find_videos(given)}
        for name, path in videos.items():
            if name in found:
                raise ValueError(f"{found[name]} and {path}: two videos named {name}")
            found[name] = path
    return found


def _print(record, best, several):
    if _FORMAT.value == "json":
        print(json.dumps(record, ensure_ascii=False), flush=True)
        return
    if several:
        print(record["video"])
    for label, score in best:
        print(f"{score:7.2%}  {label}", flush=True)


def _write(output, record, prediction):
    from flow.files import write_json
    from i3d_tf import pictures

    name = pathlib.PurePath(record["video"]).name
    write_json(output / "prediction.json", record)
    pictures.sample_sheet(
        [(f"{name}: {prediction.classes[0]}", prediction.rgb, prediction.flow)],
        output / "frames.png",
    )
    pictures.annotate_video(
        output / "annotated.mp4",
        prediction.rgb,
        prediction.flow,
        prediction.classes,
        prediction.scores,
    )
    # Beside the result, so that JSON on stdout stays JSON.
    print(f"{output}: annotated video and pictures", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
