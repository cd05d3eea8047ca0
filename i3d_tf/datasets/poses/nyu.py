"""NYU Hand: `train/` and `test/`, their pictures and `joint_data.mat`.

https://jonathantompson.github.io/NYU_Hand_Pose_Dataset.htm
Three cameras saw each pose. Training shows one person, test two.
"""

import re

import numpy as np

from i3d_tf.datasets.listing import Listed, make_listing
from i3d_tf.datasets.poses.pictures import kept, read_png

ANNOTATIONS = "joint_data.mat"
VIEWS = (1, 2, 3)
JOINTS = 36
# NYU's y goes up.
_Y_DOWN = np.array([1, -1, 1])


def require_scipy():
    """The module scipy.io; a ValueError says how to install it."""
    try:
        import scipy.io
    except ImportError as error:
        raise ValueError(
            "NYU's joints are read by SciPy, which is not installed: pip install "
            "--constraint constraints.txt --editable '.[poses]'"
        ) from error
    return scipy.io


def list_pictures(folder, views=(1,)):
    """(Listing, names of joints) of all that `joint_data.mat` has poses of.

    Args:
      folder: with `train` and `test`.
      views: cameras, of 1, 2 and 3.

    Raises:
      ValueError: other views, annotations that cannot be read or are not NYU's, or
        SciPy is not installed.
    """
    if not views or not set(views) <= set(VIEWS):
        raise ValueError(f"views are {list(views)}; NYU has 1, 2 and 3")
    require_scipy()
    located = []
    for split in ("train", "test"):
        path = folder / split / ANNOTATIONS
        frames = _joint_xyz(path).shape[1]
        for view in views:
            for frame in range(1, frames + 1):
                picture = f"{split}/rgb_{view}_{frame:07d}.png"
                located.append((path, Listed(picture, None, split)))
    names = [f"joint {number}" for number in range(JOINTS)]
    return make_listing((), located, folder, need_labels=False), names


def files(picture):
    """Of a listed picture: what has to be there."""
    return picture, picture.replace("/rgb_", "/depth_")


def read(folder, picture):
    """(rgb `[H, W, 3]`, depth `[H, W]` in mm, joints `[36, 3]` in m) of a picture."""
    rgb, depth = (folder / file for file in files(picture))
    view, frame = map(int, re.search(r"_(\d)_(\d+)\.png", picture).groups())
    joints = _joint_xyz(rgb.parent / ANNOTATIONS)[view - 1, frame - 1] / 1000
    code = read_png(depth, np.uint8, 3).astype(np.uint16)
    millimetres = code[..., 1] * 256 + code[..., 2]
    return read_png(rgb, np.uint8, 3), millimetres, joints * _Y_DOWN


@kept
def _joint_xyz(path):
    """`[view, frame, 36, 3]` in mm, y up."""
    try:
        found = require_scipy().loadmat(path, variable_names=["joint_xyz"])
    # Of damaged bytes its parts raise whatever they meet.
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as a MAT file ({error})") from error
    joints = found.get("joint_xyz")
    if joints is None or joints.dtype.kind != "f" or joints.ndim != 4:
        raise ValueError(f"{path}: has no numbers joint_xyz [view, frame, 36, 3]")
    if joints.shape[0] != len(VIEWS) or joints.shape[2:] != (JOINTS, 3):
        raise ValueError(
            f"{path}: joint_xyz is {list(joints.shape)}; needed is [3, frame, 36, 3]"
        )
    return joints
