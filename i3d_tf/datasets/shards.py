"""How TFDS builds our data sets: shards of 100 to 200 MB, nothing from the network."""

import math

import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import shard_utils

# Of a shard: few enough files, and each a small part of what is shuffled.
MIN_BYTES = 100_000_000
MAX_BYTES = 200_000_000


class Shards(shard_utils.ShardConfig):
    """Chooses the number of shards of a split.

    TFDS has bounds of its own, but up to 4.9.10 takes no notice of what they are set
    to: shards become 67 to 134 MB, and above 69 GB ever larger.
    """

    def get_number_shards(self, total_size, num_examples, uses_precise_sharding=True):
        """The number between those of the largest and of the smallest shards."""
        fewest, most = math.ceil(total_size / MAX_BYTES), total_size // MIN_BYTES
        return max(1, min(num_examples, (fewest + most) // 2))


class BuildConfig(tfds.download.DownloadConfig):
    """The DownloadConfig of a data set that is made here and not downloaded."""

    def __init__(self, beam_options=None):
        # TFDS would look in its own storage for a data set of this name.
        super().__init__(try_download_gcs=False, beam_options=beam_options)

    def get_shard_config(self):
        return Shards()
