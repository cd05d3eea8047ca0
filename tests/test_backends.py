"""The same weights give the same logits under JAX and PyTorch as under TensorFlow, and
the same frames the same flow.

`make test-backends` installs these two, runs this file and leaves its result in
tests/backends.json.
"""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
from importlib import metadata

import cv2
import keras
import make_goldens
import numpy as np
import pytest
from backend_answers import FLOW_PARAMETERS

from flow.tvl1_graph import tvl1_flow
from i3d_tf.inception import build_i3d
from i3d_tf.streams import FLOW, RGB
from i3d_tf.weights import load_released

pytestmark = pytest.mark.backends

TOLERANCE = 1e-4
FLOW_TOLERANCE = 1e-3  # px
CHILD = pathlib.Path(__file__).with_name("backend_answers.py")


@pytest.fixture(scope="module")
def record():
    """Written to the file that BACKENDS_RECORD names, whether tests pass or not."""
    results = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} CPUs, {platform.system()}",
        "python": platform.python_version(),
        "keras": metadata.version("keras"),
        "tensorflow": metadata.version("tensorflow"),
        "tolerance": TOLERANCE,
    }
    yield results
    if path := os.environ.get("BACKENDS_RECORD"):
        pathlib.Path(path).write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _processor():
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(folder of `.keras` files and their clips, {name: TensorFlow's logits})."""
    assert keras.config.backend() == "tensorflow"
    folder, logits = tmp_path_factory.mktemp("files"), {}

    def add(name, model, clip):
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", clip)
        logits[name] = model(clip, training=False).numpy()

    noise = np.random.default_rng(0).normal(size=(48, 64))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    picture = np.rint(128 + 100 * smooth / np.abs(smooth).max()).astype(np.uint8)
    moves = [(0, 0), (0, 2), (-1, 2)]
    frames = np.stack([np.roll(picture, move, (0, 1)) for move in moves])
    np.save(folder / "frames.npy", frames)

    for stream in (RGB, FLOW):
        model = make_goldens.network(stream, (64, 64), width=1)
        clip = make_goldens.clip(stream, 16, (64, 64))
        add(f"{stream.name} 16x64x64, full width", model, clip)
    if data := os.environ.get("I3D_TEST_DATA"):
        folder_of_reference = pathlib.Path(data) / "reference/deepmind_rgb"
        model = build_i3d(RGB)
        load_released(model, folder_of_reference / "model.ckpt")
        with np.load(folder_of_reference / "reference.npz") as file:
            clip = file["input_16"].astype(np.float32) / 16
            name = "rgb 16x224x224, DeepMind's layout"
            add(name, model, clip)
            # The original graph's, not ours.
            np.testing.assert_allclose(logits[name], file["logits_16"], atol=TOLERANCE)
            logits[name] = file["logits_16"]
        folder_of_reference = pathlib.Path(data) / "reference/kinetics400_rgb_scratch"
        model = build_i3d(RGB, weights=folder_of_reference / "model.ckpt")
        with np.load(folder_of_reference / "tfhub_logits.npz") as file:
            clip = np.random.default_rng(7).integers(-16, 17, (1, 16, 224, 224, 3))
            name = "rgb 16x224x224, DeepMind's weights"
            add(name, model, clip.astype(np.float32) / 16)
            # TF-Hub's own graph's.
            logits[name] = file["random_16"].reshape(1, 400)
    return folder, logits


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_logits(backend, files, record, tmp_path):
    folder, logits = files
    result = record[backend] = {"version": metadata.version(backend)}
    done = subprocess.run(
        [sys.executable, CHILD, folder, tmp_path / "answers.npz"],
        # On the processor, where float32 is float32.
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        result["error"] = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "answers.npz") as file:
        got = dict(file)
    assert got.pop("backend") == backend

    frames = np.load(folder / "frames.npy")
    want = tvl1_flow(frames[:-1], frames[1:], **FLOW_PARAMETERS).numpy()
    assert np.abs(want).mean() > 0.5
    off = result["largest difference of flow, px"] = _difference(got.pop("flow"), want)
    assert off <= FLOW_TOLERANCE

    differences = result["largest differences"] = {}
    for case in make_goldens.CASES:
        with np.load(make_goldens.FOLDER / f"{case}.npz") as golden:
            want = golden["logits"][None]
        differences[f"golden {case}"] = _difference(got.pop(f"golden/{case}"), want)
    for name, want in logits.items():
        assert np.ptp(want) > 1  # else the tolerance would say little
        for how in ("built", "loaded"):
            differences[f"{how} {name}"] = _difference(got.pop(f"{how}/{name}"), want)
    assert not got
    assert max(differences.values()) <= TOLERANCE, differences


def _difference(got, want):
    assert got.shape == want.shape
    return float(np.abs(got - want).max())
