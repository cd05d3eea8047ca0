"""Accuracy where nothing moves: every clip is its middle frame, repeated.

    python -m experiments.single_frame --workdir runs/shapes --data_dir data

Flow is zero then. Where only the motion tells the class, this must be chance; what is
above it was learnt from objects, places or light. Streams that were trained apart are
fused from several workdirs, as in evaluate. Nothing is written.
"""

import dataclasses

from absl import flags

from experiments import command

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of a run; repeatable.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_SPLIT = flags.DEFINE_string("split", None, "Default: the config's test_split.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Videos at a time.", lower_bound=1)


def main():
    from i3d_tf import evaluation, pipeline
    from i3d_tf.checkpoints import load_workdirs
    from i3d_tf.datasets import open_dataset
    from i3d_tf.fast import for_inference
    from i3d_tf.streams import STREAMS

    config, labels, models = load_workdirs(_WORKDIR.value)
    builder = open_dataset(_DATA_DIR.value, config.data.dataset)
    names = builder.info.features["label"].names
    if names != labels:
        raise ValueError(
            f"{_WORKDIR.value[0]}: was trained on {len(labels)} classes, "
            f"{builder.info.full_name} has {len(names)}, or other names"
        )
    split = _SPLIT.value or config.data.test_split
    pipeline.check_fits(builder, dataclasses.replace(config.data, test_split=split))
    streams = [stream for stream in STREAMS if stream.name in models]
    moving = pipeline.eval_batches(
        builder, config.data, streams, split=split, batch_size=_BATCH_SIZE.value
    )
    networks = {name: for_inference(model) for name, model in models.items()}
    scores = evaluation.score(networks, pipeline.standing_still(moving, streams))
    for name, values in evaluation.accuracies(scores).items():
        print(f"{name:6} top-1 {values['top1']:6.1%}")
    print(
        f"of {split}: {len(scores.ids)} videos, each its middle frame repeated; "
        f"chance is {1 / len(labels):.1%}"
    )


if __name__ == "__main__":
    command.run(main)
