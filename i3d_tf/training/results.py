"""What updates gave."""

from typing import NamedTuple

import numpy as np

from i3d_tf.tasks import task_of

# The figure of a clip that has none, as one without label; all others are at least 0.
NO_FIGURE = -1.0
# What became of a stream's update: it was made; left out as float16's loss scale was
# too large; left out as a loss or gradient was not finite.
MADE, SCALED_DOWN, NOT_FINITE = 0, 1, 2


class Figures(NamedTuple):
    """What K updates of B clips gave.

    Attributes:
      values: {name: [K, B]}: of each clip `<stream>_loss` (with label smoothing, unlike
        that of the test), `<stream>_top1` (of poses `_error`, metres) and, of several
        streams, `fused_top1`; `<stream>_distillation` is its pass's. NO_FIGURE where a
        clip's label is not used.
      outcomes: {stream name: [K]}: MADE, SCALED_DOWN or NOT_FINITE.
      waited: seconds in which an update waited for its clips.
      stop: whether a host was asked to.
      seconds: that all of it took.
      traced: whether the graph was made in these seconds, which then tell no speed.
    """

    values: dict[str, np.ndarray]
    outcomes: dict[str, np.ndarray]
    waited: float
    stop: bool
    seconds: float
    traced: bool

    @property
    def updates(self):
        """K."""
        return len(next(iter(self.outcomes.values())))

    @property
    def clips(self):
        """K times B."""
        return next(iter(self.values.values())).size

    def sums(self):
        """{name: (sum over the clips, how many)}, without updates that were left out.

        What is of several streams counts where none of them was left out.
        """
        sums = {}
        for name, values in self.values.items():
            used = values != NO_FIGURE
            for stream, outcomes in self.outcomes.items():
                if name.startswith((stream, "fused")):
                    used &= (outcomes == MADE)[:, None]
            sums[name] = (values[used].sum(dtype=np.float64), np.sum(used))
        return sums


def figure_names(config, streams):
    """Names of an update's figures of these streams' names."""
    of_clips, names = task_of(config.data).trained, []
    for name in streams:
        names += [f"{name}_{figure}" for figure in ("loss", *of_clips)]
        if name in config.distillations:
            names.append(f"{name}_distillation")
    if len(streams) > 1:
        names += [f"fused_{figure}" for figure in of_clips]
    return names
