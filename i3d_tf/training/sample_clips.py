"""Clips of the training as a film: what the networks are shown."""

import cv2
import numpy as np

from flow import code, film, visualize
from i3d_tf import figures, pipeline
from i3d_tf.streams import FLOW, RGB
from i3d_tf.training.epochs import update_of

# Clips of a film, and px of each: three fit into a card of TensorBoard.
CLIPS, SIDE = 3, 128
UNLABELLED = "without label"
GAP, CAPTION = 4, 20  # px
GREY = 208  # of what frames the clips: still flow is white as the page
# Every second frame halves the film and still looks fluent.
STEP, FPS = 2, 12.5


def is_filmed(epoch):
    """Whether the first clips of an epoch, from 0 on, are filmed: of 1, 2, 4, 8, ...

    So there are few films, however long the training: TensorBoard keeps ten.
    """
    return (epoch + 1).bit_count() == 1


def film_of_epoch(builder, config, epoch, *, worker=(0, 1)):
    """The first clips of an epoch, as they are trained on, as the bytes of a GIF.

    They are read once more, so that the training's own batches are what they would be
    without.

    Args:
      builder: the built data set.
      config: `config.Config`.
      worker: as of `pipeline.train_batches`.
    """
    batches = pipeline.train_batches(
        builder,
        config.data,
        config.streams,
        batch_size=min(CLIPS, config.batch_size),
        seed=config.seed,
        epoch=epoch,
        worker=worker,
        as_codes=True,
        update=update_of(config),
    )
    codes, labels, *weights = next(iter(batches.take(1)))
    names = builder.info.features["label"].names
    captions = [names[index] for index in labels.numpy().argmax(-1)]
    if weights:
        captions = [
            name if weight else UNLABELLED
            for name, weight in zip(captions, weights[0].numpy(), strict=True)
        ]
    pages = draw_clips(
        {name: values.numpy() for name, values in codes.items()}, captions
    )
    return film.gif_bytes(pages, FPS)


def draw_clips(codes, names):
    """Clips side by side, under the names of their classes: RGB above flow in colours.

    Every second frame makes a page; all flow has one scale.

    Args:
      codes: {stream name: `[B, T, size, size, C]` uint8}, of "rgb", "flow" or both.
      names: B classes.

    Returns `[T', H, W, 3]` uint8 RGB.
    """
    rows = [
        _COLOURS[stream.name](codes[stream.name][:, ::STEP])
        for stream in (RGB, FLOW)
        if stream.name in codes
    ]
    clips, pages = rows[0].shape[:2]
    width = clips * (SIDE + GAP) + GAP
    height = CAPTION + GAP + len(rows) * (SIDE + GAP)
    shown = np.full((pages, height, width, 3), GREY, np.uint8)
    shown[:, :CAPTION] = _captions(names, width)
    for row, pictures in enumerate(rows):
        top = CAPTION + GAP + row * (SIDE + GAP)
        for clip in range(clips):
            left = GAP + clip * (SIDE + GAP)
            for page in range(pages):
                shown[page, top : top + SIDE, left : left + SIDE] = _resized(
                    pictures[clip, page]
                )
    return shown


def _flow_colours(codes):
    flow = code.decode(codes)
    return visualize.flow_to_color(
        flow, visualize.max_magnitude(flow, visualize.PERCENTILE)
    )


_COLOURS = {RGB.name: np.asarray, FLOW.name: _flow_colours}


def _resized(picture):
    method = cv2.INTER_AREA if len(picture) > SIDE else cv2.INTER_NEAREST
    return cv2.resize(picture, (SIDE, SIDE), interpolation=method)


def _captions(names, width):
    """The names above their clips, `[CAPTION, width, 3]` uint8 RGB."""
    # At 72 dots per inch points are pixels; half a pixel more, as the canvas cuts its
    # size to whole ones.
    figure = figures.new_figure((width + 0.5) / 72, (CAPTION + 0.5) / 72, dpi=72)
    for clip, name in enumerate(names):
        left = GAP + clip * (SIDE + GAP)
        text = figure.text(left / width, 0.3, name, fontsize=11, **figures.name_style())
        figures.shorten(text, SIDE)
    return figures.pixels(figure)
