"""Flow that other programs left as grey pictures: where they lie, how they are read.

Two pictures, of u and of v, hold the flow from one frame to the next, as here: the k-th
pair, k = 1 ... N - 1, leads from frame k - 1 to frame k, whatever number its files
bear. A code c stands for 2 * bound * c / 255 - bound px. That has no code for zero: it
lies between 127 and 128, and what stands still was rounded to one of them (denseflow:
128), so it is read as bound / 255 px. All readers of such pictures do so, and so does
this one. At a bound of 20 px it becomes code 128 of `flow.code`, which is zero; at
denseflow's 32 px it becomes 129, 0.16 px.
"""

import itertools
import os
import pathlib
import re
from typing import NamedTuple

import cv2
import numpy as np

from flow.video import VideoError

# `<video>/flow_x_00000.jpg` beside `<video>/flow_y_00000.jpg` (denseflow; dense_flow of
# TSN counts from 1; elsewhere x_ and y_ or u_ and v_); or apart in trees of their own,
# `u/<video>/frame000001.jpg` and `v/<video>/frame000001.jpg` (Feichtenhofer's gpu_flow,
# so the UCF101 and HMDB51 archives of the two-stream fusion paper).
LAYOUTS = ("beside", "apart")
TREES = (("u", "v"), ("x", "y"), ("flow_x", "flow_y"))

_BESIDE = re.compile(
    r"(?:flow_)?(?P<axis>[xyuv])_(?:(?P<way>[pm])(?P<step>\d+)_)?(?P<number>\d+)"
    r"\.(?i:jpe?g|png)",
    re.ASCII,
)
_APART = re.compile(r".*?(?P<number>\d+)\.(?i:jpe?g|png)", re.ASCII)
_AXES = {"x": 0, "u": 0, "y": 1, "v": 1}
_SUFFIXES = (".jpg", ".jpeg", ".png")


class Places(NamedTuple):
    """Where u and v lie: two trees of video folders, or twice the same.

    Attributes:
      layout: of `LAYOUTS`.
      trees: paths of the trees of u and v.
    """

    layout: str
    trees: tuple[pathlib.Path, pathlib.Path]

    @property
    def pattern(self):
        """That the names of flow pictures fit."""
        return _BESIDE if self.layout == "beside" else _APART


def find_places(images, layout=None):
    """The `Places` below the folder `images`; without a layout, seen from its folders.

    Raises ValueError if `images` is no folder, or has no trees for the layout "apart".
    """
    images = pathlib.Path(images)
    if not images.is_dir():
        raise ValueError(f"{images}: no such folder of flow pictures")
    for pair in TREES:
        trees = tuple(images / name for name in pair)
        if layout != "beside" and all(tree.is_dir() for tree in trees):
            return Places("apart", trees)
    if layout == "apart":
        names = "; ".join(" and ".join(pair) for pair in TREES)
        raise ValueError(f"{images}: has no two folders {names}")
    return Places("beside", (images, images))


def find_folders(places):
    """Relative paths, sorted, of the folders that hold a video's flow pictures each.

    So are folders that are empty or hold other pictures alone: their flow is missing.
    Hidden folders are passed over. Of a video's folder no more is read than the first
    names, as there may be millions.

    Raises ValueError if there are no pictures, or some lie in no video's folder;
    OSError if a folder cannot be read.
    """
    found = {}
    for tree in dict.fromkeys(places.trees):
        for folder, has_pictures in _folders(tree, places.pattern):
            folder = pathlib.Path(folder).relative_to(tree)
            found[folder] = found.get(folder, False) or has_pictures
    if found.get(pathlib.Path()):
        raise ValueError(
            f"{places.trees[0]}: holds flow pictures itself; needed is the folder that "
            "has a folder for each video"
        )
    if not any(found.values()):
        raise ValueError(
            f"{places.trees[0]}: no flow pictures found, as "
            "<video>/flow_x_00001.jpg and <video>/flow_y_00001.jpg or "
            "u/<video>/frame000001.jpg and v/<video>/frame000001.jpg"
        )
    return sorted(found)


