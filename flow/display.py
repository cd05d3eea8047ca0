"""Decoded frames as a player shows them: deinterlaced, RGB, upright."""

import collections

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import VideoReformatter

from flow.filter_graphs import free_filter_graphs

DEINTERLACER = "bwdif", "mode=send_frame:parity=auto:deint=interlaced"
SMALLEST_INTERLACED = 16  # px a side: bwdif wants 4 of each plane, chroma too


def deinterlace(frames):
    """Yields (item, frame) for each: frames flagged as interlaced become whole ones.

    Both fields of a frame show one instant afterwards, that of its first field. Frames
    that are not flagged pass unchanged.

    Args:
      frames: (item, `av.VideoFrame`); what `item` is does not matter.
    """
    graph = None
    is_filtered = False
    try:
        for item, frame in frames:
            kind = frame.width, frame.height, frame.format.name, frame.time_base
            if graph is not None and graph.kind != kind:
                yield from graph.rest()
                graph = None
            # Most videos have no such frame, and go past the filter.
            if graph is None and _is_interlaced(frame):
                graph = _Deinterlacer(kind, frame)
                is_filtered = True
            if graph is None:
                yield item, frame
            else:
                yield from graph.add(item, frame)
        if graph is not None:
            yield from graph.rest()
    finally:
        graph = None
        if is_filtered:
            free_filter_graphs()


def _is_interlaced(frame):
    large = min(frame.width, frame.height) >= SMALLEST_INTERLACED
    return frame.interlaced_frame and large


class _Deinterlacer:
    """Frames of one `kind` through FFmpeg's filter, which gives as many in order."""

    def __init__(self, kind, frame):
        self.kind = kind
        self._items = collections.deque()
        self._count = 0
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        # PyAV's own `add_buffer` has no matrix and range.
        source = self._graph.add(
            "buffer",
            video_size=f"{frame.width}x{frame.height}",
            pix_fmt=frame.format.name,
            time_base=str(frame.time_base or "1/1000"),
            colorspace=str(int(frame.colorspace)),
            range=str(int(frame.color_range)),
        )
        chain = source, self._graph.add(*DEINTERLACER), self._graph.add("buffersink")
        self._graph.link_nodes(*chain).configure()

    def add(self, item, frame):
        self._items.append(item)
        # The filter wants a time that rises, and that of `item` may be missing.
        frame.pts = self._count
        self._count += 1
        self._graph.vpush(frame)
        return self._ready()

    def rest(self):
        self._graph.vpush(None)
        return self._ready()

    def _ready(self):
        while self._items:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield self._items.popleft(), frame


class Painter:
    """Frames -> RGB, by FFmpeg's own conversion.

    It goes by a frame's tags of matrix and range, and without them does as FFmpeg:
    BT.601 whatever the size, limited range. Grey has the full range whatever its tags,
    alpha is dropped. Chroma of 8 bits and even sides is repeated for the pixels that
    share it, other chroma sited by the tag or else centred. Transfer and primaries are
    not converted: HDR looks pale, as in a player that does not map its tones.
    """

    def __init__(self):
        self._reformatter = VideoReformatter()

    def __call__(self, frame):
        """`av.VideoFrame` -> `[H, W, 3]` uint8, of the stored size."""
        # Frames are small: starting threads takes longer than they save.
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=1)
        return rgb.to_ndarray()


def display_matrix(frame):
    """`[2, 2]` int32 of a frame's metadata: (x, y) stored @ it is (x, y) shown.

    y points down, 2 ** 16 is one, and a frame that says nothing is shown as stored.
    """
    # `frame.side_data` would keep this container, which holds the frame: a cycle, in
    # which every frame stays in memory until the garbage collector comes.
    data = SideDataContainer(frame).get(SideData.DISPLAYMATRIX)
    if data is None:
        return np.eye(2, dtype=np.int32) << 16
    return np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2]


def is_turned(matrix):
    """Whether a display matrix makes rows of columns."""
    return abs(int(matrix[0, 1])) > abs(int(matrix[0, 0]))


def orient(image, matrix):
    """Turns and mirrors `[H, W, ...]` by a display matrix, in quarters of a turn."""
    if is_turned(matrix):
        image, matrix = image.swapaxes(0, 1), matrix[::-1]
    if matrix[0, 0] < 0:
        image = image[:, ::-1]
    if matrix[1, 1] < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)
