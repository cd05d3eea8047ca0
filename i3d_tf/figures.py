"""What all pictures share: figures without pyplot, names in them, checked clips.

A figure of its own needs no window and shares no state between threads.
"""

import bisect
import functools

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flow import files, visualize
from flow.figures import empty

DPI = 150
FLOW_PERCENTILE = visualize.PERCENTILE
# The default font lacks Chinese, Japanese and Korean, in which classes may be named.
CJK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
)


def new_figure(width, height, dpi=DPI, **options):
    """Returns a figure of width x height inches on a canvas without a window."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


@functools.cache
def name_style():
    """Returns the text properties for names that are not ours, as of classes.

    `$` is a sign like others in them, and a glyph that one font lacks is taken
    from the next one.
    """
    installed = set(font_manager.fontManager.get_font_names())
    families = ["DejaVu Sans", *(font for font in CJK_FONTS if font in installed)]
    return {"parse_math": False, "fontfamily": families}


def shorten(text, limit):
    """Cuts a text of a figure, with an ellipsis, to at most limit pixels."""
    whole = text.get_text()

    def width(kept):
        text.set_text(f"{whole[:kept].rstrip()}…")
        return text.get_window_extent().width

    if text.get_window_extent().width > limit:
        # The longest beginning that fits, and one letter where none does.
        width(max(1, bisect.bisect_right(range(len(whole)), limit, key=width) - 1))


def save(figure, path):
    """Writes a figure and empties it.

    Raises ValueError if the suffix is not a known format.
    """
    try:
        with files.written_aside(path) as aside:
            figure.savefig(aside, dpi="figure", bbox_inches="tight", pad_inches=0.15)
    finally:
        empty(figure)


def pixels(figure):
    """Returns a figure as `[H, W, 3]` uint8 RGB and empties it."""
    figure.canvas.draw()
    drawn = np.array(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    empty(figure)
    return drawn


def check_clip(rgb, flow, name):
    """Raises ValueError where rgb or flow is not a clip, or they do not match.

    A flow of None is none, and right.
    """
    rgb_shape, rgb_type = np.shape(rgb), getattr(rgb, "dtype", type(rgb).__name__)
    if len(rgb_shape) != 4 or rgb_shape[-1] != 3 or not all(rgb_shape):
        raise ValueError(f"{name}: rgb has shape {rgb_shape}; expected [T, H, W, 3]")
    if rgb_type != np.uint8:
        raise ValueError(f"{name}: rgb has dtype {rgb_type}; expected uint8")
    if flow is not None and np.shape(flow) != (*rgb_shape[:3], 2):
        raise ValueError(
            f"{name}: flow has shape {np.shape(flow)}; expected "
            f"{(*rgb_shape[:3], 2)}, a field for each of the RGB frames"
        )
