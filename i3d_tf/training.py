"""The training loop: one for all streams, all strategies and all recipes.

In reading order: `train` builds the state of each stream, goes through the epochs,
and after each writes the history; `_make_step` is one update of every stream from
one batch.
"""

import json
import math
import pathlib
import time

import numpy as np
import tensorflow as tf
import tqdm

from flow.files import write_json
from i3d_tf import config as configs
from i3d_tf import evaluation, pipeline
from i3d_tf.checkpoints import StreamState, new_stream_state
from i3d_tf.datasets import open_dataset

STRATEGIES = ("one", "mirrored")


def make_strategy(name):
    """The `tf.distribute` strategy: "one" device or all of this host "mirrored"."""
    if name == "mirrored":
        # Logical devices too, so that several replicas can be tried without GPUs.
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        devices = [device.name for device in tf.config.list_logical_devices(kind)]
        return tf.distribute.MirroredStrategy(devices)
    if name == "one":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return tf.distribute.OneDeviceStrategy(f"/{kind}:0")
    raise ValueError(f"strategy is {name!r}; known: {', '.join(STRATEGIES)}")


def train(config, workdir, data_dir, strategy=None):
    """Trains the config's streams side by side, from the last checkpoint on.

    Leaves in `workdir`: `config.json`, `checkpoints/`, `history.json` (a dict for
    each epoch) and TensorBoard's `events/`.

    Args:
      config: `configs.Config`.
      workdir: folder of the run; one that was begun is continued.
      data_dir: TFDS folder that holds `config.data.dataset`.
      strategy: a `tf.distribute` strategy; None is one device.

    Returns the history.

    Raises:
      ValueError: the data set is missing or does not fit, the workdir was begun with
        another config, or the loss is no longer finite.
    """
    strategy = strategy or make_strategy("one")
    workdir = pathlib.Path(workdir)
    builder = open_dataset(data_dir, config.data.dataset)
    pipeline.check_fits(builder, config.data)
    steps_per_epoch = _steps_per_epoch(builder, config, strategy)
    _keep_config(config, workdir, builder.info.features["label"].names)

    with strategy.scope():
        states = {
            stream.name: new_stream_state(
                stream, config, builder.info.features["label"].num_classes
            )
            for stream in config.streams
        }
    progress = Progress(config.streams, workdir / "checkpoints", states)
    if progress.restore():
        print(f"{workdir}: continues after step {progress.step}", flush=True)
    history = _history_until(workdir, progress.step)
    step_function = _make_step(strategy, config, states)
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
        ).take(steps - done)
        label = f"epoch {epoch + 1}/{math.ceil(config.steps / steps_per_epoch)}"
        with tqdm.tqdm(total=steps, initial=done, desc=label, unit="step") as bar:
            for batch in strategy.experimental_distribute_dataset(batches):
                progress.add(step_function(batch, _active(config, progress.step)))
                bar.set_postfix(_for_display(progress.means()))
                bar.update()
                last = progress.step - epoch * steps_per_epoch == steps
                if progress.step % config.checkpoint_steps == 0 and not last:
                    progress.save()
        if progress.step != epoch * steps_per_epoch + steps:
            raise ValueError(
                f"{builder.info.full_name}: split {config.data.train_split!r} gave "
                f"{progress.step - epoch * steps_per_epoch} batches, not {steps}"
            )
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
            entry["test"] = _evaluate(builder, config, states)
        history.append(entry)
        # First the history, then the checkpoint: a run that ends in between repeats
        # the epoch, and `_history_until` drops this entry.
        write_json(workdir / "history.json", history)
        _write_events(events, entry)
        progress.start_epoch()
        progress.save()
    return history


