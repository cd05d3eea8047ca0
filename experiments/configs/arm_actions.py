"""Three arm actions of two persons: learnt from nine clips of one, tested on the other.

One person in one room is little to learn from: the README of the experiments has the
commands, what they gave and why RGB is hard. So light varies in training, and RGB may
not be as sure as flow (label_smoothing), for the logits are added.
"""

from i3d_tf.config import Config, Data, StreamTraining

CONFIG = Config(
    data=Data(
        dataset="two_stream_folder/arm_train_P1",
        num_frames=64,
        size=64,
        smaller_side=73,
        light=0.3,
    ),
    rgb=StreamTraining(
        steps=300,
        learning_rates=(0.005,),
        schedule="cosine",
        label_smoothing=0.2,
        dropout=0.2,
    ),
    flow=StreamTraining(
        steps=150,
        learning_rates=(0.005,),
        schedule="cosine",
        dropout=0.2,
    ),
    # Statistics of three clips are noisy, and a network that has learnt with them can
    # bear others: with all nine at a time it is lost without its batch.
    batch_size=3,
    dtype="mixed_bfloat16",
    batch_norm_decay=0.9,
    evaluate_epochs=50,
)
