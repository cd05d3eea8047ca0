"""Accuracy of trained streams and of their 1:1 fusion.

    python -m experiments.evaluate --workdir runs/demo --data_dir data

Streams that were trained apart are fused from several workdirs:
`--workdir runs/rgb --workdir runs/flow`. Leaves results.json (with how many of the
listed videos the accuracy is of), scores.npz (labels and logits of every video) and a
confusion matrix for each stream in --output.
"""

import dataclasses
import pathlib

from absl import flags

from experiments import command

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of a run; repeatable.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_SPLIT = flags.DEFINE_string("split", None, "Default: the config's test_split.")
_PROTOCOL = flags.DEFINE_enum(
    "protocol", "center", ["center"], "center: the middle frames, centre crop."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Videos at a time.", lower_bound=1)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder; default: evaluation/ in the first workdir."
)


def main():
    import numpy as np

    from flow.files import write_json, written_aside
    from i3d_tf import evaluation, pictures, pipeline
    from i3d_tf.checkpoints import load_workdirs
    from i3d_tf.datasets import open_dataset
    from i3d_tf.datasets.coverage import describe, read_coverage, total
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
    scores = evaluation.score(
        {name: for_inference(model) for name, model in models.items()},
        pipeline.eval_batches(
            builder,
            config.data,
            [stream for stream in STREAMS if stream.name in models],
            split=split,
            batch_size=_BATCH_SIZE.value,
        ),
    )
    accuracies = evaluation.accuracies(scores)
    output = pathlib.Path(_OUTPUT.value or f"{_WORKDIR.value[0]}/evaluation")
    coverage = read_coverage(builder.data_dir)
    # Data sets before 1.1.0 did not count which listed files are present.
    counted = coverage is not None and builder.version >= "1.1.0"
    totals = total(coverage[split]) if counted else None
    results = {
        "dataset": config.data.dataset,
        "split": split,
        "protocol": _PROTOCOL.value,
        "videos": len(scores.ids),
        "coverage": totals,
        **accuracies,
    }
    write_json(output / "results.json", results)
    with written_aside(output / "scores.npz") as aside:
        np.savez(
            aside,
            ids=scores.ids,
            labels=scores.labels,
            **{f"{name}_logits": value for name, value in scores.logits.items()},
        )
    for name, logits in evaluation.with_fused(scores.logits).items():
        pictures.confusion_matrix(
            scores.labels,
            np.argmax(logits, -1),
            labels,
            output / f"confusion_{name}.png",
            f"{name}: top-1 {accuracies[name]['top1']:.1%} of {len(scores.ids)} videos",
        )
    for name, values in accuracies.items():
        print(f"{name:6} top-1 {values['top1']:6.1%}  top-5 {values['top5']:6.1%}")
    print(f"of {split}: {describe(totals) if totals else 'coverage not recorded'}")
    print(f"{output}: results of {len(scores.ids)} videos")


if __name__ == "__main__":
    command.run(main)
