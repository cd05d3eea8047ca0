"""The command `train` in processes of its own, with a recipe of the tiny network."""

import os
import pathlib
import subprocess
import sys

from experiments.benchmarks.turns import cluster
from i3d_tf.config_file import to_dict

RECIPE = """
from i3d_tf.config_file import from_dict

CONFIG = from_dict({values!r})
"""


def start_training(config, workdir, data_dir, *options, environment=None):
    """Starts `experiments.train`; what it says goes to `<workdir>.log`."""
    workdir.parent.mkdir(parents=True, exist_ok=True)
    recipe = workdir.with_suffix(".py")
    recipe.write_text(RECIPE.format(values=to_dict(config)))
    with open(workdir.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "experiments.train", "--config", recipe),
                *("--workdir", workdir, "--data_dir", data_dir, *options),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=pathlib.Path(__file__).parents[1],
            env={**os.environ, **(environment or {})},
        )


def start_hosts(count, config, workdir, data_dir):
    """Starts a process for each of several hosts, on loopback."""
    return [
        start_training(
            config,
            workdir,
            data_dir,
            *("--strategy", "multi_worker"),
            environment={"TF_CONFIG": each},
        )
        for each in cluster(count)
    ]
