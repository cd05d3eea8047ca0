"""Flow pictures of other programs: where they are found, what their codes stand for."""

import os
import pathlib
import re

import cv2
import numpy as np
import pytest
from flow_pictures import picture

from flow.flow_images import (
    find_folders,
    find_places,
    list_pairs,
    read_flow,
    resize_flow,
)
from flow.video import VideoError

A = pathlib.Path("a")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def pair_names(root, folder=A, layout=None):
    """[(u, v)] as names relative to `root`."""
    pairs = list_pairs(find_places(root, layout), folder)
    return [tuple(path.relative_to(root).as_posix() for path in pair) for pair in pairs]


@pytest.mark.parametrize("bound", [20, 32])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_codes_are_px_in_their_order(tmp_path, bound, suffix):
    u, v = picture(tmp_path / f"u{suffix}", 204), picture(tmp_path / f"v{suffix}", 0)
    flow = read_flow((u, v), bound)
    assert flow.shape == (16, 24, 2) and flow.dtype == np.float32
    # 204 / 255 = 0.8 of the way from -bound to bound.
    np.testing.assert_allclose(flow[..., 0], 0.6 * bound, rtol=1e-6)
    np.testing.assert_array_equal(flow[..., 1], -bound)


def test_zero_lies_between_two_codes(tmp_path):
    pair = picture(tmp_path / "u.png", 127), picture(tmp_path / "v.png", 128)
    flow = read_flow(pair, 32)
    np.testing.assert_allclose(flow[0, 0], [-32 / 255, 32 / 255], rtol=1e-4)


