"""RGB-D pictures of an arm, from the renderer to records."""

import csv
import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from experiments import sample_arms
from experiments.sample_arms import Light, Scene
from experiments.sample_poses import render_samples
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.poses import folder
from i3d_tf.datasets.poses.builder import TwoStreamPoses
from i3d_tf.datasets.poses.pictures import make_example

SIZE = 32
COUNTS = {"train": 3, "unlabelled": 2, "test": 1}


def scenes(count, size):
    for number in range(count):
        yield sample_arms.draw_scene(
            np.random.default_rng([1, number]), np.random.default_rng(number), size
        )


def straight_arm(**changes):
    """Links of 0.2 m in a row at a z of 1 m, before a grey wall at 2 m."""
    ends = np.array([[-0.3, 0, 1], [-0.1, 0, 1], [0.1, 0, 1], [0.3, 0, 1]])
    scene = Scene(
        joints=ends,
        radii=np.array([0.05, 0.05, 0.05]),
        colours=np.eye(3),
        plane=(2.0, 0.0, 0.0),
        background=np.full((SIZE, SIZE, 3), 0.5, np.float32),
        light=Light(np.array([0, 0, -1.0]), np.ones(3), 0.25),
    )
    return dataclasses.replace(scene, **changes)


def test_depth_of_a_known_arm():
    _, z = sample_arms.render(straight_arm(), SIZE)
    # Rows of rays at dy = 1 / (2 * 1.1 * 32) above and below the axis, which at z
    # meet a cylinder: (z dy)^2 + (z - 1)^2 = 0.05^2.
    dy = 0.5 / (sample_arms.FOCAL * SIZE)
    wanted = min(np.roots([1 + dy**2, -2, 1 - 0.05**2]))
    left, right = 6, 25  # of the arm's axis, 15.5 +- 0.3 * 1.1 * 32, rounded inwards
    np.testing.assert_allclose(z[15:17, left : right + 1], wanted, atol=1e-9)
    on_arm = z < 1.5
    assert on_arm.any(axis=0).sum() == 24  # 0.3 + 0.05 m, the cap, to both sides
    assert (z[~on_arm] == 2).all()


def test_colours_of_a_known_arm():
    rgb, z = sample_arms.render(straight_arm(), SIZE)
    # The wall faces the light: 0.5 * (1 + 0.25).
    np.testing.assert_allclose(rgb[z == 2], 0.625)
    # So do the links, but for the slope half a pixel from the axis.
    np.testing.assert_allclose(rgb[15, 7], [1.25, 0, 0], atol=0.06)
    np.testing.assert_allclose(rgb[15, 16], [0, 1.25, 0], atol=0.06)
    np.testing.assert_allclose(rgb[15, 24], [0, 0, 1.25], atol=0.06)
    # From above: the wall and what is below has the ambient light alone.
    above = Light(np.array([0, -1.0, 0]), np.ones(3), 0.25)
    rgb, z = sample_arms.render(straight_arm(light=above), SIZE)
    np.testing.assert_allclose(rgb[z == 2], 0.125)
    assert rgb[14, 16, 1] > 0.6 and rgb[17, 16, 1] == 0.25
    # From the right: of the tip only the ball at its end faces it.
    right = Light(np.array([1.0, 0, 0]), np.ones(3), 0.25)
    rgb, _ = sample_arms.render(straight_arm(light=right), SIZE)
    assert rgb[15, 24, 2] == 0.25 and rgb[15, 27, 2] > 0.4


def test_joints_are_seen_where_they_are_projected():
    size, seen = 256, []
    for scene in scenes(30, size):
        _, z = sample_arms.render(scene, size)
        radii = np.maximum(scene.radii, [*scene.radii[1:], 0])
        joints = scene.joints[1:]
        for joint, radius, pixel in zip(
            joints, radii, sample_arms.project(joints, size), strict=True
        ):
            x, y = np.rint(pixel).astype(int)
            # The ball around a joint is met its radius before its centre.
            ball = joint[2] * (1 - radius / np.linalg.norm(joint))
            assert z[y, x] < ball + 1e-3
            seen.append(z[y, x] - ball)
    # Where a link comes towards the camera it hides its joint.
    assert np.mean(np.array(seen) > -1e-3) > 0.3
    assert np.mean(np.array(seen) > -0.05) > 0.6


