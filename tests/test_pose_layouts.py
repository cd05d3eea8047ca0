"""NYU Hand, RHD and BIWI: small files as theirs, and files that are damaged."""

import os
import pickle
import struct
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from i3d_tf import clips, pipeline
from i3d_tf.config import Data
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.poses import biwi, nyu, rhd
from i3d_tf.datasets.poses.builder import TwoStreamPoses
from i3d_tf.datasets.poses.numpy_pickle import read_pickle
from i3d_tf.tasks import POSES

# Of pictures; records hold the 8 x 8 px in the middle.
HEIGHT, WIDTH = 8, 10


def rgb_of(seed):
    """`[H, W, 3]` of one colour, which JPEG keeps but for rounding."""
    colour = np.random.default_rng(seed).integers(0, 256, 3)
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def depth_of(seed, most=65535):
    """`[H, W]` mm; some are unknown."""
    rng = np.random.default_rng(seed)
    depth = rng.integers(300, most + 1, (HEIGHT, WIDTH))
    depth[rng.random(depth.shape) < 0.3] = 0
    return depth


def write_png(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(path, rgb[..., ::-1])


def read_records(folder, tmp_path, **options):
    """{split: {id: record}} of a data set that is built of all that is listed."""
    options = {"name": "x", "smaller_side": 8, "workers": 1, **options}
    made = TwoStreamPoses.of(folder, data_dir=tmp_path / "data", **options)
    for labels in made.build().values():
        counts = labels["(no label)"]
        assert counts["used"] == counts["listed"], counts
    builder = open_dataset(tmp_path / "data", "two_stream_poses/x")
    return {
        split: {
            record["id"].decode(): record
            for record in tfds.as_numpy(builder.as_dataset(split=split))
        }
        for split in builder.info.splits
    }


def check(record, seed, depth, joints):
    np.testing.assert_array_equal(record["depth"][0, ..., 0], depth[:, 1:9])
    assert abs(record["rgb"][0].astype(int) - rgb_of(seed)[:, 1:9]).max() <= 3
    np.testing.assert_allclose(record["joints"], joints, rtol=1e-6)


def nyu_joints(frames, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(-500, 900, (3, frames, 36, 3))


def write_nyu(folder, **arrays):
    """One test and two training frames of three cameras."""
    scipy_io = pytest.importorskip("scipy.io")
    for seed, (split, frames) in enumerate([("train", 2), ("test", 1)]):
        for view in (1, 2, 3):
            for frame in range(1, frames + 1):
                number = 100 * seed + 10 * view + frame
                name = f"{view}_{frame:07d}.png"
                write_png(folder / split / f"rgb_{name}", rgb_of(number))
                depth = depth_of(number)
                code = np.dstack([depth * 0 + 99, depth // 256, depth % 256])
                write_png(folder / split / f"depth_{name}", code.astype(np.uint8))
        found = {"joint_xyz": nyu_joints(frames, seed), "other": np.zeros(3), **arrays}
        scipy_io.savemat(folder / split / "joint_data.mat", found, do_compression=True)
    return folder


def test_nyu(tmp_path):
    folder = write_nyu(tmp_path / "nyu")
    found = read_records(folder, tmp_path, layout="nyu", views=[3, 1])
    names = [f"rgb_{view}_000000{frame}.png" for view in (1, 3) for frame in (1, 2)]
    assert sorted(found["train"]) == [f"train/{name}" for name in names]
    assert sorted(found["test"]) == [f"test/{name}" for name in names[::2]]
    for split, seed in (("train", 0), ("test", 1)):
        xyz = nyu_joints(2 - seed, seed)
        for name, record in found[split].items():
            view, frame = int(name[-13]), int(name[-5])
            number = 100 * seed + 10 * view + frame
            joints = xyz[view - 1, frame - 1] / 1000
            joints[:, 1] *= -1
            check(record, number, depth_of(number), joints)


def test_nyu_has_one_camera_unless_others_are_asked_for(tmp_path):
    listing, joints = nyu.list_pictures(write_nyu(tmp_path))
    assert len(joints) == 36
    assert [(entry.video, entry.split, entry.label) for entry in listing.videos] == [
        ("train/rgb_1_0000001.png", "train", None),
        ("train/rgb_1_0000002.png", "train", None),
        ("test/rgb_1_0000001.png", "test", None),
    ]
    for views in ((0,), (1, 4), ()):
        with pytest.raises(ValueError, match=r"^views are \[.*\]; NYU has 1, 2 and 3$"):
            nyu.list_pictures(tmp_path, views)


def test_other_mat_files_are_refused(tmp_path):
    path = write_nyu(tmp_path) / "test/joint_data.mat"
    whole = path.read_bytes()
    for damaged in (b"", b"this is text", whole[:200], whole[:128] + b"\xff" * 99):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="^[^\n]*mat: (cannot be read|has no num)"):
            nyu.list_pictures(tmp_path)
    for array, message in (
        (np.zeros((3, 1, 21, 3)), r"joint_xyz is \[3, 1, 21, 3\]; needed is \[3, fr"),
        (np.zeros((36, 3)), "has no numbers joint_xyz"),
        (np.array(["text"]), "has no numbers joint_xyz"),
    ):
        write_nyu(tmp_path, joint_xyz=array)
        with pytest.raises(ValueError, match=f"joint_data.mat:? {message}"):
            nyu.list_pictures(tmp_path)
    path.unlink()
    (tmp_path / "train/joint_data.mat").write_bytes(whole)
    with pytest.raises(ValueError, match="test/joint_data.mat: is missing"):
        nyu.list_pictures(tmp_path)


def test_without_scipy_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ValueError, match=r"SciPy, which is .* '\.\[poses\]'"):
        TwoStreamPoses.of(tmp_path, layout="nyu", data_dir=tmp_path, name="x")


def rhd_annotations(numbers, seed):
    rng = np.random.default_rng(seed)
    return {
        number: {
            "xyz": rng.uniform(-1, 1, (42, 3)).astype(np.float32),
            "uv_vis": rng.uniform(0, 320, (42, 3)),
            "K": np.array([[300, 0, 160], [0, 300, 160], [0, 0, 1.0]]),
        }
        for number in numbers
    }


def write_rhd(folder, protocol=4):
    for seed, (name, numbers) in enumerate([("training", 2), ("evaluation", 1)]):
        for number in range(numbers):
            file = f"{number:05d}.png"
            write_png(folder / name / "color" / file, rgb_of(10 * seed + number))
            code = depth_of(10 * seed + number)
            code = np.dstack([code // 256, code % 256, code * 0 + 99])
            write_png(folder / name / "depth" / file, code.astype(np.uint8))
        with open(folder / name / f"anno_{name}.pickle", "wb") as file:
            annotations = rhd_annotations(range(numbers), seed)
            pickle.dump(annotations, file, protocol=protocol)
    return folder


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_rhd(tmp_path, protocol):
    folder = write_rhd(tmp_path / "rhd", protocol)
    found = read_records(folder, tmp_path, layout="rhd")
    names = [f"color/0000{number}.png" for number in (0, 1)]
    assert sorted(found["train"]) == [f"training/{name}" for name in names]
    assert sorted(found["test"]) == [f"evaluation/{names[0]}"]
    for split, seed in (("train", 0), ("test", 1)):
        annotations = rhd_annotations(range(2 - seed), seed)
        for name, record in found[split].items():
            number = int(name[-5])
            # 65535 is 5 m.
            depth = np.rint(depth_of(10 * seed + number) * (5000 / 65535))
            check(record, 10 * seed + number, depth, annotations[number]["xyz"])


@pytest.mark.parametrize(
    ("joints", "order"),
    [(None, [*range(21, 42), *range(21)]), ((3, 30, 24, 9), [2, 3, 0, 1])],
)
def test_hands_change_places_in_a_mirror(tmp_path, joints, order):
    """Joint 24 is the right hand's 3, 30 the right hand's 9."""
    folder = write_rhd(tmp_path / "rhd")
    found = read_records(folder, tmp_path, layout="rhd", joints=joints)["train"]
    builder = open_dataset(tmp_path / "data", "two_stream_poses/x")
    assert builder.info.metadata["mirrored"] == order
    names = builder.info.metadata["names"]
    swap = {"left": "right", "right": "left"}
    for name, other in zip(names, [names[place] for place in order], strict=True):
        hand, number = name.split()
        assert other == f"{swap[hand]} {number}"
    record = next(iter(found.values()))
    kept = list(range(42) if joints is None else joints)
    np.testing.assert_array_equal(np.array(kept)[order] % 21, np.array(kept) % 21)
    for mirrored in (False, True):
        view = clips.View(0, 0, 0, tf.constant(mirrored))
        right = POSES.target({"joints": record["joints"], "view": view}, builder.info)
        wanted = record["joints"]
        if mirrored:
            wanted = wanted[order] * [-1, 1, 1]
        np.testing.assert_allclose(right, wanted, rtol=1e-6)


def test_one_of_two_hands_cannot_be_mirrored(tmp_path):
    folder = write_rhd(tmp_path / "rhd")
    read_records(folder, tmp_path, layout="rhd", joints=range(21))
    builder = open_dataset(tmp_path / "data", "two_stream_poses/x")
    # The network wants 32 px, the files here have 8.
    data = Data("two_stream_poses/x", num_frames=1, size=32, smaller_side=32)
    object.__setattr__(data, "smaller_side", 8)
    with pytest.raises(ValueError, match="one of two hands.*data.mirror must be False"):
        pipeline.check_fits(builder, data)
    object.__setattr__(data, "mirror", False)
    pipeline.check_fits(builder, data)


class Payload:
    """What a pickle does to who opens it with `pickle.load`."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (lambda path: Payload(os.system, f"touch {path}"), "(posix|nt).system"),
        (
            lambda path: Payload(eval, f"open({str(path)!r}, 'w').close()"),
            ".*builtin.*.eval",
        ),
        (lambda path: {0: {"xyz": Payload(os.mkdir, str(path))}}, "posix.mkdir"),
        (lambda path: Payload(np.save, str(path), 1), "numpy.save"),
    ],
)
def test_pickles_that_run_code_are_refused(tmp_path, protocol, payload, name):
    folder, path = write_rhd(tmp_path), tmp_path / "made"
    target = folder / "evaluation/anno_evaluation.pickle"
    target.write_bytes(pickle.dumps(payload(path), protocol))
    with pytest.raises(ValueError, match=f"pickle: cannot .*refuses '{name}'; only"):
        TwoStreamPoses.of(folder, layout="rhd", data_dir=tmp_path, name="x")
    assert not list(tmp_path.glob("made*"))
    # The payloads are real ones.
    pickle.loads(target.read_bytes())
    assert list(tmp_path.glob("made*"))


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_arrays_are_exact(tmp_path, protocol):
    arrays = {
        "double": np.random.default_rng(0).standard_normal((4, 3)),
        "columns": np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        "big": np.arange(5, dtype=">i4"),
        "bytes": np.arange(256, dtype=np.uint8),
        "flags": np.array([[True], [False]]),
        "scalar": np.float64(0.1),
        "list": [np.arange(3), 1, "text", None],
    }
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(arrays, protocol))
    found = read_pickle(path)
    assert list(found) == list(arrays)
    for name, wanted in arrays.items():
        if name != "list":
            np.testing.assert_array_equal(found[name], wanted)
            assert found[name].dtype == wanted.dtype
    np.testing.assert_array_equal(found["list"][0], np.arange(3))
    assert found["list"][1:] == [1, "text", None]


def test_pickles_of_python_2_are_read(tmp_path):
    # As Python 2 wrote np.array([1.5, -2.0]): bytes as strings, NumPy's old names.
    raw = np.array([1.5, -2.0]).tobytes()
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    head += b"K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
    head += b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    (tmp_path / "a.pickle").write_bytes(head + b"U\x10" + raw + b"tb.")
    np.testing.assert_array_equal(read_pickle(tmp_path / "a.pickle"), [1.5, -2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(np.array([{}])), r"refuses arrays of 'O8'; numbers are allowed"),
        (pickle.dumps(np.array(["a"])), "refuses arrays of 'U1'"),
        # Sets an attribute of what a name means.
        (b"cnumpy\nndarray\n}U\x01aK\x01sb.", "it changes a function"),
        # Calls the type of arrays, for an array of terabytes.
        (b"cnumpy\nndarray\n((J\xff\xff\xff\x7fttR.", "it makes arrays in another way"),
        (pickle.dumps(np.zeros(9))[:-40], "cannot be read as a pickle"),
        (b"", "cannot be read as a pickle"),
        (b"text", "cannot be read as a pickle"),
    ],
)
def test_other_pickles_are_refused(tmp_path, data, message):
    (tmp_path / "a.pickle").write_bytes(data)
    with pytest.raises(ValueError, match=f"a.pickle: .*{message}"):
        read_pickle(tmp_path / "a.pickle")


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([], "is no dict of pictures, as RHD's are"),
        ({}, "is no dict of pictures, as RHD's are"),
        (
            {0: {"xyz": np.zeros((21, 3))}},
            r"of 0 xyz is \[21, 3\]; needed is \[42, 3\]",
        ),
        ({0: {}}, r"of 0 xyz is no array; needed is \[42, 3\]"),
        ({"a": {"xyz": np.zeros((42, 3))}}, r"of 'a' xyz is \[42, 3\]; needed is"),
    ],
)
def test_other_annotations_are_refused(tmp_path, annotations, message):
    path = write_rhd(tmp_path) / "evaluation/anno_evaluation.pickle"
    path.write_bytes(pickle.dumps(annotations))
    with pytest.raises(ValueError, match=f"anno_evaluation.pickle: {message}"):
        rhd.list_pictures(tmp_path)


def depth_bin(depth):
    """A depth.bin: runs of empty and of full pixels by turns."""
    data = struct.pack("<ii", depth.shape[1], depth.shape[0])
    flat = depth.ravel().tolist()
    position = 0
    while position < len(flat):
        runs = []
        for is_full in (False, True):
            start = position
            while position < len(flat) and (flat[position] > 0) == is_full:
                position += 1
            runs.append(flat[start:position])
        data += struct.pack("<ii", *map(len, runs))
        data += struct.pack(f"<{len(runs[1])}h", *runs[1])
    return data


def centre_of(seed):
    return np.random.default_rng(seed).uniform(-200, 1200, 3).round(4)


POSE = "0.9 0.1 0.2 \n-0.1 0.9 0.3 \n-0.2 -0.3 0.9 \n\n{} {} {} \n"


def write_biwi(folder):
    """Frame 3 of sequences 01, 02 and 12, and a frame 4 of 02."""
    for seed, name in enumerate(["01/frame_00003", "02/frame_00003", "12/frame_00003"]):
        write_frame(folder, name, seed)
    write_frame(folder, "02/frame_00004", 3)
    (folder / "01/rgb.cal").write_text("517.679 0 320\n")
    return folder


def write_frame(folder, name, seed):
    write_png(folder / f"{name}_rgb.png", rgb_of(seed))
    (folder / f"{name}_depth.bin").write_bytes(depth_bin(depth_of(seed, 32767)))
    (folder / f"{name}_pose.txt").write_text(POSE.format(*centre_of(seed)))


def test_biwi(tmp_path):
    folder = write_biwi(tmp_path / "hpdb")
    found = read_records(folder, tmp_path, layout="biwi", test_sequences=["01", "12"])
    numbers = {
        "train": {"02/frame_00003_rgb.png": 1, "02/frame_00004_rgb.png": 3},
        "test": {"01/frame_00003_rgb.png": 0, "12/frame_00003_rgb.png": 2},
    }
    for split, names in numbers.items():
        assert set(found[split]) == set(names)
        for name, seed in names.items():
            depth = depth_of(seed, 32767)
            check(found[split][name], seed, depth, centre_of(seed)[None] / 1000)


def test_biwi_is_split_by_sequence(tmp_path):
    write_biwi(tmp_path)
    for tested in ([], ["01", "02", "12"], ["03"], ["01", "3"]):
        with pytest.raises(ValueError, match="test_sequences are .*of 01, 02, 12$"):
            biwi.list_pictures(tmp_path, tested)
    with pytest.raises(ValueError, match="has no <sequence>/frame_"):
        biwi.list_pictures(tmp_path / "01", ["01"])


def test_damaged_frames_of_biwi_are_lost_with_a_reason(tmp_path):
    folder = write_biwi(tmp_path / "hpdb")
    (folder / "02/frame_00003_depth.bin").write_bytes(b"\x80\2\0\0")
    (folder / "01/frame_00003_pose.txt").write_text("1 0 0\n0 1 0\n0 0 1\n\n1 2\n")
    made = TwoStreamPoses.of(
        folder,
        layout="biwi",
        data_dir=tmp_path / "data",
        name="x",
        test_sequences=["01", "12"],
        workers=1,
    )
    coverage = made.build()
    lost = [coverage[split]["(no label)"]["lost"] for split in ("train", "test")]
    assert [(one["video"], one["reason"]) for (one,) in lost] == [
        (
            "02/frame_00003_rgb.png",
            f"{folder}/02/frame_00003_depth.bin: has 4 bytes; width and height take 8",
        ),
        (
            "01/frame_00003_rgb.png",
            f"{folder}/01/frame_00003_pose.txt: needed are three lines of a rotation "
            "and one of the head's centre, three numbers each",
        ),
    ]


SIZE = struct.pack("<ii", 4, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has 0 bytes; width and height take 8"),
        (SIZE, "ends after 0 of 8 px"),
        (SIZE + struct.pack("<iih", 3, 1, 9), "ends after 4 of 8 px"),
        (SIZE + struct.pack("<iih", 3, 4, 9), "ends after 3 of 8 px"),
        (SIZE + struct.pack("<iih", 3, 4, 9)[:-1], "ends after 3 of 8 px"),
        (SIZE + struct.pack("<ii", 9, 0), "has runs of 9 and 0 px, which do not fit"),
        (SIZE + struct.pack("<ii", 2**31 - 1, 2**31 - 1), "has runs of 2147483647"),
        (SIZE + struct.pack("<ii", -1, 1) * 9, "has runs of -1 and 1 px"),
        (SIZE + struct.pack("<ii", 4, -4) * 9, "has runs of 4 and -4 px"),
        (struct.pack("<ii", 2**31 - 1, 2**31 - 1), "is 2147483647x2147483647 px; at"),
        (struct.pack("<ii", -640, -480), "is -640x-480 px; at most"),
        (struct.pack("<ii", 0, 5), "is 0x5 px; at most"),
    ],
)
def test_damaged_depths_are_refused(tmp_path, data, message):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(ValueError, match=f"a.bin: {message}"):
        biwi.read_depth(tmp_path / "a.bin")


def test_any_cut_depth_is_refused(tmp_path):
    data = depth_bin(depth_of(0, 32767))
    for length in range(len(data)):
        (tmp_path / "a.bin").write_bytes(data[:length])
        with pytest.raises(ValueError, match="a.bin: (has|ends after)"):
            biwi.read_depth(tmp_path / "a.bin")


def test_runs_without_pixels_are_passed_over(tmp_path):
    data = SIZE + struct.pack("<iiiiiihh", 0, 0, 3, 0, 3, 2, 9, -7)
    (tmp_path / "a.bin").write_bytes(data)
    np.testing.assert_array_equal(
        biwi.read_depth(tmp_path / "a.bin"), [[0, 0, 0, 0], [0, 0, 9, 0]]
    )


@pytest.mark.parametrize(
    "text",
    ["", "text", POSE.format(1, 2, "nan"), POSE.format(1, 2, ""), "1 2 3\n" * 5],
)
def test_other_poses_are_refused(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match="a.txt: needed are three lines of a rotation"):
        biwi.read_centre(tmp_path / "a.txt")
