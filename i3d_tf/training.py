"""The training loop: one for all streams, all strategies and all recipes.

`train` builds the state of each stream, goes through the epochs and writes history
and checkpoint after each; one update is in `updates`, what is kept in `progress`.
"""

import math
import pathlib
import time

import tensorflow as tf
import tqdm

from flow.files import write_json
from i3d_tf import evaluation, pipeline
from i3d_tf.checkpoints import new_stream_state
from i3d_tf.datasets import open_dataset
from i3d_tf.fast import for_inference
from i3d_tf.progress import Progress, history_until, keep_config
from i3d_tf.updates import average_statistics, make_step

STRATEGIES = ("one", "mirrored")


def make_strategy(name):
    """The `tf.distribute` strategy: "one" device or all of this host "mirrored"."""
    if name not in STRATEGIES:
        raise ValueError(f"strategy is {name!r}; known: {', '.join(STRATEGIES)}")
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    if name == "one":
        return tf.distribute.OneDeviceStrategy(f"/{kind}:0")
    # Logical devices too, so that several replicas can be tried without GPUs.
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    return tf.distribute.MirroredStrategy(devices)


def train(config, workdir, data_dir, strategy=None):
    """Trains the config's streams side by side, from the last checkpoint on.

    Leaves in `workdir`: `config.json`, `checkpoints/`, `history.json` (a dict for
    each epoch) and TensorBoard's `events/`.

    Args:
      config: `config.Config`.
      workdir: folder of the run; one that was begun is continued.
      data_dir: TFDS folder that holds `config.data.dataset`.
      strategy: a `tf.distribute` strategy; None is one device.

    Returns the history.

    Raises:
      ValueError: the data set is missing or does not fit, the workdir was begun with
        another config, or the loss is no longer finite.
    """
    strategy = strategy or make_strategy("one")
    replicas = strategy.num_replicas_in_sync
    workdir = pathlib.Path(workdir)
    builder = open_dataset(data_dir, config.data.dataset)
    pipeline.check_fits(builder, config.data)
    steps_per_epoch = _steps_per_epoch(builder, config, strategy)

    with strategy.scope():
        states = {
            stream.name: new_stream_state(
                stream, config, builder.info.features["label"].num_classes
            )
            for stream in config.streams
        }
    keep_config(config, workdir, builder.info.features["label"].names)
    progress = Progress(config.streams, workdir / "checkpoints", states)
    if progress.restore():
        print(f"{workdir}: continues after step {progress.step}", flush=True)
    history = history_until(workdir, progress.step)
    step_function = make_step(strategy, config, states)
    events = tf.summary.create_file_writer(str(workdir / "events"))

    while progress.step < config.steps:
        epoch, done = divmod(progress.step, steps_per_epoch)
        began = time.monotonic()
        steps = min(steps_per_epoch, config.steps - epoch * steps_per_epoch)
        batches = pipeline.train_batches(
            builder,
            config.data,
            config.streams,
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=epoch,
            skip=done,
            as_codes=True,
        ).take(steps - done)
        label = f"epoch {epoch + 1}/{math.ceil(config.steps / steps_per_epoch)}"
        with tqdm.tqdm(total=steps, initial=done, desc=label, unit="step") as bar:
            for batch in _distributed(batches, strategy):
                progress.add(step_function(batch, _active(config, progress.step)))
                bar.set_postfix(_for_display(progress.means()))
                bar.update()
                last = progress.step - epoch * steps_per_epoch == steps
                if progress.step % config.checkpoint_steps == 0 and not last:
                    average_statistics(strategy, states)
                    progress.save()
        if progress.step != epoch * steps_per_epoch + steps:
            raise ValueError(
                f"{builder.info.full_name}: split {config.data.train_split!r} gave "
                f"{progress.step - epoch * steps_per_epoch} batches, not {steps}"
            )
        average_statistics(strategy, states)
        entry = {
            "epoch": epoch + 1,
            "step": progress.step,
            "learning_rate": {
                name: float(state.optimizer.learning_rate)
                for name, state in states.items()
            },
            "train": progress.means(),
            "test": None,
            "seconds": round(time.monotonic() - began, 3),
        }
        if _evaluates(config, epoch, progress.step):
            entry["test"] = _evaluate(
                builder, config, states, config.batch_size // replicas
            )
        history.append(entry)
        # First the history, then the checkpoint: a run that ends in between repeats
        # the epoch, and history_until drops this entry.
        write_json(workdir / "history.json", history)
        _write_events(events, entry)
        progress.start_epoch()
        progress.save()
    return history


def _distributed(batches, strategy):
    """The batches, split over the replicas where there are several.

    Not for one: a distributed iterator brings back the tuning thread that the pipeline
    turns off, and with it up to 60 s of waiting at the end of an epoch.
    """
    if strategy.num_replicas_in_sync == 1:
        return batches
    return strategy.experimental_distribute_dataset(batches)


def _active(config, step):
    """Names of the streams that are still trained after `step` updates."""
    return tuple(s.name for s in config.streams if step < getattr(config, s.name).steps)


def _steps_per_epoch(builder, config, strategy):
    replicas = strategy.num_replicas_in_sync
    if config.batch_size % replicas:
        raise ValueError(
            f"batch_size {config.batch_size} does not divide into {replicas} replicas"
        )
    videos = builder.info.splits[config.data.train_split].num_examples
    if videos < config.batch_size:
        raise ValueError(
            f"{builder.info.full_name}: {videos} training videos do not fill a batch "
            f"of {config.batch_size}"
        )
    return videos // config.batch_size


def _evaluates(config, epoch, step):
    every = config.evaluate_epochs
    return step >= config.steps or (every > 0 and (epoch + 1) % every == 0)


def _evaluate(builder, config, states, batch_size):
    models = {name: for_inference(state.model) for name, state in states.items()}
    scores = evaluation.score(
        models,
        pipeline.eval_batches(
            builder,
            config.data,
            config.streams,
            split=config.data.test_split,
            batch_size=batch_size,
        ),
    )
    return {
        f"{name}_top1": accuracies["top1"]
        for name, accuracies in evaluation.accuracies(scores).items()
    }


def _for_display(means):
    return {
        name: f"{value:.3f}" if name.endswith("loss") else f"{value:.0%}"
        for name, value in means.items()
    }


def _write_events(writer, entry):
    with writer.as_default(step=entry["step"]):
        for group in ("learning_rate", "train", "test"):
            for name, value in (entry[group] or {}).items():
                tf.summary.scalar(f"{group}/{name}", value)
        tf.summary.scalar("seconds_per_epoch", entry["seconds"])
    writer.flush()
