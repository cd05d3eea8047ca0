"""One video -> its flow video."""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import os
import pathlib
import time

import av
import cv2

from flow import code
from flow.chunks import chunk_codes, grey_chunks
from flow.files import exists, local_copy, size_and_time
from flow.flow_video import describe_flow_video, write_flow_video
from flow.process import show_progress
from flow.settings import made_otherwise
from flow.unexpected import in_one_line
from flow.video import Damaged, VideoError

# What is raised for a video that cannot be used.
UNUSABLE = (ValueError, av.error.FFmpegError, cv2.error, MemoryError)


def flow_path(video):
    """`a/b.avi` -> `a/b.mkv`: where the flow of a video lies, both relative."""
    return pathlib.Path(video).with_suffix(".mkv")


def extract_video(videos, output, settings, resume, video, **chunks):
    """Writes one flow video; returns its entry of the report.

    Does everything in this process, unless `chunks` says otherwise.

    Args:
      videos: folder that `video` begins from.
      output: folder of the flow videos.
      settings: the `Settings`.
      resume: to keep a flow video that is there, if it fits.
      video: path of the video, relative.
      chunks: `read_chunks` and `map_chunks` of `write_flow`.

    Raises:
      OSError: the flow cannot be written. A full disk is no matter of one video.
    """
    began = time.monotonic()
    source, target = videos / video, output / flow_path(video)
    entry = new_entry(video, settings)
    try:
        if resume and exists(target):
            entry.update(_what_is_there(source, target, settings), state="skipped")
        else:
            entry.update(_describe_source(source))
            description = {
                key: entry[key]
                for key in ("video", "source_bytes", "source_sha256", "damage")
            }
            tags = _write_until_damage(source, target, settings, description, **chunks)
            entry.update(tags, state="done")
    except Exception as error:
        if is_of_output(error):
            raise
        entry["reason"] = failure(source, error)
    entry["seconds"] = round(time.monotonic() - began, 3)
    return entry


def _write_until_damage(source, target, settings, description, **chunks):
    """`write_flow`, and where it is wanted and needed of the frames before the damage.

    Read anew: what is damaged is known when the first frames are on their way.
    """
    if not settings.until_damage:
        return write_flow(source, target, settings, description, **chunks)
    whole = dataclasses.replace(settings, until_damage=False)
    try:
        return write_flow(source, target, whole, description, **chunks)
    except Damaged as error:
        description = {**description, "damage": failure(source, error)}
    return write_flow(source, target, settings, description, **chunks)


def new_entry(video, settings):
    """An entry of the report before anything was done: of a video that failed."""
    return {
        "video": printable(video.as_posix()),
        "state": "failed",
        "reason": None,
        "seconds": 0,
        **settings.description(),
        "frames": 0,
        "flow_frames": 0,
        "duration": 0,
        "size": None,
        "bound": code.BOUND,
        "quantiser": code.FORMULA,
        "source_bytes": None,
        "source_sha256": None,
        "damage": None,
    }


def is_of_output(error):
    """Whether an error concerns the results and not the video that is worked on.

    Such an error ends the work on a folder. All others, also those that nobody
    expected, are the failure of one video: a folder of thousands is not given up
    because of one, and what strikes all of them is in the reason of each.
    """
    return isinstance(error, OSError) and not isinstance(error, UNUSABLE)


def failure(source, error):
    """The reason of a failure in one line that names the file."""
    if not isinstance(error, (*UNUSABLE, OSError)):
        return printable(f"{source}: {in_one_line(error)}")
    text = " ".join(str(error).split()) or type(error).__name__
    return printable(text if isinstance(error, VideoError) else f"{source}: {text}")


def printable(text):
    """`text` with escapes for bytes in a path that are no UTF-8."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _map_here(function, items):
    for item in items:
        yield function(item)
        show_progress()


def write_flow(
    source,
    target,
    settings,
    description,
    *,
    read_chunks=grey_chunks,
    map_chunks=_map_here,
):
    """Writes the flow of the video `source` to `target`; returns the tags.

    Gives the same bytes whether the chunks are read and computed here, as by default,
    or elsewhere.

    Args:
      source: path of the video.
      target: path of the flow video.
      settings: the `Settings`.
      description: a dict for JSON that the tags shall hold too.
      read_chunks: does what `grey_chunks` does.
      map_chunks: map_chunks(function, chunks) yields function(chunk) in order.

    Raises:
      ValueError: the video cannot be used; then there is no `target`.
      OSError: `target` cannot be written.
    """

    def codes():
        before = look_at(source)
        with (
            contextlib.closing(read_chunks(source, settings)) as chunks,
            contextlib.closing(
                map_chunks(functools.partial(chunk_codes, settings), chunks)
            ) as computed,
        ):
            yield from itertools.chain.from_iterable(computed)
        if look_at(source) != before:
            raise VideoError(f"{source}: changed while it was read")

    with contextlib.closing(codes()) as frames:
        return write_flow_video(
            target,
            frames,
            fps=settings.fps,
            description={**description, **settings.description()},
        )


def _what_is_there(source, target, settings):
    """The tags of the flow video `target`, if it fits."""
    try:
        made = describe_flow_video(target)
    except VideoError as error:
        raise VideoError(f"{error}; remove it or run with --noresume") from error
    other = made_otherwise(target, made, settings.description())
    if other:
        raise VideoError(other)
    if made.get("damage") and not settings.until_damage:
        raise VideoError(
            f"{target}: ends where its video is damaged ({made['damage']}); run with "
            "--until_damage to use it"
        )
    size, _ = look_at(source)
    if made.get("source_bytes") != size:
        raise VideoError(
            f"{target}: was made from another file ({made.get('source_bytes')} bytes, "
            f"{source} has {size}); remove it or run with --noresume"
        )
    return made


def _describe_source(source):
    try:
        with local_copy(source) as local, open(local, "rb") as file:
            return {
                "source_bytes": os.fstat(file.fileno()).st_size,
                "source_sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            }
    except OSError as error:
        raise _unreadable(source, error) from error


def look_at(source):
    """(bytes, time of the last change) of a video; VideoError if it cannot be read."""
    try:
        return size_and_time(source)
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(source, error):
    return VideoError(f"{source}: cannot be read ({error.strerror})")
