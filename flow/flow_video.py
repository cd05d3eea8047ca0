"""The flow video: one lossless `.mkv` per source video, which any player opens.

FFV1, grey, u above v, in the code of `flow.code`. The container's tags say what it
holds and how it was made; who reads it checks them.
"""

import collections
import hashlib
import json
import math
import zlib
from fractions import Fraction

import av
import numpy as np

from flow import code
from flow.files import local_copy, written_aside
from flow.video import VideoError, open_container

TAG = "TWO_STREAM_FLOW"
# What `write_flow_video` itself puts into the tags.
FIELDS = ("frames", "flow_frames", "fps", "duration", "size", "bound", "quantiser")


def write_flow_video(path, codes, *, fps, description):
    """Writes a flow video and returns its tags.

    The file is written aside and gets its name when it is whole; else nothing is
    left. Equal arguments give equal bytes.

    Args:
      path: the `.mkv` to write.
      codes: an iterable of frames `[H, W, 2]` uint8 in `flow.code`, at least one.
      fps: frames per second, as of the source frames.
      description: a dict for JSON that becomes part of the tags (engine, ...). It is
        read when `codes` has ended, so `codes` may add to it.

    Returns:
      `description` with `frames`, how many the flow was computed from,
      `flow_frames`, one less, `fps`, `duration` of the frames in seconds, `size`
      [H, W] in px, and `bound` (px) and `quantiser` of the code.

    Raises:
      OSError: the file cannot be written (a full disk, no permission).
      ValueError: no frames, or of several sizes.
    """
    try:
        with written_aside(path) as aside:
            # Tags stand before the frames but are known after them, so all is
            # written twice; beside the TV-L1 that is no time.
            untagged = aside.with_suffix(".raw")
            try:
                count, size = _encode(untagged, codes, fps)
                tags = {
                    **description,
                    "frames": count + 1,
                    "flow_frames": count,
                    "fps": fps,
                    "duration": (count + 1) / fps,
                    "size": size,
                    "bound": code.BOUND,
                    "quantiser": code.FORMULA,
                }
                _copy(untagged, aside, fps, tags)
            finally:
                untagged.unlink(missing_ok=True)
    except OSError as error:
        # Some name the file aside, or none.
        raise OSError(error.errno, error.strerror, str(path)) from error
    return tags


def _encode(target, codes, fps):
    """Writes the frames `codes`; returns their number and size [H, W]."""
    count = size = 0
    with _open_new(target) as container:
        for frame in codes:
            if not count:
                size = list(frame.shape[:2])
                stream = container.add_stream("ffv1", rate=_fraction(fps))
                stream.width, stream.height = size[1], 2 * size[0]
                stream.pix_fmt = "gray"
                # Version 3 with a checksum in every slice.
                stream.options = {"level": "3", "slicecrc": "1"}
                # There is a process for each core already.
                stream.codec_context.thread_count = 1
            if list(frame.shape[:2]) != size:
                raise ValueError(
                    f"flow of {list(frame.shape[:2])} px comes after one of {size} px"
                )
            planes = np.concatenate([frame[..., 0], frame[..., 1]])
            image = av.VideoFrame.from_ndarray(planes, format="gray")
            container.mux(stream.encode(image))
            count += 1
        if not count:
            raise ValueError(f"{target}: a flow video needs at least one frame")
        container.mux(stream.encode(None))
    return count, size


def _fraction(fps):
    # PyAV takes no float, and a container no fraction of large numbers.
    return Fraction(fps).limit_denominator(1001)


def _copy(source, target, fps, tags):
    """Copies the one stream of a container as it is, and adds the tags."""
    with (
        # To guess the format from a name with * or % makes it a series of pictures.
        av.open(str(source), format="matroska") as container,
        _open_new(target) as tagged,
    ):
        tagged.metadata[TAG] = json.dumps(tags)
        template = container.streams.video[0]
        stream = tagged.add_stream_from_template(template, rate=_fraction(fps))
        for packet in container.demux(video=0):
            if packet.size:  # The end of a stream is marked by an empty packet.
                packet.stream = stream
                tagged.mux(packet)


def _open_new(path):
    # Without bitexact every file would bear a random id.
    return av.open(str(path), "w", format="matroska", options={"fflags": "bitexact"})


def describe_flow_video(path, *, size=None, flow_frames=None):
    """The tags of a flow video, which the file was found to fit.

    All of it is read and its checksums are compared, but nothing is decoded.

    Args:
      path: of the flow video.
      size: [H, W] in px that the flow has to have; None takes any.
      flow_frames: how many frames there have to be; None takes any number.

    Raises:
      VideoError: the file is no flow video of this code and bound, is damaged or
        cut, or is not as expected.
    """
    # Of all packets none but the last is kept.
    ((tags, _),) = collections.deque(_packets(path, size, flow_frames), maxlen=1)
    return tags


