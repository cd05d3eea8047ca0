"""Where a run stands: its checkpoints, its config.json, its history.json."""

import json

import numpy as np
import tensorflow as tf

from flow.files import write_json
from i3d_tf import config as configs
from i3d_tf.checkpoints import restore_whole


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
        newest = self._manager.latest_checkpoint
        if newest is None:
            return False
        restore_whole(self._manager.checkpoint, newest, "this run")
        self.step = int(self._step.numpy())
        return True


def keep_config(config, workdir, labels):
    """Writes config.json, or checks that the workdir was begun with the same.

    Without a checkpoint nothing was begun: a first start that failed, for want of
    memory, say, can be repeated with other settings.
    """
    path = workdir / "config.json"
    kept = {"config": _as_json(config), "labels": labels}
    begun = tf.train.latest_checkpoint(str(workdir / "checkpoints")) is not None
    if begun and path.is_file():
        before = json.loads(path.read_text("utf-8"))
        if before["labels"] != labels:
            raise ValueError(
                f"{workdir}: was begun with {len(before['labels'])} classes, the data "
                f"set has {len(labels)}, or other names; choose another workdir"
            )
        # Fields that there were not yet have their default.
        begun_with = _as_json(configs.from_dict(before["config"]))
        if begun_with != kept["config"]:
            raise ValueError(
                f"{workdir}: was begun with another config: "
                f"{_differences(begun_with, kept['config'])}; choose another workdir"
            )
    write_json(path, kept)


def _as_json(config):
    """The config as it is when it comes back from a file."""
    return json.loads(json.dumps(configs.to_dict(config)))


def _differences(before, now, prefix=""):
    """'field: before -> now' for all fields that differ."""
    found = []
    for key in now:
        if isinstance(before.get(key), dict) and isinstance(now[key], dict):
            found.append(_differences(before[key], now[key], f"{prefix}{key}."))
        elif before.get(key) != now[key]:
            found.append(f"{prefix}{key}: {before.get(key)} -> {now[key]}")
    return ", ".join(text for text in found if text)


def history_until(workdir, step):
    """The entries of epochs that the checkpoint has behind it."""
    path = workdir / "history.json"
    if not path.is_file():
        return []
    history = json.loads(path.read_text("utf-8"))
    return [entry for entry in history if entry["step"] <= step]
