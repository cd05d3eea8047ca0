"""Videos written through PyAV, and what FFmpeg's own filters make of a file."""

from fractions import Fraction

import av

from flow.video import open_container, video_stream


def write(path, frames, *, codec, rate=25, options=(), tags=(), prepare=None):
    """Writes `av.VideoFrame`s of one format, one each 1 / rate s; returns the path.

    Args:
      path: its suffix chooses the container.
      frames: of the format that is to be encoded.
      codec: name of the encoder.
      rate: frames per second.
      options: of the encoder, a dict.
      tags: attributes of its codec context, a dict; those of colour go to the frames.
      prepare: called with the stream before the first frame.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options))
        first = frames[0]
        stream.width, stream.height = first.width, first.height
        stream.pix_fmt = first.format.name
        for name, value in dict(tags).items():
            setattr(stream.codec_context, name, value)
        if prepare:
            prepare(stream)
        for number, frame in enumerate(frames):
            for name in {"colorspace", "color_range"} & set(dict(tags)):
                setattr(frame, name, tags[name])
            if frame.pts is None:
                frame.pts, frame.time_base = number, 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def flagged(frames, field_mode):
    """The frames (of one format), flagged as "tff", "bff" or "prog"ressive."""
    graph, first = av.filter.Graph(), frames[0]
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base="1/25"
    )
    flag = graph.add("setparams", f"field_mode={field_mode}")
    graph.link_nodes(source, flag, graph.add("buffersink")).configure()
    made = []
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, Fraction(1, 25)
        graph.vpush(frame)
        made.append(graph.vpull())
    return made


def filtered(path, *filters, frames=None):
    """(start in s or None, `[H, W, 3]` uint8 RGB) of frames, by FFmpeg's filters.

    Args:
      path: of the video.
      filters: (name, options) in order; RGB is made at the end.
      frames: how many are decoded at most, None for all.
    """
    graph, shown = av.filter.Graph(), []
    with open_container(path) as container:
        stream = video_stream(container)
        source = None
        for number, frame in enumerate(container.decode(stream)):
            if number == frames:
                break
            if source is None:
                source = graph.add(
                    "buffer",
                    video_size=f"{frame.width}x{frame.height}",
                    pix_fmt=frame.format.name,
                    time_base=str(frame.time_base),
                    frame_rate=str(stream.average_rate or 25),
                    colorspace=str(int(frame.colorspace)),
                    range=str(int(frame.color_range)),
                )
                chain = [graph.add(*named) for named in filters]
                chain.append(graph.add("format", "rgb24"))
                graph.link_nodes(source, *chain, graph.add("buffersink")).configure()
            graph.vpush(frame)
            shown += _ready(graph)
    graph.vpush(None)
    return shown + _ready(graph)


def _ready(graph):
    shown = []
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return shown
        start = None if frame.pts is None else frame.pts * frame.time_base
        shown.append((start, frame.to_ndarray()))
