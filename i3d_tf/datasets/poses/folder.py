"""Our own layout: `rgb/<picture>`, `depth/<picture>` and `poses.csv`."""

import pathlib

import numpy as np

from i3d_tf.datasets.list_files import read_csv
from i3d_tf.datasets.listing import Listed, make_listing
from i3d_tf.datasets.poses.pictures import kept, read_png

LIST = "poses.csv"


def list_pictures(folder):
    """(Listing, names of joints) of what `poses.csv` says.

    A row is a picture: `picture,split` and, for each joint, `<joint>_x`, `<joint>_y`
    and `<joint>_z` in metres. `picture` is a path below both rgb/ and depth/.

    Raises:
      ValueError: a header without joints or with part of one, a line that cannot be
        used, or what `make_listing` refuses.
    """
    path = folder / LIST
    located, names = [], []
    for where, row in read_csv(path, ("picture", "split")):
        _joints(path, where, row)
        names = _names(row)
        located.append((where, Listed(f"rgb/{row['picture']}", None, row["split"])))
    return make_listing((), located, path, need_labels=False), names


def files(picture):
    """Of a listed picture: what has to be there."""
    return picture, picture.replace("rgb/", "depth/", 1)


def read(folder, picture):
    """(rgb `[H, W, 3]`, depth `[H, W]` in mm, joints `[J, 3]` in m) of a picture."""
    rgb, depth = (folder / file for file in files(picture))
    joints = _read_joints(folder / LIST)[picture]
    return read_png(rgb, np.uint8, 3), read_png(depth, np.uint16, 1), joints


@kept
def _read_joints(path):
    return {
        pathlib.PurePosixPath("rgb", row["picture"]).as_posix(): _joints(
            path, where, row
        )
        for where, row in read_csv(path, ("picture", "split"))
    }


def _columns(row):
    return [name for name in row if name not in ("picture", "split")]


def _names(row):
    return [name.removesuffix("_x") for name in _columns(row)[::3]]


def _joints(path, where, row):
    """`[J, 3]` of a row, in the order of the columns."""
    columns = _columns(row)
    wanted = [f"{name}_{axis}" for name in _names(row) for axis in "xyz"]
    if not columns or columns != wanted:
        raise ValueError(
            f"{path}: has the columns {','.join(columns) or 'of no joint'}; needed are "
            "<joint>_x,<joint>_y,<joint>_z of each"
        )
    try:
        values = np.array([float(row[name]) for name in columns])
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: its joints are not all numbers; needed are metres")
    return values.reshape(-1, 3)
