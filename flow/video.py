"""Videos as frames at a fixed rate and size, decoded with PyAV.

PyAV reports corrupt packets and real timestamps, both hidden by
`cv2.VideoCapture`.
"""

from fractions import Fraction

import av
import cv2

from flow import display, files
from flow.process import show_progress

FPS = 25
SMALLER_SIDE = 256
# A frame that is shown for longer has a damaged timestamp beside it, and would be
# repeated without end.
LONGEST_FRAME = 3600  # seconds
# Beyond the first LONGEST_FRAME: with a damaged rate all frames last for very long.
LONGEST_MEAN = 60  # seconds
# A decoder holds several frames, and a damaged header may claim any size.
MAX_DECODED = 8192 * 4320  # px
_DECODER = {"max_pixels": str(MAX_DECODED)}
# From version 19 on PyAV is always lenient and no longer takes the argument.
_LENIENT = {}
if int(av.__version__.partition(".")[0]) < 19:
    _LENIENT = {"metadata_errors": "replace"}
MAX_PIXELS = 4096 * 2160  # after the resize: TV-L1 takes 120 bytes for each, so 1 GB


class VideoError(ValueError):
    """A video that cannot be used; the message names the file and the cause."""


class Damaged(VideoError):
    """A video that cannot be decoded from some place on."""


def estimate_frames(path, fps=FPS):
    """About how many frames `read_video` will give, by what the file says of itself.

    0 if it cannot be opened or has no video; None if it does not say.
    """
    try:
        with (
            files.local_copy(path) as local,
            _open(local) as container,
        ):
            stream = video_stream(container)
            if stream is None:
                return 0
            if stream.duration is not None:
                return max(0, round(stream.duration * stream.time_base * fps))
            if container.duration is not None:
                return max(0, round(container.duration * fps / av.time_base))
    except (av.error.FFmpegError, OSError):
        return 0
    return None


def open_container(path, **arguments):
    """Opens a local media file for reading, whatever the encoding of its metadata.

    The titles of some of HMDB51's files are not UTF-8.

    Args:
      path: path of the file.
      **arguments: further arguments of `av.open`.

    Raises:
      OSError: FFmpeg cannot open the file.
    """
    return av.open(str(path), **_LENIENT, **arguments)


def video_stream(container):
    """Returns the stream that a player shows, or None if there is no video.

    It need not be the first one, which in many music and podcast files is the cover
    picture.

    Args:
      container: an `av.container.InputContainer`.
    """
    return container.streams.best("video")


def _open(local):
    # FFmpeg decodes some frames to find out what is in the file.
    return open_container(local, options=_DECODER)


def read_video(path, *, fps=FPS, smaller_side=SMALLER_SIDE, until_damage=False):
    """Yields the frames of a video, `[H, W, 3]` uint8 RGB, as the networks see it.

    As a player shows them (`decode`), resampled to `fps` by timestamp (nearest frame,
    the last one held), with square pixels (the sample aspect ratio is applied), the
    smaller side `smaller_side` px. That takes one bilinear interpolation. All have the
    size of the first.

    Raises VideoError if the file cannot be decoded to its end (with `until_damage`: if
    it has no frame before its damage), its frames change their aspect on the way, or
    they have more than MAX_PIXELS px after the resize.
    """
    first = None
    decoded = _decode(path)
    for image, aspect in resample(
        _undamaged(decoded) if until_damage else decoded, fps
    ):
        size = resized(image, smaller_side, aspect)
        first = first or size
        # Streams of one video at several resolutions round a px apart.
        if max(abs(a - b) for a, b in zip(size, first, strict=True)) > 1:
            raise VideoError(
                f"{path}: its frames change from {first[1]}x{first[0]} to "
                f"{size[1]}x{size[0]} px (after the resize)"
            )
        if first[0] * first[1] > MAX_PIXELS:
            raise VideoError(
                f"{path}: has frames of {first[1]}x{first[0]} px where the smaller "
                f"side is {smaller_side} px; at most {MAX_PIXELS} px are possible"
            )
        yield _resize_to(image, first)


def _undamaged(frames):
    """The frames before the damage, of which there has to be one."""
    empty = True
    try:
        for frame in frames:
            empty = False
            yield frame
    except Damaged:
        if empty:
            raise


def decode(path):
    """Yields (start, duration, image): Fractions of seconds, `[H, W, 3]` uint8 RGB.

    Times are the container's. Starts rise strictly: a missing or falling timestamp
    becomes the end of the frame before, the first one 0. A missing duration is that
    of the video's rate.

    The image is as `flow.display` says: in the colours of its tags, deinterlaced where
    a frame is flagged as interlaced, turned and mirrored by the metadata. It has the
    stored size: its pixels need not be square.

    Raises VideoError if the file cannot be decoded to its end or has no frame.
    """
    for start, duration, (image, _) in _decode(path):
        yield start, duration, image


