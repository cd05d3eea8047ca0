"""Flow videos for a folder of videos: several processes, resumable."""

import contextlib
import functools

import numpy as np

from flow.chunks import CHUNK, grey_chunks
from flow.extract import (
    extract_video,
    failure,
    flow_path,
    is_of_output,
    new_entry,
)
from flow.files import as_path, exists, is_inside, make_folder
from flow.pool import LIMIT, Workers
from flow.progress import Progress
from flow.report import Report
from flow.settings import Settings, refuse_other_settings
from flow.tvl1 import MIN_SIDE
from flow.video import estimate_frames
from flow.video_files import find_videos

# Frames from which on several processes work on one video; fewer take seconds.
LONG = 500


def extract_folder(
    videos, output, settings=None, *, workers=None, resume=True, limit=LIMIT
):
    """Writes a flow video below `output` for each video below `videos`.

    Leaves `output/<same relative path>.mkv` and `output/report.json`, a list with a
    dict for each video:

      video: relative path.
      state: "done", "skipped" (it was there already) or "failed".
      reason: of a failure.
      seconds: spent on it.
      frames, flow_frames: of the video at `fps`, and of its flow video.
      duration: of the frames, in seconds.
      size: of the flow, [H, W] in px.
      fps, smaller_side, engine, parameters, bound, quantiser: how it was made.
      source_bytes, source_sha256: of the video's file.

    All but state, reason and seconds are in the flow video's tags too. A video that
    cannot be used, that kills the process that works on it, or with which that makes no
    progress for `limit` seconds (0: no limit), is "failed", and the rest goes on. A run
    that was stopped, by whatever, is gone on with by the next: the flow videos that are
    there are whole, and the others are made anew.

    Returns that list, sorted by path.

    Raises:
      ValueError: no videos, two that differ only in their suffix, an output inside
        the folder of videos, which the next run would take for sources, or flow videos
        that are there and were made with other settings.
      OSError: something cannot be written, which ends the run.
    """
    videos, output = as_path(videos), as_path(output)
    settings = settings or Settings()
    found = prepare(videos, output, settings, resume)
    todo = [v for v in found if not (resume and exists(output / flow_path(v)))]
    if todo:
        # What "fast" compiles is kept on disk: done here, the processes find it there
        # and do not all compile it at the same time.
        settings.tvl1()(*np.zeros([2, MIN_SIDE, MIN_SIDE], np.uint8))
    with (
        Report(output, found) as report,
        Workers(workers, limit) as processes,
        Progress(videos, found, todo) as progress,
    ):
        look_after = functools.partial(
            _look_after, processes, progress, videos, output, settings, resume
        )
        for video, entry in processes.look_after(look_after, found):
            progress.end(video, entry)
            report.add(entry)
    return report.entries


def prepare(videos, output, settings, resume):
    """`find_sources`, when nothing speaks against a run; makes the folder `output`.

    Raises as `extract_folder`.
    """
    found = find_sources(videos, output)
    if resume:
        targets = [output / flow_path(video) for video in found]
        refuse_other_settings(targets, settings.description())
    make_folder(output)
    return found


def find_sources(videos, output, target=flow_path):
    """`find_videos(videos)`, of which target(video) shall be below `output`.

    Raises ValueError as `extract_folder`.
    """
    found = find_videos(videos)
    if is_inside(output, videos):
        raise ValueError(f"output {output} lies inside the videos {videos}")
    _refuse_twins(found, target)
    return found


def _look_after(processes, progress, videos, output, settings, resume, video):
    """Has one video done by the processes; returns it and its entry of the report."""
    extract = functools.partial(extract_video, videos, output, settings, resume, video)
    try:
        if progress.is_todo(video):
            frames = processes.call(estimate_frames, videos / video, settings.fps)
            progress.expect(video, frames)
            if _is_for_several(processes, progress.left, frames):
                # Decoded in one more process, as a bad file may crash a decoder.
                return video, extract(
                    read_chunks=functools.partial(processes.stream, grey_chunks),
                    map_chunks=functools.partial(
                        _map_counted, processes, progress, video
                    ),
                )
        return video, processes.call(extract)
    except Exception as error:
        if is_of_output(error):
            raise
        reason = failure(videos / video, error)
        return video, {**new_entry(video, settings), "reason": reason}


def _is_for_several(processes, videos_left, frames):
    if processes.count == 1:
        return False
    if frames is None or frames > LONG:
        return True
    return videos_left < processes.count and frames > CHUNK


def _map_counted(processes, progress, video, function, chunks):
    with contextlib.closing(processes.map(function, chunks)) as computed:
        for codes in computed:
            progress.add(video, len(codes))
            yield codes


def _refuse_twins(videos, target):
    seen = {}
    for video in videos:
        other = seen.setdefault(target(video), video)
        if other != video:
            raise ValueError(
                f"{other} and {video} would both become {target(video)}; rename one of "
                "them"
            )
