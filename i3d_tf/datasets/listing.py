"""What a data set lists: videos, their labels and splits, and what is refused."""

import math
import pathlib
import re
import unicodedata
from typing import NamedTuple


class Listed(NamedTuple):
    """A listed video.

    Attributes:
      video: path relative to the folder of videos.
      label: name, or None in a split whose labels are not published.
      split: name.
      start, end: seconds of the video that are meant, `start <= time < end`; None
        for all of it.
    """

    video: str
    label: str | None
    split: str
    start: float | None = None
    end: float | None = None

    @property
    def id(self):
        """Unique in a data set: the path and, of a part, its times as in a URL
        (W3C Media Fragments), `a/b.mp4#t=12.5,20`."""
        if self.start is None:
            return self.video
        return f"{self.video}#t={self.start:.10g},{self.end:.10g}"


class Listing(NamedTuple):
    """All that a data set lists: label names in the labels' order, and videos."""

    labels: list[str]
    videos: list[Listed]


def make_listing(labels, located, what, splits=("train", "test"), need_labels=True):
    """The Listing of entries that were found to make sense.

    Args:
      labels: names in the order of the labels; None sorts those that are listed.
      located: iterable of (where, Listed); `where` is for messages, `file:line`.
      what: is listed, for messages.
      splits: that have to be there.
      need_labels: whether training needs them.

    Raises:
      ValueError: a path that leaves the folder of videos or is not one line of UTF-8,
        a name that a split cannot have, a video that is listed twice, in two splits or
        under two labels, a split with labels and without, or no training video of a
        label.
    """
    videos, by_path, labelled = [], {}, {}
    for where, entry in located:
        entry = entry._replace(video=_inside(entry.video, where))
        _check_split(entry, labelled, where)
        same = by_path.setdefault(entry.video, [])
        _refuse_repeated(entry, same, where)
        same.append((where, entry))
        videos.append(entry)
    if labels is None:
        labels = sorted({entry.label for entry in videos} - {None})
    missing = [split for split in splits if split not in labelled]
    if missing:
        raise ValueError(
            f"{what}: gives the splits {sorted(labelled)}; {' and '.join(splits)} are "
            "needed"
        )
    trained = {entry.label for entry in videos if entry.split == "train"}
    if need_labels and None in trained:
        raise ValueError(f"{labelled['train'][0]}: a training video needs a label")
    empty = [label for label in labels if label not in trained]
    if empty:
        raise ValueError(f"{what}: no training video of {', '.join(empty[:5])}")
    return Listing(labels, videos)


def clean_label(text):
    """A label as it is stored: one line without outer spaces, in Unicode's NFC.

    Letters with accents are one or two characters, depending on where the text comes
    from (macOS's folder names have two); one label must not become two.
    """
    return unicodedata.normalize("NFC", " ".join(text.split()))


def read_times(start, end, where):
    """(start, end) in seconds, of text in a list; (None, None) if both are empty."""
    if not start and not end:
        return None, None
    try:
        times = float(start), float(end)
    except ValueError:
        times = math.nan, math.nan
    if not (0 <= times[0] < times[1] < math.inf):
        raise ValueError(
            f"{where}: start and end are {start!r} and {end!r}; needed are seconds, "
            "0 <= start < end"
        )
    return times


def _inside(video, where):
    """The path without `.` and `//`, so that a video has one name."""
    wrong = next(filter(_is_control, video), None)
    if wrong:
        raise ValueError(
            f"{_one_line(where)}: path '{_one_line(video)}' holds {wrong!a}; "
            "paths are one line of UTF-8, rename the file"
        )
    path = pathlib.PurePosixPath(video)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"{where}: path {video!r} leaves the folder of videos; paths are relative "
            "to it"
        )
    return path.as_posix()


def _is_control(character):
    """As line breaks and NUL; and bytes of a file's name that are no UTF-8."""
    return unicodedata.category(character) in ("Cc", "Cs")


def _one_line(text):
    return "".join(ascii(c)[1:-1] if _is_control(c) else c for c in str(text))


def _check_split(entry, labelled, where):
    """Remembers in `labelled` how each split began: {name: (where, has labels)}."""
    # TFDS calls all splits together "all", and has them in the names of files.
    if entry.split == "all" or not re.fullmatch(r"\w+", entry.split, re.ASCII):
        raise ValueError(
            f"{where}: a split cannot be named {entry.split!r}; letters, digits and _ "
            "can, and not 'all'"
        )
    has_label = entry.label is not None
    first, others_have = labelled.setdefault(entry.split, (where, has_label))
    if others_have != has_label:
        raise ValueError(
            f"{where}: has {'a' if has_label else 'no'} label, unlike {first}; in a "
            f"split all videos have one or none has, as in {entry.split}"
        )


def _refuse_repeated(entry, same, where):
    """Parts of one video may differ in split and label where they do not overlap."""
    for before, other in same:
        differs = [
            f"as {name} {value!r}"
            for name, value in (("split", other.split), ("label", other.label))
            if value != getattr(entry, name)
        ]
        if entry[3:] == other[3:] or (differs and _overlap(entry, other)):
            raise ValueError(
                f"{where}: {entry.id} is listed already at {before}"
                f"{' ' if differs else ''}{', '.join(differs)}"
            )


def _overlap(one, other):
    if one.start is None or other.start is None:
        return True
    return one.start < other.end and other.start < one.end
