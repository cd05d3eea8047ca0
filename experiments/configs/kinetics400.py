"""Kinetics-400 as the released models were trained, from scratch or from ImageNet.

Source: README of DeepMind's kinetics-i3d. Synchronous SGD with momentum 0.9 on 64
replicas of 6 clips, whose BatchNorm is each replica's own; dropout 0.5, weight decay
1e-7; RGB 115k steps, flow 155k steps, each stream on its own.

Expected on the validation set with `evaluate --protocol full`, top-1 / top-5:

| from | RGB | flow | both |
|---|---|---|---|
| scratch | 68.4 / 88.0 | 61.5 / 83.4 | 71.6 / 90.0 |
| ImageNet | 71.1 / 89.3 | 63.4 / 84.9 | 74.2 / 91.3 |

Hardware: any number of devices that divides 64, each taking 6 clips at a time; fewer
add up more passes for the same update, and take as much longer. Six clips of one stream
need about 6 GB in mixed_bfloat16 (0.7 GB a clip, half of it with --set recompute=True),
by what a CPU takes. The steps show 44 million clips to RGB and 60 million to flow,
which wants 64 GPUs or a TPU slice. Not run here.

The data set is that of `build_dataset --dataset kinetics --name k400`; it is evaluated
on the validation set, as the labels of the test set are not used.

    python -m experiments.train --config kinetics400 \
        --workdir runs/kinetics_rgb --data_dir data --set flow=None --strategy mirrored
    python -m experiments.train --config kinetics400 \
        --workdir runs/kinetics_flow --data_dir data --set rgb=None --strategy mirrored
    python -m experiments.evaluate --workdir runs/kinetics_rgb \
        --workdir runs/kinetics_flow --data_dir data --protocol full

From ImageNet, as the paper's best networks: both streams begin with TF-Slim's 2D
Inception-v1 (the checkpoint inception_v1.ckpt of the inception_v1_2016_08_28
archive), its filters repeated in time, for flow their mean over the colours, and a
new classifier. Added to the commands above:

        --set rgb.initial_weights=checkpoints/inception_v1.ckpt
        --set flow.initial_weights=checkpoints/inception_v1.ckpt
"""

from i3d_tf.config import Config, Data, StreamTraining

CONFIG = Config(
    data=Data(dataset="two_stream_kinetics/k400", test_split="val"),
    rgb=StreamTraining(
        steps=115_000,
        learning_rates=(1e-1, 1e-2, 1e-3),
        boundaries=(97_000, 108_000),
    ),
    flow=StreamTraining(
        steps=155_000,
        learning_rates=(1e-1, 1e-2, 1e-3, 1e-1, 1e-2, 1e-3),
        boundaries=(97_000, 104_500, 115_000, 140_000, 150_000),
    ),
    batch_size=64 * 6,
    clips_at_once=6,
    dtype="auto",
)
