"""Trains the streams that a config names.

    python -m experiments.train --config experiments/configs/demo.py \
        --workdir runs/demo --data_dir data --set rgb.steps=100 --set flow=None

Leaves checkpoints/, events/ (TensorBoard), config.json, history.json and
training_curves.png in the workdir. Stopped and started again, it goes on from the
last checkpoint.
"""

import pathlib

from absl import flags

from experiments import command

_CONFIG = flags.DEFINE_string("config", None, "A recipe's file.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "field=value or field.sub=value of the config, as "
    "'rgb.boundaries=(100,130)' or flow=None; repeatable. i3d_tf/config.py has the "
    "fields.",
)
_STRATEGY = flags.DEFINE_enum(
    "strategy", "one", ["one", "mirrored"], "One device, or all of this machine."
)


def main():
    from i3d_tf import pictures, training
    from i3d_tf.config import load_config

    config = load_config(_CONFIG.value, _SET.value)
    strategy = training.make_strategy(_STRATEGY.value)
    history = training.train(config, _WORKDIR.value, _DATA_DIR.value, strategy)
    workdir = pathlib.Path(_WORKDIR.value)
    pictures.training_curves(history, workdir / "training_curves.png")
    last = history[-1]["test"]
    figures = ", ".join(f"{name} {value:.1%}" for name, value in last.items())
    print(f"{workdir}: trained {history[-1]['step']} steps; test {figures}")


if __name__ == "__main__":
    command.run(main)
