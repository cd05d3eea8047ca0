"""The command that writes weights as a SavedModel."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tiny

from i3d_tf import RGB
from i3d_tf.exported import ExportedModel, read_assets

ROOT = pathlib.Path(__file__).parents[1]


def _export(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.export", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_weights_become_a_saved_model(tmp_path):
    model = tiny.networks(3, (RGB,))["rgb"]
    model.save(tmp_path / "rgb.keras")
    labels = tmp_path / "labels.txt"
    labels.write_text("down\nright\nstill\n")
    done = _export(
        *("--weights", f"rgb={tmp_path / 'rgb.keras'}", "--endpoints", "Mixed_5c"),
        *("--labels", labels, "--num_frames", 9, "--size", 32, "--smaller_side", 40),
        *("--output", tmp_path / "model"),
    )
    assert done.returncode == 0, done.stderr
    names, made_for = read_assets(tmp_path / "model")
    assert names == list(tiny.LABELS)
    assert made_for["streams"] == ["rgb"]
    assert [made_for[key] for key in ("num_frames", "size", "smaller_side")] == [
        *(9, 32, 40)
    ]
    clip = tiny.raw_clips()["rgb"]
    answers = ExportedModel(tmp_path / "model")("serving_default", rgb=clip)
    wanted = model(clip.astype(np.float32) / 127.5 - 1).numpy()
    np.testing.assert_allclose(answers["logits"], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], "error: pass either --workdir or --weights\n"),
        (["--workdir", "a", "--weights", "b"], "error: pass either --workdir or --w"),
        (["--workdir", "a", "--size", "64"], "error: --size is for --weights; a tr"),
        (["--weights", "kinetics400rgb"], "error: kinetics400rgb: there is no such "),
    ],
)
def test_other_arguments_ends_in_one_line(tmp_path, arguments, told):
    done = _export(*arguments, "--output", tmp_path / "model")
    assert done.returncode == 1
    assert done.stderr.startswith(told) and done.stderr.count("\n") == 1
