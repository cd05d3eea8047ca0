"""The TFDS builder `two_stream_kinetics`."""

from i3d_tf.datasets.kinetics.listing import VERSIONS, list_kinetics
from i3d_tf.datasets.two_stream import TwoStreamBuilder, new_config


class TwoStreamKinetics(TwoStreamBuilder):
    """Kinetics-400, 600, 700 or 700-2020, or a part of one."""

    # A file named by the bare id is the whole video in some copies, the clip in others.
    MAYBE_CUT = True

    @classmethod
    def of(cls, videos, flow, annotations, *, data_dir, name, **options):
        """Builder of `two_stream_kinetics/<name>` below `data_dir`.

        Takes what `list_kinetics` takes, and as options those of `new_config`. A
        version's name (`k400`) asks for all its labels, another one for any number.
        """
        listing = list_kinetics(videos, annotations, VERSIONS.get(name))
        config = new_config(name, listing, videos, flow, **options)
        return cls(config=config, data_dir=data_dir)
