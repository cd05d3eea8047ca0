"""A video beside its flow in colours: a picture of one frame, or a video of all."""

import contextlib
import itertools
import pathlib

import cv2
import numpy as np
import tqdm
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flow import code, files, film, visualize
from flow.figures import empty
from flow.flow_video import check_source, describe_flow_video, read_flow_video
from flow.paired_frames import check_pair, paired_frames

VIDEO_SUFFIXES = (".mp4", ".gif")
# px of a frame on the page: smaller ones are hard to see on today's screens, and not
# all players show videos of more than 4096x2304 px.
MIN_HEIGHT = 240
MAX_HEIGHT, MAX_WIDTH = 1700, 2000
# px and grey of what frames both: still flow is white as the page.
BORDER, BORDER_GREY = 4, 208
LEGEND_WIDTH = 400  # px that its words need at least
SPEED_STEP = 0.01  # px


def write_video(path, video, flow, max_flow=None):
    """Writes an mp4 or GIF: the frames left, their flow right, the legend below.

    It begins with the second frame, as nothing moves into the first. All flow has one
    scale. Only one frame is held at a time.

    Args:
      path: the file to write; its suffix, .mp4 or .gif, is the format.
      video: path of the video.
      flow: path of its flow video; the video is read at its rate and size.
      max_flow: speed in px at the rim of the legend. None takes `whole_scale`.

    Raises:
      ValueError: another suffix, or max_flow is not a positive number.
      VideoError: one cannot be read, or they do not belong together.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise ValueError(
            f"{path}: is to end in {' or '.join(VIDEO_SUFFIXES)}, which says the format"
        )
    made = describe_flow_video(flow)
    check_source(video, made)
    if max_flow is None:
        max_flow = whole_scale(flow)

    # A GIF's colours are chosen first.
    passes = ["colours", "draw"] if suffix == ".gif" else ["draw"]

    def pages():
        pairs = read_pairs(video, flow)
        bar = tqdm.tqdm(pairs, passes.pop(0), made["flow_frames"], unit=" frames")
        notes = (frame_note(k, made["fps"]) for k in itertools.count(1))
        return draw_pages(bar, max_flow, notes)

    if suffix == ".gif":
        film.write_gif(path, pages, made["fps"])
    else:
        film.write_mp4(path, pages(), made["fps"])


def write_picture(path, image, flow, max_flow=None, note=""):
    """Writes a PNG: a frame left, its flow right, the legend below.

    Args:
      path: the .png to write.
      image: `[H, W, 3]` uint8 RGB.
      flow: `[H, W, 2]` float in px, from the frame before to this one.
      max_flow: speed in px at the rim of the legend. None takes that of the flow's
        fastest pixels (`visualize.PERCENTILE`).
      note: a few words for the legend, as which frame it is.

    Raises ValueError for another suffix, as the values of flow or max_flow are wrong,
    or where image and flow differ in size.
    """
    if pathlib.Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: is to end in .png")
    if image.shape[:2] != flow.shape[:2]:
        raise ValueError(
            f"the frame is {list(image.shape[:2])} px, its flow {list(flow.shape[:2])}"
        )
    if max_flow is None:
        max_flow = visualize.max_magnitude(flow, visualize.PERCENTILE)
    (page,) = draw_pages([(image, flow)], max_flow, [note])
    with files.written_aside(path) as aside:
        aside.write_bytes(cv2.imencode(".png", page[..., ::-1])[1])


def frame_note(frame, fps):
    """Which frame a page shows, in words for its legend; the first frame is 0."""
    return f"Frame {frame}, at {frame / fps:.2f} s"


def read_pairs(video, flow):
    """Yields (frame `[H, W, 3]` uint8 RGB, flow `[H, W, 2]` float32 px) of a video.

    Frame k with the flow from frame k - 1 to it, k = 1 ... N - 1.

    Args:
      video: path of the video.
      flow: path of its flow video.

    Raises VideoError if one cannot be read, or they differ in source, size or length.
    """
    made = describe_flow_video(flow)
    check_source(video, made)
    for image, codes in paired_frames(video, flow, made):
        check_pair(video, flow, image, codes)
        yield image, code.decode(codes)


def whole_scale(flow):
    """As `visualize.max_magnitude` of a whole flow video at `PERCENTILE`, float in px.

    Reads it to the end, a frame at a time, and counts speeds to hundredths of a px.
    """
    counts = np.zeros(round(2 * code.BOUND / SPEED_STEP), np.int64)
    for codes in read_flow_video(flow):
        motion = code.decode(codes)
        speed = np.hypot(motion[..., 0], motion[..., 1]).ravel()
        steps = np.ceil(speed / SPEED_STEP).astype(np.int64)
        counts += np.bincount(steps, minlength=len(counts))
    share = np.cumsum(counts) / counts.sum()
    rank = np.searchsorted(share, visualize.PERCENTILE / 100)
    return max(1.0, float(rank * SPEED_STEP))


def draw_pages(pairs, max_flow, notes=None):
    """Yields a page `[H, W, 3]` uint8 RGB, of even sides, for each (frame, flow).

    All of `pairs` have one size. Small frames are enlarged by a whole factor, without
    smoothing, and very large ones made smaller. `notes` are the legends' first lines,
    one for each page; None leaves them empty.
    """
    with contextlib.ExitStack() as stack:
        page = None
        noted = zip(pairs, notes or itertools.repeat(""), strict=False)
        for (image, flow), note in noted:
            if page is None:
                height, width = size = _shown_size(*image.shape[:2])
                views = np.s_[BORDER : BORDER + height, BORDER : BORDER + width]
                both = np.full(
                    (height + 2 * BORDER, 2 * width + 3 * BORDER, 3),
                    BORDER_GREY,
                    np.uint8,
                )
                wide = max(both.shape[1], LEGEND_WIDTH)
                draw_legend = stack.enter_context(_legend(wide, height, max_flow))
                page = _empty_page(len(both) + len(draw_legend("")), wide)
                left = (wide - both.shape[1]) // 2
            both[views] = _shown(image, size)
            color = visualize.flow_to_color(flow, max_flow)
            both[:, width + BORDER :][views] = _shown(color, size)
            page[: len(both), left : left + both.shape[1]] = both
            legend = draw_legend(note)
            page[len(both) :][: len(legend), :wide] = legend
            yield page


def _shown_size(height, width):
    if height < MIN_HEIGHT:
        factor = -(-MIN_HEIGHT // height)
        factor = max(1, min(factor, MAX_WIDTH // width))
    else:
        factor = 1
    factor = min(factor, MAX_HEIGHT / height, MAX_WIDTH / width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _shown(image, size):
    larger = size[0] >= image.shape[0]
    method = cv2.INTER_NEAREST if larger else cv2.INTER_AREA
    return cv2.resize(image, size[::-1], interpolation=method)


def _empty_page(height, width):
    """White, its sides made even: two pixels share a colour in most videos."""
    return np.full((height + height % 2, width + width % 2, 3), 255, np.uint8)


@contextlib.contextmanager
def _legend(width, height, max_flow):
    """Yields legend(note): the wheel and its meaning, below frames of `height`.

    It returns `[h, width, 3]` uint8, valid until the next call.
    """
    words = [
        "",  # the note
        "Hue: direction since the frame before",
        "Paler is slower, white stands still",
        f"Rim of the wheel: {max_flow:.1f} px a frame",
        "Darker than the rim: faster",
    ]
    scale = max(1.0, min(height / 320, width / 640))
    margin, font = round(10 * scale), 12 * scale
    line = 1.5 * font
    size = round(len(words) * line)
    tall = size + 2 * margin
    # 72 dots per inch, so that points of the font are pixels; half a pixel more, as
    # the canvas cuts its size to whole ones.
    figure = Figure(((width + 0.5) / 72, (tall + 0.5) / 72), dpi=72, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(
        visualize.color_wheel(size),
        extent=(margin, margin + size, margin + size, margin),
        aspect="auto",
    )
    axes.set(xlim=(0, width), ylim=(tall, 0))
    texts = []
    for row, text in enumerate(words):
        # Capitals are 0.73 high: on a common baseline, whatever the descenders.
        y = margin + (row + 0.5) * line + 0.365 * font
        at = 2 * margin + size, y
        texts.append(axes.text(*at, text, va="baseline", fontsize=font))
    canvas.draw()
    # To draw all of it takes longer than the flow's colours: 22 ms.
    without_note = canvas.copy_from_bbox(figure.bbox)

    def legend(note):
        canvas.restore_region(without_note)
        texts[0].set_text(note)
        axes.draw_artist(texts[0])
        return np.asarray(canvas.buffer_rgba())[..., :3]

    try:
        yield legend
    finally:
        empty(figure)
