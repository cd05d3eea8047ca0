"""RGB that needs no flow: MARS on UCF101, from a flow network that was fine-tuned.

Source: Crasto et al., CVPR 2019: cross-entropy and 50 times the mean squared difference
of the features before the classifiers; there, with ResNeXt-101 and 64 frames, 97.4 % on
UCF101 and 79.3 % on HMDB51, and on Kinetics 72.7 % where RGB alone has 72.0 %. With I3D
nobody has published it. Rates, batch and hardware as in ucf101.py, whose weights it
begins from; a training clip's flow is read beside its RGB, a test clip's is not. Not
run here.

    python -m experiments.distill --config ucf101_mars \
        --workdir runs/ucf101_mars --data_dir data \
        --set_teacher flow.initial_weights=checkpoints/flow_imagenet/model.ckpt \
        --set rgb.initial_weights=checkpoints/rgb_imagenet/model.ckpt

With a flow network that is there, as of ucf101.py: --teacher runs/ucf101. MERS, D3D and
others are in i3d_tf/distillation/recipes.py: put one in MARS's place.
"""

import dataclasses

from i3d_tf.config import Config, Data, StreamTraining
from i3d_tf.distillation.recipes import MARS

_STREAM = StreamTraining(
    steps=64_000,
    learning_rates=(8e-4, 5e-4, 3e-4, 1e-4, 5e-5),
    boundaries=(10_000, 20_000, 30_000, 40_000),
    dropout=0.64,
    weight_decay=7e-7,
)

TEACHER = Config(
    data=Data(dataset="two_stream_ucf101/split_1"),
    flow=_STREAM,
    batch_size=6,
    dtype="auto",
)

CONFIG = dataclasses.replace(
    TEACHER, flow=None, rgb=dataclasses.replace(_STREAM, distillation=MARS)
)
