"""Training: one custom loop for all streams, recipes and devices.

`train` in `loop` goes through the epochs; `updates` has the updates, `evaluating` the
accuracy in between, `state` what is trained, `progress` what a run keeps on disk,
`strategies` the devices.
"""

from i3d_tf.training.loop import train
from i3d_tf.training.preemption import Preempted
from i3d_tf.training.strategies import STRATEGIES, make_strategy

__all__ = ["STRATEGIES", "Preempted", "make_strategy", "train"]
