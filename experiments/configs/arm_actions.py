"""Three arm actions of two persons, nine real clips to learn from: from scratch.

A smaller picture than the paper's and a fast BatchNorm, as 150 updates are few:
after n updates a decay of 0.999 leaves 0.999**n of the initial statistics.

    python -m experiments.train --config experiments/configs/arm_actions.py \
        --workdir runs/arm_P1 --data_dir data \
        --set data.dataset=two_stream_folder/arm_train_P1

What it gives: experiments/README.md.
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
    data=Data(dataset="two_stream_folder/arm_train_P1", size=112, smaller_side=128),
    rgb=_STREAM,
    flow=_STREAM,
    batch_size=3,
    batch_norm_decay=0.9,
    evaluate_epochs=10,
)
