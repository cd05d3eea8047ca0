r"""Accuracy of trained streams and of their fusion.

    python -m experiments.evaluate --workdir runs/demo --data_dir data
    python -m experiments.evaluate --workdir runs/rgb --workdir runs/flow \
        --data_dir data --protocol full --output runs/both

Several workdirs are those of streams that were trained apart. The paper's protocol is
`--protocol full`. Leaves in --output: results.json and results.md (top-1, top-5, mean
class accuracy, calibration error, beside the paper's figures where there are some, and
how many of the listed videos they are of), scores.npz (labels and logits of every
video, for fuse_scores), per_class.csv, and pictures: confusion matrix and table of
classes for each stream, calibration.
"""

from absl import flags

from experiments import command, evaluation_flags
from flow.unexpected import doing

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of a run; repeatable.", required=True
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
    fusion = evaluation_flags.fusion()
    make_protocol = evaluation_flags.make_protocol()

    from flow.files import make_folder
    from i3d_tf.evaluation import report, runs

    if _OUTPUT.value:
        make_folder(_OUTPUT.value)  # what is wrong with it shows at once
    with doing(f"evaluating {' and '.join(_WORKDIR.value)}"):
        scores, class_names, about = runs.evaluate_runs(
            _WORKDIR.value,
            _DATA_DIR.value,
            make_protocol,
            split=_SPLIT.value,
            batch_size=flags.FLAGS.batch_size,
            dtype=flags.FLAGS.dtype,
            weights=fusion.weights,
        )
    output = _OUTPUT.value or f"{_WORKDIR.value[0]}/evaluation"
    results = report.write_report(output, scores, class_names, about, fusion)
    print("\n".join(report.lines_of(results)))
    print(f"{output}: results of {results['videos']} videos")


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
