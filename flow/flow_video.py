"""The flow video: one lossless `.mkv` per source video, which any player opens.

FFV1, grey, u above v, in the code of `flow.code`. The container's tags say how
it was made; who reads it checks them.
"""

import contextlib
import json

import av
import numpy as np

from flow import code
from flow.files import written_aside
from flow.video import VideoError

TAG = "TWO_STREAM_FLOW"


@contextlib.contextmanager
def write_flow_video(path, *, fps, description):
    """`with write_flow_video(path, ...) as add:` and `add(flow)` for every frame.

    `flow` is `[H, W, 2]` float32 px. The file is written aside and gets its name
    when the block ends without an error; else nothing is left.

    Args:
      path: the `.mkv` to write.
      fps: frames per second, as of the source frames.
      description: a dict for JSON, kept in the tags (engine, parameters, ...).
    """
    tag = json.dumps({**description, "bound": code.BOUND, "code": code.FORMULA})
    with written_aside(path) as aside:
        # Without bitexact every file would bear a random id.
        options = {"fflags": "bitexact"}
        with av.open(str(aside), "w", format="matroska", options=options) as container:
            container.metadata[TAG] = tag
            stream = None

            def add(flow):
                nonlocal stream
                height, width, _ = flow.shape
                if stream is None:
                    stream = container.add_stream("ffv1", rate=fps)
                    stream.width, stream.height = width, 2 * height
                    stream.pix_fmt = "gray"
                    # Version 3 with a checksum in every slice.
                    stream.options = {"level": "3", "slicecrc": "1"}
                codes = code.encode(flow)
                planes = np.concatenate([codes[..., 0], codes[..., 1]])
                frame = av.VideoFrame.from_ndarray(planes, format="gray")
                container.mux(stream.encode(frame))

            yield add
            if stream is None:
                raise ValueError(f"{path}: a flow video needs at least one frame")
            container.mux(stream.encode(None))


def describe_flow_video(path):
    """The dict in a flow video's tags and `flow_frames`, how many it holds.

    Raises VideoError if the file is not a flow video of this code and bound.
    """
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            description = _description(path, container)
            # The end of a stream is marked by an empty packet.
            packets = sum(packet.size > 0 for packet in container.demux(video=0))
            return {**description, "flow_frames": packets}
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be opened ({error})") from error


def read_flow_video(path):
    """Yields the codes of a flow video, `[H, W, 2]` uint8; see `flow.code`.

    Raises VideoError if the file is damaged or of another code or bound.
    """
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            _description(path, container)
            for frame in container.decode(video=0):
                planes = frame.to_ndarray(format="gray")
                yield np.stack(np.split(planes, 2), axis=-1)
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be decoded ({error})") from error


def _description(path, container):
    text = container.metadata.get(TAG)
    if text is None:
        raise VideoError(f"{path}: not a flow video (it has no tag {TAG})")
    description = json.loads(text)
    found = description.get("bound"), description.get("code")
    if found != (code.BOUND, code.FORMULA):
        raise VideoError(
            f"{path}: flow with bound and code {found}, needed is "
            f"{(code.BOUND, code.FORMULA)}"
        )
    return description
