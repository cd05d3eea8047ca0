"""The nine classes of `experiments.sample_videos`, in minutes on two cores.

The paper's network on a smaller picture: 24 frames of 64x64 px. `make demo` runs it.
Flow cannot know the colour, so its top-1 is a third at best; RGB and flow together
know both.

    python -m experiments.train --config demo \
        --workdir demo/run --data_dir demo/data
"""

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=100,
    # Without pretraining 0.01 and more let the loss rise at first.
    learning_rates=(0.005, 0.002, 0.0005),
    boundaries=(45, 85),
    dropout=0.0,
)

CONFIG = Config(
    data=Data(
        dataset="two_stream_ucf101/split_1",
        num_frames=24,
        size=64,
        smaller_side=72,
    ),
    rgb=_STREAM,
    flow=_STREAM,
    batch_size=9,
    # After 100 updates a decay of 0.999 would leave 90 % of the initial statistics.
    batch_norm_decay=0.9,
    # README's accuracies are those of float32.
    dtype="float32",
    evaluate_epochs=3,
)