def test_light_changes_rgb_and_not_depth():
    for scene in scenes(5, SIZE):
        light = dataclasses.replace(
            scene.light, direction=scene.light.direction * [-1, -1, 1]
        )
        rgb, z = sample_arms.render(scene, SIZE)
        other_rgb, other_z = sample_arms.render(
            dataclasses.replace(scene, light=light), SIZE
        )
        np.testing.assert_array_equal(z, other_z)
        assert abs(rgb - other_rgb).max() > 0.1


def test_a_mirrored_picture_is_that_of_mirrored_joints():
    for scene in scenes(5, SIZE):
        distance, right, down = scene.plane
        flip = np.array([-1, 1, 1])
        mirrored = dataclasses.replace(
            scene,
            joints=scene.joints * flip,
            plane=(distance, -right, down),
            background=scene.background[:, ::-1],
            light=dataclasses.replace(
                scene.light, direction=scene.light.direction * flip
            ),
        )
        for one, other in zip(
            sample_arms.render(scene, SIZE),
            sample_arms.render(mirrored, SIZE),
            strict=True,
        ):
            np.testing.assert_allclose(one[:, ::-1], other, atol=1e-9)


def test_seed_split_and_number_decide_a_picture():
    first = sample_arms.take_picture(3, "train", 5, SIZE)
    again = sample_arms.take_picture(3, "train", 5, SIZE)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for others in ((4, "train", 5), (3, "test", 5), (3, "train", 6)):
        for one, other in zip(
            first, sample_arms.take_picture(*others, SIZE), strict=True
        ):
            assert not np.array_equal(one, other)
    np.testing.assert_array_equal(
        sample_arms.take_picture(3, "train", 5, 2 * SIZE)[2], first[2]
    )


def test_cameras_have_noise():
    for number in range(5):
        rgb, depth, joints = sample_arms.take_picture(0, "test", number, SIZE)
        assert (rgb.dtype, depth.dtype) == (np.uint8, np.uint16)
        assert (depth == 0).mean() < 0.08
        assert depth[depth > 0].min() > 550 and depth.max() < 3800
        # Elbow, wrist and tip: the last two links.
        lengths = np.linalg.norm(np.diff(joints, axis=0), axis=1)
        np.testing.assert_allclose(lengths[0] / lengths[1], 0.25 / 0.18)
        pixels = sample_arms.project(joints, SIZE)
        assert (pixels > 1).all() and (pixels < SIZE - 2).all()


def test_noise_is_of_the_size_that_is_said():
    deviations = []
    for seed in range(20):
        flat = np.full((100, 100, 3), 0.5)
        depth = sample_arms._sense(np.random.default_rng(seed), flat[..., 0])
        rgb = sample_arms._develop(np.random.default_rng(seed), flat)
        assert 0 < (depth == 0).mean() < 0.025
        deviations.append((depth[depth > 0].std(), rgb.std()))
        np.testing.assert_allclose(depth[depth > 0].mean(), 500, atol=0.1)
        np.testing.assert_allclose(rgb.mean(), 127.5, atol=0.3)
    low, high = np.min(deviations, 0), np.max(deviations, 0)
    for k, (least, most) in enumerate(
        (sample_arms.DEPTH_NOISES, sample_arms.RGB_NOISES)
    ):
        # Rounding to whole mm and levels adds a third of one at most.
        assert 0.98 * least < low[k] < high[k] < 1.05 * most


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    output = tmp_path_factory.mktemp("poses") / "arm"
    assert render_samples(output, **COUNTS, size=SIZE, seed=7) == 6
    return output


def read_list(folder):
    with open(folder / "poses.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_renderer_writes_the_layout(rendered):
    rows = read_list(rendered)
    names = [
        f"{split}_{n:06d}.png" for split, count in COUNTS.items() for n in range(count)
    ]
    assert [row["picture"] for row in rows] == names
    for kind in ("rgb", "depth"):
        assert sorted(path.name for path in (rendered / kind).iterdir()) == sorted(
            names
        )
    for row in rows:
        split, number = row["picture"].removesuffix(".png").split("_")
        assert row["split"] == split
        rgb, depth, joints = sample_arms.take_picture(7, split, int(number), SIZE)
        stored = cv2.imread(rendered / "rgb" / row["picture"])[..., ::-1]
        np.testing.assert_array_equal(stored, rgb)
        path = rendered / "depth" / row["picture"]
        stored = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, depth)
        listed = [
            [float(row[f"{joint}_{axis}"]) for axis in "xyz"]
            for joint in sample_arms.JOINTS
        ]
        np.testing.assert_allclose(listed, joints, atol=1e-6)


