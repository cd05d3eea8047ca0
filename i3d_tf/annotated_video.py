"""A video with its flow beside it and the predicted classes below."""

import numpy as np

from flow import film, visualize
from i3d_tf import figures

TOP = 5
MIN_HEIGHT = 240  # px; a clip of the networks is small on today's screens
BAR, TRACK = "#9ecae1", "0.94"


def annotate_video(path, rgb, flow, classes, scores, fps=25):
    """Writes an mp4 with RGB left, flow in colours right, and the top-5 below.

    Videos less than 240 px high are enlarged by a whole factor, without smoothing.

    Args:
      path: the .mp4 to write.
      rgb: `[T, H, W, 3]` uint8.
      flow: `[T, H, W, 2]` float in px, or None: RGB alone.
      classes: the name of each class.
      scores: `[len(classes)]` probabilities in [0, 1].
      fps: frames per second.

    Raises:
      ValueError: rgb or flow have other shapes or types, classes and scores differ
        in number, scores are not in [0, 1], or fps is not in 0.1..1000.
    """
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
    if not 0.1 <= fps <= 1000:
        raise ValueError(f"fps is {fps}; expected 0.1..1000 frames per second")

    frames, height, width, _ = rgb.shape
    factor = -(-MIN_HEIGHT // height)
    max_flow = None
    if flow is not None:
        max_flow = visualize.max_magnitude(flow, figures.FLOW_PERCENTILE)
    top = height * factor
    # Two pixels share a colour in yuv420p, so both sides have to be even.
    columns = width * factor * (1 if flow is None else 2)
    columns += columns % 2
    panel = _panel(columns, top, classes, scores, max_flow)
    page = np.full((top + len(panel) + top % 2, columns, 3), 255, np.uint8)
    page[top : top + len(panel)] = panel

    def pages():
        for index in range(frames):
            views = [rgb[index]]
            if flow is not None:
                views.append(visualize.flow_to_color(flow[index], max_flow))
            view = np.concatenate(views, axis=1).repeat(factor, 0).repeat(factor, 1)
            page[:top, : view.shape[1]] = view
            yield page

    film.write_mp4(path, pages(), fps)


def _panel(width, video_height, classes, scores, max_flow):
    """Draws the classes of the highest scores: `[H, width, 3]` uint8, H even.

    A row for each: its bar, the name on it, the percentage at the end. With flow,
    the wheel of its colours is right of them where there is room.
    """
    scale = max(1.0, min(video_height / 320, width / 400))
    line, margin, font = round(24 * scale), round(8 * scale), 13 * scale
    best = np.argsort(-scores, kind="stable")[:TOP]
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
        axes.set(xlim=(0, width), ylim=(height, 0))
    track = end - margin - 4 * font
    for row, index in enumerate(best):
        y = margin + row * line
        thick = line - round(4 * scale)
        axes.bar(margin, thick, track, y, align="edge", color=TRACK)
        axes.bar(
            margin, thick, track * min(scores[index], 1), y, align="edge", color=BAR
        )
        # Capitals are 0.73 high: on a common baseline, whatever the descenders.
        baseline = y + thick / 2 + 0.365 * font
        style = {"va": "baseline", "fontsize": font}
        name = axes.text(
            margin + font / 2,
            baseline,
            classes[index],
            **style,
            **figures.name_style(),
        )
        figures.shorten(name, track - font)
        axes.text(end, baseline, f"{scores[index]:.1%}", ha="right", **style)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]
