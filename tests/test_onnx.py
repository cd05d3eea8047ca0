"""An exported model, converted by tf2onnx, under onnxruntime."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny
from test_serving import LABELS
from tiny import call, raw_clips

from i3d_tf.config import Data
from i3d_tf.export import export
from i3d_tf.streams import FLOW, RGB

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("streams", "name"),
    [
        ((RGB, FLOW), "serving_default"),
        ((RGB, FLOW), "features"),
        ((FLOW,), "flow"),
        ((RGB,), "rgb"),
    ],
)
def test_onnx_answers_as_the_model(tmp_path, streams, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    data = Data("x", num_frames=9, size=32, smaller_side=40)
    export(tiny.networks(3, streams), LABELS, data, tmp_path / "model")
    placeholder = "StatefulPartitionedCall/PlaceholderWithDefault"
    checks = [placeholder, f"{placeholder}_1"][: len(streams)]
    # As experiments/serving/README.md says it.
    subprocess.run(
        [
            *(sys.executable, "-m", "tf2onnx.convert", "--tag", "serve"),
            *("--saved-model", tmp_path / "model", "--opset", "17"),
            *("--signature_def", name, "--use_default", ",".join(checks)),
            *("--output", tmp_path / "model.onnx"),
        ],
        check=True,
    )
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    model = tf.saved_model.load(str(tmp_path / "model"))
    for batch, frames in ((1, 9), (2, 16), (1, 17)):
        clips = raw_clips(batch, frames)
        clips = {stream.name: clips[stream.name] for stream in streams}
        wanted = call(model.signatures[name], **clips)
        found = dict(zip(names, session.run(None, clips), strict=True))
        assert set(found) == set(wanted)
        for key, value in found.items():
            if key == "classes":
                np.testing.assert_array_equal(value, wanted[key].astype(str))
            else:
                scale = max(1, np.abs(wanted[key]).max())
                np.testing.assert_allclose(value, wanted[key], atol=1e-5 * scale)
