"""Kinetics' CSV files, and the names that clips have in its copies."""

import collections
import pathlib

from flow.find_videos import find_videos
from i3d_tf.datasets.list_files import read_csv
from i3d_tf.datasets.listing import Listed, clean_label, make_listing, read_times

# Number of labels of each version, by the name of its data set.
VERSIONS = {"k400": 400, "k600": 600, "k700": 700, "k700_2020": 700}
# Kinetics itself says "validate", copies say "val".
SPLITS = {
    "train": "train",
    "val": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
}


def list_kinetics(videos, annotations, num_labels=None):
    """Lists Kinetics as its CSV files say; splits are train, val and test.

    A label's number is its place among the sorted names. Clips are searched in all
    folders below `videos`, under `<id>_<start>_<end>` (six digits), and else under
    the bare `<id>`, as a video of which `time_start` to `time_end` is meant. Of
    several files the one in its class's folder is taken (spaces may be `_`).

    Args:
      videos: folder of the clips.
      annotations: a CSV file, or a folder whose *.csv are read; with columns
        youtube_id, time_start, time_end, and label, but for a test split. Without a
        column split, the file's name ends in it.
      num_labels: how many labels there have to be; None for any number.

    Raises:
      ValueError: no list, a line that cannot be used, another number of labels, or
        what `make_listing` refuses.
    """
    annotations = pathlib.Path(annotations)
    paths = [annotations]
    if annotations.is_dir():
        paths = sorted(annotations.glob("*.csv"))
    if not paths:
        raise ValueError(f"{annotations}: no *.csv in this folder")
    files = collections.defaultdict(list)
    for path in find_videos(videos):
        files[path.stem].append(path)

    def located():
        for path in paths:
            for where, row in read_csv(path, ("youtube_id", "time_start", "time_end")):
                yield where, _read_row(row, path, files, where)

    listing = make_listing(None, located(), annotations, splits=("train",))
    if num_labels not in (None, len(listing.labels)):
        raise ValueError(
            f"{annotations}: has {len(listing.labels)} labels, this version of "
            f"Kinetics has {num_labels}; give a part of it another name"
        )
    return listing


def _read_row(row, path, files, where):
    name = row.get("split", path.stem.rpartition("_")[2])
    split = SPLITS.get(name.lower())
    if split is None:
        raise ValueError(f"{where}: split {name!r}; known are {', '.join(SPLITS)}")
    youtube_id, label = row["youtube_id"], clean_label(row.get("label", "")) or None
    start, end = read_times(row["time_start"], row["time_end"], where)
    if not youtube_id or start is None:
        raise ValueError(f"{where}: needs youtube_id, time_start and time_end")
    clip = f"{youtube_id}_{round(start):06d}_{round(end):06d}"
    if clip in files:
        return Listed(_choose(files[clip], label), label, split)
    if youtube_id in files:
        return Listed(_choose(files[youtube_id], label), label, split, start, end)
    return Listed(f"{clip}.mp4", label, split)  # is missing, as always some are


def _choose(paths, label):
    """Of files with one name, the one in its class's folder, else the first."""
    folder = (label or "").replace(" ", "_")
    of_class = [path for path in paths if path.parent.name.replace(" ", "_") == folder]
    return (of_class or paths)[0].as_posix()
