"""Curves: of a training run, and of what a video shows over its time."""

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from i3d_tf import figures

COLORS = {
    "rgb": "tab:blue",
    "flow": "tab:orange",
    "depth": "tab:green",
    "fused": "black",
}
MARKS_UP_TO = 50
# A cosine ends near 0: what of the rates is below this share of the highest is no
# longer shown, or a logarithmic axis would have no room for the others.
LOWEST_RATE = 1e-4
FAR_OFF = 20  # times the median: a loss that takes a logarithmic axis


def class_curves(times, probabilities, classes, path):
    """Draws the probabilities of some classes over the time of a video.

    Args:
      times: `[N]` seconds, rising.
      probabilities: `[N, len(classes)]` in [0, 1].
      classes: names.
      path: the picture to write; its suffix is the format.

    Raises ValueError for other shapes.
    """
    shape = (len(times), len(classes))
    if not all(shape) or np.shape(probabilities) != shape:
        raise ValueError(
            f"probabilities have shape {np.shape(probabilities)} for {shape[0]} times "
            f"and {shape[1]} classes"
        )
    figure = figures.new_figure(8, 3, layout="constrained")
    axes = figure.subplots()
    for label, values in zip(classes, np.transpose(probabilities), strict=True):
        marker = "o" if len(times) <= MARKS_UP_TO else None
        axes.plot(times, values, label=label, marker=marker, markersize=4)
    axes.set(xlabel="seconds", ylabel="probability", ylim=(-0.02, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.grid(alpha=0.3)
    # Beside the curves, as names may be long.
    legend = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for text in legend.get_texts():
        text.set(**figures.name_style())
    figures.save(figure, path)


def training_curves(history, path):
    """Draws loss, top-1 and learning rate over the epochs, training beside test.

    Of poses their error, where top-1 is of actions; of a student, dotted beside its
    loss, by how much it misses what its teacher teaches.

    Of runs that left updates out it draws how many, too.

    Args:
      history: a dict for each epoch with `epoch`, `learning_rate` (a dict with a
        value for each stream), `train` and `test` (dicts of `<stream>_loss` and
        `<stream>_top1` in [0, 1] or `<stream>_error` in metres, the stream `rgb`,
        `flow`, `depth` or `fused`; `test` may be None), and it may have `skipped` (a
        dict with a count for each stream).
        What an epoch has not measured is left out.
      path: the picture to write; its suffix is the format.

    Raises:
      ValueError: history is empty or an epoch lacks one of the four keys.
    """
    if not history:
        raise ValueError("history is empty; expected a dict for each epoch")
    for index, entry in enumerate(history):
        missing = {"epoch", "learning_rate", "train", "test"} - set(entry)
        if missing:
            raise ValueError(f"history[{index}] lacks {sorted(missing)}: {entry}")

    with_skipped = any(any(e.get("skipped", {}).values()) for e in history)
    heights = (3, 3, 1.3, 1) if with_skipped else (3, 3, 1.3)
    figure = figures.new_figure(8, 1.1 * sum(heights), layout="constrained")
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    losses, top1s, rates = panels[:3]
    styles = {
        "train": {"linestyle": "--", "linewidth": 1, "markerfacecolor": "white"},
        "test": {"linestyle": "-", "linewidth": 2},
    }

    def curve(axes, group, key, **style):
        points = [
            (entry["epoch"], entry[group][key])
            for entry in history
            if entry.get(group) and key in entry[group]
        ]
        if points:
            # Few points are marked: what was measured once is no line.
            marker = "o" if len(points) <= MARKS_UP_TO else ""
            style = {"marker": marker, "markersize": 4, **style}
            axes.plot(*zip(*points, strict=True), **style)

    for stream, color in COLORS.items():
        for split, style in styles.items():
            style = {**style, "color": color, "label": f"{stream}, {split}"}
            curve(losses, split, f"{stream}_loss", **style)
            curve(top1s, split, f"{stream}_top1", **style)
            curve(top1s, split, f"{stream}_error", **style)
        style = {"linestyle": ":", "color": color, "label": f"{stream}, teacher's"}
        curve(losses, "train", f"{stream}_distillation", **style)
        # Streams often share their rate: dashes let the first one show through.
        style = {"linestyle": "--" if rates.lines else "-", "linewidth": 2}
        style["marker"] = "o" if len(history) == 1 else ""
        curve(rates, "learning_rate", stream, color=color, label=stream, **style)
        if with_skipped:
            curve(panels[3], "skipped", stream, color=color, label=stream, **style)
    losses.set(ylabel="loss")
    if any(name.endswith("_error") for name in history[0]["train"]):
        top1s.set(ylabel="error [m]", ylim=(0, None))
    else:
        top1s.set(ylabel="top-1", ylim=(-0.02, 1.02))
        top1s.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    measured = _values(losses)
    # One of a test before BatchNorm has its statistics would flatten all others.
    if measured.size and measured.max() > FAR_OFF * np.median(measured) > 0:
        losses.set_yscale("log", nonpositive="clip")
    rates.set(ylabel="learning rate")
    _log_scale(rates)
    if with_skipped:
        panels[3].set(ylabel="updates\nleft out")
        panels[3].yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[-1].set(xlabel="epoch")
    panels[-1].set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            # Beside the panel, where it cannot hide a curve.
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    figure.align_ylabels()
    figures.save(figure, path)


def _values(axes):
    """The finite ones of all lines, `[N]`."""
    values = np.concatenate([line.get_ydata() for line in axes.lines] or [[]])
    return values[np.isfinite(values)]


def _log_scale(axes):
    """A logarithmic axis of the rates, of which some may be 0."""
    values = _values(axes)
    if not np.any(values > 0):
        return
    highest = values.max()
    shown = values[values >= highest * LOWEST_RATE]
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(shown.min() / 1.5, highest * 1.5)
