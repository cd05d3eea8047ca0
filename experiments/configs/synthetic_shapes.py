"""Circular, horizontal or vertical motion of a shape that was never seen, from scratch.

135 generated clips of 2 s: 3 motions x 3 shapes x 3 colours x 5. The label is in the
motion alone; 90 clips of two shapes to learn from, 45 of the third to test on. A short
clip of small pictures is enough, and minutes on two cores.

    python -m experiments.extract_flow --videos synthetic_shapes --output shapes/flow \
        --smaller_side 72
    python -m experiments.build_dataset --videos synthetic_shapes --flow shapes/flow \
        --data_dir shapes/data --name without_circle --test_glob "*_circle_*"
    python -m experiments.train --config synthetic_shapes \
        --workdir shapes/run --data_dir shapes/data
    python -m experiments.single_frame --workdir shapes/run --data_dir shapes/data

Expected on circles: RGB 95.6 %, flow 97.8 %; on a frame that stands still a third.
"""

import dataclasses

from i3d_tf.config import Config, Data, StreamTraining

_FLOW = StreamTraining(
    steps=120,
    # From random weights 0.01 lets the loss rise again after some good epochs.
    learning_rates=(0.005,),
    schedule="cosine",
    dropout=0.2,
)

CONFIG = Config(
    data=Data(
        dataset="two_stream_folder/without_circle",
        num_frames=32,
        size=64,
        smaller_side=72,
    ),
    # To find the motion in frames takes RGB three times as long.
    rgb=dataclasses.replace(_FLOW, steps=400, ema_decay=0.98),
    flow=_FLOW,
    batch_size=9,
    dtype="auto",
    batch_norm_decay=0.9,
    evaluate_epochs=10,
)
