"""HMDB51's official lists: `<class>_test_split<k>.txt`."""

import pathlib

from flow.find_videos import find_videos
from i3d_tf.datasets.list_files import read_lines
from i3d_tf.datasets.listing import Listed, make_listing

# 0 marks videos that a split leaves out.
SPLITS = {"1": "train", "2": "test"}


def list_hmdb51(videos, annotations, split_number):
    """Lists HMDB51 as its official files say; labels are the classes, sorted.

    Args:
      videos: folder that holds `<class>/<video>.avi`; names are found whatever their
        case.
      annotations: folder of the lists (`testTrainMulti_7030_splits`), one for each
        class, whose lines are `<video>.avi <0, 1 or 2>`: left out, train, test.
      split_number: 1, 2 or 3.

    Raises:
      ValueError: no lists, a line of another form, or what `make_listing` refuses.
    """
    ending = f"_test_split{split_number}.txt"
    paths = {
        path.name.removesuffix(ending): path
        for path in pathlib.Path(annotations).glob(f"*{ending}")
    }
    if not paths:
        raise ValueError(f"{annotations}: no lists <class>{ending}")
    labels = sorted(paths)
    spelling = {
        path.as_posix().lower(): path.as_posix() for path in find_videos(videos)
    }

    def located():
        for label in labels:
            for where, line in read_lines(paths[label]):
                # Names with a space would be split from the left.
                name, _, use = line.rpartition(" ")
                if not name or use not in ("0", *SPLITS):
                    raise ValueError(
                        f"{where}: is {line!r}; expected '<video> <0, 1 or 2>'"
                    )
                if use in SPLITS:
                    video = f"{label}/{name.strip()}"
                    video = spelling.get(video.lower(), video)
                    yield where, Listed(video, label, SPLITS[use])

    return make_listing(labels, located(), annotations)
