r"""Measures the accuracy of streams and of their fusion on a data set.

    python -m experiments.evaluate --workdir runs/demo --data_dir data
    python -m experiments.evaluate --workdir runs/rgb --workdir runs/flow \
        --data_dir data --protocol full --output runs/both
    python -m experiments.evaluate --weights kinetics400 --protocol full \
        --dataset two_stream_kinetics/k400 --split val --data_dir data --output k400

Several workdirs are those of streams that were trained apart. Weights from elsewhere
are given as to `experiments.export`; the classes of the data set are matched with
theirs by name. The paper's protocol is `--protocol full`; of the whole validation split
of Kinetics-400 it publishes 68.4 % for kinetics400-rgb, 71.1 % for
kinetics400-rgb-imagenet and 74.2 % for kinetics400.

Leaves in --output: results.json and results.md (top-1, top-5, mean class accuracy,
calibration error, beside the paper's figures where there are some, and how many of the
listed videos they are of), scores.npz (labels and logits of every video, for
fuse_scores), per_class.csv, and pictures: confusion matrix and table of classes for
each stream, calibration.
"""

import sys

from absl import flags

from experiments import command, evaluation_flags
from flow.unexpected import doing

_WORKDIR = flags.DEFINE_multi_string("workdir", [], "Folder of a run; repeatable.")
_WEIGHTS = flags.DEFINE_multi_string(
    "weights",
    [],
    "In place of --workdir: a published network or two-stream model, or rgb=WEIGHTS "
    "or flow=WEIGHTS; repeatable.",
)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "For --weights: the data set in --data_dir, such as two_stream_kinetics/k400.",
)
_LABELS = flags.DEFINE_string(
    "labels", None, "For --weights: as of experiments.export."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_SPLIT = flags.DEFINE_string("split", None, "Default: the config's test_split.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder; default: evaluation/ in the first workdir."
)
evaluation_flags.define_protocol()
evaluation_flags.define_fusion()
flags.adopt_module_key_flags(evaluation_flags)


def main():
    make_protocol = evaluation_flags.make_protocol()
    _accept_old_spelling()
    fusion = evaluation_flags.fusion()
    _check_flags()

    from flow.files import make_folder
    from i3d_tf.evaluation import report, runs

    if _OUTPUT.value:
        make_folder(_OUTPUT.value)  # what is wrong with it shows at once
    options = {
        "split": _SPLIT.value,
        "batch_size": flags.FLAGS.batch_size,
        "dtype": flags.FLAGS.dtype,
        "weights": fusion.weights,
    }
    with doing(f"evaluating {' and '.join(_WORKDIR.value or _WEIGHTS.value)}"):
        if _WORKDIR.value:
            scores, class_names, about = runs.evaluate_runs(
                _WORKDIR.value, _DATA_DIR.value, make_protocol, **options
            )
        else:
            scores, class_names, about = runs.evaluate_weights(
                _WEIGHTS.value,
                _DATA_DIR.value,
                _DATASET.value,
                make_protocol,
                labels=_LABELS.value,
                **options,
            )
    output = _OUTPUT.value or f"{_WORKDIR.value[0]}/evaluation"
    results = report.write_report(output, scores, class_names, about, fusion)
    print("\n".join(report.lines_of(results)))
    print(f"{output}: results of {results['videos']} videos")


def _accept_old_spelling():
    """Takes --weights rgb=1,flow=1.5 as --fusion_weights, which it was called before.

    With a workdir `--weights` has no other meaning.
    """
    if _WORKDIR.value and _WEIGHTS.value:
        print("--weights is now --fusion_weights", file=sys.stderr)
        flags.FLAGS.fusion_weights = [
            part for text in _WEIGHTS.value for part in text.split(",")
        ]


def _check_flags():
    if not _WORKDIR.value and not _WEIGHTS.value:
        raise ValueError("pass either --workdir or --weights")
    if _WORKDIR.value and (_DATASET.value or _LABELS.value):
        raise ValueError("--dataset and --labels are for --weights; a run has its own")
    if not _WORKDIR.value and not (_DATASET.value and _OUTPUT.value):
        raise ValueError("--weights needs --dataset and --output")


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
