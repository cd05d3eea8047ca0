"""UCF101 from random weights, what the gain of Kinetics is measured against.

Expected with `evaluate --protocol full`: RGB 50 to 60 %, flow about 80 %,
both 88.8 %. The paper tells up to 5k steps for UCF101, and no rates; the rate here is
that of Kinetics (0.1 for 384 clips) in proportion to the batch, with a warm-up and half
a cosine, which are ours and untried.

Hardware: as ucf101_full.py, 1 to 16 devices of 6 clips at a time, about 10 GB for both
streams side by side. Not run here.

    python -m experiments.train --config ucf101_scratch \
        --workdir runs/ucf101_scratch --data_dir data --strategy mirrored
    python -m experiments.evaluate --workdir runs/ucf101_scratch --data_dir data \
        --protocol full

HMDB51: --set data.dataset=two_stream_hmdb51/split_1. From ImageNet's 2D weights:
initial_weights as in kinetics400.py.
"""

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=5_000,
    learning_rates=(0.025,),
    schedule="cosine",
    warmup_steps=500,
)

CONFIG = Config(
    data=Data(dataset="two_stream_ucf101/split_1"),
    rgb=_STREAM,
    flow=_STREAM,
    batch_size=16 * 6,
    clips_at_once=6,
    dtype="auto",
    # 100 updates are an epoch.
    evaluate_epochs=5,
)
