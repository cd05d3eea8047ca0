"""TensorBoard's events of a run."""

import functools
import struct
import time

import tensorflow as tf

from i3d_tf.storage import storage_errors

# Seconds between two points of a curve over the updates.
_APART = 2.0


class Events:
    """Writes what TensorBoard shows; a context manager.

    Args:
      folder: of the event files; None writes nothing (a host that is not the first).
    """

    def __init__(self, folder):
        self._errors = functools.partial(storage_errors, folder)
        with self._errors():
            self._writer = (
                tf.summary.create_noop_writer()
                if folder is None
                else tf.summary.create_file_writer(str(folder))
            )
        self._written = time.monotonic()
        self._begin_point()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._write_point()
        with self._errors():
            self._writer.close()

    def updates(self, step, figures, rates):
        """Takes notice of the updates before `step`, and at times writes a point.

        A point is the mean over all clips since the one before, but for updates that
        were left out. Points are some seconds apart; the last one comes at the end.

        Args:
          figures: `results.Figures`.
          rates: {stream name: learning rate of the last update}.
        """
        self._step, self._rates = step, rates
        for name, (total, clips) in figures.sums().items():
            before = self._sums.get(name, (0.0, 0))
            self._sums[name] = (before[0] + total, before[1] + clips)
        if not figures.traced:
            self._seconds += figures.seconds
            self._waited += figures.waited
            self._clips += figures.clips
        if time.monotonic() - self._written >= _APART:
            self._write_point()

    def _begin_point(self):
        self._step, self._rates, self._sums = None, {}, {}
        self._clips = self._seconds = self._waited = 0.0

    def _write_point(self):
        if self._step is None:
            return
        with self._errors(), self._writer.as_default(step=self._step):
            for name, (total, clips) in self._sums.items():
                if clips:
                    tf.summary.scalar(f"updates/{name}", total / clips)
            for name, rate in self._rates.items():
                tf.summary.scalar(f"learning_rate/{name}", rate)
            if self._seconds:
                speed = self._clips / self._seconds
                tf.summary.scalar("speed/clips_per_second", speed)
                share = self._waited / self._seconds
                tf.summary.scalar("speed/input_wait_share", share)
        self._written = time.monotonic()
        self._begin_point()

    def epoch(self, entry):
        """Writes an entry of the history."""
        with self._errors(), self._writer.as_default(step=entry["step"]):
            for group in ("train", "test", "skipped"):
                for name, value in (entry[group] or {}).items():
                    tf.summary.scalar(f"{group}/{name}", value)
            self._writer.flush()

    def film(self, step, gif):
        """Writes the bytes of a GIF, which TensorBoard plays among its images."""
        width, height = struct.unpack_from("<HH", gif, 6)
        # What tf.summary.image would write, which takes still pictures alone.
        metadata = tf.compat.v1.SummaryMetadata(
            summary_description=(
                "The first clips of an epoch as the networks get them: cropped, at "
                "times mirrored; below their optical flow, whose hue is the direction "
                "and whose saturation the speed."
            ),
            plugin_data={"plugin_name": "images"},
            data_class="DATA_CLASS_BLOB_SEQUENCE",
        )
        with self._errors(), self._writer.as_default(step=step):
            tf.summary.write(
                "training_clips",
                tf.constant([str(width).encode(), str(height).encode(), gif]),
                metadata=metadata,
            )
            self._writer.flush()
