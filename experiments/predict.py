"""Classifies raw videos with an exported model.

    python -m experiments.predict --model models/demo --video clip.mp4 --output out
    python -m experiments.predict --model models/demo --video clips --format json
    python -m experiments.predict --model models/demo --video hour.mp4 --stride 64
    python -m experiments.predict --model models/demo --video 0

--video is a file, a folder of them, an address of object storage, or the number of a
camera; it is repeatable. A video's classes are printed with their probabilities as soon
as it is done: as a table, or as a line of JSON. One that cannot be read among several
is told on stderr, the others are classified, and the exit code is 1.

The middle 64 frames (as many as in training) are looked at, or with --stride a window
of them every so many frames, each printed and then the mean of their probabilities;
memory does not grow with the video. Of a camera the last frames are looked at again and
again, until Ctrl-C.

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

# TensorFlow imports Keras with itself, most of a second for what no prediction needs;
# told so, it looks for Keras 2 instead, and does without where there is none.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

_MODEL = flags.DEFINE_string("model", None, "SavedModel of export.", required=True)
_VIDEO = flags.DEFINE_multi_string(
    "video", None, "File, folder or camera's number; repeatable.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for videos and pictures.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "Of what is printed.")
_TOP = flags.DEFINE_integer("top", 5, "Classes that are printed.", lower_bound=1)
_STRIDE = flags.DEFINE_integer(
    "stride", None, "Frames from a window to the next; default: the middle alone.", 1
)
_ENGINE = flags.DEFINE_enum("engine", TVL1.engine, ENGINES, "TV-L1 implementation.")

_SHEET_CLIPS = 8  # of a long video, whose picture would grow without end


def main():
    from i3d_tf.prediction import Predictor

    if len(_VIDEO.value) == 1 and _VIDEO.value[0].isdecimal():
        if _OUTPUT.value or _STRIDE.value:
            raise ValueError("--output and --stride are for files, not for a camera")
        return _watch(Predictor(_MODEL.value, engine=_ENGINE.value))
    videos = _videos()
    predictor = Predictor(_MODEL.value, engine=_ENGINE.value)
    failed = 0
    for name, video in videos.items():
        output = None
        if _OUTPUT.value:
            output = pathlib.Path(_OUTPUT.value)
            output = output / name if len(videos) > 1 else output
        try:
            if len(videos) > 1 and _FORMAT.value == "table":
                print(video)
            _predict(predictor, video, output)
        except (ValueError, OSError) as error:
            if len(videos) == 1:
                raise
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
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
        if files.is_folder(given):
            videos = {str(path): given / path for path in find_videos(given)}
        for name, path in videos.items():
            if name in found:
                raise ValueError(f"{found[name]} and {path}: two videos named {name}")
            found[name] = path
    return found


def _predict(predictor, video, output):
    """Prints what a video shows, and leaves it in `output` if that is not None."""
    from i3d_tf.prediction import Summary

    summary, windows, samples = Summary(), [], []

    def seen(predictions):
        """The predictions as they come; what is printed is kept of them."""
        for prediction in summary.watch(predictions):
            if _STRIDE.value:
                windows.append(_window(prediction))
                if _FORMAT.value == "table":
                    _print_window(windows[-1])
            if len(samples) < _SHEET_CLIPS:
                title = f"{video.name}: {prediction.classes[0]}"
                samples.append((title, prediction.rgb, prediction.flow))
            yield prediction

    if _STRIDE.value:
        predictions = seen(predictor.windows(video, _STRIDE.value))
    else:
        predictions = seen([predictor(video)])
    if output:
        # Here, as matplotlib takes a while that others need not wait.
        from i3d_tf.annotated_video import annotate_windows

        annotate_windows(output / "annotated.mp4", predictions)
    else:
        collections.deque(predictions, maxlen=0)
    best = summary.best(_TOP.value)
    record = {"video": str(video), "predictions": _as_json(best)}
    if windows:
        record["windows"] = windows
    if _FORMAT.value == "json":
        print(json.dumps(record, ensure_ascii=False), flush=True)
    else:
        _print_table(best)
    if output:
        _write(output, record, samples, summary)


def _write(output, record, samples, summary):
    """What is left of a video beside its annotated one."""
    from flow.files import write_json
    from i3d_tf import pictures

    write_json(output / "prediction.json", record)
    pictures.sample_sheet(samples, output / "frames.png")
    classes = [label for label, _ in summary.best(5)]
    curves = summary.over_time(classes)
    pictures.class_curves(*curves, classes, output / "over_time.png")
    # Beside the result, so that JSON on stdout stays JSON.
    print(f"{output}: annotated video and pictures", file=sys.stderr)


def _watch(predictor):
    """Prints what a camera shows, until it ends or Ctrl-C."""
    from i3d_tf.webcam import watch

    (camera,) = map(int, _VIDEO.value)
    for frames in watch(camera, predictor.made_for["num_frames"] + 1):
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


if __name__ == "__main__":
    command.run(main)
