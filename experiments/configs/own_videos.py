"""Your own folder of videos: both networks fine-tuned from DeepMind's Kinetics weights.

A smaller picture than the paper's, for CPUs, and a fast BatchNorm, as 150 updates
are few: after n updates a decay of 0.999 leaves 0.999**n of the initial statistics.
With more videos take more steps and larger batches. The weights are downloaded on first
use; flow begins with its own, or where these cannot be downloaded with those of RGB.
own_videos_fast.py needs minutes where this needs a quarter of an hour, and with few
videos it is often as good; own_videos_scratch.py begins with random weights.

    python -m experiments.extract_flow --videos mine/videos --output mine/flow \
        --smaller_side 128
    python -m experiments.build_dataset --videos mine/videos --flow mine/flow \
        --data_dir mine/data --name mine
    python -m experiments.train --config own_videos \
        --workdir mine/run --data_dir mine/data

To keep the lower units as they are, add --set rgb.freeze_up_to=Mixed_4f and the same
for flow; Mixed_5c leaves the classifier alone to be trained.
"""

import dataclasses

from experiments.configs import own_videos_scratch

CONFIG = dataclasses.replace(
    own_videos_scratch.CONFIG,
    rgb=dataclasses.replace(
        own_videos_scratch.CONFIG.rgb, initial_weights="kinetics400-rgb"
    ),
    flow=dataclasses.replace(
        own_videos_scratch.CONFIG.flow, initial_weights="kinetics400-flow"
    ),
)
