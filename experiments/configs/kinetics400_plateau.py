"""Kinetics-400 as the paper tells it: the rate falls when the test loss no longer does.

Source: section 2.5 of the paper. 110k steps, SGD with momentum 0.9 on 64 GPUs, "a 10x
reduction of learning rate when validation loss saturated". The paper does not tell the
first rate, how saturation was noticed, nor the clips of a batch: the first rate and the
batch are those of the released models (kinetics400.py), whose steps are known exactly;
three evaluations without a lower loss are ours and untried.

Expected accuracy, hardware, data and initial weights are those of kinetics400.py. An
epoch is about 600 steps, so that the validation set is evaluated some 180 times;
--set evaluate_epochs=3 does it less often.

    python -m experiments.train --config kinetics400_plateau \
        --workdir runs/plateau_rgb --data_dir data --set flow=None --strategy mirrored
    python -m experiments.train --config kinetics400_plateau \
        --workdir runs/plateau_flow --data_dir data --set rgb=None --strategy mirrored
"""

from i3d_tf.config import Config, Data, StreamTraining

_STREAM = StreamTraining(
    steps=110_000,
    learning_rates=(1e-1,),
    schedule="plateau",
    plateau_factor=0.1,
    plateau_patience=3,
)

CONFIG = Config(
    data=Data(dataset="two_stream_kinetics/k400", test_split="val"),
    rgb=_STREAM,
    flow=_STREAM,
    batch_size=64 * 6,
    clips_at_once=6,
    dtype="auto",
)