def test_what_is_rendered_is_kept(rendered):
    before = {path: path.stat().st_mtime_ns for path in rendered.rglob("*")}
    assert render_samples(rendered, **COUNTS, size=SIZE, seed=7) == 6
    assert before == {path: path.stat().st_mtime_ns for path in rendered.rglob("*")}
    with pytest.raises(ValueError, match=r'arm holds pictures with .*"seed": 7.*asked'):
        render_samples(rendered, **COUNTS, size=SIZE, seed=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 0}, "train is 0; it has to be 1 or more"),
        ({"unlabelled": -1}, "unlabelled is -1; it has to be 0 or more"),
        ({"size": 8}, "size is 8; it has to be 16 to 1024 px"),
        ({"seed": -1}, "seed is -1; it has to be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        render_samples(tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_is_wrong(tmp_path):
    flags = [f"--output={tmp_path}", "--test=0"]
    run = subprocess.run(
        [sys.executable, "-m", "experiments.sample_poses", *flags],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr == "error: test is 0; it has to be 1 or more\n"


def test_a_list_that_was_not_rendered_is_left_alone(tmp_path):
    (tmp_path / "poses.csv").write_text("picture,split\n")
    with pytest.raises(ValueError, match="has a poses.csv that was not rendered"):
        render_samples(tmp_path, **COUNTS, size=SIZE, seed=7)
    assert [path.name for path in tmp_path.iterdir()] == ["poses.csv"]


def build(folder, data, **options):
    options = {"name": "arm", "smaller_side": SIZE, "workers": 1, **options}
    return TwoStreamPoses.of(folder, data_dir=data, **options)


def test_records_of_the_renderer(rendered, tmp_path):
    coverage = build(rendered, tmp_path).build()
    assert {
        split: counts["(no label)"]["used"] for split, counts in coverage.items()
    } == COUNTS
    builder = open_dataset(tmp_path, "two_stream_poses/arm")
    names = {"id", "rgb", "depth", "height", "width", "joints", "source"}
    assert set(builder.info.features) == names
    rows = {row["picture"]: row for row in read_list(rendered)}
    for split, count in COUNTS.items():
        records = list(tfds.as_numpy(builder.as_dataset(split=split)))
        assert len(records) == count
        for record in records:
            picture = record["id"].decode().removeprefix("rgb/")
            assert rows[picture]["split"] == split
            assert record["source"] == record["id"]
            _, number = picture.removesuffix(".png").split("_")
            rgb, depth, joints = sample_arms.take_picture(7, split, int(number), SIZE)
            assert (record["height"], record["width"]) == (SIZE, SIZE)
            assert record["depth"].dtype == np.uint16
            np.testing.assert_array_equal(record["depth"], depth[None, ..., None])
            assert abs(record["rgb"][0].astype(int) - rgb).mean() < 4
            assert record["joints"].dtype == np.float32
            np.testing.assert_allclose(record["joints"], joints, atol=2e-6)


def test_commands(tmp_path):
    rendered, data = tmp_path / "arm", tmp_path / "data"
    for name, *flags in (
        ("sample_poses", f"--output={rendered}", "--train=2", "--unlabelled=0"),
        ("build_dataset", "--dataset=poses", f"--videos={rendered}", "--joints=x"),
        ("build_dataset", "--dataset=poses", f"--videos={rendered}", "--joints=2,0"),
    ):
        if name == "sample_poses":
            flags += ["--test=1", "--size=32"]
        else:
            flags += [f"--data_dir={data}", "--workers=1", "--smaller_side=16"]
        run = subprocess.run(
            [sys.executable, "-m", f"experiments.{name}", *flags],
            capture_output=True,
            text=True,
        )
        if "--joints=x" in flags:
            assert run.returncode == 1
            assert run.stderr.endswith("error: --joints x: numbers only\n")
        else:
            assert run.returncode == 0, run.stderr
    made = data / "two_stream_poses/arm/1.0.0"
    assert run.stdout.splitlines()[-3:] == [
        "train: 2 of 2 listed videos used (2 present), 1 class",
        "test: 1 of 1 listed videos used (1 present), 1 class",
        f"{made}: data set two_stream_poses/arm",
    ]
    info = open_dataset(data, "two_stream_poses/arm").info
    assert info.features["joints"].shape == (2, 3)
    assert info.metadata == {
        "smaller_side": 16,
        "joints": [2, 0],
        "names": ["tip", "elbow"],
        "mirrored": [0, 1],
    }


def test_changed_lists_are_read_again(tmp_path):
    render_samples(tmp_path / "arm", train=1, unlabelled=0, test=1, size=16)
    path = tmp_path / "arm/poses.csv"
    before = folder.read(tmp_path / "arm", "rgb/test_000000.png")[2]
    path.write_text(path.read_text().replace("test_000000.png,test,", "x.png,test,"))
    path.write_text(path.read_text().replace("train_000000.png,", "test_000000.png,"))
    after = folder.read(tmp_path / "arm", "rgb/test_000000.png")[2]
    assert before.shape == after.shape == (3, 3)
    assert (before != after).all()


def test_other_squares_and_joints_are_noticed(rendered, tmp_path):
    build(rendered, tmp_path, joints=[2, 0]).build()
    builder = open_dataset(tmp_path, "two_stream_poses/arm")
    (record,) = tfds.as_numpy(builder.as_dataset(split="test"))
    _, _, joints = sample_arms.take_picture(7, "test", 0, SIZE)
    np.testing.assert_allclose(record["joints"], joints[[2, 0]], atol=2e-6)
    assert build(rendered, tmp_path, joints=(2, 0)).build() is None
    for changed in ({"joints": [0, 2]}, {"joints": [2, 0], "smaller_side": 16}):
        with pytest.raises(ValueError, match="was built with .*; --overwrite builds"):
            build(rendered, tmp_path, **changed).build()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "coco"}, "layout 'coco'; there are folder, nyu, rhd, biwi"),
        ({"smaller_side": 4}, "smaller_side is 4; it has to be 8 to 2048 px"),
        ({"joints": [3]}, r"joints are \[3\]; needed are different ones of 0 to 2"),
        ({"joints": [1, 1]}, r"joints are \[1, 1\]; needed are different ones of"),
        ({"joints": []}, r"joints are \[\]; needed are different ones of 0 to 2"),
        ({"views": [1]}, "views is for layout nyu alone"),
        ({"test_sequences": ["1"]}, "test_sequences is for layout biwi alone"),
        ({"layout": "biwi"}, "layout biwi needs test_sequences, as 01 and 12"),
    ],
)
def test_options_that_do_not_fit_are_refused(rendered, tmp_path, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build(rendered, tmp_path, **options)


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def test_damaged_pictures_are_lost_with_a_reason(tmp_path):
    folder = tmp_path / "arm"
    render_samples(folder, train=9, unlabelled=0, test=1, size=SIZE)
    whole = (folder / "rgb/train_000000.png").read_bytes()
    depth = (folder / "depth/train_000001.png").read_bytes()
    broken = {
        "rgb/train_000000.png": (whole[:-300], "is a damaged PNG"),
        "depth/train_000001.png": (
            depth[:400] + b"\0" * 40 + depth[440:],
            "is a damaged PNG",
        ),
        "rgb/train_000002.png": (b"GIF89a", "is no PNG"),
        "rgb/train_000003.png": (
            whole[:16] + b"\0\1\0\0" * 2 + whole[24:],
            "is 65536x65536 px; at most 35389440 px are possible",
        ),
        "rgb/train_000004.png": (
            depth,
            "has 1 channels of uint16; needed are 3 of uint8",
        ),
        "depth/train_000005.png": (
            png(np.zeros((SIZE, SIZE), np.uint8)),
            "has 1 channels of uint8; needed are 1 of uint16",
        ),
        "depth/train_000006.png": (None, "is missing"),
        "depth/train_000007.png": (
            png(np.zeros((8, 9), np.uint16)),
            "rgb has 32x32 px and depth 9x8 px; needed is one size",
        ),
    }
    for name, (content, _) in broken.items():
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    made = build(folder, tmp_path / "data")
    counts = made.build()["train"]["(no label)"]
    assert (counts["listed"], counts["present"], counts["used"]) == (9, 8, 1)
    for lost, (name, (_, reason)) in zip(counts["lost"], broken.items(), strict=True):
        if "one size" in reason:
            name = name.replace("depth", "rgb")
        assert lost["reason"] == f"{folder / name}: {reason}"
    coverage = json.loads((made.data_path / "coverage.json").read_text())
    assert coverage["train"]["(no label)"] == counts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,split\na.png,train\n", "has the columns of no joint; needed are"),
        ("picture,split,a_x,a_y\na.png,train,0,0\n", "has the columns a_x,a_y; needed"),
        ("picture,split,a_x,a_z,a_y\na.png,train,0,0,0\n", "has the columns a_x,a_z,a"),
        ("picture,split,a_x,a_y,a_z\na.png,train,0,,1\n", "2: its joints are not all"),
        ("picture,split,a_x,a_y,a_z\na.png,train,0,inf,1\n", "2: its joints are not"),
        ("picture,a_x,a_y,a_z\na.png,0,0,1\n", "header is picture,a_x,a_y,a_z; needed"),
        ("picture,split,a_x,a_y,a_z\na.png,train,0,0,1\n", r"gives the splits \['tr"),
        (
            "picture,split,a_x,a_y,a_z\na.png,train,0,0,1\na.png,test,0,0,1\n",
            "3: rgb/a.png is listed already at .*2 as split 'train'",
        ),
        (
            "picture,split,a_x,a_y,a_z\n../a.png,train,0,0,1\n",
            "2: path 'rgb/../a.png' leaves the folder",
        ),
    ],
)
def test_other_lists_are_refused(tmp_path, text, message):
    (tmp_path / "poses.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"poses.csv:? ?{message}"):
        build(tmp_path, tmp_path / "data")


def square(rgb, depth, joints=((0, 0, 1),)):
    """`make_example` of 8 px, decoded: (rgb, depth)."""
    example = make_example(rgb, depth, np.array(joints, float), 8)
    return [
        cv2.imdecode(np.frombuffer(example[kind][0], np.uint8), cv2.IMREAD_UNCHANGED)
        for kind in ("rgb", "depth")
    ]


@pytest.mark.parametrize("factor", [2.5, 3])
@pytest.mark.parametrize("upright", [False, True])
def test_squares_are_cut_from_the_middle_and_depths_not_mixed(factor, upright):
    shape = int(8 * factor), int(12 * factor)
    rng = np.random.default_rng(0)
    depth = rng.integers(1, 65536, shape[::-1] if upright else shape).astype(np.uint16)
    rgb = rng.integers(0, 256, (*depth.shape, 1)).astype(np.uint8).repeat(3, axis=-1)
    small_rgb, small_depth = square(rgb, depth)
    first = int(2 * factor)
    middle = np.s_[first : first + shape[0]]
    middle = np.s_[middle, :] if upright else np.s_[:, middle]
    nearest = ((np.arange(8) + 0.5) * factor).astype(int)
    np.testing.assert_array_equal(small_depth, depth[middle][nearest][:, nearest])
    # Means of areas: each pixel counts by its share, here of 2 x 2 in each.
    fine = rgb[middle][..., 0].repeat(2, axis=0).repeat(2, axis=1)
    side = int(2 * factor)
    means = fine.reshape(8, side, 8, side).mean((1, 3))
    assert abs(small_rgb.mean(axis=-1) - means).max() < 8
    mirrored_rgb, mirrored_depth = square(rgb[:, ::-1], depth[:, ::-1])
    np.testing.assert_array_equal(mirrored_depth, small_depth[:, ::-1])
    assert abs(mirrored_rgb[:, ::-1].astype(int) - small_rgb).max() < 8


def test_joints_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="its joints are not all finite"):
        square(
            np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint16), [[0, np.nan, 1]]
        )
