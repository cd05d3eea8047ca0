"""The TFDS builder `two_stream_ucf101`."""

from i3d_tf.datasets.two_stream import TwoStreamBuilder, new_config
from i3d_tf.datasets.ucf101.listing import list_ucf101


class TwoStreamUcf101(TwoStreamBuilder):
    """UCF101 with one of its three official splits."""

    @classmethod
    def of(cls, videos, flow, annotations, split_number, *, data_dir, **options):
        """Builder of `two_stream_ucf101/split_<split_number>` below `data_dir`.

        Takes what `list_ucf101` takes, and as options those of `new_config`.
        """
        listing = list_ucf101(videos, annotations, split_number)
        config = new_config(f"split_{split_number}", listing, videos, flow, **options)
        return cls(config=config, data_dir=data_dir)
