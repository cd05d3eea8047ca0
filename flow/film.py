"""Pictures -> a video to look at: an mp4 that plays everywhere, or a GIF."""

import fractions
import io
import itertools

import av
from av.video.reformatter import ColorRange, Colorspace

from flow import files
from flow.filter_graphs import free_filter_graphs

# H.264 plays everywhere; MPEG-4 part 2 is in each FFmpeg, whatever its licence.
# Quality: visually almost lossless in both.
CODECS = {"libx264": {"crf": "18"}, "mpeg4": {"qmin": "2", "qmax": "2"}}


def write_mp4(path, pictures, fps):
    """Writes an mp4; holds one picture at a time.

    Args:
      path: the .mp4 to write.
      pictures: an iterable of `[H, W, 3]` uint8 RGB of one size, at least one.
      fps: pictures per second.

    Raises:
      ValueError: there is no picture, it is too large, or its sides are odd: two
        pixels of yuv420p, which all players know, share a colour.
    """
    codec = next(name for name in CODECS if name in av.codecs_available)
    first, pictures = _peek(path, pictures)
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"{path}: pictures of {width}x{height} px; sides must be even")
    try:
        _encode_mp4(path, pictures, codec, height, width, fps)
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path}: pictures of {width}x{height} px cannot be encoded by {codec} "
            f"({error.strerror})"
        ) from error


def _encode_mp4(path, pictures, codec, height, width, fps):
    with (
        files.written_aside(path) as aside,
        # The index first: a browser then plays what it has not loaded whole.
        av.open(
            str(aside), "w", format="mp4", options={"movflags": "faststart"}
        ) as container,
    ):
        stream = container.add_stream(codec, rate=_rate(fps), options=CODECS[codec])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = Colorspace.ITU601
        stream.codec_context.color_range = ColorRange.MPEG
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_gif(path, pictures, fps):
    """Writes a GIF that repeats for ever, in the 256 colours that fit it best.

    Holds one picture at a time, so it asks for them twice: to choose the colours, and
    to write.

    Args:
      path: the .gif to write.
      pictures: pictures() gives an iterable as of `write_mp4`; sides may be odd.
      fps: pictures per second. A GIF counts in hundredths of a second, and most
        browsers show more than 50 a second slowly.

    Raises ValueError where there is no picture.
    """
    with files.written_aside(path) as aside:
        _encode_gif(path, str(aside), pictures, fps)
        free_filter_graphs()


def gif_bytes(pictures, fps):
    """The bytes of a GIF as `write_gif` writes it, of pictures `[T, H, W, 3]` uint8."""
    data = io.BytesIO()
    _encode_gif("GIF", data, lambda: iter(pictures), fps)
    free_filter_graphs()
    return data.getvalue()


def _encode_gif(name, target, pictures, fps):
    """Writes a GIF to `target`, a path or an open file; `name` is that of an error."""
    first, shown = _peek(name, pictures())
    rate = _rate(fps)
    palette = _palette(shown, first.shape, rate)
    graph = av.filter.Graph()
    source, colors = (
        _source(graph, picture.shape, rate, format)
        for picture, format in ((first, "rgb24"), (palette, "bgra"))
    )
    # What does not change is left out of a frame, and ordered dots stay where they are:
    # error diffusion would flicker, and double the file.
    mapper = graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle")
    sink = graph.add("buffersink")
    source.link_to(mapper, 0, 0)
    colors.link_to(mapper, 0, 1)
    mapper.link_to(sink)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(palette, format="bgra")
    frame.pts, frame.time_base = 0, 1 / rate
    colors.push(frame)
    colors.push(None)
    with av.open(target, "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=rate)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "pal8"
        for frame in _through(source, sink, pictures(), rate):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _palette(pictures, shape, rate):
    """The 256 colours that fit the pictures, `[16, 16, 4]` uint8 BGRA."""
    graph = av.filter.Graph()
    source = _source(graph, shape, rate, "rgb24")
    chooser, sink = graph.add("palettegen"), graph.add("buffersink")
    source.link_to(chooser)
    chooser.link_to(sink)
    graph.configure()
    (palette,) = _through(source, sink, pictures, rate)
    return palette.to_ndarray(format="bgra")


def _source(graph, shape, rate, format):
    return graph.add_buffer(
        width=shape[1], height=shape[0], format=format, time_base=1 / rate
    )


def _through(source, sink, pictures, rate):
    """Yields the frames that come out of a filter graph for the pictures."""
    for number, picture in enumerate(itertools.chain(pictures, [None])):
        frame = None
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
        source.push(frame)
        while True:
            try:
                yield sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break


def _peek(path, pictures):
    """(first picture, all of them)."""
    pictures = iter(pictures)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path}: a video needs at least one picture")
    return first, itertools.chain([first], pictures)


def _rate(fps):
    return fractions.Fraction(fps).limit_denominator(1001)
