r"""Writes features of videos, one file for each, beside a report.

    python -m experiments.extract_features --model models/ucf101 --videos videos \
        --output features
    python -m experiments.extract_features --model models/ucf101 --videos videos \
        --output features --endpoint Mixed_5c --window 0 --crops 10 --format tfrecord

Each window of --window frames at 25 fps gives a feature: the mean over time and space
of the layer --endpoint. `--window 0` runs each video as one clip instead,
convolutionally, and gives the mean over space of each of the layer's time steps, 25 / 8
a second for Mixed_5c; they are those of the network on the whole, computed in parts,
so that a long video takes no more memory but for its features. A video's file has

    rgb, flow   [N, C] float32; [N, crops, C] of several crops
    times       [N, 2], begin and end in seconds
    description how it was made, JSON

as an .npz, or as a .tfrecord that `i3d_tf.feature_files.parse` reads in tf.data. A
video that cannot be read is in report.json and the exit code is 1; the others are done.
Run again it goes on where it was stopped.
"""

from absl import flags

from experiments import command
from flow.tvl1 import ENGINES, TVL1
from i3d_tf.raw_videos import TAILS

_MODEL = flags.DEFINE_string("model", None, command.MODEL, required=True)
_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of features.", required=True)
_ENDPOINT = flags.DEFINE_string(
    "endpoint",
    "AvgPool3d_6a_7x7",
    "Layer, of those of `export --endpoints`; AvgPool3d_6a_7x7 is what the classifier "
    "gets, Logits-Conv3d_0c_1x1 what it answers.",
)
_WINDOW = flags.DEFINE_integer(
    "window", 64, "Frames of a window, at least 9; 0: the whole video.", lower_bound=0
)
_STRIDE = flags.DEFINE_integer(
    "stride", None, "Frames from a window to the next; default: --window.", 1
)
_STREAMS = flags.DEFINE_list("streams", [], "rgb, flow; default: all of the model.")
_CROPS = flags.DEFINE_integer(
    "crops", 1, "1: the centre; 3 along the longer side; 5, 10: corners, mirrored."
)
_TAIL = flags.DEFINE_enum(
    "tail",
    "drop",
    TAILS,
    "Frames behind the last whole window: none, a window that ends with the video, or "
    "one that loops what it has.",
)
_SHORT = flags.DEFINE_enum(
    "short", "loop", ["loop", "refuse"], "What becomes of videos below a window."
)
_GRID = flags.DEFINE_bool("grid", False, "Keep time and space, and take no mean.")
_FORMAT = flags.DEFINE_enum("format", "npz", ["npz", "tfrecord"], "Of the files.")
_ENGINE = flags.DEFINE_enum("engine", TVL1.engine, ENGINES, "TV-L1 implementation.")
_RESUME = flags.DEFINE_bool("resume", True, "Keep files that are there.")


def main():
    from i3d_tf.exported import ExportedModel
    from i3d_tf.feature_folder import extract_folder
    from i3d_tf.features import FeatureExtractor, FeatureSettings

    settings = FeatureSettings(
        endpoint=_ENDPOINT.value,
        window=_WINDOW.value or None,
        stride=_STRIDE.value,
        streams=tuple(_STREAMS.value),
        crops=_CROPS.value,
        tail=_TAIL.value,
        loop_short=_SHORT.value == "loop",
        keep_grid=_GRID.value,
    )
    model = ExportedModel(_MODEL.value)
    extractor = FeatureExtractor(model, settings, engine=_ENGINE.value)
    report = extract_folder(
        _VIDEOS.value,
        _OUTPUT.value,
        extractor,
        format=_FORMAT.value,
        resume=_RESUME.value,
    )
    states = [entry["state"] for entry in report]
    line = (
        f"{_OUTPUT.value}: {states.count('done')} files of features written, "
        f"{states.count('skipped')} were there, {states.count('failed')} failed"
    )
    if "failed" in states:
        command.fail(f"{line}; reasons in {_OUTPUT.value}/report.json")
    print(line)


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
