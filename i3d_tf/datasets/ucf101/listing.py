"""UCF101's official lists: classInd.txt and {train,test}list0k.txt."""

import pathlib

from flow.find_videos import find_videos
from i3d_tf.datasets.list_files import read_lines
from i3d_tf.datasets.listing import Listed, make_listing


def list_ucf101(videos, annotations, split_number):
    """Lists UCF101 as its official files say.

    Labels are in classInd's order, which is not that of sorted folder names.
    Names are found whatever their case: HandstandPushups' files are spelt
    HandStandPushups in some copies.

    Args:
      videos: folder that holds `<Class>/v_<Class>_g01_c01.avi`.
      annotations: folder of the lists (`ucfTrainTestlist`).
      split_number: 1, 2 or 3.

    Raises:
      ValueError: a missing list, a label that is not in classInd, a wrong line, or
        what `make_listing` refuses.
    """
    annotations = pathlib.Path(annotations)
    labels = _read_labels(annotations / "classInd.txt")
    numbers = {label.lower(): number for number, label in enumerate(labels, 1)}
    spelling = {
        path.as_posix().lower(): path.as_posix() for path in find_videos(videos)
    }

    def located():
        for split in ("train", "test"):
            path = annotations / f"{split}list{split_number:02}.txt"
            for where, line in read_lines(path):
                video, number = _read_entry(line, numbers, where)
                video = spelling.get(video.lower(), video)
                yield where, Listed(video, labels[number - 1], split)

    return make_listing(labels, located(), annotations)


def _read_labels(path):
    labels = []
    for where, line in read_lines(path):
        number = str(len(labels) + 1)
        if line.split()[0] != number or len(line.split()) != 2:
            raise ValueError(f"{where}: is {line!r}; expected '{number} <label>'")
        labels.append(line.split()[1])
    return labels


def _read_entry(line, numbers, where):
    """`Class/video.avi 1`, in test lists without the number -> (video, number)."""
    video, *written = line.split()
    name = video.split("/")[0]
    number = numbers.get(name.lower())
    if number is None:
        raise ValueError(f"{where}: label {name!r} is not in classInd.txt")
    if written and written != [str(number)]:
        raise ValueError(
            f"{where}: label {' '.join(written)} of {video}; classInd.txt has {number} "
            f"for {name}"
        )
    return video, number
