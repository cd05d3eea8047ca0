"""Three arm actions of two persons: learnt from nine clips of one, tested on the other.

The recipe of arm_actions_scratch.py, which has to make do with one person in one room,
beginning with DeepMind's Kinetics weights instead of random ones.

    python -m experiments.extract_flow --videos arm_actions --output arm/flow \
        --smaller_side 128
    python -m experiments.build_dataset --videos arm_actions --flow arm/flow \
        --data_dir arm/data --name arm_train_P1 --test_glob "*P2T*"
    python -m experiments.train --config arm_actions \
        --workdir arm/run_P1 --data_dir arm/data
    python -m experiments.evaluate --workdir arm/run_P1 --data_dir arm/data
"""

import dataclasses

from experiments.configs import arm_actions_scratch

CONFIG = dataclasses.replace(
    arm_actions_scratch.CONFIG,
    rgb=dataclasses.replace(
        arm_actions_scratch.CONFIG.rgb, initial_weights="kinetics400-rgb"
    ),
    flow=dataclasses.replace(
        arm_actions_scratch.CONFIG.flow, initial_weights="kinetics400-flow"
    ),
)
