"""Accuracy where nothing moves: every clip is its middle frame, repeated.

    python -m experiments.single_frame --workdir runs/shapes --data_dir data

Flow is zero then. Where only the motion tells the class, this must be chance; what is
above it was learnt from objects, places or light. Streams that were trained apart are
fused from several workdirs, as in evaluate. Nothing is written.
"""

from absl import flags

from experiments import command
from flow.unexpected import doing

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of a run; repeatable.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_SPLIT = flags.DEFINE_string("split", None, "Default: the config's test_split.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Videos at a time.", lower_bound=1)


def main():
    from i3d_tf import evaluation, pipeline, protocols
    from i3d_tf.evaluation import runs

    with doing(f"evaluating {' and '.join(_WORKDIR.value)}"):
        scores, class_names, about = runs.evaluate_runs(
            _WORKDIR.value,
            _DATA_DIR.value,
            protocols.center,
            split=_SPLIT.value,
            batch_size=_BATCH_SIZE.value,
            shown=pipeline.standing_still,
        )
    for name, values in evaluation.accuracies(scores).items():
        print(f"{name:6} top-1 {values['top1']:6.1%}")
    print(
        f"of {about['split']}: {len(scores.ids)} videos, each its middle frame "
        f"repeated; chance is {1 / len(class_names):.1%}"
    )


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
