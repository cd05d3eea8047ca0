"""Which files of a folder are videos."""

import os
import pathlib

from flow import files

SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ts .webm .wmv".split()
)


def find_videos(folder):
    """Relative paths, sorted, of the files below `folder` with a video's suffix.

    Links are followed; one that leads nowhere is listed, as its video is missing.
    What is hidden (a part of the path begins with a dot) is passed over: unfinished
    files of ours, and other programs' companions of videos.

    A remote folder (`flow.files`) has no links, and none below it may have a video's
    suffix.

    Raises ValueError if `folder` is no folder or holds none, OSError if a folder
    in it cannot be read.
    """
    if not files.is_folder(folder):
        what = "is no folder" if files.exists(folder) else "no such folder of videos"
        raise ValueError(f"{folder}: {what}")
    found = [path for path in _files_below(folder) if _is_video(path)]
    if not found:
        raise ValueError(f"{folder}: no videos found ({' '.join(sorted(SUFFIXES))})")
    return found


def find_others(folder):
    """Relative paths, sorted, of what `find_videos` passes over for its suffix."""
    return [path for path in _files_below(folder) if not _is_video(path)]


def _is_video(path):
    return path.suffix.lower() in SUFFIXES


def _files_below(folder):
    """Relative paths, sorted, of all files that are not hidden."""
    if files.is_remote(folder):
        folder = files.as_path(folder)
        return sorted(
            pathlib.Path(*path.relative_to(folder).parts)
            for path in files.remote_files_below(folder, _is_video)
        )
    folder = pathlib.Path(folder).absolute()

    def refuse(error):
        raise error

    found = []
    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = pathlib.Path(here)
        folders[:] = [name for name in folders if not _is_passed_over(here / name)]
        for path in (here / name for name in names if not name.startswith(".")):
            leads_nowhere = path.is_symlink() and not path.exists()
            if path.is_file() or leads_nowhere:
                found.append(path.relative_to(folder))
    return sorted(found)


def _is_passed_over(folder):
    """Hidden, or a link back to a folder on its way, which would have no end."""
    if folder.name.startswith("."):
        return True
    return folder.is_symlink() and any(map(folder.samefile, folder.parents))
