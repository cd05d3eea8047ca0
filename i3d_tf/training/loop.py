"""The training loop: one for all streams, all strategies and all recipes.

`train` builds the state of each stream, goes through the epochs and writes history
and checkpoint after each.
"""

import math
import time

from flow import files
from i3d_tf import pipeline
from i3d_tf.checkpoints import saved_checkpoints
from i3d_tf.curves import training_curves
from i3d_tf.datasets import open_dataset
from i3d_tf.reading import count_examples, damage_named
from i3d_tf.tasks import task_of
from i3d_tf.training.epochs import (
    active_streams,
    make_batches,
    next_look,
    refuse_not_finite,
    steps_per_epoch,
    worker_of,
)
from i3d_tf.training.evaluating import is_evaluated, make_evaluation
from i3d_tf.training.events import Events
from i3d_tf.training.linear import fit_classifiers
from i3d_tf.training.precision import settle_dtype
from i3d_tf.training.preemption import Preempted, sigterm_noticed
from i3d_tf.training.progress import Progress, history_until, keep_config
from i3d_tf.training.sample_clips import film_of_epoch, is_filmed
from i3d_tf.training.schedules import learning_rate
from i3d_tf.training.state import (
    make_averaged_weights,
    new_lesson,
    new_stream_state,
)
from i3d_tf.training.strategies import (
    Replicas,
    distribute,
    make_strategy,
    sum_over_replicas,
)
from i3d_tf.training.terminal import Terminal
from i3d_tf.training.updates import make_updates


def train(config, workdir, data_dir, strategy=None):
    """Trains the config's streams side by side, from the last checkpoint on.

    Leaves in `workdir`: `config.json`, `checkpoints/`, `history.json` (a dict for
    each epoch), `history.png` and TensorBoard's `events/`.

    Args:
      config: `config.Config`.
      workdir: folder of the run, here or in object storage; one that was begun is
        continued, also a finished one whose steps have been raised. Several hosts
        share it, and the first one writes.
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
    epoch_steps = steps_per_epoch(builder, config, replicas)
    labels = task_of(config.data).names(builder.info)

    config = settle_dtype(config, [workdir], strategy)
    begun = bool(saved_checkpoints(workdir / "checkpoints"))
    with strategy.scope():
        states = {
            stream.name: new_stream_state(stream, config, len(labels), begun)
            for stream in config.streams
        }
        lessons = {
            stream.name: new_lesson(stream, config, states[stream.name], labels)
            for stream in config.streams
            if stream.name in config.distillations
        }
    if replicas.is_chief:
        keep_config(config, workdir, labels)
    progress = Progress(config, workdir / "checkpoints", states)
    progress.restore()
    if progress.step < config.steps:
        progress.reopen_epoch(epoch_steps)
    _require_one_workdir(strategy, progress.step, workdir)
    history = history_until(workdir, progress.epoch)
    epochs = 1 if config.linear else math.ceil(config.steps / epoch_steps)
    if progress.epoch == epochs:
        if not history:
            raise ValueError(
                f"{workdir}: is trained to its end, and its history.json is missing or "
                "empty; evaluate the run, or train again in another workdir"
            )
        return history
    if begun and replicas.is_chief:
        print(f"{workdir}: continues after step {progress.step}", flush=True)
    if config.linear:
        return _fit(config, strategy, states, builder, progress, workdir)
    updates = make_updates(strategy, config, states, lessons=lessons)
    averaged_weights = make_averaged_weights(strategy, states)
    models = {name: state.model for name, state in states.items()}
    evaluate = make_evaluation(strategy, config, models, builder)
    test_videos = count_examples(builder, config.data.test_split)

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
        damage_named(builder),
        sigterm_noticed() as notice,
        Events(workdir / "events" if replicas.is_chief else None) as events,
        Terminal(
            config, epochs, test_videos, progress.step, shown=replicas.is_chief
        ) as terminal,
    ):
        for epoch in range(progress.epoch, epochs):
            terminal.begin_epoch(epoch)
            begin = epoch * epoch_steps
            end = min(begin + epoch_steps, config.steps)
            # Of pictures there is no film.
            seen = is_filmed(epoch) and not config.pose
            if replicas.is_chief and progress.step == begin and seen:
                worker = worker_of(config, replicas)
                events.film(begin, film_of_epoch(builder, config, epoch, worker=worker))
            if progress.step < end:
                batches = make_batches(
                    builder, config, replicas, epoch, progress.step - begin
                )
                iterator = distribute(strategy, batches)
            while progress.step < end:
                active = active_streams(config, progress.step)
                count = next_look(config, progress.step, end) - progress.step
                figures = updates(iterator, progress.step, count, active, notice.given)
                if config.not_finite == "stop":
                    refuse_not_finite(
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
                with averaged_weights():
                    entry["test"], stopped = evaluate(notice)
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


def _fit(config, strategy, states, builder, progress, workdir):
    """Fits the classifiers in place of training; returns the history, of one entry."""
    if strategy.num_replicas_in_sync > 1:
        raise ValueError("linear: classifiers are fitted on one device; --strategy one")
    figures = fit_classifiers(config, states, builder)
    models = {name: state.model for name, state in states.items()}
    with sigterm_noticed() as notice:
        test, stopped = make_evaluation(strategy, config, models, builder)(notice)
    if stopped:
        raise Preempted(f"{workdir}: stopped by SIGTERM before it was saved")
    progress.step, progress.epoch = config.steps, 1
    entry = {
        "epoch": 1,
        "step": progress.step,
        "learning_rate": {},
        "train": figures,
        "skipped": progress.skipped(),
        "test": test,
    }
    files.write_json(workdir / "history.json", [entry])
    progress.save()
    return [entry]


def _require_one_workdir(strategy, step, workdir):
    """Raises ValueError if hosts have found other checkpoints than this one."""
    total = sum_over_replicas(strategy, step)
    if total != step * strategy.num_replicas_in_sync:
        raise ValueError(
            f"{workdir}: this host finds step {step}, others another one; all hosts "
            "must see the same workdir"
        )


def _rates(config, states, step):
    """{stream name: rate of its last update}, when `step` are done."""
    rates = {}
    for stream in config.streams:
        training = getattr(config, stream.name)
        rate = learning_rate(training, min(step, training.steps) - 1)
        rate *= states[stream.name].plateau.factor
        rates[stream.name] = float(f"{float(rate):.7g}")  # no more than float32 has
    return rates