def _decode(path):
    """As `decode`, of (image, width of a pixel by its height)."""
    decoder = None
    try:
        with (
            files.local_copy(path) as local,
            _open(local) as container,
        ):
            stream = video_stream(container)
            if stream is None:
                raise VideoError(f"{path}: has no video stream")
            decoder = stream.codec_context
            if decoder:  # else FFmpeg has none for this codec, and says so below
                decoder.options = _DECODER
            # Threads for frames (AUTO) lose an error in the last few frames.
            stream.thread_type = "SLICE"
            aspect = float(stream.sample_aspect_ratio or 1)
            paint = display.Painter()
            frames = _timed(path, stream, container.decode(stream))
            for times, frame in display.deinterlace(frames):
                matrix = display.display_matrix(frame)
                upright = 1 / aspect if display.is_turned(matrix) else aspect
                yield *times, (display.orient(paint(frame), matrix), upright)
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        if decoder and not decoder.width:
            reason = f"{reason}; of frames without a size, or above {MAX_DECODED} px"
        raise Damaged(f"{path}: cannot be decoded ({reason})") from error


def _timed(path, stream, frames):
    """Yields ((start, duration), frame) for each of a stream's frames."""
    rate = stream.average_rate or stream.guessed_rate or FPS
    first = previous = end = None
    for count, frame in enumerate(frames, 1):
        if frame.is_corrupt:
            raise Damaged(f"{path}: a frame is damaged (at {float(end or 0):.2f} s)")
        start, duration = _times(frame, Fraction(1) / rate)
        if start is None or (previous is not None and start <= previous):
            start = end or Fraction(0)
        if max(duration, start - (end or start)) > LONGEST_FRAME:
            raise Damaged(
                f"{path}: a frame at {float(start):.2f} s that lasts "
                f"{float(duration):.2f} s, after one that ended at "
                f"{float(end or 0):.2f} s; timestamps are damaged"
            )
        show_progress()
        previous, end = start, start + duration
        first = start if first is None else first
        if end - first > LONGEST_FRAME + LONGEST_MEAN * count:
            raise Damaged(
                f"{path}: {count} frames last {float(end - first):.2f} s; timestamps "
                "are damaged"
            )
        yield (start, duration), frame
    if end is None:
        raise VideoError(f"{path}: has no frames")


def _times(frame, usual_duration):
    duration = usual_duration
    if frame.duration and frame.time_base:
        duration = frame.duration * frame.time_base
    if frame.pts is None or not frame.time_base:
        return None, duration
    return frame.pts * frame.time_base, duration


def resample(frames, fps):
    """Yields the images at times k / fps from the first frame's start.

    Each is the frame whose start is nearest (of two, the earlier), the last one
    held to its end: a video of d seconds gives round(d * fps) images, at least one.

    Args:
      frames: (start, duration, image) with rising starts, in seconds.
      fps: images per second.
    """
    step = Fraction(1) / Fraction(fps)
    # The newest image is kept back: it may lie beyond the end, which comes last.
    first = previous = end = newest = None
    count = 0
    for start, duration, image in frames:
        if first is None:
            first = start
        else:
            middle = (previous[0] + start) / 2
            while first + count * step <= middle:
                if count:
                    yield newest
                newest = previous[1]
                count += 1
        previous = start, image
        end = start + duration
    if previous is None:
        return
    # Halves round up: Python would round them to the even number.
    total = max(1, int((end - first) * fps + Fraction(1, 2)))
    if 0 < count <= total:
        yield newest
    for _ in range(count, total):
        yield previous[1]


def resize(image, smaller_side):
    """`[H, W, ...]` with the smaller side `smaller_side` px, bilinear, aspect kept."""
    return _resize_to(image, resized(image, smaller_side))


def resized(image, smaller_side, aspect=1):
    """(height, width) in px of an image `[H, W, ...]` after `resize`.

    Its pixels are `aspect` times as wide as high, and square afterwards.
    """
    height, width = image.shape[:2]
    width *= aspect
    scale = smaller_side / min(height, width)
    return round(height * scale), round(width * scale)


def _resize_to(image, size):
    if size == image.shape[:2]:
        return image
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def to_grey(image):
    """RGB `[H, W, 3]` uint8 -> luma `[H, W]` uint8 (BT.601), what TV-L1 sees."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
