"""Which updates an epoch has, and which examples these."""

import numpy as np

from i3d_tf import pipeline
from i3d_tf.reading import count_examples
from i3d_tf.training.results import NOT_FINITE
from i3d_tf.training.updates import passes_of

# How many examples a message names.
_NAMED = 8


def worker_of(config, replicas):
    """(index, count) of this host among those that read files of their own."""
    return replicas.host if config.own_files else (0, 1)


def steps_per_epoch(builder, config, replicas):
    passes, clips = passes_of(config, replicas.total)
    videos = sum(count_examples(builder, split) for split in config.train_splits)
    _, hosts = worker_of(config, replicas)
    steps = videos // hosts // (passes * clips * replicas.total // hosts)
    if not steps:
        raise ValueError(
            f"{builder.info.full_name}: {videos} training videos do not fill a batch "
            f"of {config.batch_size}"
        )
    return steps


def make_batches(builder, config, replicas, epoch, done):
    """A function that makes this host's batches after `done` updates of an epoch."""
    passes, clips = passes_of(config, replicas.total)
    places = replicas
    if config.own_files:
        places = (0, replicas.count, replicas.count)
    return lambda: pipeline.train_batches(
        builder,
        config.data,
        config.inputs,
        batch_size=clips,
        seed=config.seed,
        epoch=epoch,
        skip=done * passes,
        replicas=tuple(places),
        worker=worker_of(config, replicas),
        as_codes=True,
        update=update_of(config),
    )


def update_of(config):
    """As of `pipeline.train_batches`."""
    return config.batch_size if len(config.train_splits) > 1 else None


def next_look(config, step, end):
    """The step at which the results of the updates from `step` on are looked at."""
    checkpoint = (step // config.checkpoint_steps + 1) * config.checkpoint_steps
    ends = [getattr(config, stream.name).steps for stream in config.streams]
    later = [stop for stop in ends if stop > step]
    return min(step + config.steps_at_once, checkpoint, end, *later)


def active_streams(config, step):
    """Names of the streams that are still trained after `step` updates."""
    return tuple(s.name for s in config.streams if step < getattr(config, s.name).steps)


def refuse_not_finite(figures, builder, config, replicas, epoch, step, begin):
    """Raises ValueError, with step and examples, if an update was not finite."""
    for name, outcomes in figures.outcomes.items():
        if NOT_FINITE not in outcomes:
            continue
        update = int(np.argmax(outcomes == NOT_FINITE))
        what, places = not_finite(figures, name, update)
        ids = _ids(builder, config, replicas, epoch, step + update - begin, places)
        more = f" and {len(places) - len(ids)} more" if len(places) > len(ids) else ""
        raise ValueError(
            f"{name}: the {what} is not finite at step {step + update + 1}, of "
            f"{', '.join(ids)}{more}; the last checkpoint is kept; a lower learning "
            "rate or clip_norm may help, and not_finite=skip leaves such updates out"
        )


def not_finite(figures, name, update):
    """(what of a stream's update is not finite, of which clips)."""
    for figure, what in (("loss", "loss"), ("distillation", "distillation's loss")):
        values = figures.values.get(f"{name}_{figure}")
        if values is not None and not np.isfinite(values[update]).all():
            return what, np.flatnonzero(~np.isfinite(values[update]))
    return "gradient", np.arange(figures.values[f"{name}_loss"].shape[1])


def _ids(builder, config, replicas, epoch, update, places):
    """Ids of the first few of the examples at some places of an epoch's update."""
    passes, clips = passes_of(config, replicas.total)
    ids = []
    for place in places[:_NAMED].tolist():
        number, worker = update * config.batch_size + place, (0, 1)
        if config.own_files:
            # Each host has an order of its own.
            pass_, rest = divmod(place, clips * replicas.total)
            host, rest = divmod(rest, clips * replicas.count)
            number = (update * passes + pass_) * clips * replicas.count + rest
            worker = (host, replicas.host[1])
        ids.append(
            pipeline.train_id(
                builder,
                config.data,
                config.seed,
                epoch,
                number,
                worker=worker,
                update=update_of(config),
            )
        )
    return ids
