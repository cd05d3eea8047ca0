"""Evaluation of trained runs, from their workdirs to Scores."""

import dataclasses

from i3d_tf import pipeline, protocols
from i3d_tf.checkpoints import evaluation_dtype, load_workdirs
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.coverage import read_coverage, total
from i3d_tf.evaluation.scores import check_weights, score
from i3d_tf.fast import for_inference
from i3d_tf.long_videos import CHUNK, for_long_clips
from i3d_tf.reading import damage_named
from i3d_tf.streams import STREAMS


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
    check_weights(weights, models)
    builder = open_dataset(data_dir, config.data.dataset)
    names = builder.info.features["label"].names
    if names != class_names:
        raise ValueError(
            f"{workdirs[0]}: was trained on {len(class_names)} classes, "
            f"{builder.info.full_name} has {len(names)}, or other names"
        )
    split = split or config.data.test_split
    pipeline.check_fits(builder, dataclasses.replace(config.data, test_split=split))
    protocol = make_protocol(config.data.num_frames)
    streams = [stream for stream in STREAMS if stream.name in models]
    batches = pipeline.eval_batches(
        builder,
        config.data,
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
        "dataset": config.data.dataset,
        "split": split,
        "protocol": dataclasses.asdict(protocol),
        "protocol_text": protocols.describe(protocol),
        "dtype": dtype,
        "coverage": _coverage(builder, split),
    }
    return scores, class_names, about


def _coverage(builder, split):
    coverage = read_coverage(builder.data_dir)
    # Data sets before 1.1.0 did not count which listed files are present.
    counted = coverage is not None and builder.version >= "1.1.0"
    return total(coverage[split]) if counted else None
