r"""Trains the streams that a config names.

    python -m experiments.train --config demo \
        --workdir runs/demo --data_dir data --set rgb.steps=100 --set flow=None

Leaves checkpoints/, events/, config.json, history.json and history.png in the workdir.
Stopped and started again, it goes on from the last checkpoint; at SIGTERM it saves one
first and ends with the exit code 143. Curves and clips of the training are shown by

    python -m tensorboard.main --logdir runs

Several hosts run the same command with --strategy multi_worker, a workdir that all of
them see, and TF_CONFIG in the environment:

    TF_CONFIG='{"cluster": {"worker": ["a:2222", "b:2222"]},
                "task": {"type": "worker", "index": 0}}'
"""

from absl import flags

from experiments import command
from experiments.recipes import recipe_path
from flow.unexpected import doing

_CONFIG = flags.DEFINE_string(
    "config", None, "Name of a recipe, as own_videos, or its file.", required=True
)
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
    "strategy",
    "one",
    ["one", "mirrored", "multi_worker", "tpu"],
    "One device, all of this machine, all of the machines in TF_CONFIG, or a TPU.",
)
_TPU = flags.DEFINE_string("tpu", None, "Name or address of the TPU; default: local.")


def main():
    recipe = recipe_path(_CONFIG.value)

    from i3d_tf import training
    from i3d_tf.config_file import load_config

    config = load_config(recipe, _SET.value)
    strategy = training.make_strategy(_STRATEGY.value, _TPU.value)
    with command.ended_by_sigterm(), doing(f"training {_WORKDIR.value}"):
        history = training.train(config, _WORKDIR.value, _DATA_DIR.value, strategy)
    last = history[-1]["test"]
    figures = ", ".join(
        f"{name} {value:.1%}" if "top" in name else f"{name} {1000 * value:.1f} mm"
        for name, value in last.items()
        if "loss" not in name
    )
    steps = history[-1]["step"]
    done = "fitted its classifiers" if config.linear else f"trained {steps} steps"
    print(f"{_WORKDIR.value}: {done}; test {figures}")


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
