"""RGB taught by flow on three arm actions of two persons, one of them unseen (MARS).

Does what flow knows of a person who was never seen pass to a network that sees RGB
alone? The teacher is arm_actions_scratch.py's flow stream, the student its RGB stream.

    python -m experiments.extract_flow --videos arm_actions --output arm/flow \
        --smaller_side 128
    python -m experiments.build_dataset --videos arm_actions --flow arm/flow \
        --data_dir arm/data --name arm_train_P1 --test_glob "*P2T*"
    python -m experiments.distill --config arm_actions_mars \
        --workdir arm/mars_P1 --data_dir arm/data
"""

import dataclasses

from experiments.configs import arm_actions_scratch
from i3d_tf.distillation.recipes import MARS

TEACHER = dataclasses.replace(arm_actions_scratch.CONFIG, rgb=None)

CONFIG = dataclasses.replace(
    arm_actions_scratch.CONFIG,
    rgb=dataclasses.replace(arm_actions_scratch.CONFIG.rgb, distillation=MARS),
    flow=None,
)
