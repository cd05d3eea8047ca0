"""Fine-tuning on HMDB51 from the released weights, on one GPU.

The recipe of ucf101.py for 3,570 training clips: 40 epochs of batches of 6 are 24k
steps, and the rates change at the same shares of them. Its source tells of UCF101
alone, so this is ours and untried.

Expected: the paper's figures for fine-tuning from ImageNet+Kinetics weights, which are
means of the three splits: RGB 74.8 %, flow 77.1 %, both 80.7 %. It tests on whole
videos: `evaluate --protocol full`.

Weights and hardware as in ucf101.py: one GPU of 16 GB, about 10 GB for both streams, 6
for one.

    python -m experiments.three_splits --config hmdb51 \
        --workdir runs/hmdb51 --data_dir data --protocol full
"""

import dataclasses

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=24_000,
    learning_rates=(8e-4, 5e-4, 3e-4, 1e-4, 5e-5),
    boundaries=(3_750, 7_500, 11_250, 15_000),
    weight_decay=7e-7,
    dropout=0.64,
)

CONFIG = Config(
    data=Data(dataset="two_stream_hmdb51/split_1"),
    rgb=dataclasses.replace(_STREAM, initial_weights="kinetics400-rgb-imagenet"),
    flow=dataclasses.replace(_STREAM, initial_weights="kinetics400-flow-imagenet"),
    batch_size=6,
    dtype="auto",
)
