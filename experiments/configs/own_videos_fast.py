"""Your own folder of videos, few of them, in minutes: classifiers on Kinetics features.

The networks keep DeepMind's weights, which were trained on Kinetics-400 and are
downloaded on first use. The features of five Views of each video are computed once,
and the classifier of each stream is a ridge regression on them. Flow begins with its
own published weights, or where these cannot be downloaded with those of RGB.

    python -m experiments.extract_flow --videos mine/videos --output mine/flow
    python -m experiments.build_dataset --videos mine/videos --flow mine/flow \
        --data_dir mine/data --name mine
    python -m experiments.train --config own_videos_fast \
        --workdir mine/run --data_dir mine/data

What it gave on three arm actions of an unseen person and on fights before surveillance
cameras is in experiments/README.md.
"""

from i3d_tf.config import Config, Data, Linear, StreamTraining


def _stream(weights):
    # Fitted at once: neither steps nor rates have a meaning.
    return StreamTraining(
        steps=1, learning_rates=(0.0,), dropout=0.0, initial_weights=weights
    )


CONFIG = Config(
    data=Data(dataset="two_stream_folder/mine"),
    rgb=_stream("kinetics400-rgb"),
    flow=_stream("kinetics400-flow"),
    linear=Linear(views=4, penalty=300.0),
    batch_size=1,
    dtype="auto",
)