def check_source(source, made):
    """Raises VideoError if the flow was computed from another file than `source`.

    Args:
      source: path of the video.
      made: tags of its flow video. Where they do not say from which file it was made,
        as of flow from elsewhere, there is nothing to compare.
    """
    digest = made.get("source_sha256")
    if digest is None:
        return
    with local_copy(source) as local, open(local, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise VideoError(
            f"{source}: is not the file that its flow video was made from (SHA-256 "
            f"{found[:8]}..., that of the flow video {str(digest)[:8]}...)"
        )


def read_flow_video(path, *, size=None, flow_frames=None):
    """Yields the codes of a flow video, `[H, W, 2]` uint8; see `flow.code`.

    Takes and raises what `describe_flow_video` does: for damage where it is, for
    frames that are missing at the end, for the rest before the first frame.
    """
    decoded = expected = 0
    for tags, packet in _packets(path, size, flow_frames):
        expected = tags["flow_frames"]
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(f"{path}: cannot be decoded ({error})") from error
        for frame in frames:
            decoded += 1
            planes = frame.to_ndarray(format="gray")
            yield np.stack(np.split(planes, 2), axis=-1)
    _refuse_cut(path, decoded, expected)


def _packets(path, size, flow_frames):
    """Yields (tags, packet) for each frame, and once more with the empty packet that
    makes a decoder give what it still holds. Raises as `describe_flow_video`."""
    count = 0
    try:
        with (
            local_copy(path) as local,
            open_container(local) as container,
        ):
            tags = _tags(path, container, size, flow_frames)
            # With threads for frames a decoder loses errors in the last few.
            container.streams.video[0].thread_type = "SLICE"
            for packet in container.demux(video=0):
                if packet.size:
                    if not _is_sound(bytes(packet)):
                        raise VideoError(f"{path}: frame {count} is damaged")
                    count += 1
                yield tags, packet
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be read ({error})") from error
    _refuse_cut(path, count, tags["flow_frames"])


def _tags(path, container, size, flow_frames):
    text = container.metadata.get(TAG)
    if text is None:
        raise VideoError(f"{path}: not a flow video (it has no tag {TAG})")
    try:
        tags = json.loads(text)
        missing = [field for field in FIELDS if field not in tags]
    except (ValueError, TypeError) as error:
        raise VideoError(f"{path}: its tag {TAG} is damaged: {text}") from error
    if missing:
        raise VideoError(
            f"{path}: its tags lack {', '.join(missing)}, as of files that an older "
            "version made"
        )
    if not _fit_together(tags):
        raise VideoError(f"{path}: its tag {TAG} is damaged: {text}")
    if (tags["bound"], tags["quantiser"]) != (code.BOUND, code.FORMULA):
        raise VideoError(
            f"{path}: its flow is cut at {tags['bound']} px and coded as "
            f"{tags['quantiser']}; only {code.BOUND} px, coded as {code.FORMULA}, "
            "can be read"
        )
    _check_stream(path, container, tags)
    for field, wanted in (("size", size), ("flow_frames", flow_frames)):
        if wanted is not None and tags[field] != wanted:
            raise VideoError(f"{path}: {field} is {tags[field]}, expected was {wanted}")
    return tags


def _fit_together(tags):
    """Whether frames, rate and duration are what `write_flow_video` writes."""
    numbers = [tags[name] for name in ("frames", "flow_frames", "fps", "duration")]
    if not all(isinstance(n, int | float) and 0 < n < math.inf for n in numbers):
        return False
    frames, flow_frames, fps, duration = numbers
    return frames == flow_frames + 1 and math.isclose(duration, frames / fps)


def _check_stream(path, container, tags):
    stream = next(iter(container.streams.video), None)
    context = stream.codec_context if stream else None
    if context is None or context.pix_fmt is None:
        raise VideoError(f"{path}: has no frame that can be decoded")
    if (context.name, context.pix_fmt) != ("ffv1", "gray"):
        raise VideoError(
            f"{path}: is {context.name} in {context.pix_fmt}; a flow video is ffv1 in "
            "gray"
        )
    # u above v, so that an odd height fits no tags.
    if [stream.height / 2, stream.width] != tags["size"]:
        raise VideoError(
            f"{path}: frames of {stream.width}x{stream.height} px do not fit its tags' "
            f"size {tags['size']} [H, W] of u above v"
        )


def _refuse_cut(path, count, expected):
    if count != expected:
        raise VideoError(
            f"{path}: has {count} frames, its tags say {expected}: it was cut or "
            "changed"
        )


# FFV1's checksums take a byte's highest bit first, zlib's its lowest.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _is_sound(packet):
    """Whether the checksums of all slices of an FFV1 frame are right.

    FFmpeg only logs wrong ones, whatever `err_detect` is, and hands out the frame.
    A slice ends in its length without these 8 bytes (3), a status (1) and a checksum
    (4) that makes the CRC-32 of the whole slice 0 (RFC 9043, 4.9).
    """
    mirrored = memoryview(packet.translate(_MIRRORED))
    end = len(packet)
    while end > 0:
        begin = end - 8 - int.from_bytes(packet[end - 8 : end - 5], "big")
        # zlib inverts its register before and after.
        if begin < 0 or zlib.crc32(mirrored[begin:end], 0xFFFFFFFF) != 0xFFFFFFFF:
            return False
        end = begin
    return True
