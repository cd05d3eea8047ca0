"""The TFDS builder `two_stream_volumes`."""

import dataclasses
import functools
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from i3d_tf.datasets.listed_builder import ListedBuilder, ListedConfig
from i3d_tf.datasets.outcomes import Outcome, outcome_of
from i3d_tf.datasets.volumes.listing import list_nifti, list_npz, read_npz
from i3d_tf.datasets.volumes.slices import (
    encode_slices,
    from_bytes,
    read_nifti,
    require_nibabel,
)


@dataclasses.dataclass
class VolumesConfig(ListedConfig):
    """Where volumes come from.

    Attributes:
      volumes: folder of NIfTI files, or MedMNIST3D's `.npz`.
    """

    volumes: pathlib.Path | None = None


class TwoStreamVolumes(ListedBuilder):
    """CT volumes, their slices in the place of frames: the one stream `streams.CT`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Slices as PNGs of 16 bits."}

    @classmethod
    def of(
        cls,
        volumes,
        annotations=None,
        *,
        data_dir,
        name,
        test_glob=None,
        **options,
    ):
        """Builder of `two_stream_volumes/<name>` below `data_dir`.

        Args:
          volumes: a folder of NIfTI files, listed by `list_nifti`, or an `.npz` of
            MedMNIST3D, which says splits and labels itself.
          annotations, test_glob: of `list_nifti`.
          data_dir, name: where, and under which name.
          options: of `ListedConfig`.
        """
        volumes = pathlib.Path(volumes)
        if volumes.suffix == ".npz":
            if annotations or test_glob:
                raise ValueError(f"{volumes} says itself what is for testing")
            listing = list_npz(volumes)
        else:
            require_nibabel()
            listing = list_nifti(volumes, annotations, test_glob)
        config = VolumesConfig(name=name, listing=listing, volumes=volumes, **options)
        return cls(config=config, data_dir=data_dir)

    def _info(self):
        stored = tfds.features.Image(
            shape=(None, None, 1), dtype=np.uint16, encoding_format="png"
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="CT volumes, slice by slice.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(doc="path of the volume"),
                    "ct": tfds.features.Sequence(
                        stored, doc="slices: 32768 and the Hounsfield units"
                    ),
                    "height": tfds.features.Scalar(np.int32, doc="of slices, px"),
                    "width": tfds.features.Scalar(np.int32, doc="of slices, px"),
                    "spacing": tfds.features.Tensor(
                        shape=(3,),
                        dtype=np.float32,
                        doc="mm between slices, rows and columns; 0 is unknown",
                    ),
                    "label": tfds.features.ClassLabel(
                        names=self.builder_config.listing.labels,
                        doc="-1 in a split whose labels are not published",
                    ),
                    "source": tfds.features.Text(doc="path of the volume"),
                }
            ),
        )

    def _encoder(self):
        return functools.partial(_encode_listed, self.builder_config.volumes)

    def _gap_finder(self):
        return functools.partial(_find_gap, self.builder_config.volumes)


def _find_gap(volumes, entry):
    path = volumes / entry.video
    if volumes.suffix == ".npz" or path.is_file():
        return None
    return Outcome(entry, False, None, f"{path}: is missing")


def _encode_listed(volumes, entry):
    if volumes.suffix == ".npz":
        return outcome_of(entry, _encode_of_npz, volumes, entry.video)
    return outcome_of(entry, _encode_nifti, volumes / entry.video)


def _encode_nifti(path):
    slices, spacing = read_nifti(path)
    try:
        return _example(slices, spacing)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _encode_of_npz(path, video):
    split, number = video.split("/")
    images = _images(path, split)
    volume = images[int(number)]
    if volume.ndim != 3 or volume.dtype != np.uint8:
        raise ValueError(
            f"{path}: {split}_images is {images.dtype} {list(images.shape)}; needed "
            "are bytes [N, T, H, W]"
        )
    return _example(from_bytes(volume), (0, 0, 0))


@functools.lru_cache(maxsize=1)
def _images(path, split):
    return read_npz(path, [f"{split}_images"])[f"{split}_images"]


def _example(slices, spacing):
    return {
        "ct": encode_slices(slices),
        "height": slices.shape[1],
        "width": slices.shape[2],
        "spacing": np.float32(spacing),
    }
