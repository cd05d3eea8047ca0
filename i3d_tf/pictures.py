"""Pictures of a training run and of its clips.

Curves, confusions, sample sheets and annotated videos; each file appears whole or
not at all.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from flow import visualize
from i3d_tf import figures
from i3d_tf.annotated_video import annotate_video, annotate_windows
from i3d_tf.curves import class_curves, training_curves

__all__ = [
    "annotate_video",
    "annotate_windows",
    "class_curves",
    "confusion_matrix",
    "sample_sheet",
    "training_curves",
]

# A count fits into a cell, and a name beside its row, up to so many classes.
COUNTS_UP_TO, NAMES_UP_TO = 20, 60
NAME_LENGTH = 32  # longer names would take the room of the matrix
SHEET_FRAMES = 6
BORDER = {"fill": False, "edgecolor": "0.8", "linewidth": 0.8, "clip_on": False}


def confusion_matrix(labels, predictions, class_names, path, title):
    """Draws which class (row) was taken for which (column).

    The colour is the share of the row, so that rare classes count as much as
    frequent ones; a row without videos is grey. Counts are written in the cells of
    up to 20 classes, names beside those of up to 60; beyond, the axes show class
    indices.

    Args:
      labels: `[N]` integers, the true classes.
      predictions: `[N]` integers, the predicted ones.
      class_names: the name of each class.
      path: the picture to write; its suffix is the format.
      title: the line above it.

    Raises:
      ValueError: labels and predictions are empty, differ in length, are not
        integers or have an index that names no class.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    classes = len(class_names)
    if labels.ndim != 1 or labels.shape != predictions.shape or not labels.size:
        raise ValueError(
            f"labels have shape {labels.shape}, predictions {predictions.shape}; "
            "expected [N] twice"
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} have dtype {values.dtype}; expected integers")
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(
                f"{name} are in {values.min()}..{values.max()}; expected "
                f"0..{classes - 1} for {classes} class names"
            )
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals, counts / np.maximum(totals, 1), np.nan)

    names = [
        name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
        for name in class_names
    ]
    side = 9.0
    if classes <= NAMES_UP_TO:
        cell = 0.45 if classes <= COUNTS_UP_TO else 0.2
        side = max(4.5, 1.5 + 0.07 * max(map(len, names)) + cell * classes)
    figure = figures.new_figure(side + 0.7, side, layout="constrained")
    axes = figure.subplots()
    blues = colormaps["Blues"].with_extremes(bad="0.85")
    image = axes.imshow(shares, cmap=blues, vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(image, shrink=0.6, format=PercentFormatter(xmax=1))
    bar.set_label("share of the true class")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, **figures.name_style())
    if classes <= NAMES_UP_TO:
        style = {"fontsize": 9, **figures.name_style()}
        slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(classes), names, **slanted, **style)
        axes.set_yticks(range(classes), names, **style)
    else:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    if classes <= COUNTS_UP_TO:
        for row, column in np.argwhere(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            style = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
            axes.text(column, row, str(counts[row, column]), **style)
    figures.save(figure, path)


def sample_sheet(clips, path):
    """Shows clips as the networks get them: frames, and below them their flow.

    Up to six frames of each clip, evenly spaced. All flow of a sheet has the same
    scale, that of the legend at its end.

    Args:
      clips: for each clip (title, rgb `[T, H, W, 3]` uint8, flow `[T, H, W, 2]`
        float in px or None: RGB alone). Clips may differ in length and size.
      path: the picture to write; its suffix is the format.

    Raises:
      ValueError: there is no clip, or one has other shapes or types.
    """
    if not clips:
        raise ValueError("clips is empty; expected (title, rgb, flow) for each")
    chosen = []
    for title, rgb, flow in clips:
        figures.check_clip(rgb, flow, f"clip {title!r}")
        steps = np.linspace(0, len(rgb) - 1, min(SHEET_FRAMES, len(rgb)))
        steps = np.rint(steps).astype(int)
        flow = None if flow is None else np.take(flow, steps, 0)
        chosen.append((title, steps, np.take(rgb, steps, 0), flow))
    max_flow = max(
        (
            visualize.max_magnitude(flow, figures.FLOW_PERCENTILE)
            for *_, flow in chosen
            if flow is not None
        ),
        default=None,
    )
    strips = [_strip(rgb, flow, max_flow) for _, _, rgb, flow in chosen]

    # In inches: a strip, what is left of it, above and below it, and the legend.
    width, left, above, below, legend = 10, 0.55, 0.4, 0.3, 1.2
    if max_flow is None:
        legend = 0.1
    heights = [width * len(strip) / strip.shape[1] for strip in strips]
    page = (left + width + 0.15, sum(heights) + len(clips) * (above + below) + legend)
    figure = figures.new_figure(*page)

    def place(x, top, width, height):
        box = np.array([x, page[1] - top - height, width, height])
        return figure.add_axes(box / [*page, *page])

    top = 0
    for (title, steps, rgb, _), strip, height in zip(
        chosen, strips, heights, strict=True
    ):
        axes = place(left, top + above, width, height)
        axes.imshow(strip)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        rows, columns = rgb.shape[1:3]
        # Where flow is none, there is the one row of frames.
        tops = sorted({0, len(strip) - rows})
        corners = np.arange(len(steps)) * (columns + _gap(columns)) - 0.5
        for x in corners:
            # Still flow is white as the page: show where the frame ends.
            for y in tops:
                axes.add_patch(Rectangle((x, y - 0.5), columns, rows, **BORDER))
        labels = [f"frame {step}" for step in steps]
        axes.set_xticks(corners + columns / 2, labels, fontsize=9)
        names = ["RGB", "flow"][: len(tops)]
        axes.set_yticks([y + rows / 2 for y in tops], names)
        text = axes.set_title(title, loc="left", **figures.name_style())
        figures.shorten(text, width * figures.DPI)
        top += above + height + below
    if max_flow is not None:
        _add_wheel(place(left, top + 0.15, 0.9, 0.9), max_flow)
    figures.save(figure, path)


def _add_wheel(axes, max_flow):
    """The legend of flow's colours."""
    axes.imshow(visualize.color_wheel(270))
    axes.set_axis_off()
    words = (
        "The hue is the direction of the motion since the previous frame, the\n"
        f"saturation its speed: 0 is white, {max_flow:.1f} px the rim, more is darker."
    )
    axes.text(1.15, 0.5, words, transform=axes.transAxes, va="center")


def _strip(rgb, flow, max_flow):
    """Frames `[N <= 6, H, W, 3]` in a row, their flow below: `[rows, columns, 3]`."""
    rows = [rgb] if flow is None else [rgb, visualize.flow_to_color(flow, max_flow)]
    frames, height, width, _ = rgb.shape
    gap = _gap(width)
    size = np.array([len(rows), SHEET_FRAMES]) * (height + gap, width + gap) - gap
    strip = np.full((*size, 3), 255, np.uint8)
    for row, pictures in enumerate(rows):
        top = row * (height + gap)
        for frame in range(frames):
            left = frame * (width + gap)
            strip[top : top + height, left : left + width] = pictures[frame]
    return strip


def _gap(width):
    """Pixels between two frames of this width."""
    return max(2, width // 40)
