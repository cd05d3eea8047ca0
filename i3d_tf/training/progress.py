"""Where a run stands: its checkpoints, its config.json, its history.json."""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from flow import files
from i3d_tf import config_file
from i3d_tf.checkpoints import read_config, restore_newest, saved_checkpoints
from i3d_tf.storage import storage_errors
from i3d_tf.training.results import MADE, figure_names


class Progress:
    """Where a run stands, and what its checkpoints hold.

    Attributes:
      step: updates done, with those that were left out.
      epoch: epochs done, with their evaluation.
    """

    def __init__(self, config, folder, states):
        self._folder = folder
        self._streams = [stream.name for stream in config.streams]
        self._names = figure_names(config, self._streams)
        self.step = self.epoch = 0
        # Per figure its sum over the clips of the epoch under way, and how many these
        # are; per stream the updates left out. In the checkpoint, so that a restart
        # within an epoch changes no figure.
        self._sums = np.zeros([len(self._names), 2])
        self._skipped = np.zeros([len(self._streams)], np.int64)
        # Written to only as a checkpoint is.
        self._saved = {
            name: tf.Variable(value) for name, value in self._state().items()
        }
        self._checkpoint = tf.train.Checkpoint(**self._saved, **states)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(folder), max_to_keep=2
        )

    def _state(self):
        return {
            "step": np.int64(self.step),
            "epoch": np.int64(self.epoch),
            "sums": self._sums,
            "skipped": self._skipped,
        }

    def add(self, figures):
        """Counts the updates of some `results.Figures`."""
        sums = figures.sums()
        # New arrays: TensorFlow may go on using the memory of those it was given.
        self._sums = self._sums + [sums.get(name, (0.0, 0)) for name in self._names]
        self._skipped = self._skipped + [
            np.sum(figures.outcomes.get(stream, MADE) != MADE)
            for stream in self._streams
        ]
        self.step += figures.updates

    def means(self):
        """Mean loss and top-1 over the clips of the epoch so far."""
        return {
            name: total / clips
            for name, (total, clips) in zip(
                self._names, self._sums.tolist(), strict=True
            )
            if clips
        }

    def skipped(self):
        """{stream name: updates of the epoch that were left out}."""
        return dict(zip(self._streams, self._skipped.tolist(), strict=True))

    def end_epoch(self):
        self._sums = np.zeros_like(self._sums)
        self._skipped = np.zeros_like(self._skipped)
        self.epoch += 1

    def reopen_epoch(self, epoch_steps):
        """Goes on in the last epoch if a finished run ended within it.

        That is so after its steps have been raised.
        """
        if self.step < self.epoch * epoch_steps:
            self.epoch = self.step // epoch_steps

    def save(self):
        """Writes a checkpoint, then removes all but the last two."""
        for name, value in self._state().items():
            self._saved[name].assign(value)
        with storage_errors(self._folder):
            self._manager.save(checkpoint_number=self.step)

    def restore(self):
        """Goes to the newest whole checkpoint; returns whether there was one.

        Raises ValueError if there are some, and none is whole.
        """
        if restore_newest(self._checkpoint, self._folder, "this run") is None:
            return False
        kept = {name: variable.numpy() for name, variable in self._saved.items()}
        self.step, self.epoch = int(kept["step"]), int(kept["epoch"])
        self._sums, self._skipped = kept["sums"], kept["skipped"]
        return True


def keep_config(config, workdir, labels):
    """Writes config.json, or checks that the workdir was begun with the same.

    The steps alone may be raised. Without a checkpoint nothing was begun: a first start
    that failed, for want of memory, say, can be repeated with other settings.

    Raises:
      ValueError: the workdir was begun with another config or other classes.
    """
    path = workdir / "config.json"
    kept = {"config": _as_json(config), "labels": labels}
    if saved_checkpoints(workdir / "checkpoints"):
        if not path.is_file():
            raise ValueError(
                f"{workdir}: has checkpoints and no config.json, so it cannot be known "
                "what they are of; choose another workdir"
            )
        # Fields that there were not yet have their default.
        begun_with, labels_before = read_config(workdir)
        if labels_before != labels:
            raise ValueError(
                f"{workdir}: was begun with {len(labels_before)} classes, the data "
                f"set has {len(labels)}, or other names; choose another workdir"
            )
        begun_with = _with_raised_steps(begun_with, config, workdir)
        # A folder may be spelled in two ways, or be moved.
        begun_with, now = (_as_json(_without_places(c)) for c in (begun_with, config))
        if begun_with != now:
            first = config.streams[0].name
            raise ValueError(
                f"{workdir}: was begun with another config: "
                f"{_differences(begun_with, now)}; choose another workdir, where the "
                f"training can begin with these weights: --set {first}.initial_weights="
                f"{workdir}"
            )
    files.write_json(path, kept)


def _with_raised_steps(begun_with, config, workdir):
    """Returns the config that a run was begun with, with more steps if now it has."""
    for stream in config.streams:
        before = getattr(begun_with, stream.name)
        steps = getattr(config, stream.name).steps
        if before is not None and before.steps < steps:
            print(
                f"{workdir}: the steps of {stream.name} are raised from {before.steps} "
                f"to {steps}",
                flush=True,
            )
            raised = dataclasses.replace(before, steps=steps)
            begun_with = dataclasses.replace(begun_with, **{stream.name: raised})
    return begun_with


def _without_places(config):
    """The config without where its teachers lie."""
    trainings = {
        name: dataclasses.replace(
            getattr(config, name),
            distillation=dataclasses.replace(distillation, teacher=()),
        )
        for name, distillation in config.distillations.items()
    }
    return dataclasses.replace(config, **trainings)


def _as_json(config):
    """The config as it is when it comes back from a file."""
    return json.loads(json.dumps(config_file.to_dict(config)))


def _differences(before, now, prefix=""):
    """'field: before -> now' for all fields that differ."""
    found = []
    for key in now:
        if isinstance(before.get(key), dict) and isinstance(now[key], dict):
            found.append(_differences(before[key], now[key], f"{prefix}{key}."))
        elif before.get(key) != now[key]:
            found.append(f"{prefix}{key}: {before.get(key)} -> {now[key]}")
    return ", ".join(text for text in found if text)


def history_until(workdir, epoch):
    """The entries of epochs that the checkpoint has behind it."""
    path = workdir / "history.json"
    if not path.is_file():
        return []
    history = files.read_json(path)
    return [entry for entry in history if entry["epoch"] <= epoch]
