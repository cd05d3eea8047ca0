"""Which videos a data set lists, under which label, in which split."""

import csv
import fnmatch
import pathlib
from typing import NamedTuple

from flow.video import find_videos

# Without a rule of the user's, every fifth video of a class is for testing, and of
# fewer than five the last.
TEST_EVERY = 5


class Listed(NamedTuple):
    """A listed video: path relative to the folder of videos, label name, split."""

    video: str
    label: str
    split: str


class Listing(NamedTuple):
    """All that a data set lists: label names in the labels' order, and videos."""

    labels: list[str]
    videos: list[Listed]


def list_folder(videos, annotations=None, test_glob=None):
    """Lists a folder of class folders, `videos/<label>/.../<file>`.

    Labels are the folders' names, sorted. What is for testing is said by
    `test_glob` (matched against the relative path, as `*_P2_*`) or, where that is
    None, is every fifth video of a class, or the last of two to four. With
    `annotations` the labels and splits come from that CSV file instead, whose header
    is `path,label,split`.

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
        return _list_csv(annotations)
    videos = pathlib.Path(videos)
    found = [path.as_posix() for path in find_videos(videos)]
    labels = sorted(
        path.name
        for path in videos.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )
    listed = []
    for label in labels:
        inside = [path for path in found if path.startswith(f"{label}/")]
        if not inside:
            raise ValueError(f"{videos / label}: class folder without videos")
        for number, path in enumerate(inside, 1):
            if test_glob is None:
                last_of_few = 1 < number == len(inside) < TEST_EVERY
                test = number % TEST_EVERY == 0 or last_of_few
            else:
                test = fnmatch.fnmatchcase(path, test_glob)
            listed.append(Listed(path, label, "test" if test else "train"))
    beside = [path for path in found if "/" not in path]
    if beside:
        raise ValueError(f"{videos / beside[0]}: lies in no class folder")
    rule = "every fifth for testing" if test_glob is None else f"test_glob {test_glob}"
    _require_training(labels, listed, f"{videos}, {rule}")
    return Listing(labels, listed)


def _list_csv(path):
    listed, seen = [], {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"path", "label", "split"} <= set(rows.fieldnames or ()):
            raise ValueError(
                f"{path}: header is {rows.fieldnames}; needed are path,label,split"
            )
        for row in rows:
            values = Listed(row["path"], row["label"], row["split"])
            where = f"{path}:{rows.line_num}"
            if not all(values):
                raise ValueError(f"{where}: needs path, label and split, has {row}")
            _refuse_repeated(seen, values, where)
            listed.append(values)
    labels = sorted({video.label for video in listed})
    _require_training(labels, listed, path)
    return Listing(labels, listed)


def list_ucf101(videos, annotations, split_number):
    """Lists UCF101 as its official files say: classInd and {train,test}list0k.

    Labels are in classInd's order, which is not that of sorted folder names.
    Names are found whatever their case: HandstandPushups' files are spelt
    HandStandPushups in some copies.

    Args:
      videos: folder that holds `<Class>/v_<Class>_g01_c01.avi`.
      annotations: folder of the lists (`ucfTrainTestlist`).
      split_number: 1, 2 or 3.

    Raises:
      ValueError: a missing list, a label that is not in classInd, a wrong line, a
        video in both lists.
    """
    annotations = pathlib.Path(annotations)
    labels = []
    for where, fields in _lines(annotations / "classInd.txt"):
        number = str(len(labels) + 1)
        if len(fields) != 2 or fields[0] != number:
            raise ValueError(
                f"{where}: is {' '.join(fields)!r}; expected '{number} <label>'"
            )
        labels.append(fields[1])
    by_lower = {label.lower(): label for label in labels}
    spelling = {p.as_posix().lower(): p.as_posix() for p in find_videos(videos)}
    listed, seen = [], {}
    for split in ("train", "test"):
        for where, fields in _lines(annotations / f"{split}list{split_number:02}.txt"):
            video = spelling.get(fields[0].lower(), fields[0])
            name = fields[0].split("/")[0]
            label = by_lower.get(name.lower())
            if label is None:
                raise ValueError(f"{where}: label {name!r} is not in classInd.txt")
            if len(fields) > 1 and fields[1] != str(labels.index(label) + 1):
                raise ValueError(
                    f"{where}: label {fields[1]} of {fields[0]}; classInd.txt has "
                    f"{labels.index(label) + 1} for {label}"
                )
            entry = Listed(video, label, split)
            _refuse_repeated(seen, entry, where)
            listed.append(entry)
    _require_training(labels, listed, annotations)
    return Listing(labels, listed)


def _lines(path):
    """Yields (file:line, fields) of the lines that are not empty."""
    if not path.is_file():
        raise ValueError(f"{path}: no such list")
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            yield f"{path}:{number}", line.split()


def _refuse_repeated(seen, entry, where):
    before = seen.setdefault(entry.video, where)
    if before != where:
        raise ValueError(f"{where}: {entry.video} is listed already at {before}")


def _require_training(labels, listed, what):
    splits = {video.split for video in listed}
    if not {"train", "test"} <= splits:
        raise ValueError(
            f"{what}: gives the splits {sorted(splits)}; train and test are needed"
        )
    trained = {video.label for video in listed if video.split == "train"}
    empty = [label for label in labels if label not in trained]
    if empty:
        raise ValueError(f"{what}: no training video of {', '.join(empty[:5])}")
