"""Videos in class folders, or in a CSV file."""

import fnmatch

from flow.files import as_path
from flow.video_files import find_videos
from i3d_tf.datasets.list_files import read_csv
from i3d_tf.datasets.listing import Listed, clean_label, make_listing, read_times

# Without a rule of the user's, every fifth video of a class is for testing, and of
# fewer than five the last.
TEST_EVERY = 5


def list_folder(videos, annotations=None, test_glob=None, find=find_videos):
    """Lists a folder of class folders, `videos/<label>/.../<file>`.

    Labels are the folders' names, sorted. What is for testing is said by
    `test_glob` (matched against the relative path, as `*_P2_*`) or, where that is
    None, is every fifth video of a class, or the last of two to four. With
    `annotations` all comes from that CSV file instead: see `list_csv`.

    `find(videos)` gives the relative paths of the files, sorted.

    Raises:
      ValueError: no videos, a class folder without any, a video beside the class
        folders, a glob that fits none or all, or an unusable line of the CSV file.
    """
    if annotations and test_glob is not None:
        raise ValueError(
            f"both {annotations}, which says the splits, and test_glob {test_glob!r}; "
            "give one of them"
        )
    if annotations:
        return list_csv(annotations)
    videos = as_path(videos)
    found = [path.as_posix() for path in find(videos)]
    folders = _class_folders(videos)
    located = []
    for label, folder in sorted(folders.items()):
        inside = [path for path in found if path.startswith(f"{folder}/")]
        if not inside:
            raise ValueError(f"{videos / folder}: class folder without videos")
        for number, path in enumerate(inside, 1):
            if test_glob is None:
                last_of_few = 1 < number == len(inside) < TEST_EVERY
                test = number % TEST_EVERY == 0 or last_of_few
            else:
                test = fnmatch.fnmatchcase(path, test_glob)
            split = "test" if test else "train"
            located.append((videos / path, Listed(path, label, split)))
    beside = [path for path in found if "/" not in path]
    if beside:
        raise ValueError(f"{videos / beside[0]}: lies in no class folder")
    rule = "every fifth for testing" if test_glob is None else f"test_glob {test_glob}"
    return make_listing(sorted(folders), located, f"{videos}, {rule}")


def _class_folders(videos):
    """{label: folder name}, which differ where an accent is written in two ways."""
    folders = {}
    for path in sorted(videos.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            if not clean_label(path.name):
                raise ValueError(f"{videos}: has a class folder {path.name!r}; name it")
            other = folders.setdefault(clean_label(path.name), path.name)
            if other != path.name:
                raise ValueError(
                    f"{path}: means the same label as {videos / other}; move the "
                    "videos into one of them"
                )
    return folders


def list_csv(path):
    """Lists what a CSV file `path,label,split[,start,end]` says.

    Paths are relative to the folder of videos, `start` and `end` are seconds, both or
    none. Labels are sorted. A split may be without labels, if it is not for training.

    Raises:
      ValueError: a line that cannot be used, or what `make_listing` refuses.
    """

    def located():
        for where, row in read_csv(path, ("path", "label", "split")):
            if not row["path"] or not row["split"]:
                raise ValueError(
                    f"{where}: needs path and split, has {row['path']!r} and "
                    f"{row['split']!r}"
                )
            times = read_times(row.get("start", ""), row.get("end", ""), where)
            label = clean_label(row["label"]) or None
            yield where, Listed(row["path"], label, row["split"], *times)

    return make_listing(None, located(), path)
