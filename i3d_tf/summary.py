"""What the windows of a video say together."""

import collections
import pathlib

import numpy as np

TOP = 5


class Summary:
    """The mean of the Predictions of a video, and what they say over its time.

    It grows by a row of probabilities for every 8 frames.

    Attributes:
      count: windows so far.
    """

    def __init__(self):
        self.count = 0
        self._totals = collections.defaultdict(collections.Counter)
        self._labels, self._times, self._rows = None, [], []

    def watch(self, predictions):
        """Yields a video's predictions, in their order, each once it is counted."""
        for prediction in predictions:
            self._add(prediction)
            yield prediction

    def _add(self, prediction):
        self.count += 1
        scores = {None: prediction.scores, **prediction.stream_scores}
        for stream, values in scores.items():
            named = zip(prediction.classes, values, strict=True)
            self._totals[stream].update(dict(named))
        # The classes in an order that is the same in all windows.
        order = np.argsort(prediction.classes)
        self._labels = [prediction.classes[index] for index in order]
        rows = prediction.over_time()[:, order].astype(np.float32)
        seconds = len(prediction.rgb) / prediction.fps / len(rows)
        begins = prediction.begin + seconds * np.arange(len(rows))
        for begin, row in zip(begins, rows, strict=True):
            # The middle of what a step has of the video, of which a looped one has
            # nothing in the end. Of a window that was shifted back only what is new.
            time = (begin + min(begin + seconds, prediction.end)) / 2
            is_new = not self._times or time > self._times[-1]
            if begin < prediction.end and is_new:
                self._times.append(time)
                self._rows.append(row)

    def best(self, count, stream=None):
        """[(name, mean probability), ...] of all streams together or of one alone."""
        best = self._totals[stream].most_common(count)
        return [(label, total / self.count) for label, total in best]

    def over_time(self, classes):
        """(`[N]` seconds, `[N, len(classes)]` probabilities at these times alone)."""
        columns = [self._labels.index(label) for label in classes]
        return np.array(self._times), np.stack(self._rows)[:, columns]


def picture(predictions, folder):
    """Draws a video's Predictions as they come; returns their `Summary`.

    Leaves annotated.mp4 and over_time.png in `folder`, a path on this machine.
    """
    # Here, as matplotlib takes a while that others need not wait.
    from i3d_tf import pictures

    folder, summary = pathlib.Path(folder), Summary()
    pictures.annotate_windows(folder / "annotated.mp4", summary.watch(predictions))
    classes = [label for label, _ in summary.best(TOP)]
    curves = summary.over_time(classes)
    pictures.class_curves(*curves, classes, folder / "over_time.png")
    return summary
