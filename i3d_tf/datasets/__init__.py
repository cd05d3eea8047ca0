"""Two-stream data sets as TFDS records: aligned, encoded RGB and flow frames."""

import tensorflow_datasets as tfds

from flow.files import as_path
from flow.unexpected import short


def open_dataset(data_dir, name):
    """Returns the built data set `name` below `data_dir`, in its newest version.

    Args:
      data_dir: the folder that `build_dataset` was given.
      name: builder and config, as `two_stream_ucf101/split_1`.

    Raises:
      ValueError: if there is none, with a list of those that are there, or it is
        damaged.
    """
    data_dir = as_path(data_dir)
    infos = (data_dir / name).glob("[0-9]*/dataset_info.json")
    versions = [path.parent for path in infos]
    if not versions:
        there = sorted(
            path.parent.parent.relative_to(data_dir).as_posix()
            for path in data_dir.glob("*/*/[0-9]*/dataset_info.json")
        )
        raise ValueError(
            f"{data_dir}: no data set {name!r}; there: {', '.join(there) or 'none'}"
        )
    newest = max(versions, key=lambda path: tfds.core.Version(path.name))
    try:
        return tfds.builder_from_directory(newest)
    # Of a damaged file it depends on the place what TFDS trips over.
    except Exception as error:
        raise ValueError(
            f"{newest}: a file of the data set is damaged or missing; build it again "
            f"with --overwrite ({short(error)})"
        ) from error