class Progress:
    """Where a run stands, and what its checkpoints hold.

    Attributes:
      step: updates done.
    """

    def __init__(self, streams, folder, states):
        self._names = [f"{s.name}_{what}" for s in streams for what in ("loss", "top1")]
        if len(streams) > 1:
            self._names.append("fused_top1")
        self._step = tf.Variable(0, dtype=tf.int64)
        # Per figure its sum over the clips of the epoch under way, and how many these
        # are. In the checkpoint, so that a restart within an epoch changes no figure.
        self._sums = tf.Variable(tf.zeros([len(self._names), 2], tf.float64))
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(step=self._step, sums=self._sums, **states),
            str(folder),
            max_to_keep=2,
        )
        self.step = 0

    def add(self, sums):
        """Counts one update; `sums` is a dict of sums over its clips."""
        if not np.isfinite(list(sums.values())).all():
            raise ValueError(
                f"the loss is not finite at step {self.step + 1} ({sums}); the last "
                "checkpoint is kept; a lower learning rate may help"
            )
        # A stream whose steps are done has no figures any more.
        self._sums.assign_add(
            [
                [sums[name], sums["clips"]] if name in sums else [0.0, 0.0]
                for name in self._names
            ]
        )
        self.step += 1

    def means(self):
        """Mean loss and top-1 over the clips of the epoch so far."""
        return {
            name: total / clips
            for name, (total, clips) in zip(
                self._names, self._sums.numpy().tolist(), strict=True
            )
            if clips
        }

    def start_epoch(self):
        self._sums.assign(tf.zeros_like(self._sums))

    def save(self):
        self._step.assign(self.step)
        self._manager.save(checkpoint_number=self.step)

    def restore(self):
        """Goes to the newest checkpoint; returns whether there was one."""
        found = self._manager.restore_or_initialize() is not None
        self.step = int(self._step.numpy())
        return found


def _make_step(strategy, config, states):
    """Returns step(batch, active names) -> sums over the clips, as a dict of floats."""
    replicas = strategy.num_replicas_in_sync

    def update(stream_name, clips, labels):
        state: StreamState = states[stream_name]
        model, training = state.model, getattr(config, stream_name)
        with tf.GradientTape() as tape:
            logits = model(clips, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
            # Divided by the clips of all replicas: their gradients are summed.
            loss = tf.reduce_sum(losses) / config.batch_size
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        # The derivative of w / 2 * sum of squares, which need not be computed.
        decay = training.weight_decay / replicas
        gradients = [
            gradient + decay * variable.value
            if variable.path.endswith("/kernel")
            else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        state.optimizer.apply(gradients, variables)
        return logits, losses

    def replica_step(batch, active):
        inputs, labels = batch
        truth = tf.argmax(labels, -1)
        sums, all_logits = {"clips": tf.cast(tf.shape(labels)[0], tf.float32)}, []
        for name in active:
            logits, losses = update(name, inputs[name], labels)
            all_logits.append(logits)
            sums[f"{name}_loss"] = tf.reduce_sum(losses)
            sums[f"{name}_top1"] = _correct(logits, truth)
        if len(active) > 1:
            sums["fused_top1"] = _correct(tf.add_n(all_logits), truth)
        return sums

    @tf.function
    def step(batch, active):
        sums = strategy.run(replica_step, args=(batch, active))
        return {
            name: strategy.reduce("SUM", value, axis=None)
            for name, value in sums.items()
        }

    return lambda batch, active: {
        name: float(value) for name, value in step(batch, active).items()
    }


def _correct(logits, truth):
    return tf.reduce_sum(tf.cast(tf.argmax(logits, -1) == truth, tf.float32))


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


def _keep_config(config, workdir, labels):
    """Writes config.json, or checks that the workdir was begun with the same."""
    path = workdir / "config.json"
    kept = {"config": json.loads(json.dumps(configs.to_dict(config))), "labels": labels}
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        if before["labels"] != labels:
            raise ValueError(
                f"{workdir}: was begun with {len(before['labels'])} classes, the data "
                f"set has {len(labels)}, or others; choose another workdir"
            )
        if before["config"] != kept["config"]:
            raise ValueError(
                f"{workdir}: was begun with another config: "
                f"{_differences(before['config'], kept['config'])}; choose another "
                "workdir"
            )
    write_json(path, kept)


def _differences(before, now, prefix=""):
    """'field: before -> now' for all fields that differ."""
    found = []
    for key in now:
        if isinstance(before.get(key), dict) and isinstance(now[key], dict):
            found.append(_differences(before[key], now[key], f"{prefix}{key}."))
        elif before.get(key) != now[key]:
            found.append(f"{prefix}{key}: {before.get(key)} -> {now[key]}")
    return ", ".join(text for text in found if text)


def _history_until(workdir, step):
    """The entries of epochs that the checkpoint has behind it."""
    path = workdir / "history.json"
    if not path.is_file():
        return []
    history = json.loads(path.read_text("utf-8"))
    return [entry for entry in history if entry["step"] <= step]


def _evaluates(config, epoch, step):
    every = config.evaluate_epochs
    return step >= config.steps or (every > 0 and (epoch + 1) % every == 0)


def _evaluate(builder, config, states):
    models = {name: state.model for name, state in states.items()}
    scores = evaluation.score(
        models,
        pipeline.eval_batches(
            builder,
            config.data,
            config.streams,
            split=config.data.test_split,
            batch_size=config.batch_size,
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
