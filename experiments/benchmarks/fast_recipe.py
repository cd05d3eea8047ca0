r"""Measures the recipe own_videos_fast by leaving out groups of a data set in turn.

    python -m experiments.benchmarks.fast_recipe --data_dir data \
        --dataset two_stream_folder/fights --groups fights/groups.csv --folds 5 \
        --fold_seeds 0,1,2 --output experiments/benchmarks/results/fast_fights.json

--groups is a CSV file with the columns path and group; videos of one group are never in
both parts. Features are computed once for each seed of Views, with the recipe's weights
and with random ones, whose BatchNorms have the statistics of some of the clips; that a
video's features do not depend on the other videos makes this the same as a run of the
recipe for each fold. Leaves JSON, and prints a table of the videos that are right.
"""

import csv
import dataclasses

import numpy as np
from absl import flags

from experiments import command
from experiments.recipes import recipe_path

_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_DATASET = flags.DEFINE_string("dataset", None, "Below it.", required=True)
_GROUPS = flags.DEFINE_string("groups", None, "CSV: path,group.", required=True)
_FOLDS = flags.DEFINE_integer("folds", 5, "Parts that the groups fall into.", 2)
_FOLD_SEEDS = flags.DEFINE_list("fold_seeds", ["0"], "Seeds of the parts.")
_VIEW_SEEDS = flags.DEFINE_list("view_seeds", ["0"], "Seeds of the Views.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file.", required=True)

_CLIPS = 12  # from which random networks' BatchNorms take their statistics


def main():
    from flow.files import write_json
    from i3d_tf.config_file import load_config
    from i3d_tf.datasets import open_dataset
    from i3d_tf.training import make_strategy
    from i3d_tf.training.precision import settle_dtype

    with open(_GROUPS.value, encoding="utf-8", newline="") as file:
        groups = {row["path"]: row["group"] for row in csv.DictReader(file)}
    config = load_config(
        recipe_path("own_videos_fast"), [f"data.dataset={_DATASET.value}"]
    )
    config = settle_dtype(config, [], make_strategy("one"))
    builder = open_dataset(_DATA_DIR.value, config.data.dataset)
    rows = {}
    for seed in map(int, _VIEW_SEEDS.value):
        for beginning in ("Kinetics", "random"):
            streams = {
                stream.name: _features(config, stream, builder, beginning, seed)
                for stream in config.streams
            }
            for fold_seed in map(int, _FOLD_SEEDS.value):
                for name, right in _right(config, streams, groups, fold_seed).items():
                    rows.setdefault(f"{name}, {beginning}", []).append(right)
    videos = len(groups)
    record = {
        "dataset": _DATASET.value,
        "dtype": config.dtype,
        "folds": _FOLDS.value,
        "fold_seeds": _FOLD_SEEDS.value,
        "view_seeds": _VIEW_SEEDS.value,
        "videos": videos,
        "right": rows,
    }
    write_json(_OUTPUT.value, record)
    print(f"| of {videos} videos | right | mean |\n|---|---|---|")
    for name, right in rows.items():
        counts = ", ".join(map(str, right))
        print(f"| {name} | {counts} | {np.mean(right) / videos:.1%} |")


def _features(config, stream, builder, beginning, seed):
    """Returns the features of all videos of a data set."""
    from i3d_tf.training.linear import Features, view_features
    from i3d_tf.training.state import new_stream_state

    training = getattr(config, stream.name)
    if beginning == "random":
        training = dataclasses.replace(training, initial_weights=None)
    config = dataclasses.replace(config, seed=seed, **{stream.name: training})
    model = new_stream_state(stream, config, 2).model
    if beginning == "random":
        _take_statistics(config, model, stream, builder)
    parts = []
    for split in (config.data.train_split, config.data.test_split):
        data = dataclasses.replace(config.data, train_split=split)
        of_split = dataclasses.replace(config, data=data)
        parts.append(view_features(of_split, model, stream, builder))
    ids = parts[0].ids + parts[1].ids
    order = np.argsort(ids)
    values, labels = (
        np.concatenate(arrays) for arrays in list(zip(*parts, strict=True))[1:]
    )
    return Features([ids[k] for k in order], values[order], labels[order])


def _take_statistics(config, model, stream, builder):
    """Gives BatchNorms the mean statistics of some clips, without which they differ."""
    import keras
    import tensorflow as tf

    from i3d_tf import pipeline

    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        norm.momentum = 0.0
    forward = tf.function(lambda clips: model(clips, training=True))
    batches = pipeline.train_batches(
        builder, config.data, [stream], batch_size=3, seed=config.seed, epoch=10**6
    )
    found = []
    for inputs, _ in batches.take(_CLIPS // 3):
        forward(inputs[stream.name])
        found.append(
            [(norm.moving_mean.numpy(), norm.moving_variance.numpy()) for norm in norms]
        )
    for norm, values in zip(norms, zip(*found, strict=True), strict=True):
        means, variances = zip(*values, strict=True)
        norm.moving_mean.assign(np.mean(means, 0))
        norm.moving_variance.assign(np.mean(variances, 0))


def _right(config, streams, groups, seed):
    """Returns {stream or "both": videos that are right when they are left out}."""
    from i3d_tf.training.linear import fit_ridge

    first = next(iter(streams.values()))
    of_videos = np.array([groups[id_] for id_ in first.ids])
    names = np.random.default_rng(seed).permutation(np.unique(of_videos))
    classes = int(first.labels.max()) + 1
    logits = {name: np.zeros((len(first.ids), classes)) for name in streams}
    for left_out in np.array_split(names, _FOLDS.value):
        test = np.isin(of_videos, left_out)
        for name, (_, values, labels) in streams.items():
            penalty = config.linear.penalty
            fit = fit_ridge(values[~test], labels[~test], classes, penalty)
            logits[name][test] = values[test, -1] @ fit.kernel + fit.bias
    logits["both"] = sum(logits.values())
    return {
        name: int((values.argmax(1) == first.labels).sum())
        for name, values in logits.items()
    }


if __name__ == "__main__":
    command.run(main)
