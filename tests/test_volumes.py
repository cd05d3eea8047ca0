"""CT volumes: NIfTI files and MedMNIST3D's, from files to clips."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tiny_datasets import touch, write_lines

from i3d_tf import CT, build_i3d, clips
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.listing import Listed
from i3d_tf.datasets.volumes.builder import TwoStreamVolumes
from i3d_tf.datasets.volumes.listing import list_nifti, list_npz
from i3d_tf.datasets.volumes.reading import make_clip, read_volumes
from i3d_tf.datasets.volumes.slices import ZERO, from_bytes, read_nifti

nibabel = pytest.importorskip("nibabel")


def axial(seed=0):
    """`[T, H, W]` = [4, 5, 6] Hounsfield units, all different."""
    return (np.arange(120).reshape(4, 5, 6) * 20 - 1000 + seed).astype(np.int16)


def write_nifti(path, slices, axes="RAS", spacing=(3, 2, 1)):
    """Slices `[T, H, W]` as a NIfTI file whose axes go to where `axes` says.

    Args:
      spacing: mm between slices, rows and columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Rows go to the back and columns to the left: reversed, to the front and right.
    values = slices.transpose(2, 1, 0)[::-1, ::-1]
    affine = np.diag([*spacing[::-1], 1])
    image = nibabel.Nifti1Image(values, affine)
    here = nibabel.orientations.io_orientation(affine)
    wanted = nibabel.orientations.axcodes2ornt(axes)
    turned = nibabel.orientations.ornt_transform(here, wanted)
    nibabel.save(image.as_reoriented(turned), path)
    return path


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SAL"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_slices_are_the_same_however_the_axes_lie(tmp_path, axes, suffix):
    path = write_nifti(tmp_path / f"a{suffix}", axial(), axes)
    slices, spacing = read_nifti(path)
    np.testing.assert_array_equal(slices, axial())
    assert slices.dtype == np.float32
    np.testing.assert_allclose(spacing, (3, 2, 1), rtol=1e-6)


def test_a_real_volume(data_dir):
    path = data_dir / "volumes/example_ct.nii.gz"
    slices, spacing = read_nifti(path)
    assert slices.shape == (112, 101, 122)
    assert spacing == (3, 3, 3)
    # The file has its axes to the right, the front and the head.
    values = np.asarray(nibabel.load(path).dataobj)
    assert slices[0, 100, 121] == values[0, 0, 0]
    assert slices[40, 30, 20] == values[101, 70, 40]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 3, 3, 2), np.int16), r"is of shape \(3, 3, 3, 2\); a volume has"),
        (np.linspace(0, 1, 27, dtype=np.float32).reshape(3, 3, 3), "go from 0 to 1;"),
        (np.full((3, 3, 3), np.nan, np.float32), "go from nan to nan; needed are Houn"),
    ],
)
def test_other_nifti_files_are_refused(tmp_path, values, message):
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    with pytest.raises(ValueError, match=f"a.nii: (its values )?{message}"):
        read_nifti(path)


