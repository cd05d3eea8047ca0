"""Where an arm's joints are, from RGB alone, learnt from a teacher that sees depth.

Rendered RGB-D pictures (experiments.sample_poses). The teacher learns from 2,000 depth
pictures with known joints; the student has the joints of 200 RGB pictures, and 2,000
more beside their depth, of which nobody tells it the joints. Expected errors: see
i3d_tf/distillation/README.md. Two CPU cores, two minutes for the teacher and one for
each student.

    python -m experiments.sample_poses --output arms/pictures --train 2000 \
        --unlabelled 2000 --test 500 --size 64
    python -m experiments.build_dataset --dataset poses --videos arms/pictures \
        --data_dir arms/data --name arms --smaller_side 64
    python -m experiments.distill --config depth_to_rgb \
        --workdir arms/study --data_dir arms/data --seeds 0,1,2,3,4
    python -m experiments.distill --config depth_to_rgb \
        --workdir arms/study --data_dir arms/data --stages export --output arms/model

Your own pictures are in one training split. Here the teacher learns from all its
labels, the student from those of the first 2,000 and from the teacher on the rest. Each
--set is repeated as --set_teacher, but for the splits; networks are as wide as
ResNet-18, pictures have 128 px, and pose.distance is near the joints' mean distance:

    python -m experiments.build_dataset --dataset poses --layout rhd --videos RHD \
        --data_dir hands/data --name hands --smaller_side 128
    python -m experiments.distill --config depth_to_rgb \
        --workdir hands/study --data_dir hands/data \
        --set data.dataset=two_stream_poses/hands --set data.size=128 \
        --set data.smaller_side=128 --set width=1.0 --set pose.distance=0.6 \
        --set_teacher data.dataset=two_stream_poses/hands --set_teacher data.size=128 \
        --set_teacher data.smaller_side=128 --set_teacher width=1.0 \
        --set_teacher pose.distance=0.6 \
        --set "data.train_split=train[:2000]" \
        --set "data.unlabelled_split=train[2000:]"
"""

import dataclasses

from i3d_tf.config import Config, Data, Pose, StreamTraining
from i3d_tf.distillation.recipes import depth_to_rgb

_DEPTH = StreamTraining(
    steps=1_500,
    learning_rates=(0.03,),
    schedule="cosine",
    warmup_steps=75,
    clip_norm=5.0,
    weight_decay=1e-4,
    dropout=0.0,
)

TEACHER = Config(
    data=Data(dataset="two_stream_poses/arms", num_frames=1, size=64, smaller_side=64),
    depth=_DEPTH,
    pose=Pose(features=64),
    batch_size=32,
    # The published errors are those of float32.
    dtype="float32",
    width=0.25,
    batch_norm_decay=0.9,
    evaluate_epochs=0,
    steps_at_once=20,
)

CONFIG = dataclasses.replace(
    TEACHER,
    data=dataclasses.replace(
        TEACHER.data,
        train_split="train[:200]",
        unlabelled_split="unlabelled",
        light=0.2,
    ),
    depth=None,
    rgb=dataclasses.replace(
        _DEPTH,
        steps=1_000,
        warmup_steps=50,
        # Of errors in decimetres it weighs four times what the labels' loss does.
        distillation=depth_to_rgb(weight=0.1, response_weight=400.0),
    ),
)
