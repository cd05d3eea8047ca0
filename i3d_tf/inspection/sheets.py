"""The pictures of an inspected data set: sheets of Views, and durations."""

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from flow import visualize
from i3d_tf import figures

# In inches. A phone shows a sheet in about 3.6, so what is written is not small.
WIDTH, GAP, MAX_HEIGHT = 5.2, 0.06, 1.9
HEADING, TIMELINE, CAPTION, LEGEND = 0.34, 0.08, 0.24, 0.95
# Frames are photographs: more dots would make megabytes of each sheet.
DPI = 120
FONT = 10
COLORS = ("tab:orange", "tab:blue")
DIMMED = 0.45  # brightness of what the crop leaves out
MAX_BINS = 40


def view_sheet(shown, video, num_frames, size, path):
    """Draws Views of a video, one below the other, with their crop boxes.

    A row of whole frames for each View and below it their flow, both dark where the
    crop leaves them out. The bar above is the video, its coloured part the clip. All
    flow of a sheet has the scale of the legend at its end.

    Args:
      shown: the `Shown`s, at most two.
      video: the `Video`.
      num_frames, size: of a clip.
      path: the picture to write; its suffix is the format.
    """
    columns = len(shown[0].indices)
    cell = (WIDTH - (columns - 1) * GAP) / columns
    height = min(cell * video.height / video.width, MAX_HEIGHT)
    block = HEADING + TIMELINE + 2 * height + GAP + CAPTION
    page = (WIDTH, len(shown) * block + LEGEND)
    figure = figures.new_figure(*page, dpi=DPI)

    def place(x, top, width, height):
        box = np.array([x, page[1] - top - height, width, height])
        axes = figure.add_axes(box / [*page, *page])
        axes.set_axis_off()
        return axes

    max_flow = visualize.max_magnitude(
        np.stack([one.flow for one in shown]), figures.FLOW_PERCENTILE
    )
    for number, (one, color) in enumerate(zip(shown, COLORS, strict=False)):
        top = number * block
        bar = place(0, top + HEADING - 0.04, WIDTH, TIMELINE)
        _timeline(bar, one.view.start, num_frames, video.frames, color)
        text = bar.text(0, 1.6, heading(one, video, num_frames), va="bottom")
        text.set(transform=bar.transAxes, fontsize=FONT + 1, color=color, weight="bold")
        colors = visualize.flow_to_color(one.flow, max_flow)
        for column, index in enumerate(one.indices):
            for row, picture in enumerate((one.rgb[column], colors[column])):
                y = top + HEADING + TIMELINE + row * (height + GAP)
                axes = place(column * (cell + GAP), y, cell, height)
                _crop(axes, picture, one.view, size, color)
            axes.set_title(
                f"frame {index} · {index / video.fps:.2f} s",
                **{"y": 0, "pad": -4, "va": "top", "fontsize": FONT - 0.5},
            )
    wheel = place(0, page[1] - LEGEND + 0.1, LEGEND - 0.1, LEGEND - 0.1)
    wheel.imshow(visualize.color_wheel(200))
    words = (
        "Flow: the hue is the direction of the motion since\n"
        f"the previous frame; 0 px is white, {max_flow:.1f} px the rim,\n"
        "more is darker. The sheet has this one scale."
    )
    style = {"transform": wheel.transAxes, "va": "center", "fontsize": FONT}
    wheel.text(1.12, 0.5, words, **style)
    figures.save(figure, path)


def heading(one, video, num_frames):
    """What a View cuts, in words: `epoch 1: frames 3–66 of 87, mirrored`."""
    start = one.view.start % video.frames
    last = start + num_frames - 1
    words = f"{one.name}: frames {start}–{last} of {video.frames}"
    if last >= video.frames:
        words = f"{one.name}: {num_frames} frames from {start} on, looped"
    return words + (", mirrored" if one.view.mirrored else "")


def _timeline(axes, start, num_frames, frames, color):
    """Draws the video as a bar and where the clip lies in it; all of it if looped."""
    start %= frames
    axes.set(xlim=(0, frames), ylim=(0, 1))
    axes.add_patch(Rectangle((0, 0), frames, 1, color="0.85"))
    for first in range(0, start + num_frames, frames):
        begin = max(start, first) - first
        end = min(start + num_frames - first, frames)
        axes.add_patch(Rectangle((begin, 0), end - begin, 1, color=color))


def _crop(axes, picture, view, size, color):
    """Shows a frame `[H, W, 3]` uint8 with the box of the crop."""
    dimmed = (picture * DIMMED).astype(np.uint8)
    box = slice(view.top, view.top + size), slice(view.left, view.left + size)
    dimmed[box] = picture[box]
    axes.imshow(dimmed)
    # From edge to edge of the pixels, whose centres have whole coordinates.
    corner = view.left - 0.5, view.top - 0.5
    contrast = [withStroke(linewidth=3, foreground="white")]
    axes.add_patch(
        Rectangle(
            corner,
            size,
            size,
            fill=False,
            edgecolor=color,
            linewidth=1.6,
            path_effects=contrast,
            clip_on=False,
        )
    )
    if view.mirrored:
        axes.text(
            view.left + size / 2,
            view.top + size * 0.97,
            "↔",
            **{"ha": "center", "va": "bottom", "fontsize": 11, "color": color},
            path_effects=contrast,
        )


def durations_plot(seconds, clip_seconds, path):
    """Draws how long videos last, beside the length of a clip.

    Args:
      seconds: `[N]` of the videos, at least one.
      clip_seconds: of a clip; shorter videos are looped.
      path: the picture to write; its suffix is the format.
    """
    figure = figures.new_figure(WIDTH, 2.6, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    edges = np.histogram_bin_edges(seconds, "auto")
    if len(edges) - 1 > MAX_BINS:
        edges = np.histogram_bin_edges(seconds, MAX_BINS)
    axes.hist(seconds, edges, color="0.6", edgecolor="white", linewidth=0.5)
    line = axes.axvline(clip_seconds, color="tab:red", linewidth=1.5)
    line.set_label(f"a clip, {clip_seconds:.2f} s")
    axes.legend(loc="upper right", bbox_to_anchor=(1, 1.17), frameon=False)
    axes.set(xlabel="duration in seconds", ylabel="videos")
    axes.set_xlim(left=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    figures.save(figure, path)
