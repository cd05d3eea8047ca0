"""Evaluates trained runs and published weights on a data set."""

import dataclasses
import difflib

import numpy as np

from i3d_tf import dtypes, pipeline, protocols
from i3d_tf.checkpoints import evaluation_dtype, load_workdirs
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.coverage import read_coverage, total
from i3d_tf.evaluation.scores import check_weights, score
from i3d_tf.fast import for_inference
from i3d_tf.long_videos import CHUNK, for_long_clips
from i3d_tf.reading import damage_named
from i3d_tf.streams import STREAMS
from i3d_tf.weights.networks import Networks, load_networks


def evaluate_runs(
    workdirs,
    data_dir,
    make_protocol,
    *,
    split=None,
    batch_size=4,
    dtype="float32",
    weights=None,
    shown=lambda batches, streams: batches,
):
    """Shows the videos of a split to the networks of one or several workdirs.

    Args:
      workdirs: folders of runs, of different streams.
      data_dir: TFDS folder.
      make_protocol: a function num_frames -> `protocols.Protocol`, called with the
        `data.num_frames` of the config.
      split: None for the config's test_split.
      batch_size: Views at a time; whole videos go one at a time.
      dtype: "float32", "mixed_bfloat16", or "auto", see `evaluation_dtype`.
      weights: those of a later fusion, to be refused before the networks run.
      shown: a function of `pipeline.eval_batches` and the `Stream`s: what the networks
        get to see of them, as `pipeline.standing_still`.

    Returns:
      (Scores, class names, about): about is a dict that JSON can hold, of "dataset",
      "split", "protocol", "protocol_text", "dtype" and "coverage" (of
      `coverage.total`; None for data sets that did not record it).

    Raises:
      ValueError: the runs, the data set or its videos do not fit together.
    """
    dtype = evaluation_dtype(workdirs, dtype)
    config, class_names, models = load_workdirs(workdirs, dtype)
    if config.pose:
        raise ValueError(
            f"{workdirs[0]}: its networks tell where joints are and not which class a "
            "clip is of; experiments.distill --stages evaluate measures their error"
        )
    builder = open_dataset(data_dir, config.data.dataset)
    names = builder.info.features["label"].names
    if names != class_names:
        raise ValueError(
            f"{workdirs[0]}: was trained on {len(class_names)} classes, "
            f"{builder.info.full_name} has {len(names)}, or other names"
        )
    networks = Networks(models, class_names, config.data)
    scores, about = _evaluate(
        networks, builder, make_protocol, split, batch_size, weights, shown
    )
    return scores, class_names, {**about, "dtype": dtype}


def evaluate_weights(
    sources,
    data_dir,
    dataset,
    make_protocol,
    *,
    labels=None,
    split=None,
    batch_size=4,
    dtype="float32",
    weights=None,
):
    """Shows the videos of a split to networks with weights from elsewhere.

    Classes are matched by name; the data set may have some of them alone, and the
    networks still choose among all of theirs.

    Args:
      sources, labels: as of `weights.networks.load_networks`.
      data_dir: TFDS folder.
      dataset: builder and config below it, such as "two_stream_kinetics/k400".
      make_protocol, split, batch_size, dtype, weights: as of `evaluate_runs`; `split`
        is by default "test".

    Returns:
      As `evaluate_runs`; the class names are those of the networks.

    Raises:
      ValueError: the weights, the data set or its videos do not fit together.
      OSError: weights cannot be downloaded.
    """
    dtype = dtypes.choose(dtype)
    builder = open_dataset(data_dir, dataset)
    networks = load_networks(sources, labels=labels, dtype=dtype)
    data = dataclasses.replace(networks.data, dataset=dataset)
    networks = networks._replace(data=data)
    order = _matched(builder, networks.class_names)
    scores, about = _evaluate(
        networks, builder, make_protocol, split, batch_size, weights
    )
    scores = scores._replace(labels=order[scores.labels])
    return scores, networks.class_names, {**about, "dtype": dtype}


def _matched(builder, class_names):
    """Returns the networks' number of each class of a data set, `[classes]` int."""

    def plain(name):
        return " ".join(name.replace("_", " ").casefold().split())

    numbers = {plain(name): number for number, name in enumerate(class_names)}
    names = builder.info.features["label"].names
    unknown = [name for name in names if plain(name) not in numbers]
    if unknown:
        close = difflib.get_close_matches(plain(unknown[0]), numbers, 1, cutoff=0)[0]
        raise ValueError(
            f"{builder.info.full_name}: {len(unknown)} of its {len(names)} classes are "
            f"unknown to the networks, such as {unknown[0]!r}; the closest of their "
            f"{len(class_names)} classes is {class_names[numbers[close]]!r}"
        )
    return np.array([numbers[plain(name)] for name in names])


def _evaluate(
    networks,
    builder,
    make_protocol,
    split,
    batch_size,
    weights,
    shown=lambda batches, streams: batches,
):
    """Returns (Scores, what they are of) of networks on a split of a data set."""
    models, _, data = networks
    check_weights(weights, models)
    split = split or data.test_split
    pipeline.check_fits(builder, dataclasses.replace(data, test_split=split))
    protocol = make_protocol(data.num_frames)
    streams = [stream for stream in STREAMS if stream.name in models]
    batches = pipeline.eval_batches(
        builder,
        data,
        streams,
        split=split,
        batch_size=1 if protocol.num_frames is None else batch_size,
        protocol=protocol,
    )
    frames = protocol.num_frames
    ready = for_long_clips if frames is None or frames > CHUNK else for_inference
    with damage_named(builder):
        scores = score(
            {stream.name: ready(models[stream.name]) for stream in streams},
            shown(batches, streams),
            protocol.num_views,
        )
    about = {
        "dataset": data.dataset,
        "split": split,
        "protocol": dataclasses.asdict(protocol),
        "protocol_text": protocols.describe(protocol),
        "coverage": _coverage(builder, split),
    }
    return scores, about


def _coverage(builder, split):
    coverage = read_coverage(builder.data_dir)
    # Data sets before 1.1.0 did not count which listed files are present.
    counted = coverage is not None and builder.version >= "1.1.0"
    return total(coverage[split]) if counted else None
