"""Your own folder of videos, few of them, from scratch.

A smaller picture than the paper's, for CPUs, and a fast BatchNorm, as 150 updates
are few: after n updates a decay of 0.999 leaves 0.999**n of the initial statistics.
With more videos take more steps and larger batches. own_videos.py is the same from
published weights, with which few videos teach more.

    python -m experiments.extract_flow --videos mine/videos --output mine/flow \
        --smaller_side 128
    python -m experiments.build_dataset --videos mine/videos --flow mine/flow \
        --data_dir mine/data --name mine
    python -m experiments.train --config own_videos_scratch \
        --workdir mine/run --data_dir mine/data

Accuracy: three arm actions learnt from nine clips of one person and tested on another
person, see experiments/README.md.
"""

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=150,
    # Without pretraining 0.01 and more let the loss rise at first.
    learning_rates=(0.005, 0.002, 0.0005),
    boundaries=(100, 130),
    dropout=0.2,
)

CONFIG = Config(
    data=Data(dataset="two_stream_folder/mine", size=112, smaller_side=128),
    rgb=_STREAM,
    flow=_STREAM,
    batch_size=3,
    dtype="auto",
    batch_norm_decay=0.9,
    evaluate_epochs=10,
)
