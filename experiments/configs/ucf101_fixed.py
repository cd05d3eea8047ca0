"""Only a new classifier for UCF101 on the released networks: the paper's "Fixed".

All units keep their Kinetics weights and BatchNorm statistics. Expected of both
streams on split 1, tested on whole videos: 97.7 %, where training all units gives
98.0 % (paper, ImageNet+Kinetics). The paper tells no rates for it; these are ours
and untried at full size.

Weights and data as in ucf101.py. Hardware: without gradients below the classifier a
step costs little more than a forward pass, and fits any GPU that can predict.

    python -m experiments.train --config experiments/configs/ucf101_fixed.py \
        --workdir runs/ucf101_fixed --data_dir data \
        --set rgb.initial_weights=checkpoints/rgb_imagenet/model.ckpt \
        --set flow.initial_weights=checkpoints/flow_imagenet/model.ckpt
"""

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=8_000,
    learning_rates=(1e-2, 1e-3),
    boundaries=(6_000,),
    dropout=0.5,
    # The last unit before the classifier.
    freeze_up_to="Mixed_5c",
)

CONFIG = Config(
    data=Data(dataset="two_stream_ucf101/split_1"),
    rgb=_STREAM,
    flow=_STREAM,
    batch_size=6,
    dtype="mixed_bfloat16",
)
