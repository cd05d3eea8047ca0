"""Pictures of an evaluation: a table of the classes, and how far confidence is right.

The confusion matrix is in `i3d_tf.pictures`.
"""

import math

from matplotlib.ticker import PercentFormatter

from i3d_tf import figures
from i3d_tf.curves import COLORS

# Rows below each other; more classes stand in up to four columns.
ROWS, COLUMNS = 60, 4
ROW_HEIGHT, COLUMN_WIDTH = 0.2, 8.5  # inches
# Where a column's parts begin, as shares of it: name, bar, videos, confusion.
NAME_END, BAR_END, VIDEOS_END = 0.36, 0.58, 0.64


def class_table(rows, path, title):
    """Draws a row for each class: its accuracy, videos and most frequent confusion.

    The worst class is first, classes without videos are last.

    Args:
      rows: for each class a `report.ClassRow`.
      path: the picture to write; its suffix is the format.
      title: the line above it.

    Raises ValueError if there is no class.
    """
    if not rows:
        raise ValueError("no classes; expected a row for each")
    order = sorted(rows, key=lambda row: (not row.videos, row.accuracy, -row.videos))
    columns = min(COLUMNS, math.ceil(len(order) / ROWS))
    height = math.ceil(len(order) / columns)
    # In inches from the top: title, the columns' heads, rows.
    above, heads = 0.45, 0.35
    page = (COLUMN_WIDTH * columns, above + heads + ROW_HEIGHT * height + 0.1)
    figure = figures.new_figure(*page)
    figure.text(
        0.15 / page[0],
        1 - 0.3 / page[1],
        title,
        fontsize=13,
        va="center",
        **figures.name_style(),
    )
    for column in range(columns):
        part = order[column * height : (column + 1) * height]
        axes = figure.add_axes(
            [
                column / columns,
                1 - (above + heads + ROW_HEIGHT * height) / page[1],
                1 / columns,
                ROW_HEIGHT * height / page[1],
            ]
        )
        _draw_rows(axes, part, height)
    figures.save(figure, path)


def _draw_rows(axes, rows, height):
    axes.set(xlim=(0, 1), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
    head = {"fontsize": 9, "color": "0.35", "va": "bottom"}
    for x, text, side in (
        (NAME_END - 0.01, "class", "right"),
        (NAME_END, "accuracy", "left"),
        (VIDEOS_END, "videos", "right"),
        (VIDEOS_END + 0.02, "most often taken for", "left"),
    ):
        axes.text(x, -0.7, text, ha=side, **head)
    width = BAR_END - NAME_END - 0.06
    style = {"fontsize": 9, "va": "center", **figures.name_style()}
    limits = {}
    for y, row in enumerate(rows):
        name = axes.text(NAME_END - 0.01, y, row.name, ha="right", **style)
        limits[name] = NAME_END - 0.03
        axes.barh(y, width, 0.7, NAME_END, color="0.93")
        share = "no videos"
        if row.videos:
            axes.barh(y, width * row.accuracy, 0.7, NAME_END, color="tab:blue")
            share = f"{row.accuracy:.0%}"
        x = NAME_END + width + 0.005 if row.videos else NAME_END + 0.01
        axes.text(x, y, share, ha="left", **style)
        axes.text(VIDEOS_END, y, str(row.videos), ha="right", **style)
        if row.taken_for is not None:
            confused = axes.text(
                VIDEOS_END + 0.055, y, row.taken_for, ha="left", **style
            )
            limits[confused] = 1 - VIDEOS_END - 0.065
            axes.text(VIDEOS_END + 0.05, y, f"{row.times} ×", ha="right", **style)
    for text, share in limits.items():
        figures.shorten(text, share * COLUMN_WIDTH * figures.DPI)


def reliability_diagram(found, path, title):
    """Draws accuracy over confidence, and how many videos have it.

    Args:
      found: {"rgb": `metrics.Reliability`, ...}.
      path: the picture to write; its suffix is the format.
      title: the line above it.
    """
    figure = figures.new_figure(8, 6.5, layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for name, one in found.items():
        color = COLORS.get(name, "tab:green")
        label = f"{name}: error {one.error:.1%}"
        # Not cut off at 100 %, where it often is.
        style = {"marker": "o", "markersize": 4, "color": color, "clip_on": False}
        some = one.videos > 0
        upper.plot(one.confidence[some], one.accuracy[some], label=label, **style)
        lower.stairs(one.videos, one.edges, color=color, linewidth=1.5)
    upper.set(ylabel="accuracy", ylim=(-0.02, 1.02))
    upper.set_title(title, **figures.name_style())
    lower.set(xlabel="confidence", ylabel="videos", xlim=(0, 1))
    for axis in (upper.yaxis, lower.xaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    # Beside the panel, where it cannot hide a curve.
    upper.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    figures.save(figure, path)
