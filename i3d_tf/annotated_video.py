"""A video with its flow and what speaks for its class beside it, and classes below."""

import itertools

import cv2
import numpy as np
from matplotlib import colormaps

from flow import film, visualize
from flow.video import FPS
from i3d_tf import figures
from i3d_tf.evaluation.metrics import softmax
from i3d_tf.raw_videos import centre
from i3d_tf.summary import TOP

MIN_HEIGHT = 240  # px; a clip of the networks is small on today's screens
BAR, TRACK = "#9ecae1", "0.94"
CURSOR = (214, 39, 40)
_STEPS = colormaps["Blues"]
_HEAT = colormaps["inferno"]
_OUTSIDE = 0.35  # brightness of what the networks do not see


def annotate_video(
    path, rgb, flow, classes, scores, fps=FPS, *, activation=None, size=None
):
    """Writes an mp4: RGB, flow in colours, the activation map; the top-5 below.

    Videos less than 240 px high are enlarged by a whole factor, without smoothing.

    Args:
      path: the .mp4 to write.
      rgb: `[T, H, W, 3]` uint8.
      flow: `[T, H, W, 2]` float in px, or None: it is left out.
      classes: the name of each class.
      scores: `[len(classes)]` probabilities in [0, 1].
      fps: frames per second.
      activation: `[t, h, w, len(classes)]` logits, see `prediction.Prediction`, or
        None: they are left out. Else the third picture shows where they speak more for
        the likeliest class than for the mean of all, from the least to the most of the
        clip, and beside the bars cells show each class's probability by the steps in
        time, with a line at the frame's own.
      size: with `activation`, side of the crop in the middle that it belongs to, px.

    Raises:
      ValueError: rgb, flow or activation have other shapes or types, classes and
        scores differ in number, scores are not in [0, 1], fps is not in 0.1..1000, or
        size is missing or larger than the frame.
    """
    if not 0.1 <= fps <= 1000:
        raise ValueError(f"fps is {fps}; expected 0.1..1000 frames per second")
    pages = _pages(path, rgb, flow, classes, scores, activation, size)
    film.write_mp4(path, pages, fps)


def annotate_windows(path, predictions):
    """The same of a video's windows, `Prediction`s in their order, as one mp4.

    A window is shown until the next one begins; two of them are held at a time.

    Raises ValueError if there is none.
    """
    following = iter(predictions)
    first = next(following, None)
    if first is None:
        raise ValueError(f"{path}: a video needs at least one prediction")

    def pages():
        shown = first
        for after in itertools.chain(following, [None]):
            end = len(shown.rgb)
            if after is not None:
                end = min(end, round((after.begin - shown.begin) * shown.fps))
            window = _pages(
                *(path, shown.rgb, shown.flow, shown.classes, shown.scores),
                *(shown.activation, shown.size),
            )
            yield from itertools.islice(window, end)
            shown = after

    film.write_mp4(path, pages(), first.fps)