def _folders(folder, pattern):
    """Yields (path, True) of folders with flow pictures, (path, False) of those that
    lack them."""
    inside, names = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                yield folder, True
                return
            # Known from the listing itself, without a look at each file.
            if entry.is_dir():
                inside.append(entry)
            else:
                names.append(entry.name.lower())
    if not inside and (not names or any(n.endswith(_SUFFIXES) for n in names)):
        yield folder, False
    for entry in inside:
        if not entry.name.startswith("."):
            yield from _folders(entry.path, pattern)


def list_pairs(places, folder):
    """The pictures of one video, in order: (path of u, path of v) of each flow.

    Args:
      places: the `Places`.
      folder: relative path of a video's folder.

    Raises:
      VideoError: there are none; a number is missing, there twice, or in u or v only;
        the first is neither 0 nor 1; they are flow over several frames or back in
        time, as far as names tell; or a folder cannot be read.
    """
    found = {}, {}
    for axis, tree in enumerate(dict.fromkeys(places.trees)):
        here = tree / folder
        for name in _names(here):
            match = places.pattern.fullmatch(name)
            if not match:
                continue  # RGB frames of the video, as img_00001.jpg
            path, number = here / name, int(match["number"])
            if places.layout == "beside":
                _refuse_steps(path, match)
                axis = _AXES[match["axis"]]
            other = found[axis].setdefault(number, path)
            if other != path:
                raise VideoError(f"{other} and {path}: both have the number {number}")
    u, v = found
    _check_numbers(places, folder, u, v)
    return [(u[number], v[number]) for number in sorted(u)]


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise VideoError(f"{folder}: cannot be read ({error.strerror})") from error


def _refuse_steps(path, match):
    if match["step"]:
        way = "forward" if match["way"] == "p" else "back"
        raise VideoError(
            f"{path}: is flow {match['step']} frames {way}; needed is flow from each "
            "frame to the next"
        )


def _check_numbers(places, folder, u, v):
    if not u and not v:
        raise VideoError(f"{places.trees[0] / folder}: holds no flow pictures")
    for ours, theirs, axis in ((u, v, "v (y)"), (v, u, "u (x)")):
        alone = sorted(ours.keys() - theirs.keys())
        if alone:
            raise VideoError(
                f"{ours[alone[0]]}: is without its other half, number {alone[0]} of "
                f"{axis}"
            )
    numbers = sorted(u)
    if numbers[0] not in (0, 1):
        raise VideoError(
            f"{u[numbers[0]]}: is the first; the numbers begin with 0 or 1"
        )
    for before, number in itertools.pairwise(numbers):
        if number != before + 1:
            raise VideoError(
                f"{u[number]}: follows number {before}; {before + 1} is missing, or "
                "this is flow over several frames"
            )


def read_flow(pair, bound):
    """(path of u, path of v) -> flow `[H, W, 2]` float32 in px, within +-bound.

    Raises VideoError for a file that cannot be read, is no grey picture of 8 bits, or
    has another size than its other half.
    """
    codes = [_read_grey(path) for path in pair]
    if codes[0].shape != codes[1].shape:
        sizes = (f"{c.shape[1]}x{c.shape[0]}" for c in codes)
        raise VideoError(f"{pair[0]} and {pair[1]}: are {' and '.join(sizes)} px")
    values = 2 * bound * np.arange(256) / 255 - bound
    return values.astype(np.float32)[np.stack(codes, axis=-1)]


def _read_grey(path):
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    # Not as grey: that would make codes of colours.
    image = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if data
        else None
    )
    if image is None:
        raise VideoError(f"{path}: is no picture, or damaged")
    if image.dtype != np.uint8:
        raise VideoError(f"{path}: has {image.dtype} values; codes of flow have 8 bits")
    if image.ndim == 3:
        if (image != image[..., :1]).any():
            raise VideoError(f"{path}: is in colours; codes of flow are grey")
        image = image[..., 0]
    return image


def resize_flow(flow, size):
    """Flow `[H, W, 2]` float px -> `[h, w, 2]` of `size` (h, w), bilinear.

    Its values are px too: u is multiplied by w / W, v by h / H.
    """
    height, width = flow.shape[:2]
    if (height, width) == tuple(size):
        return flow
    scale = np.float32([size[1] / width, size[0] / height])
    return cv2.resize(flow, size[::-1], interpolation=cv2.INTER_LINEAR) * scale
