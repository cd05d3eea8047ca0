"""The training loop: one for all streams, all strategies and all recipes.

`train` builds the state of each stream, goes through the epochs and writes history
and checkpoint after each.
"""

import math
import time

import numpy as np

from flow import files
from i3d_tf import pipeline
from i3d_tf.curves import training_curves
from i3d_tf.datasets import open_dataset
from i3d_tf.training.evaluating import is_evaluated, make_evaluation
from i3d_tf.training.events import Events
from i3d_tf.training.preemption import Preempted, sigterm_noticed
from i3d_tf.training.progress import Progress, history_until, keep_config
from i3d_tf.training.results import NOT_FINITE
from i3d_tf.training.sample_clips import film_of_epoch, is_filmed
from i3d_tf.training.schedules import learning_rate
from i3d_tf.training.state import new_stream_state
from i3d_tf.training.strategies import Replicas, distribute, make_strategy
from i3d_tf.training.terminal import Terminal
from i3d_tf.training.updates import make_updates, passes_of

# How many examples a message names.
_NAMED = 8


def train(config, workdir, data_dir, strategy=None):
    """Trains the config's streams side by side, from the last checkpoint on.

    Leaves in `workdir`: `config.json`, `checkpoints/`, `history.json` (a dict for
    each epoch), `history.png` and TensorBoard's `events/`.

    Args:
      config: `config.Config`.
      workdir: folder of the run, here or in object storage; one that was begun is
        continued. Several hosts share it, and the first one writes.
      data_dir: TFDS folder that holds `config.data.dataset`.
      strategy: a `tf.distribute` strategy; None is one device.

    Returns the history.

    Raises:
      ValueError: the data set is missing or does not fit, the workdir was begun with
        another config, or the loss is no longer finite.
      Preempted: SIGTERM came, and the run is saved.
    """
    strategy = strategy or make_strategy("one")
    replicas = Replicas.of(strategy)
    workdir = files.as_path(workdir)
    builder = open_dataset(data_dir, config.data.dataset)
    pipeline.check_fits(builder, config.data)
    steps_per_epoch = _steps_per_epoch(builder, config, replicas)
    labels = builder.info.features["label"].names

    with strategy.scope():
        states = {
            stream.name: new_stream_state(stream, config, len(labels))
            for stream in config.streams
        }
    if replicas.is_chief:
        keep_config(config, workdir, labels)
    progress = Progress(config.streams, workdir / "checkpoints", states)
    if progress.restore() and replicas.is_chief:
        print(f"{workdir}: continues after step {progress.step}", flush=True)
    history = history_until(workdir, progress.epoch)
    updates = make_updates(strategy, config, states)
    evaluate = make_evaluation(strategy, config, states)
    epochs = math.ceil(config.steps / steps_per_epoch)
    test_videos = builder.info.splits[config.data.test_split].num_examples

    def save():
        if replicas.is_chief:
            progress.save()

    def end_if_stopped(stopped):
        if stopped:
            save()
            raise Preempted(
                f"{workdir}: stopped by SIGTERM, saved at step {progress.step}"
            )

    with (
        sigterm_noticed() as notice,
        Events(workdir / "events" if replicas.is_chief else None) as events,
        Terminal(
            config, epochs, test_videos, progress.step, shown=replicas.is_chief
        ) as terminal,
    ):
        for epoch in range(progress.epoch, epochs):
            terminal.begin_epoch(epoch)
            begin = epoch * steps_per_epoch
            end = min(begin + steps_per_epoch, config.steps)
            if replicas.is_chief and progress.step == begin and is_filmed(epoch):
                worker = replicas.host if config.own_files else (0, 1)
                events.film(begin, film_of_epoch(builder, config, epoch, worker=worker))
            if progress.step < end:
                batches = _batches(
                    builder, config, replicas, epoch, progress.step - begin
                )
                iterator = distribute(strategy, batches)
            while progress.step < end:
                active = _active(config, progress.step)
                count = _next_look(config, progress.step, end) - progress.step
                figures = updates(iterator, progress.step, count, active, notice.given)
                if config.not_finite == "stop":
                    _refuse_not_finite(
                        figures, builder, config, replicas, epoch, progress.step, begin
                    )
                progress.add(figures)
                rates = _rates(config, states, progress.step)
                events.updates(progress.step, figures, rates)
                terminal.updates(epoch, progress.step, progress.means(), figures)
                end_if_stopped(figures.stop)
                if progress.step % config.checkpoint_steps == 0 and progress.step < end:
                    save()
            entry = {
                "epoch": epoch + 1,
                "step": progress.step,
                "learning_rate": _rates(config, states, progress.step),
                "train": progress.means(),
                "skipped": progress.skipped(),
                "test": None,
            }
            if is_evaluated(config, epoch, epochs):
                began = time.monotonic()
                entry["test"], stopped = evaluate(builder, notice)
                end_if_stopped(stopped)
                terminal.evaluated(epoch, entry["test"], time.monotonic() - began)
                for name, state in states.items():
                    state.plateau.evaluated(entry["test"][f"{name}_loss"])
            history.append(entry)
            events.epoch(entry)
            if replicas.is_chief:
                # First the history, then the checkpoint: a run that ends in between
                # evaluates again, and history_until drops this entry.
                files.write_json(workdir / "history.json", history)
                if entry["test"]:
                    training_curves(history, workdir / "history.png")
            progress.end_epoch()
            save()
    return history