def test_grey_in_three_equal_channels_is_read_colours_are_not(tmp_path):
    image = np.full((16, 24, 3), 204, np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), image)
    image[3, 4, 2] = 203
    cv2.imwrite(str(tmp_path / "red.png"), image)
    grey = tmp_path / "grey.png"
    np.testing.assert_allclose(read_flow((grey, grey), 20), 12, rtol=1e-6)
    with pytest.raises(VideoError, match=r"red.png: is in colours"):
        read_flow((grey, tmp_path / "red.png"), 20)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), "or damaged"),
        (lambda path: path.write_bytes(b""), "is no picture, or damaged"),
        (lambda path: path.write_text("flow"), "is no picture, or damaged"),
        (lambda path: path.unlink(), r"cannot be read \(No such file"),
        (
            lambda path: path.write_bytes(
                cv2.imencode(".png", np.zeros((16, 24), np.uint16))[1]
            ),
            "has uint16 values; codes of flow have 8 bits",
        ),
        (lambda path: picture(path, width=25), "v.jpg: are 24x16 and 25x16 px"),
    ],
)
def test_pictures_that_cannot_be_used(tmp_path, damage, reason):
    u, v = picture(tmp_path / "u.jpg"), picture(tmp_path / "v.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (16, 24), np.uint8)
    v.write_bytes(cv2.imencode(".jpg", noise)[1])
    damage(v)
    with pytest.raises(VideoError, match=f"{re.escape(str(v.parent))}.*{reason}"):
        read_flow((u, v), 20)


def test_resized_flow_is_in_px_of_each_axis():
    flow = np.empty((20, 30, 2), np.float32)
    flow[:] = 2, -3
    resized = resize_flow(flow, (30, 36))
    assert resized.shape == (30, 36, 2) and resized.dtype == np.float32
    np.testing.assert_allclose(resized[..., 0], 2 * 36 / 30, rtol=1e-6)
    np.testing.assert_allclose(resized[..., 1], -3 * 30 / 20, rtol=1e-6)
    assert resize_flow(flow, (20, 30)) is flow


def test_pictures_beside_each_other_are_in_the_order_of_their_numbers(tmp_path):
    touch(tmp_path / "a", *(f"flow_{axis}_{n}.jpg" for axis in "xy" for n in (9, 10)))
    touch(tmp_path / "a", *(f"flow_{axis}_{n}.jpg" for axis in "xy" for n in range(9)))
    touch(tmp_path / "a", "img_00001.jpg", "flow.txt", "flow_x_00001.txt")
    assert pair_names(tmp_path) == [
        (f"a/flow_x_{n}.jpg", f"a/flow_y_{n}.jpg") for n in range(11)
    ]


@pytest.mark.parametrize(("u", "v"), [("x_{}", "y_{}"), ("u_{}", "v_{}")])
def test_older_names_begin_with_one(tmp_path, u, v):
    names = [name.format(f"{n:04}.jpg") for name in (u, v) for n in (2, 1)]
    touch(tmp_path / "a", *names)
    assert pair_names(tmp_path) == [
        (f"a/{u.format('0001.jpg')}", f"a/{v.format('0001.jpg')}"),
        (f"a/{u.format('0002.jpg')}", f"a/{v.format('0002.jpg')}"),
    ]


@pytest.mark.parametrize("trees", [("u", "v"), ("x", "y"), ("flow_x", "flow_y")])
def test_trees_apart_are_found(tmp_path, trees):
    for tree in trees:
        touch(tmp_path / tree / "a", "frame000002.jpg", "frame000001.jpg")
        touch(tmp_path / tree, "a.bin")
    places = find_places(tmp_path)
    assert places.layout == "apart" and find_folders(places) == [A]
    assert pair_names(tmp_path) == [
        tuple(f"{tree}/a/frame00000{n}.jpg" for tree in trees) for n in (1, 2)
    ]


def test_a_layout_that_is_said_is_taken(tmp_path):
    # Two videos of these names.
    for name in "uv":
        touch(tmp_path / name, "flow_x_0.jpg", "flow_y_0.jpg")
    places = find_places(tmp_path, "beside")
    assert find_folders(places) == [pathlib.Path("u"), pathlib.Path("v")]
    with pytest.raises(ValueError, match="has no two folders u and v; x and y;"):
        find_places(tmp_path / "u", "apart")
    with pytest.raises(ValueError, match="none: no such folder of flow pictures"):
        find_places(tmp_path / "none")


def test_folders_that_lack_flow_are_found_too(tmp_path):
    touch(tmp_path / "one" / "b", "flow_x_0.jpg")
    touch(tmp_path / "one" / "rgb", "img_00001.jpg")
    (tmp_path / "one" / "empty").mkdir()
    touch(tmp_path / ".done" / "b", "x")
    touch(tmp_path / "lists", "train.txt")
    found = [path.as_posix() for path in find_folders(find_places(tmp_path))]
    assert found == ["one/b", "one/empty", "one/rgb"]
    places = find_places(tmp_path)
    for name in ("empty", "rgb"):
        with pytest.raises(VideoError, match=f"one/{name}: holds no flow pictures"):
            list_pairs(places, pathlib.Path("one", name))


def test_a_video_in_one_tree_alone_is_found(tmp_path):
    touch(tmp_path / "u" / "a", "frame1.jpg")
    touch(tmp_path / "v" / "b", "frame1.jpg")
    places = find_places(tmp_path)
    assert find_folders(places) == [A, pathlib.Path("b")]
    with pytest.raises(VideoError, match="v/a: cannot be read .No such file"):
        list_pairs(places, A)


def test_a_video_folder_is_not_read_to_its_end(tmp_path, monkeypatch):
    touch(tmp_path / "a", *(f"flow_x_{n}.jpg" for n in range(50)))
    seen = []
    scandir = os.scandir

    class Counted:
        def __init__(self, path):
            self._entries = scandir(path)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._entries.close()

        def __iter__(self):
            for entry in self._entries:
                seen.append(entry.name)
                yield entry

    monkeypatch.setattr(os, "scandir", Counted)
    assert find_folders(find_places(tmp_path)) == [A]
    assert len(seen) == 2


def test_folders_without_any_flow_are_refused(tmp_path):
    touch(tmp_path / "a", "img_00001.jpg")
    with pytest.raises(ValueError, match="no flow pictures found, as <video>/flow_x_"):
        find_folders(find_places(tmp_path))
    touch(tmp_path, "flow_x_0.jpg")
    with pytest.raises(ValueError, match="holds flow pictures itself"):
        find_folders(find_places(tmp_path))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("x_0 y_0 x_1", "a/flow_x_1.jpg: is without its other half, number 1 of v"),
        ("x_0 y_0 y_1", "a/flow_y_1.jpg: is without its other half, number 1 of u"),
        ("x_2 y_2", r"a/flow_x_2.jpg: is the first; the numbers begin with 0 or 1"),
        ("x_1 y_1 x_3 y_3", r"a/flow_x_3.jpg: follows number 1; 2 is missing, or"),
        (
            "x_1 y_1 x_01",
            r"a/flow_x_01.jpg and .*a/flow_x_1.jpg: both have the number 1",
        ),
        ("x_p2_0 y_p2_0", r"flow_x_p2_0.jpg: is flow 2 frames forward; needed is"),
        ("x_m1_0 y_m1_0", r"flow_x_m1_0.jpg: is flow 1 frames back; needed is"),
    ],
)
def test_numbers_that_do_not_fit(tmp_path, names, reason):
    touch(tmp_path / "a", *(f"flow_{name}.jpg" for name in names.split()))
    with pytest.raises(VideoError, match=reason):
        pair_names(tmp_path)
