"""The TFDS builder `two_stream_folder`."""

from i3d_tf.datasets.folder.listing import list_folder
from i3d_tf.datasets.two_stream import TwoStreamBuilder, new_config


class TwoStreamFolder(TwoStreamBuilder):
    """A folder of class folders, or what a CSV file lists."""

    @classmethod
    def of(
        cls,
        videos,
        flow,
        annotations=None,
        *,
        data_dir,
        name,
        test_glob=None,
        **options,
    ):
        """Builder of `two_stream_folder/<name>` below `data_dir`.

        Takes what `list_folder` takes, and as options those of `new_config`.
        """
        listing = list_folder(videos, annotations, test_glob)
        config = new_config(name, listing, videos, flow, **options)
        return cls(config=config, data_dir=data_dir)
