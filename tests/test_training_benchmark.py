"""The training benchmark's estimate, and that the benchmark runs."""

import json
import subprocess
import sys

import pytest

from experiments.benchmarks.training_estimate import (
    FLOW_GFLOP,
    RGB_GFLOP,
    Machine,
    estimate,
    parse_machine,
)


def test_estimate():
    # 4 x 100 TFLOP/s at a quarter are 100 TFLOP/s: 200 clips/s of 500 GFLOP.
    machine = Machine("four", devices=4, teraflops=100, dollars=2, cores=10)
    computes = estimate(machine, 1000, gflop=500, utilisation=0.25, cpu_ms=25)
    assert computes.clips_s == pytest.approx(200)
    assert computes.decoded_s == pytest.approx(400)
    assert computes.hours == pytest.approx(1000 * 384 / 200 / 3600)
    assert computes.dollars == pytest.approx(8 * computes.hours)
    assert computes.cores == pytest.approx(5)
    # Ten cores of 100 ms a clip feed half of that.
    waits = estimate(machine, 1000, gflop=500, utilisation=0.25, cpu_ms=100)
    assert waits.decoded_s == pytest.approx(100)
    assert waits.hours == pytest.approx(2 * computes.hours)
    assert waits.cores == pytest.approx(20)


def test_operations_of_a_step():
    assert RGB_GFLOP == pytest.approx(614, abs=0.5)
    # Two of three channels: a third less in the first convolution, both times.
    assert FLOW_GFLOP == pytest.approx(RGB_GFLOP - 2 * 52.9 / 3)


def test_machines_of_the_flag():
    assert parse_machine("8 x A:8:312:3.5:96") == Machine("8 x A", 8, 312, 3.5, 96)
    for wrong in ("A:8:312:3.5", "A:8:312:3.5:96:1", "A:8:x:3.5:96", "A:0:312:3.5:96"):
        with pytest.raises(ValueError, match="--machines: 'A.*is not name:devices"):
            parse_machine(wrong)


@pytest.mark.slow
def test_every_section_is_measured(data_dir, tmp_path):
    command = [sys.executable, "-m", "experiments.benchmarks.training"]
    videos = data_dir / "clips" / "arm_actions"
    options = ["--sizes=tiny", "--rounds=2", f"--videos={videos}"]
    done = subprocess.run(
        [*command, *options, f"--output={tmp_path}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "training.json").read_text())
    assert set(result) == {"loop", "memory", "scaling"}
    assert len(result["loop"]["run"]["updates"]) == 4
    replicas = [(row["strategy"], row["replicas"]) for row in result["scaling"]["rows"]]
    assert replicas[:3] == [("one", 1), ("mirrored", 1), ("mirrored", 2)]
    assert ("multi_worker", 3) in replicas
    assert all(row["peak_gb"] > row["before_gb"] for row in result["memory"]["rows"])
