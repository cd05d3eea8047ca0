"""How far a run is: a line that changes in a terminal, a line a minute in a log."""

import collections
import sys
import time

import tqdm

from i3d_tf.training.evaluating import is_evaluated

# Calls over which speed is averaged.
_RECENT = 50
# Seconds between two lines of a log.
_APART = 60.0
# A forward pass has 222 GFLOP where an update has 614 (experiments/benchmarks).
_FORWARD_SHARE = 222 / 614
_SHOWN_NAMES = {"fused": "both"}


class Terminal:
    """Writes to stderr; a context manager.

    Args:
      config: `config.Config`.
      epochs: of the whole run.
      test_videos: how many an evaluation takes.
      step: where the run begins or goes on.
      shown: whether to write at all.
    """

    def __init__(self, config, epochs, test_videos, step, shown):
        self._config, self._epochs = config, epochs
        self._test_videos = test_videos
        self._evaluations = []  # their seconds
        self._evaluated = 0  # epochs
        self._last = None  # what the line told
        self._calls = collections.deque(maxlen=_RECENT)
        self._written = time.monotonic()
        self._is_log = shown and not sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            total=config.steps,
            initial=step,
            bar_format="{desc} {bar}",
            dynamic_ncols=True,
            disable=not shown or self._is_log,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def begin_epoch(self, epoch):
        """Says which epoch, from 0 on, is under way."""
        if not self._calls:
            text = f"epoch {epoch + 1}/{self._epochs} the first update takes longest"
            self._bar.set_description_str(text)

    def updates(self, epoch, step, means, figures):
        """Takes notice of the updates before `step`.

        Args:
          means: {figure: mean over the epoch so far}.
          figures: `results.Figures` of the last call.
        """
        if not figures.traced:
            self._calls.append(figures)
        self._last = (epoch, step, means)
        line = self.line(*self._last)
        self._bar.set_description_str(line, refresh=False)
        self._bar.update(figures.updates)
        if self._is_log and time.monotonic() - self._written >= _APART:
            self._written = time.monotonic()
            self._write(f"step {step}/{self._config.steps} {line}")

    def evaluated(self, epoch, test, seconds):
        """Writes what an evaluation gave, in a line that stays."""
        self._evaluations.append(seconds)
        self._evaluated = epoch + 1
        if self._last:
            self._bar.set_description_str(self.line(*self._last), refresh=False)
        self._write(f"epoch {epoch + 1}/{self._epochs} test {_figures(test)}")

    def _write(self, line):
        if self._is_log:
            print(line, file=sys.stderr, flush=True)
        elif not self._bar.disable:
            self._bar.write(line, file=sys.stderr)

    def line(self, epoch, step, means):
        """Epoch, time left, figures, speed: what matters most is first.

        Of both streams it fits into 80 columns; less wide terminals cut it.
        """
        parts = [f"epoch {epoch + 1}/{self._epochs}"]
        seconds = sum(call.seconds for call in self._calls)
        if seconds:
            parts.append(f"{_duration(self._seconds_left(epoch, step))} left")
        parts.append(_figures(means))
        if seconds:
            speed = sum(call.clips for call in self._calls) / seconds
            waited = sum(call.waited for call in self._calls) / seconds
            digits = f"{speed:.3g}" if speed < 1000 else f"{speed:.0f}"
            parts.append(f"{digits} clips/s wait {waited:.0%}")
        return " ".join(part for part in parts if part)

    def _seconds_left(self, epoch, step):
        seconds = sum(call.seconds for call in self._calls)
        updates = sum(call.updates for call in self._calls)
        clips = sum(call.clips for call in self._calls)
        # The first evaluation makes its graph, and tells no speed.
        evaluation = self._test_videos * seconds / clips * _FORWARD_SHARE
        if len(self._evaluations) > 1:
            evaluation = self._evaluations[-1]
        evaluations = sum(
            is_evaluated(self._config, e, self._epochs)
            for e in range(max(epoch, self._evaluated), self._epochs)
        )
        of_updates = (self._config.steps - step) * seconds / updates
        return of_updates + evaluations * evaluation


def _figures(means):
    """`rgb 1.21 50% flow 1.56 25% both 60%`: loss and top-1 of each stream.

    Of poses their error in the place of top-1: `depth 0.31 24 mm`; with a teacher,
    after a +, by how much the student misses what it teaches.
    """
    parts = []
    for stream in ("rgb", "flow", "depth", "fused"):
        found = []
        if f"{stream}_loss" in means:
            found.append(f"{means[f'{stream}_loss']:.2f}")
        if f"{stream}_distillation" in means:
            found.append(f"+ {means[f'{stream}_distillation']:.2f}")
        if f"{stream}_top1" in means:
            found.append(f"{means[f'{stream}_top1']:.0%}")
        if f"{stream}_error" in means:
            found.append(f"{1000 * means[f'{stream}_error']:.0f} mm")
        if found:
            parts.append(" ".join([_SHOWN_NAMES.get(stream, stream), *found]))
    return " ".join(parts)


def _duration(seconds):
    """`12:40` minutes and seconds, `3:12 h` or `2.1 d`."""
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    if seconds < 86400:
        return f"{int(seconds) // 3600}:{int(seconds) % 3600 // 60:02} h"
    return f"{seconds / 86400:.1f} d"
