"""Fine-tuning on UCF101 from the released weights, on one GPU.

Source: a TensorFlow 1 implementation (USTC). ImageNet+Kinetics weights, batches of 6,
40 epochs (about 64k steps), SGD with momentum 0.9, rates 8e-4 to 5e-5, 0.64 of the
features dropped, L2 of 7e-7.

Expected on split 1: 97.6 % of both streams, which it tested on 251 frames: `evaluate
--protocol full --frames 251`. The paper has, as means of the three splits, RGB 95.6 %,
flow 96.7 %, both 98.0 %; ucf101_full.py is its recipe. What `train` prints is of 64
frames, which costs some accuracy.

Weights: `kinetics400-rgb-imagenet` and `kinetics400-flow-imagenet`, which are
downloaded on first use; a new classifier replaces their 400 classes.

Hardware: one GPU of 16 GB (0.7 GB a clip and stream in mixed_bfloat16, about 10 GB in
all, by what a CPU takes; --set recompute=True needs half). One stream at a time, with
--set flow=None or rgb=None, needs about 6 GB. On several devices each takes its part of
the 6 clips, and BatchNorm's statistics are of fewer. Not run here.

    python -m experiments.train --config ucf101 \
        --workdir runs/ucf101 --data_dir data
    python -m experiments.evaluate --workdir runs/ucf101 --data_dir data \
        --protocol full --frames 251

Splits 2 and 3: --set data.dataset=two_stream_ucf101/split_2, or all of them with
`experiments.three_splits`.
"""

import dataclasses

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=64_000,
    learning_rates=(8e-4, 5e-4, 3e-4, 1e-4, 5e-5),
    boundaries=(10_000, 20_000, 30_000, 40_000),
    # The penalty here is w / 2 * sum of squares, as TensorFlow 1's l2_loss has it.
    weight_decay=7e-7,
    dropout=0.64,
)

CONFIG = Config(
    data=Data(dataset="two_stream_ucf101/split_1"),
    rgb=dataclasses.replace(_STREAM, initial_weights="kinetics400-rgb-imagenet"),
    flow=dataclasses.replace(_STREAM, initial_weights="kinetics400-flow-imagenet"),
    batch_size=6,
    dtype="auto",
)
