"""Flow pictures of other programs -> flow videos, for a folder of them."""

import collections
import contextlib
import functools

import tqdm

from flow.extract import failure, printable
from flow.files import as_path, is_inside, is_remote, make_folder, remove_leftovers
from flow.flow_images import find_folders, find_places
from flow.import_images import import_video, new_import_entry, target_path
from flow.pool import LIMIT, ProcessDied, Workers
from flow.report import write_report
from flow.settings import refuse_other_settings
from flow.video_files import find_videos


def import_folder(
    images, output, settings, *, layout=None, videos=None, workers=None, resume=True
):
    """Writes a flow video below `output` for each folder of pictures below `images`.

    Leaves `output/<same relative path>.mkv` and `output/report.json`, in the form of
    `flow.extract_folder` (engine "imported"), where each dict has besides:

      images: the folder of its pictures, relative.
      pictures: how many flows that holds.
      stored_size: of the pictures, [H, W] in px.
      cut: share of the flow's values that were beyond +-20 px, in [0, 1].

    With `videos` a folder belongs to the video of its name and the flow video lies
    where that video's is looked for, `<video's relative path>.mkv`; the archives of
    UCF101 have no class folders. The flow gets the aspect of the video's frames, as
    programs round sizes or squash frames, and must have been computed of all of them:
    N frames give N - 1 flows. A frame that is shown twice as long as the others, which
    `flow.video` repeats, gets still flow. A video without pictures is "failed".

    Args:
      images: a folder of `flow.flow_images`.
      output: folder of the flow videos.
      settings: the `ImportSettings`.
      layout: of `flow_images.LAYOUTS`; None looks for itself.
      videos: folder of the videos, or None.
      workers: processes; None takes the processors at hand.
      resume: to keep flow videos that are there, if they fit.

    Returns:
      The report, a list sorted by path.

    Raises:
      ValueError: no pictures or videos; an output inside of these; two folders of one
        video; `surplus` without videos; flow videos that are there and were made with
        other settings.
      OSError: something cannot be written, which ends the run.
    """
    if is_remote(images):
        raise ValueError(f"{images}: pictures are read from this machine only")
    places = find_places(images, layout)
    output = as_path(output)
    videos = videos and as_path(videos)
    _refuse_inside(output, *places.trees, *([videos] if videos else []))
    if settings.surplus and not videos:
        raise ValueError("surplus needs the videos, which tell how many frames are")
    folders = find_folders(places)
    if videos:
        jobs, report = _match(images, folders, videos, settings)
    else:
        jobs, report = [(folder, None) for folder in folders], []
    if resume:
        targets = [output / target_path(*job) for job in jobs]
        refuse_other_settings(targets, settings.compared())
    make_folder(output)
    remove_leftovers(output)
    work = functools.partial(import_video, places, videos, output, settings, resume)
    try:
        with (
            contextlib.closing(_entries(work, jobs, workers, settings)) as entries,
            tqdm.tqdm(total=len(jobs), desc="import", unit=" videos") as bar,
        ):
            for entry in report:
                bar.write(f"failed: {entry['reason']}")
            for entry in entries:
                report.append(entry)
                bar.update()
                if entry["state"] == "failed":
                    bar.write(f"failed: {entry['reason']}")
    except BaseException:
        # Of a full disk, what is to be told is which flow video it struck.
        with contextlib.suppress(OSError):
            write_report(output, report)
        raise
    remove_leftovers(output)  # of processes that died
    return write_report(output, report)


def _entries(work, jobs, workers, settings):
    """Yields work(job) for every job, in the order in which they finish."""
    if workers == 1:
        yield from map(work, jobs)
        return
    with Workers(workers, LIMIT) as processes:
        yield from processes.look_after(
            functools.partial(_call, processes, work, settings), jobs
        )


def _call(processes, work, settings, job):
    """work(job), an entry of the report, in one of the processes.

    A bad file may crash a decoder: that is a failure of one video.
    """
    try:
        return processes.call(work, job)
    except ProcessDied as error:
        entry = new_import_entry(*job, settings)
        return {**entry, "reason": failure(job[1] or job[0], error)}


def _refuse_inside(output, *folders):
    for folder in folders:
        if is_inside(output, folder):
            raise ValueError(f"output {output} lies inside {folder}")


def _match(images, folders, videos, settings):
    """([(folder, its video)], entries of the folders and videos that stand alone)."""
    by_name = collections.defaultdict(list)
    for video in find_videos(videos):
        for name in {video.name.lower(), video.stem.lower()}:
            by_name[name].append(video)
    jobs, alone, folder_of = [], [], {}

    def stands_alone(folder, video, reason):
        entry = new_import_entry(folder, video, settings)
        alone.append({**entry, "reason": printable(reason)})

    for folder in folders:
        fitting = [v for v in by_name[folder.name.lower()] if _fit(folder, v)]
        if len(fitting) != 1:
            found = " and ".join(map(str, fitting)) or f"no video in {videos}"
            stands_alone(folder, None, f"{images}/{folder}: has the name of {found}")
            continue
        (video,) = fitting
        other = folder_of.setdefault(video, folder)
        if other != folder:
            raise ValueError(f"{images}: {other} and {folder} are both flow of {video}")
        jobs.append((folder, video))
    for video in sorted(set().union(*by_name.values()) - folder_of.keys()):
        stands_alone(
            None, video, f"{videos}/{video}: {images} has no flow pictures of it"
        )
    return jobs, alone


def _fit(folder, video):
    """Whether the folders above both have the same names, as far as both have some.

    In any case: UCF101's HandstandPushups is HandStandPushups in some copies.
    """
    pairs = zip(folder.parent.parts[::-1], video.parent.parts[::-1], strict=False)
    return all(ours.lower() == theirs.lower() for ours, theirs in pairs)
