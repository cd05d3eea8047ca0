"""Published distillations, as values for `config.StreamTraining.distillation`.

The teacher of MARS, MERS and D3D sees optical flow, the student RGB alone. Others are
made of these with `dataclasses.replace`, such as a two-stream teacher of
`inputs=("rgb", "flow")`.
"""

from i3d_tf.distillation.pose import taps
from i3d_tf.distillation.spec import Distillation, Pair
from i3d_tf.trunk import AVERAGE_POOL

# The mean over time of this is what an I3D's classifier gets, 1024 numbers.
_POOLED = Pair(AVERAGE_POOL, AVERAGE_POOL, weight=50.0, pooled=True)

# Cross-entropy, and 50 times the mean squared difference of what the classifiers get
# (Crasto et al. 2019, equation 3).
MARS = Distillation(inputs=("flow",), features=(_POOLED,))

# The same where the labels train the classifier alone (Crasto et al. 2019, section 3).
MERS = Distillation(inputs=("flow",), features=(_POOLED,), labels_reach="classifier")

# Cross-entropy, and the mean squared difference of the logits (Stroud et al. 2020).
D3D = Distillation(inputs=("flow",), response="squared_error")

# Soft answers at T = 4 (Hinton et al. 2015), weighted as the field does; with a teacher
# of both streams.
RESPONSE = Distillation(
    inputs=("rgb", "flow"), response="softmax", response_weight=0.9, label_weight=0.1
)


def depth_to_rgb(head="parallel", weight=1.0, response_weight=0.0):
    """A student on RGB whose four fc layers are to give what its teacher's on depth do.

    Beside the regression's loss, with weight 1, the mean squared differences of their
    outputs.

    Args:
      head: of both networks, see `pose.build_pose_network`.
      weight: of each of the four.
      response_weight: of the mean squared difference of the places, in metres, if it is
        above 0; fc layers may agree where places are what counts.
    """
    return Distillation(
        inputs=("depth",),
        features=tuple(Pair(name, name, weight=weight) for name in taps(head)),
        response="squared_error" if response_weight else None,
        response_weight=response_weight or 1.0,
    )
