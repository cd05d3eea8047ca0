"""Three arm actions of two persons, from random weights: one person learnt, one unseen.

One person in one room is little to learn from: experiments/README.md tells why RGB is
hard. So light varies in its training, and it may not be as sure as flow
(label_smoothing), for the logits are added. Two CPU cores are enough.

Expected of RGB, flow and both: 3/9, 9/9, 9/9, whichever of the two is learnt from.

    python -m experiments.extract_flow --videos arm_actions --output arm/flow \
        --smaller_side 128
    python -m experiments.build_dataset --videos arm_actions --flow arm/flow \
        --data_dir arm/data --name arm_train_P1 --test_glob "*P2T*"
    python -m experiments.train --config arm_actions_scratch \
        --workdir arm/run_P1 --data_dir arm/data
    python -m experiments.evaluate --workdir arm/run_P1 --data_dir arm/data
"""

from i3d_tf.config import Config, Data, StreamTraining

CONFIG = Config(
    data=Data(
        dataset="two_stream_folder/arm_train_P1",
        num_frames=64,
        size=112,
        smaller_side=128,
        light=0.3,
    ),
    rgb=StreamTraining(
        steps=150,
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
    batch_size=3,
    dtype="auto",
    batch_norm_decay=0.9,
    evaluate_epochs=50,
)
