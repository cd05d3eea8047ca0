"""Classifies raw videos with an exported model.

    python -m experiments.predict --model models/demo --video clip.mp4 --output out
    python -m experiments.predict --model models/demo --video clips --format json
    python -m experiments.predict --model models/demo --video hour.mp4 --stride 64
    python -m experiments.predict --model models/demo --video 0

--video is a file, a folder of them or an address of object storage, repeatable, or the
number of a camera. A video's classes are printed with their probabilities as soon
as it is done: as a table, or as a line of JSON. One that cannot be read among several
is told on stderr, the others are classified, and the exit code is 1.

The middle frames are looked at, as many as in training (usually 64), or with --stride a
window of them every so many frames, the last one ending with the video, each printed
and then the mean of their probabilities; one window is held at a time. Of a camera the
last frames are looked at again and again, until Ctrl-C.

With --output it leaves prediction.json, a picture of frames and flow, one of the
classes' probabilities over time, and the video annotated with its flow, a map of what
speaks for the class, and the probabilities; of several videos in a folder for each,
named after the video. Of a model of RGB alone no flow is computed, and none is shown.
"""

import collections
import json
import os
import pathlib
import sys

from absl import flags

from experiments import command
from flow.tvl1 import ENGINES, TVL1
from flow.unexpected import doing

# TensorFlow imports Keras with itself, most of a second for what no prediction needs;
# told so, it looks for Keras 2 instead, and does without where there is none.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

_MODEL = flags.DEFINE_string("model", None, command.MODEL, required=True)
_VIDEO = flags.DEFINE_multi_string(
    "video", None, "File or folder, repeatable; or a camera's number.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for videos and pictures.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "Of what is printed.")
_TOP = flags.DEFINE_integer("top", 5, "Classes that are printed.", lower_bound=1)
_STRIDE = flags.DEFINE_integer(
    "stride", None, "Frames from a window to the next; default: the middle alone.", 1
)
_ENGINE = flags.DEFINE_enum("engine", TVL1.engine, ENGINES, "TV-L1 implementation.")

_SHEET_CLIPS = 3  # of a long video, whose picture would grow without end


def main():
    from flow import files
    from i3d_tf.prediction import Predictor

    cameras = [v for v in _VIDEO.value if v.isdecimal() and not files.exists(v)]
    if cameras:
        if len(_VIDEO.value) > 1 or _OUTPUT.value or _STRIDE.value:
            raise ValueError(
                f"camera {cameras[0]}: is looked at alone, without --output or --stride"
            )
        return _watch(Predictor(_MODEL.value, engine=_ENGINE.value), int(cameras[0]))
    videos = _videos()
    if _OUTPUT.value:
        files.make_folder(_OUTPUT.value)  # what is wrong with it shows at once
    predictor = Predictor(_MODEL.value, engine=_ENGINE.value)
    failed, output = 0, None
    for name, video in videos.items():
        if _OUTPUT.value:
            output = pathlib.Path(_OUTPUT.value)
            output = output / name if len(videos) > 1 else output
        try:
            with doing(f"classifying {video}"):
                _predict(predictor, video, output, several=len(videos) > 1)
        # Whatever it is, it is of one video, and the others are still to be done.
        except Exception as error:
            if len(videos) == 1:
                raise
            print(f"error: {command.line_of(error)}", file=sys.stderr)
            failed += 1
    if failed:
        raise ValueError(f"{failed} of {len(videos)} videos could not be classified")


def _videos():
    """{name: path} of all videos, names being relative to the folders given."""
    from flow import files
    from flow.video_files import find_videos

    found = {}
    for given in map(files.as_path, _VIDEO.value):
        videos = {given.name: given}
        is_folder = files.is_folder(given)
        if _OUTPUT.value:
            _refuse_inside(_OUTPUT.value, given, is_folder)
        if is_folder:
            videos = {str(path): given / path for path in find_videos(given)}
        for name, path in videos.items():
            # Results are named after them.
            name = name if _OUTPUT.value else str(path)
            if name in found:
                raise ValueError(f"{found[name]} and {path}: two videos named {name}")
            found[name] = path
    return found


def _refuse_inside(output, given, is_folder):
    """Raises ValueError if results would lie among the videos, or be taken for some."""
    from flow.files import is_inside

    if is_folder and is_inside(output, given):
        raise ValueError(f"output {output} lies inside the videos {given}")
    if not is_folder and is_inside(given, output) and is_inside(output, given.parent):
        raise ValueError(f"output {output} is the folder of the video {given}")


def _predict(predictor, video, output, several):
    """Prints what a video shows, and leaves it in `output` if that is not None."""
    from i3d_tf.summary import Summary, picture

    windows, samples = [], []

    def seen(predictions):
        """The predictions as they come; what is printed is kept of them."""
        for count, prediction in enumerate(predictions):
            if several and _FORMAT.value == "table" and not count:
                print(video)
            windows.append(_window(prediction))
            if _STRIDE.value and _FORMAT.value == "table":
                _print_window(windows[-1])
            if output and count < _SHEET_CLIPS:
                title = f"{video.name}, from {prediction.begin:.2f} s: "
                title += prediction.classes[0]
                samples.append((title, prediction.rgb, prediction.flow))
            yield prediction

    if _STRIDE.value:
        predictions = seen(predictor.windows(video, _STRIDE.value))
    else:
        predictions = seen([predictor(video)])
    if output:
        summary = picture(predictions, output)
    else:
        summary = Summary()
        collections.deque(summary.watch(predictions), maxlen=0)
    best = summary.best(_TOP.value)
    record = {
        "video": str(video),
        "begin": windows[0]["begin"],
        "end": windows[-1]["end"],
        "predictions": _as_json(best),
        "streams": {
            stream: _as_json(summary.best(_TOP.value, stream))
            for stream in predictor.made_for["streams"]
        },
    }
    if _STRIDE.value:
        record["windows"] = windows
    if _FORMAT.value == "json":
        print(json.dumps(record, ensure_ascii=False), flush=True)
    else:
        _print_table(best)
    if output:
        from flow.files import write_json
        from i3d_tf.pictures import sample_sheet

        sample_sheet(samples, output / "frames.png")
        write_json(output / "prediction.json", record)
        # Beside the result, so that JSON on stdout stays JSON.
        print(f"{output}: annotated video and pictures", file=sys.stderr)


def _watch(predictor, camera):
    """Prints what a camera shows, until it ends or Ctrl-C."""
    from i3d_tf.webcam import watch

    made_for = predictor.made_for
    for frames in watch(camera, made_for["num_frames"] + 1, made_for["fps"]):
        best = predictor.of_frames(frames).best(_TOP.value)
        if _FORMAT.value == "json":
            record = {"camera": camera, "predictions": _as_json(best)}
            print(json.dumps(record, ensure_ascii=False), flush=True)
        else:
            _print_table(best)
            print(flush=True)


def _window(prediction):
    return {
        "begin": round(prediction.begin, 3),
        "end": round(prediction.end, 3),
        "predictions": _as_json(prediction.best(_TOP.value)),
    }


def _as_json(best):
    return [{"class": name, "probability": round(score, 6)} for name, score in best]


def _print_window(window):
    label, score = window["predictions"][0].values()
    print(
        f"{window['begin']:9.2f} s to {window['end']:.2f} s {score:7.2%}  {label}",
        flush=True,
    )


def _print_table(best):
    for label, score in best:
        print(f"{score:7.2%}  {label}", flush=True)


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
