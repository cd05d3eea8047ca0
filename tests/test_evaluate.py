"""The commands `evaluate`, `fuse_scores` and `three_splits`, from trained runs on."""

import dataclasses
import filecmp
import json
import shutil
import subprocess
import sys

import pytest
import tiny

from i3d_tf import training

PICTURES = [
    f"{what}_{name}.png"
    for what in ("confusion", "per_class")
    for name in ("rgb", "flow", "fused")
]


def run(command, *flags):
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{command}", *map(str, flags)],
        capture_output=True,
        text=True,
    )


def succeed(command, *flags):
    done = run(command, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_coverage_stands_beside_accuracy(tmp_path, write_video):
    builder = tiny.build(tmp_path, write_video)
    (tmp_path / f"flow/{tiny.LABELS[1]}/v3.mkv").unlink()
    builder.build(overwrite=True)
    training.train(tiny.config(steps=1, rgb=None), tmp_path / "run", tmp_path / "data")
    lines = succeed(
        "evaluate", "--workdir", tmp_path / "run", "--data_dir", tmp_path / "data"
    )
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
    top1, coverage, last = lines[-3:]
    assert top1.startswith("flow   top-1 ")
    assert coverage == (
        "of test: 2 of 3 listed videos used (3 present), 3 classes; no video of right"
    )
    assert last == f"{tmp_path}/run/evaluation: results of 2 videos"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, write_video):
    """Runs of rgb and of flow, and the data they were trained on."""
    folder = tmp_path_factory.mktemp("evaluate")
    tiny.build(folder, write_video)
    for name, other in (("rgb", "flow"), ("flow", "rgb")):
        config = tiny.config(steps=2, **{other: None})
        training.train(config, folder / name, folder / "data")
    return folder


PROTOCOLS = {
    "whole": ["--protocol", "full", "--frames", "all"],
    "views": ["--protocol", "views", "--clips", "2", "--crops", "3"],
}


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_saved_scores_are_fused_as_the_networks_are(runs, tmp_path, protocol):
    flags = ["--data_dir", runs / "data", *PROTOCOLS[protocol]]
    fusion = ["--fusion", "probabilities", "--fusion_weights", "rgb=1,flow=1.5"]
    both, fused = tmp_path / "both", tmp_path / "fused"
    workdirs = ["--workdir", runs / "rgb", "--workdir", runs / "flow"]
    told = succeed("evaluate", *workdirs, *flags, *fusion, "--output", both)
    files = []
    for name in ("flow", "rgb"):
        output = tmp_path / name
        succeed("evaluate", "--workdir", runs / name, *flags, "--output", output)
        files += ["--scores", output / "scores.npz"]
    again = succeed("fuse_scores", *files, *fusion, "--output", fused)
    assert again[-5:-1] == told[-5:-1]
    assert again[-1] == f"{fused}: results of 3 videos"
    results = json.loads((both / "results.json").read_text())
    assert results["weights"] == {"rgb": 1.0, "flow": 1.5}
    names = sorted(path.name for path in both.iterdir())
    assert names == sorted(path.name for path in fused.iterdir())
    assert set(PICTURES) < set(names)
    same, *_ = filecmp.cmpfiles(both, fused, names, shallow=False)
    # Archives have the time in them on some systems; the scores are in results.json.
    assert set(same) | {"scores.npz"} == set(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--clips", "3"], "--clips is of --protocol views; the protocol is center"),
        (["--protocol", "full", "--frames", "x"], "--frames x: expected a number of"),
        (["--protocol", "full", "--frames", "8"], "full: clips of 8 frames; the net"),
        (
            ["--fusion_weights", "flow=1"],
            "weights are of flow, the streams are rgb; give",
        ),
        (
            ["--fusion_weights", "flow=1", "--weights", "rgb"],
            "weights rgb: 'rgb': expected stream=weight",
        ),
    ],
)
def test_flags_that_do_not_fit_are_refused(runs, flags, message):
    done = run(
        *("evaluate", "--workdir", runs / "rgb", "--data_dir", runs / "data"), *flags
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {message}")


@pytest.mark.slow
def test_three_splits_are_trained_and_evaluated(runs, tmp_path):
    # A data set of three splits: the tiny one under the names of the splits.
    data = tmp_path / "data"
    for number in (1, 2, 3):
        shutil.copytree(
            runs / "data/two_stream_folder/tiny",
            data / f"two_stream_folder/split_{number}",
        )
    recipe = tmp_path / "recipe.py"
    base = tiny.config(steps=1)
    base = dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, dataset="two_stream_folder/split_1"),
        flow=None,
    )
    recipe.write_text(
        f"from i3d_tf.config import Config, Data, StreamTraining\n\nCONFIG = {base!r}\n"
    )
    flags = ["--config", recipe, "--workdir", tmp_path / "three", "--data_dir", data]
    lines = succeed("three_splits", *flags, "--splits", "1,3")
    assert lines[-1] == f"{tmp_path}/three: mean of splits 1, 3 in mean.json"
    assert "# two_stream_folder: mean of splits 1, 3" in lines
    lines = succeed("three_splits", *flags)
    used = [line for line in lines if line.endswith(": used again")]
    assert used == [
        f"{tmp_path}/three/split_{number}/evaluation/scores.npz: used again"
        for number in (1, 3)
    ]
    mean = json.loads((tmp_path / "three/mean.json").read_text())
    assert mean["splits"] == [1, 2, 3]
    # The same data, seeds and recipe.
    for number in (1, 2, 3):
        assert mean["mean"]["rgb"] == pytest.approx(mean[f"split_{number}"]["rgb"])
    done = run("three_splits", *flags, "--splits", "1,4")
    assert done.stderr.splitlines()[-1] == "error: --splits 1,4: expected some of 1,2,3"
