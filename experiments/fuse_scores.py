r"""Accuracy of streams whose scores are saved, and of their fusion.

    python -m experiments.fuse_scores --scores runs/rgb/evaluation/scores.npz \
        --scores runs/flow/evaluation/scores.npz --output runs/both

The files are those of evaluate; videos are matched by id. Another fusion needs no
network: --fusion probabilities, --fusion_weights rgb=1,flow=1.5. The command leaves the
same files as evaluate.
"""

from absl import flags

from experiments import command, evaluation_flags
from flow.unexpected import doing

_SCORES = flags.DEFINE_multi_string(
    "scores", None, "A scores.npz of evaluate; repeatable.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder.", required=True)
evaluation_flags.define_fusion()
# What it was called before.
flags.DEFINE_alias("weights", "fusion_weights")
flags.adopt_module_key_flags(evaluation_flags)


def main():
    fusion = evaluation_flags.fusion()

    from i3d_tf.evaluation import report, score_files

    with doing(f"fusing {' and '.join(_SCORES.value)}"):
        scores, class_names, about = score_files.join_scores(_SCORES.value)
        results = report.write_report(_OUTPUT.value, scores, class_names, about, fusion)
    print("\n".join(report.lines_of(results)))
    print(f"{_OUTPUT.value}: results of {results['videos']} videos")


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