def _steps_per_epoch(builder, config, replicas):
    passes, clips = passes_of(config, replicas.total)
    videos = builder.info.splits[config.data.train_split].num_examples
    hosts = replicas.host[1] if config.own_files else 1
    steps = videos // hosts // (passes * clips * replicas.total // hosts)
    if not steps:
        raise ValueError(
            f"{builder.info.full_name}: {videos} training videos do not fill a batch "
            f"of {config.batch_size}"
        )
    return steps


def _batches(builder, config, replicas, epoch, done):
    """A function that makes this host's batches after `done` updates of an epoch."""
    passes, clips = passes_of(config, replicas.total)
    own_files = config.own_files
    places = (0, replicas.count, replicas.count) if own_files else replicas
    return lambda: pipeline.train_batches(
        builder,
        config.data,
        config.streams,
        batch_size=clips,
        seed=config.seed,
        epoch=epoch,
        skip=done * passes,
        replicas=tuple(places),
        worker=replicas.host if own_files else (0, 1),
        as_codes=True,
    )


def _next_look(config, step, end):
    """The step at which the results of the updates from `step` on are looked at."""
    checkpoint = (step // config.checkpoint_steps + 1) * config.checkpoint_steps
    ends = [getattr(config, stream.name).steps for stream in config.streams]
    later = [stop for stop in ends if stop > step]
    return min(step + config.steps_at_once, checkpoint, end, *later)


def _active(config, step):
    """Names of the streams that are still trained after `step` updates."""
    return tuple(s.name for s in config.streams if step < getattr(config, s.name).steps)


def _rates(config, states, step):
    """{stream name: rate of its last update}, when `step` are done."""
    rates = {}
    for stream in config.streams:
        training = getattr(config, stream.name)
        rate = learning_rate(training, min(step, training.steps) - 1)
        rate *= states[stream.name].plateau.factor
        rates[stream.name] = float(f"{float(rate):.7g}")  # no more than float32 has
    return rates


def _refuse_not_finite(figures, builder, config, replicas, epoch, step, begin):
    """Raises ValueError, with step and examples, if an update was not finite."""
    for name, outcomes in figures.outcomes.items():
        if NOT_FINITE not in outcomes:
            continue
        update = int(np.argmax(outcomes == NOT_FINITE))
        places = np.flatnonzero(~np.isfinite(figures.values[f"{name}_loss"][update]))
        what = "loss" if len(places) else "gradient"
        if not len(places):
            places = np.arange(config.batch_size)
        ids = _ids(builder, config, replicas, epoch, step + update - begin, places)
        more = f" and {len(places) - len(ids)} more" if len(places) > len(ids) else ""
        raise ValueError(
            f"{name}: the {what} is not finite at step {step + update + 1}, of "
            f"{', '.join(ids)}{more}; the last checkpoint is kept; a lower learning "
            "rate or clip_norm may help, and not_finite=skip leaves such updates out"
        )


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
                builder, config.data, config.seed, epoch, number, worker=worker
            )
        )
    return ids
