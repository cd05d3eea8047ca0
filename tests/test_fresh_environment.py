"""Exported models in a new environment that has TensorFlow and not this project."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tiny
from test_serving import in_range
from tiny import raw_clips

from i3d_tf.config import Data
from i3d_tf.evaluation import fuse
from i3d_tf.export import ENDPOINTS, export
from i3d_tf.prediction import Predictor
from i3d_tf.streams import FLOW, RGB

pytestmark = pytest.mark.slow

LABELS = ["draw", "run", "swim"]
DATA = Data("x", num_frames=9, size=32, smaller_side=40)
CONSTRAINTS = pathlib.Path(__file__).parents[1] / "constraints.txt"

# Keras comes with TensorFlow; the model must not need it either.
ALL_SIGNATURES = """
import sys
sys.modules["keras"] = None
import numpy as np
import tensorflow as tf
model_dir, inputs, outputs = sys.argv[1:]
for name in ("i3d_tf", "flow", "experiments"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f"{name} is installed here")
inputs, found = dict(np.load(inputs)), {}
inputs["encoded"] = np.array(
    [tf.io.encode_jpeg(frame, quality=100).numpy() for frame in inputs["frames"][0]]
)
model = tf.saved_model.load(model_dir)
for name, signature in model.signatures.items():
    wanted = signature.structured_input_signature[1]
    values = {key: inputs.get(f"{name}/{key}", inputs.get(key)) for key in wanted}
    answers = signature(**{key: tf.constant(value) for key, value in values.items()})
    for key, value in answers.items():
        value = value.numpy()
        # Objects would be pickled.
        value = value.astype(str) if value.dtype == object else value
        found[f"{name}/{key}"] = value
np.savez(outputs, **found)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with TensorFlow alone."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS]
    subprocess.run([*pip, "tensorflow"], check=True)
    return python


@pytest.fixture(scope="module", params=[(RGB, FLOW), (RGB,)], ids=["both", "rgb"])
def made(request, python, tmp_path_factory):
    """(networks, model folder, inputs, what all signatures answered there)."""
    folder = tmp_path_factory.mktemp("model")
    models = tiny.networks(3, request.param)
    export(models, LABELS, DATA, folder / "model")
    clips = raw_clips()
    video = tiny.moving_texture(12)
    inputs = {
        **clips,
        "frames": video[None],
        "rgb_input": in_range(clips)["rgb"],
    }
    for name, clip in in_range(clips).items():
        inputs[f"normalised/{name}"] = clip.astype(np.float32)
    np.savez(folder / "inputs.npz", **inputs)
    done = subprocess.run(
        [
            *(python, "-c", ALL_SIGNATURES),
            *(folder / "model", folder / "inputs.npz", folder / "outputs.npz"),
        ],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "outputs.npz") as file:
        return models, folder, inputs, dict(file)


def test_all_signatures_answer_as_the_networks(made, write_video):
    models, folder, inputs, found = made
    clips = in_range(inputs)
    logits = {name: model(clips[name]).numpy() for name, model in models.items()}
    fused = np.asarray(fuse(list(logits.values())))

    def same(name, wanted):
        np.testing.assert_allclose(found[name], wanted, atol=1e-4, err_msg=name)

    for signature in ("serving_default", "normalised", "activation"):
        same(f"{signature}/logits", fused)
        for stream in models:
            same(f"{signature}/{stream}_logits", logits[stream])
    for stream, model in models.items():
        same(f"{stream}/logits", logits[stream])
        for endpoint in ENDPOINTS:
            output = model.get_layer(endpoint).output
            wanted = keras.Model(model.input, output)(clips[stream]).numpy()
            for signature in ("features", f"{stream}_features"):
                name = f"{signature}/{stream}_{endpoint}"
                scale = np.abs(wanted).max()
                np.testing.assert_allclose(found[name], wanted, atol=1e-4 * scale)
    same("default/default", logits["rgb"])
    best = [[LABELS[i] for i in row] for row in np.argsort(-fused)]
    assert found["serving_default/classes"].tolist() == best

    video = write_video(folder / "video.avi", inputs["frames"][0])
    offline = Predictor(folder / "model", engine="opencv")(video)
    wanted = [dict(offline.best(None))[label] for label in LABELS]
    for signature in ("video", "encoded"):
        probabilities = found[f"{signature}/probabilities"][0]
        np.testing.assert_allclose(probabilities, wanted, atol=0.02)
        assert LABELS[probabilities.argmax()] == offline.classes[0]
    # Nothing was answered that is not compared.
    assert {name.split("/")[0] for name in found} == {
        *("serving_default", "normalised", "activation", "features"),
        *("video", "encoded", "default"),
        *models,
        *(f"{stream}_features" for stream in models),
    }


def test_saved_model_cli(made, python, tmp_path):
    models, folder, inputs, found = made
    given = [f"{name}={folder / 'inputs.npz'}[{name}]" for name in models]
    done = subprocess.run(
        [
            *(python.with_name("saved_model_cli"), "run", "--dir", folder / "model"),
            *("--tag_set", "serve", "--signature_def", "serving_default"),
            *("--inputs", ";".join(given), "--outdir", tmp_path),
        ],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    probabilities = np.load(tmp_path / "probabilities.npy")
    np.testing.assert_allclose(
        probabilities, found["serving_default/probabilities"], atol=1e-5
    )
