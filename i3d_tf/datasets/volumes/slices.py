"""Volumes as slices in Hounsfield units, and how records store them."""

import zlib

import cv2
import numpy as np

from i3d_tf.streams import CT

# A stored slice is a PNG of 16 bits: this number and the Hounsfield units, exact.
ZERO = 32768
# Values that span less are no Hounsfield units: from air to water are 1000.
LEAST_SPAN = 10


def require_nibabel():
    """The module nibabel; a ValueError says how to install it."""
    try:
        import nibabel
    except ImportError as error:
        raise ValueError(
            "NIfTI volumes are read by nibabel, which is not installed: pip install "
            "--constraint constraints.txt --editable '.[volumes]'"
        ) from error
    return nibabel


def read_nifti(path):
    """The axial slices of a NIfTI volume, feet first, as radiologists look at them.

    However the file has its axes: the patient's front is above, the left side at the
    right.

    Args:
      path: of a `.nii` or `.nii.gz` file in Hounsfield units.

    Returns:
      (slices `[T, H, W]` float32 in Hounsfield units, distances in mm between slices,
      rows and columns).

    Raises:
      ValueError: not a readable NIfTI file, not one volume, not in these units, or
        nibabel is not installed.
    """
    nibabel = require_nibabel()
    unreadable = (
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        OSError,
        EOFError,
        TypeError,
        ValueError,
        zlib.error,
    )
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        values = np.asarray(image.dataobj, np.float32)
    except unreadable as error:
        raise ValueError(f"{path}: cannot be read as a volume ({error})") from error
    if values.shape[3:] == (1,):
        values = values[..., 0]
    if values.ndim != 3:
        raise ValueError(f"{path}: is of shape {values.shape}; a volume has three axes")
    # Canonical axes go to the right, to the front and to the head.
    slices = values[::-1, ::-1].transpose(2, 1, 0)
    if not np.isfinite(slices).all() or np.ptp(slices) < LEAST_SPAN:
        raise ValueError(
            f"{path}: its values go from {slices.min():g} to {slices.max():g}; needed "
            "are Hounsfield units"
        )
    return slices, tuple(float(mm) for mm in image.header.get_zooms()[2::-1])


def from_bytes(volume):
    """`[T, H, W]` uint8, which divides the CT stream's window -> Hounsfield units."""
    share = (volume.astype(np.float32) - CT.zero) / CT.scale
    return share * CT.raw_scale + CT.raw_zero


def encode_slices(slices):
    """`[T, H, W]` in Hounsfield units -> T PNGs of 16 bits; rounds to whole units.

    Raises ValueError if a value does not fit into 16 bits.
    """
    stored = np.rint(slices) + ZERO
    if stored.min() < 0 or stored.max() > 65535:
        raise ValueError(
            f"values from {slices.min():g} to {slices.max():g} are no Hounsfield units"
        )
    return [cv2.imencode(".png", one)[1].tobytes() for one in stored.astype(np.uint16)]
