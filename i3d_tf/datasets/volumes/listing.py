"""Volumes in class folders, in a CSV file, or in one of MedMNIST3D's files."""

import pathlib
import zipfile

import numpy as np

from i3d_tf.datasets.folder.listing import list_folder
from i3d_tf.datasets.listing import Listed, make_listing

SPLITS = ("train", "val", "test")  # of MedMNIST


def list_nifti(volumes, annotations=None, test_glob=None):
    """Lists a folder of NIfTI files, as `list_folder` does with videos."""
    return list_folder(volumes, annotations, test_glob, find=find_volumes)


def find_volumes(folder):
    """Relative paths, sorted, of the files `*.nii` and `*.nii.gz` below `folder`.

    Raises ValueError if there are none.
    """
    folder = pathlib.Path(folder)
    below = [
        path.relative_to(folder)
        for pattern in ("*.nii", "*.nii.gz")
        for path in folder.rglob(pattern)
    ]
    # What is hidden is other programs', as of videos.
    found = sorted(
        path for path in below if not any(part.startswith(".") for part in path.parts)
    )
    if not found:
        raise ValueError(f"{folder}: no volumes found (.nii .nii.gz)")
    return found


def list_npz(path):
    """Lists MedMNIST3D's file: volume k of a split is `train/k`, of its label's number.

    Raises:
      ValueError: an array is missing, or is not what MedMNIST3D has.
    """
    arrays = read_npz(path, [f"{split}_labels" for split in SPLITS])
    located, numbers = [], set()
    for split in SPLITS:
        labels = arrays[f"{split}_labels"]
        if labels.ndim != 2 or labels.shape[1] != 1 or labels.dtype.kind not in "iu":
            raise ValueError(
                f"{path}: {split}_labels is {labels.dtype} {list(labels.shape)}; "
                "needed are whole numbers [N, 1], one label a volume"
            )
        numbers |= set(labels[:, 0].tolist())
        for number, label in enumerate(labels[:, 0].tolist()):
            name = f"{split}/{number}"
            located.append((f"{path}:{name}", Listed(name, str(label), split)))
    # As numbers: 10 comes after 9.
    labels = [str(number) for number in sorted(numbers)]
    return make_listing(labels, located, path)


def read_npz(path, names):
    """{name: array} of an `.npz` file.

    Raises ValueError if it cannot be read, or has no array of a name.
    """
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            found = {name: arrays[name] for name in names if name in arrays}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{path}: has no {missing[0]}, as MedMNIST3D's do")
    return found
