"""The command `evaluate`, from a trained run to results.json."""

import json
import subprocess
import sys

import pytest
import tiny

from i3d_tf import training


@pytest.mark.slow
def test_coverage_stands_beside_accuracy(tmp_path, write_video):
    builder = tiny.build(tmp_path, write_video)
    (tmp_path / f"flow/{tiny.LABELS[1]}/v3.mkv").unlink()
    builder.build(overwrite=True)
    training.train(tiny.config(steps=1, rgb=None), tmp_path / "run", tmp_path / "data")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.evaluate"),
            *("--workdir", tmp_path / "run", "--data_dir", tmp_path / "data"),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "run/evaluation/results.json").read_text())
    assert results["videos"] == 2
    assert results["coverage"] == {
        "listed": 3,
        "present": 3,
        "used": 2,
        "classes": 3,
        "damaged": 0,
        "unused_classes": [tiny.LABELS[1]],
    }
    top1, coverage, last = run.stdout.splitlines()[-3:]
    assert top1.startswith("flow   top-1 ")
    assert coverage == (
        "of test: 2 of 3 listed videos used (3 present), 3 classes; no video of right"
    )
    assert last == f"{tmp_path}/run/evaluation: results of 2 videos"
