"""The command `single_frame`, on a trained run."""

import subprocess
import sys

import pytest
import tiny

from i3d_tf import training


@pytest.mark.slow
def test_flow_that_stands_still_says_the_same_of_all(tmp_path, write_video):
    tiny.build(tmp_path, write_video)
    training.train(tiny.config(steps=1), tmp_path / "run", tmp_path / "data")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.single_frame"),
            *("--workdir", tmp_path / "run", "--data_dir", tmp_path / "data"),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    rgb, flow, fused, last = run.stdout.splitlines()[-4:]
    # All three test videos get the same flow and so the same class.
    assert flow == "flow   top-1  33.3%"
    assert rgb.startswith("rgb    top-1 ") and fused.startswith("fused  top-1 ")
    assert last == (
        "of test: 3 videos, each its middle frame repeated; chance is 33.3%"
    )
