"""Classifies a raw video file with an exported model.

    python -m experiments.predict --model models/demo --video clip.mp4 --output out

Prints the classes with their probabilities. With --output it leaves prediction.json,
the video annotated with flow and probabilities, and a picture of frames and flow; of a
model of RGB alone no flow is computed, and none is shown.
"""

import json
import pathlib
import sys

from absl import flags

from experiments import command
from flow.tvl1 import ENGINES, TVL1

_MODEL = flags.DEFINE_string("model", None, "SavedModel of export.", required=True)
_VIDEO = flags.DEFINE_string("video", None, "Video file.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for video and pictures.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "Of what is printed.")
_TOP = flags.DEFINE_integer("top", 5, "Classes that are printed.", lower_bound=1)
_ENGINE = flags.DEFINE_enum("engine", TVL1.engine, ENGINES, "TV-L1 implementation.")


def main():
    from flow.files import write_json
    from i3d_tf import pictures
    from i3d_tf.prediction import Predictor

    video = pathlib.Path(_VIDEO.value)
    prediction = Predictor(_MODEL.value, engine=_ENGINE.value)(video)
    best = list(zip(prediction.classes, prediction.scores, strict=True))[: _TOP.value]
    record = {
        "video": str(video),
        "predictions": [
            {"class": name, "probability": round(score, 6)} for name, score in best
        ],
    }
    if _FORMAT.value == "json":
        print(json.dumps(record, ensure_ascii=False))
    else:
        for name, score in best:
            print(f"{score:7.2%}  {name}")
    if _OUTPUT.value:
        output = pathlib.Path(_OUTPUT.value)
        write_json(output / "prediction.json", record)
        pictures.sample_sheet(
            [(f"{video.name}: {best[0][0]}", prediction.rgb, prediction.flow)],
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
