"""TensorBoard's events of a run, and its speed."""

import contextlib
import time

import tensorflow as tf

# Seconds between two points of a curve over the updates.
_APART = 2.0


class Events:
    """Writes what TensorBoard shows; a context manager.

    Args:
      folder: of the event files; None writes nothing (a host that is not the first).
    """

    def __init__(self, folder):
        self._writer = (
            tf.summary.create_noop_writer()
            if folder is None
            else tf.summary.create_file_writer(str(folder))
        )
        self._written = -_APART
        self._clips = self._seconds = self._waited = 0.0
        self._speed = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._writer.close()

    @contextlib.contextmanager
    def timed(self, clips):
        """`with events.timed(clips):` the updates of so many clips."""
        began = time.monotonic()
        yield
        self._seconds += time.monotonic() - began
        self._clips += clips

    def updates(self, step, figures, rates):
        """Counts `updates.Figures`; some seconds after the last point writes one."""
        self._waited += figures.waited
        self._speed = {
            "clips_per_second": self._clips / self._seconds,
            "input_wait_share": self._waited / self._seconds,
        }
        if time.monotonic() - self._written < _APART:
            return
        self._written = time.monotonic()
        self._clips = self._seconds = self._waited = 0.0
        with self._writer.as_default(step=step):
            for name, values in figures.values.items():
                tf.summary.scalar(f"updates/{name}", values.mean())
            for name, rate in rates.items():
                tf.summary.scalar(f"learning_rate/{name}", rate)
            for name, value in self._speed.items():
                tf.summary.scalar(f"speed/{name}", value)

    def speed(self):
        """Clips a second and the share of waiting for them, for the terminal."""
        return {
            "clips/s": f"{self._speed['clips_per_second']:.3g}",
            "waiting": f"{self._speed['input_wait_share']:.0%}",
        }

    def epoch(self, entry):
        """Writes an entry of the history."""
        with self._writer.as_default(step=entry["step"]):
            for group in ("train", "test", "skipped"):
                for name, value in (entry[group] or {}).items():
                    tf.summary.scalar(f"{group}/{name}", value)
        self._writer.flush()
