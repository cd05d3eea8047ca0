"""Only a new classifier for UCF101 on the released networks: the paper's "Fixed".

All units keep their Kinetics weights and BatchNorm statistics. Expected of both
streams on split 1 with `evaluate --protocol full`: 97.7 %, where training all units
(ucf101_full.py) gives 98.0 % (paper, ImageNet+Kinetics). The paper tells up to 5k
steps; rates and batch are ours and untried.

Weights and data as in ucf101.py. Hardware: any GPU that can predict: without gradients
below the classifier a step costs little more than a forward pass, and a clip some
0.2 GB, as 64 frames of a whole video do. The 96 clips may be divided as suits the
devices (--set clips_at_once=32): frozen BatchNorm takes no statistics of them. Not run
here.

    python -m experiments.train --config ucf101_fixed \
        --workdir runs/ucf101_fixed --data_dir data
    python -m experiments.evaluate --workdir runs/ucf101_fixed --data_dir data \
        --protocol full

HMDB51: --set data.dataset=two_stream_hmdb51/split_1.
"""

import dataclasses

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=5_000,
    learning_rates=(1e-2, 1e-3),
    boundaries=(4_000,),
    dropout=0.5,
    # The last unit before the classifier.
    freeze_up_to="Mixed_5c",
)

CONFIG = Config(
    data=Data(dataset="two_stream_ucf101/split_1"),
    rgb=dataclasses.replace(_STREAM, initial_weights="kinetics400-rgb-imagenet"),
    flow=dataclasses.replace(_STREAM, initial_weights="kinetics400-flow-imagenet"),
    batch_size=16 * 6,
    clips_at_once=6,
    dtype="auto",
    # 100 updates are an epoch.
    evaluate_epochs=5,
)
