"""BIWI Kinect Head Pose: a folder a sequence, one joint, the head's centre.

RGB and depth are of two cameras, and are not registered here: a pixel of one shows
another point than the same pixel of the other. The joint is in the depth camera's
coordinates. 20 persons are in 24 sequences, so who tests has to say by which.
"""

import struct

import numpy as np

from flow.video import MAX_DECODED
from i3d_tf.datasets.listing import Listed, make_listing
from i3d_tf.datasets.poses.pictures import read_png

POSE = "_pose.txt"


def list_pictures(folder, test_sequences):
    """(Listing, names of joints) of all frames that have a pose.

    Args:
      folder: with `<sequence>/frame_00003_pose.txt`.
      test_sequences: names of the folders that are for testing, as "01".

    Raises:
      ValueError: no frames, no test sequence, one that is not there, or all.
    """
    poses = sorted(folder.glob(f"*/frame_*{POSE}"))
    there = {path.parent.name for path in poses}
    if not there:
        raise ValueError(f"{folder}: has no <sequence>/frame_*{POSE}, as BIWI has")
    tested = set(test_sequences)
    if not tested < there or not tested:
        raise ValueError(
            f"{folder}: test_sequences are {', '.join(sorted(tested)) or 'none'}; "
            f"needed are some of {', '.join(sorted(there))}"
        )
    located = []
    for path in poses:
        sequence = path.parent.name
        picture = f"{sequence}/{path.name.removesuffix(POSE)}_rgb.png"
        split = "test" if sequence in tested else "train"
        located.append((path, Listed(picture, None, split)))
    return make_listing((), located, folder, need_labels=False), ["head"]


def files(picture):
    """Of a listed picture: what has to be there."""
    frame = picture.removesuffix("_rgb.png")
    return picture, f"{frame}_depth.bin", f"{frame}{POSE}"


def read(folder, picture):
    """(rgb `[H, W, 3]`, depth `[H, W]` in mm, joints `[1, 3]` in m) of a picture."""
    rgb, depth, pose = (folder / file for file in files(picture))
    return read_png(rgb, np.uint8, 3), read_depth(depth), read_centre(pose)


def read_depth(path):
    """`[H, W]` uint16 in mm of a depth.bin, 0 where it is unknown.

    The file has width and height, then numbers of empty and of full pixels by turns,
    all int32, and after each of the latter the depths as int16.

    Raises ValueError if it claims too many pixels, or ends before it has them.
    """
    data = path.read_bytes()
    if len(data) < 8:
        raise ValueError(f"{path}: has {len(data)} bytes; width and height take 8")
    width, height = struct.unpack_from("<ii", data)
    if width <= 0 or height <= 0 or width * height > MAX_DECODED:
        raise ValueError(
            f"{path}: is {width}x{height} px; at most {MAX_DECODED} px are possible"
        )
    depth = np.zeros(width * height, np.int16)
    pixel, position = 0, 8
    while pixel < len(depth):
        if position + 8 > len(data):
            raise ValueError(f"{path}: ends after {pixel} of {len(depth)} px")
        empty, full = struct.unpack_from("<ii", data, position)
        position += 8
        pixel += empty
        if empty < 0 or full < 0 or pixel + full > len(depth):
            raise ValueError(
                f"{path}: has runs of {empty} and {full} px, which do not fit into "
                f"{width}x{height} px"
            )
        if position + 2 * full > len(data):
            raise ValueError(f"{path}: ends after {pixel} of {len(depth)} px")
        depth[pixel : pixel + full] = np.frombuffer(data, "<i2", full, position)
        pixel, position = pixel + full, position + 2 * full
    return depth.clip(0).astype(np.uint16).reshape(height, width)


def read_centre(path):
    """`[1, 3]` in m, the head's centre of a pose.txt: its last line, in mm.

    Raises ValueError unless there are a rotation of 3 x 3 numbers and a centre.
    """
    try:
        rows = [list(map(float, line.split())) for line in path.read_text().split("\n")]
    except ValueError:
        rows = []
    rows = [row for row in rows if row]
    if [len(row) for row in rows] != [3] * 4 or not np.isfinite(rows).all():
        raise ValueError(
            f"{path}: needed are three lines of a rotation and one of the head's "
            "centre, three numbers each"
        )
    return np.array(rows[3:]) / 1000