def test_damaged_files_are_refused(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", axial())
    data = path.read_bytes()
    for damaged in (b"", b"this is text", data[: len(data) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="a.nii.gz: cannot be read as a volume"):
            read_nifti(path)


def test_without_nibabel_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ValueError, match=r"nibabel, which is .* '\.\[volumes\]'"):
        TwoStreamVolumes.of(tmp_path, data_dir=tmp_path, name="x")


def test_folders_of_volumes_are_listed(tmp_path):
    touch(tmp_path, "ill/a.nii", "ill/b.nii.gz", "well/c.nii.gz", "well/d.nii")
    touch(tmp_path, "well/e.txt", "well/._d.nii", ".old/f.nii", "well/.old/g.nii")
    labels, volumes = list_nifti(tmp_path)
    assert labels == ["ill", "well"]
    assert volumes == [
        Listed("ill/a.nii", "ill", "train"),
        Listed("ill/b.nii.gz", "ill", "test"),
        Listed("well/c.nii.gz", "well", "train"),
        Listed("well/d.nii", "well", "test"),
    ]
    with pytest.raises(ValueError, match=r"none: no volumes found \(.nii .nii.gz\)"):
        list_nifti(tmp_path / "none")


def medmnist(path, **changes):
    """A file as MedMNIST3D's, of 12 classes: 12 volumes train, 1 validates, 2 test."""
    arrays = {}
    for seed, (split, labels) in enumerate(
        [("train", range(12)), ("val", [10]), ("test", [9, 2])]
    ):
        rng = np.random.default_rng(seed)
        shape = (len(labels), 9, 32, 32)
        arrays[f"{split}_images"] = rng.integers(0, 256, shape, np.uint8)
        arrays[f"{split}_labels"] = np.array(labels, np.uint8)[:, None]
    arrays.update(changes)
    np.savez_compressed(path, **{k: v for k, v in arrays.items() if v is not None})
    return arrays


def test_medmnist_is_listed_with_its_splits(tmp_path):
    medmnist(tmp_path / "organ.npz")
    labels, volumes = list_npz(tmp_path / "organ.npz")
    assert labels == [str(k) for k in range(12)]
    assert volumes[3] == Listed("train/3", "3", "train")
    assert volumes[12:] == [
        Listed("val/0", "10", "val"),
        Listed("test/0", "9", "test"),
        Listed("test/1", "2", "test"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": None}, "has no val_labels, as MedMNIST3D's do"),
        (
            {"val_labels": np.zeros((1, 14), np.uint8)},
            "val_labels is uint8 .1, 14.; ",
        ),
        (
            {"val_labels": np.zeros((1, 1))},
            "val_labels is float64 .1, 1.; ",
        ),
        ({"val_labels": np.array([[12]])}, "no training video of 12"),
    ],
)
def test_other_arrays_are_refused(tmp_path, changes, message):
    medmnist(tmp_path / "a.npz", **changes)
    with pytest.raises(ValueError, match=f"a.npz: {message}"):
        list_npz(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    for content in (b"", b"text", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="a.npz: cannot be read"):
            list_npz(path)


def test_bytes_divide_the_window():
    np.testing.assert_allclose(
        from_bytes(np.uint8([[[0, 51, 204, 255]]])), [[[-1000, -600, 600, 1000]]]
    )


def read(builder, split):
    """`{id: (label, Hounsfield units [T, H, W])}`."""
    records = tfds.as_numpy(builder.as_dataset(split=split))
    return {
        record["id"].decode(): (
            record["label"],
            record["ct"][..., 0].astype(int) - ZERO,
        )
        for record in records
    }


def test_records_of_nifti_are_exact(tmp_path):
    names = ["ill/a", "ill/b", "well/c", "well/d"]
    for seed, name in enumerate(names):
        write_nifti(tmp_path / f"volumes/{name}.nii.gz", axial(seed))
    (tmp_path / "volumes/well/e.nii").write_text("no volume")
    lines = [f"{name}.nii.gz,{name[:-2]},train" for name in names]
    lines += ["well/e.nii,well,train", "well/f.nii,well,train", "ill/a.nii,ill,test"]
    write_nifti(tmp_path / "volumes/ill/a.nii", axial(9))
    lists = write_lines(tmp_path / "lists.csv", ["path,label,split", *lines])
    made = TwoStreamVolumes.of(
        tmp_path / "volumes", lists, data_dir=tmp_path / "data", name="ct", workers=1
    )
    coverage = made.build()
    well = coverage["train"]["well"]
    assert (well["listed"], well["present"], well["used"]) == (4, 3, 2)
    reasons = [lost["reason"] for lost in well["lost"]]
    assert reasons[0].startswith(f"{tmp_path}/volumes/well/e.nii: cannot be read as a")
    assert reasons[1] == f"{tmp_path}/volumes/well/f.nii: is missing"
    builder = open_dataset(tmp_path / "data", "two_stream_volumes/ct")
    found = read(builder, "train")
    assert set(found) == {f"{name}.nii.gz" for name in names}
    for seed, name in enumerate(names):
        label, units = found[f"{name}.nii.gz"]
        assert label == seed // 2
        np.testing.assert_array_equal(units, axial(seed))
    (record,) = tfds.as_numpy(builder.as_dataset(split="test"))
    np.testing.assert_allclose(record["spacing"], [3, 2, 1], rtol=1e-6)
    assert (record["height"], record["width"]) == (5, 6)


@pytest.fixture(scope="module")
def organ(tmp_path_factory):
    """(arrays, data set) of a file as MedMNIST3D's."""
    folder = tmp_path_factory.mktemp("organ")
    arrays = medmnist(folder / "organ.npz")
    TwoStreamVolumes.of(
        folder / "organ.npz", data_dir=folder / "data", name="organ", workers=1
    ).build()
    return arrays, open_dataset(folder / "data", "two_stream_volumes/organ")


def test_records_of_medmnist(organ):
    arrays, builder = organ
    found = read(builder, "test")
    assert {id_: label for id_, (label, _) in found.items()} == {
        "test/0": 9,
        "test/1": 2,
    }
    for number in range(2):
        wanted = (arrays["test_images"][number] - 127.5) * 1000 / 127.5
        assert np.abs(found[f"test/{number}"][1] - wanted).max() <= 0.5


@pytest.mark.parametrize("mirrored", [False, True])
def test_clips_show_a_part_of_the_window(organ, mirrored):
    arrays, builder = organ
    view = clips.View(start=7, top=3, left=2, mirrored=tf.constant(mirrored))
    found = {
        example["id"].numpy().decode(): make_clip(
            example["ct"], view, num_frames=4, size=20
        )
        for example in read_volumes(builder, "test")
    }
    # Slices 7, 8, and from the beginning again.
    wanted = arrays["test_images"][1][[7, 8, 0, 1], 3:23, 2:22] / 127.5 - 1
    wanted = wanted[:, :, ::-1] if mirrored else wanted
    np.testing.assert_allclose(found["test/1"][..., 0], wanted, atol=0.6e-3)


def test_the_network_takes_the_clips(organ):
    _, builder = organ
    (example, *_) = read_volumes(builder, "val")
    shape = len(example["ct"]), example["height"], example["width"]
    view = clips.centre_view(shape, num_frames=9, size=32)
    clip = make_clip(example["ct"], view, num_frames=9, size=32)
    model = build_i3d(CT, num_classes=12, size=32, width=0.125)
    assert model(clip[None], training=False).shape == (1, 12)


def test_values_beyond_16_bits_are_lost_with_a_reason(tmp_path):
    for name in ("a/1", "a/2", "a/3"):
        write_nifti(tmp_path / f"volumes/{name}.nii", axial())
    large = axial().astype(np.int32) * 100
    write_nifti(tmp_path / "volumes/a/1.nii", large)
    made = TwoStreamVolumes.of(
        tmp_path / "volumes", data_dir=tmp_path / "data", name="ct", workers=1
    )
    ((lost,),) = (made.build()["train"]["a"]["lost"],)
    assert lost["video"] == "a/1.nii"
    assert lost["reason"] == (
        f"{tmp_path}/volumes/a/1.nii: values from -100000 to 138000 are no Hounsfield "
        "units"
    )
    coverage = json.loads((made.data_path / "coverage.json").read_text())
    assert coverage["train"]["a"]["used"] == 1
