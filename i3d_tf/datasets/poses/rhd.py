"""RHD, the Rendered Hand Pose data set: `training/` and `evaluation/`.

https://lmb.informatik.uni-freiburg.de/resources/datasets/RenderedHandposeDataset.en.html
Evaluation shows other persons than training.
"""

import numpy as np

from i3d_tf.datasets.listing import Listed, make_listing
from i3d_tf.datasets.poses.numpy_pickle import read_pickle
from i3d_tf.datasets.poses.pictures import kept, read_png

FOLDERS = {"train": "training", "test": "evaluation"}
JOINTS = 42  # 21 of the left hand, then 21 of the right one
# Of joint k of a mirrored picture: a left hand looks like a right one there.
MIRRORED = (*range(21, 42), *range(21))
FARTHEST = 5000  # mm, of the code 65535


def list_pictures(folder):
    """(Listing, names of joints) of all that the annotations have poses of.

    Raises ValueError if annotations cannot be read, are refused, or are not RHD's.
    """
    located = []
    for split, name in FOLDERS.items():
        path = folder / name / f"anno_{name}.pickle"
        for number in _joints(path):
            picture = f"{name}/color/{number:05d}.png"
            located.append((path, Listed(picture, None, split)))
    names = [f"{hand} {k}" for hand in ("left", "right") for k in range(JOINTS // 2)]
    return make_listing((), located, folder, need_labels=False), names


def files(picture):
    """Of a listed picture: what has to be there."""
    return picture, picture.replace("/color/", "/depth/")


def read(folder, picture):
    """(rgb `[H, W, 3]`, depth `[H, W]` in mm, joints `[42, 3]` in m) of a picture."""
    rgb, depth = (folder / file for file in files(picture))
    name = picture.split("/")[0]
    joints = _joints(folder / name / f"anno_{name}.pickle")[int(rgb.stem)]
    high, low, _ = np.moveaxis(read_png(depth, np.uint8, 3).astype(float), -1, 0)
    code = high * 256 + low
    millimetres = np.rint(code * FARTHEST / 65535).astype(np.uint16)
    return read_png(rgb, np.uint8, 3), millimetres, joints


@kept
def _joints(path):
    """{number of a picture: `[42, 3]` in m}."""
    pictures = read_pickle(path)
    if type(pictures) is not dict or not pictures:
        raise ValueError(f"{path}: is no dict of pictures, as RHD's are")
    joints = {}
    for number, one in pictures.items():
        xyz = one.get("xyz") if type(one) is dict else None
        shape = getattr(xyz, "shape", None)
        if not isinstance(number, int | np.integer) or shape != (JOINTS, 3):
            raise ValueError(
                f"{path}: of {number!a:.40} xyz is "
                f"{'no array' if shape is None else list(shape)}; needed is [42, 3] of "
                "a whole number"
            )
        joints[int(number)] = xyz
    return joints