def _pages(path, rgb, flow, classes, scores, activation, size):
    """Yields the frames of `annotate_video`, an array that the next one reuses."""
    figures.check_clip(rgb, flow, path)
    scores = np.asarray(scores, np.float64)
    if not len(classes) or scores.shape != (len(classes),):
        raise ValueError(
            f"scores have shape {scores.shape} for {len(classes)} classes; expected "
            "one for each"
        )
    # Softmax in float32 or lower precision may end slightly above 1.
    if not (scores.min() >= 0 and scores.max() <= 1.01):
        raise ValueError(
            f"scores are in {scores.min()}..{scores.max()}; expected probabilities "
            "in [0, 1], as a softmax of logits"
        )
    best = np.argsort(-scores, kind="stable")[:TOP]
    frames, height, width, _ = rgb.shape
    views = [lambda index: rgb[index]]
    max_flow = over_time = None
    if flow is not None:
        max_flow = visualize.max_magnitude(flow, figures.FLOW_PERCENTILE)
        views.append(lambda index: visualize.flow_to_color(flow[index], max_flow))
    if activation is not None:
        _check_activation(path, activation, classes, size, (height, width))
        heat = _heat(activation, best[0], frames, size)
        views.append(lambda index: _heated(rgb[index], heat(index)))
        over_time = softmax(activation.mean((1, 2)))[:, best].T

    factor = -(-MIN_HEIGHT // height)
    top = height * factor
    # Two pixels share a colour in yuv420p, so both sides have to be even.
    columns = width * factor * len(views)
    columns += columns % 2
    named = [(classes[index], scores[index]) for index in best]
    panel, cells = _panel(columns, top, named, max_flow, over_time)
    page = np.full((top + len(panel) + top % 2, columns, 3), 255, np.uint8)
    page[top : top + len(panel)] = panel
    for index in range(frames):
        pictures = np.concatenate([view(index) for view in views], axis=1)
        page[:top, : width * factor * len(views)] = pictures.repeat(factor, 0).repeat(
            factor, 1
        )
        if cells is None:
            yield page
            continue
        left, right, upper, lower = cells
        at = left + round((index + 0.5) / frames * (right - left)) - 1
        line = np.s_[top + upper : top + lower, at : at + 2]
        under = page[line].copy()
        page[line] = CURSOR
        yield page
        page[line] = under


def _check_activation(path, activation, classes, size, sides):
    shape = np.shape(activation)
    if len(shape) != 4 or shape[-1] != len(classes) or not all(shape):
        raise ValueError(
            f"{path}: activation has shape {shape}; expected [t, h, w, {len(classes)}]"
        )
    if size is None or not 1 <= size <= min(sides):
        raise ValueError(
            f"{path}: size of the crop is {size}; expected 1..{min(sides)} px"
        )


def _heat(activation, best, frames, size):
    """A function: index of a frame -> `[size, size]` in [0, 1] for the class `best`."""
    more = activation[..., best] - activation.mean(-1)
    more = (more - more.min()) / max(np.ptp(more), 1e-6)
    steps = len(more)

    def at(index):
        # A step is in the middle of its frames.
        step = np.clip((index + 0.5) / frames * steps - 0.5, 0, steps - 1)
        before = int(step)
        share = step - before
        grid = (1 - share) * more[before] + share * more[min(before + 1, steps - 1)]
        return cv2.resize(grid.astype(np.float32), (size, size))

    return at


def _heated(image, heat):
    """An image with the heat of its central crop, dark around that."""
    crop = centre(*image.shape[:2], len(heat))
    shown = image * _OUTSIDE
    colours = 255 * _HEAT(heat)[..., :3]
    # Where nothing speaks for the class the image is seen, and through the rest too.
    opaque = 0.75 * np.sqrt(heat)[..., None]
    shown[crop] = (1 - opaque) * image[crop] * 0.8 + opaque * colours
    return np.rint(shown).astype(np.uint8)


def _panel(width, video_height, named, max_flow, over_time):
    """Draws classes: (`[H, width, 3]` uint8, where the cells are or None), H even.

    A row for each: its bar, the name on it, the percentage at the end. With `over_time`
    `[classes, steps]` a row of cells follows, whose sides in px are returned as (left,
    right, top, bottom). With flow, the wheel of its colours is at the right end where
    there is room.
    """
    scale = max(1.0, min(video_height / 320, width / 400))
    line, margin, font = round(24 * scale), round(8 * scale), 13 * scale
    height = 2 * margin + TOP * line
    height += height % 2
    # 72 dots per inch, so that points of the font are pixels; half a pixel more,
    # as the canvas cuts its size to whole ones.
    figure = figures.new_figure((width + 0.5) / 72, (height + 0.5) / 72, dpi=72)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()

    end = width - margin
    if max_flow is not None and width >= 400:
        size = height - 2 * margin - line
        end -= size + 2 * margin
        x = width - margin - size
        axes.imshow(
            visualize.color_wheel(size),
            extent=(x, x + size, margin + size, margin),
            aspect="auto",
        )
        style = {"ha": "center", "va": "center", "fontsize": 0.85 * font}
        axes.text(
            x + size / 2, height - margin - line / 2, f"rim {max_flow:.1f} px", **style
        )
    thick = line - round(4 * scale)
    cells = None
    if over_time is not None:
        left, right = round(end - 0.4 * (end - margin)), end
        cells = (left, right, margin, margin + (len(named) - 1) * line + thick)
        end = left - margin
    track = end - margin - 4 * font
    for row, (label, score) in enumerate(named):
        y = margin + row * line
        axes.bar(margin, thick, track, y, align="edge", color=TRACK)
        axes.bar(margin, thick, track * min(score, 1), y, align="edge", color=BAR)
        # Capitals are 0.73 high: on a common baseline, whatever the descenders.
        baseline = y + thick / 2 + 0.365 * font
        style = {"va": "baseline", "fontsize": font}
        name = axes.text(
            margin + font / 2, baseline, label, **style, **figures.name_style()
        )
        figures.shorten(name, track - font)
        axes.text(end, baseline, f"{score:.1%}", ha="right", **style)
        if cells:
            axes.imshow(
                _STEPS(over_time[row][None]),
                extent=(cells[0], cells[1], y + thick, y),
                aspect="auto",
                interpolation="nearest",
            )
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figures.pixels(figure), cells
