"""Clips of any length, size and number of channels, and CT volumes."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.clips import normalise_raw
from i3d_tf.inception import build_i3d, build_inception_v1
from i3d_tf.streams import CT, RGB
from i3d_tf.weights import load_released

HEAD = "Logits-Conv3d_0c_1x1"


def _network(stream=RGB, size=None, width=0.125, **options):
    """Five classes; BatchNorm statistics and head bias as after training."""
    model = build_i3d(stream, 5, size=size, width=width, seed=0, **options)
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(rng.uniform(0.4, 0.8, variable.shape))
    return model


def _clip(frames, height, width, channels=3):
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (1, frames, height, width, channels)).astype(np.float32)


def _outputs(model, *names):
    return keras.Model(
        model.input, [*(model.get_layer(name).output for name in names), model.output]
    )


@pytest.fixture(scope="module")
def free():
    """A network for clips of any size."""
    return _network()


@pytest.mark.parametrize(
    "size, grid",
    [
        (32, (1, 1)),
        ((33, 47), (2, 2)),
        ((65, 40), (3, 2)),
        ((32, 130), (1, 5)),
    ],
)
def test_any_height_and_width(free, size, grid):
    fixed = _network(size=size)
    height, width = (size, size) if size == 32 else size
    assert fixed.input_shape == (None, None, height, width, 3)
    assert free.input_shape == (None, None, None, None, 3)
    clip = _clip(17, height, width)
    features, want = _outputs(fixed, "Mixed_5c")(clip)
    assert features.shape == (1, 3, *grid, 128)
    np.testing.assert_allclose(free(clip), want, rtol=1e-5, atol=1e-5)
    # All cells weigh the same, of the steps the first and the last half.
    kernel, bias = fixed.get_layer(HEAD).get_weights()
    mean = np.array(features, np.float64).mean((2, 3))
    mean = np.einsum("btc,t->bc", mean, [1 / 4, 1 / 2, 1 / 4])
    np.testing.assert_allclose(want, mean @ kernel[0, 0, 0] + bias, atol=1e-5)


@pytest.mark.parametrize(
    "frames, steps", [(9, 1), (10, 1), (16, 1), (17, 2), (25, 3), (64, 7)]
)
def test_any_number_of_frames(free, frames, steps):
    per_step, logits = _outputs(free, HEAD)(_clip(frames, 40, 33))
    assert per_step.shape == (1, steps, 1, 1, 5)
    np.testing.assert_allclose(logits, np.mean(per_step, (1, 2, 3)), atol=1e-6)


def test_a_thousand_frames():
    model = _outputs(_network(size=32, width=0.05), HEAD)
    clip = _clip(1000, 32, 32)
    per_step, logits = model(clip)
    assert per_step.shape == (1, 124, 1, 1, 5)
    np.testing.assert_allclose(logits, np.mean(per_step, (1, 2, 3)), atol=1e-5)
    # Steps that see no end of the clip are those of any part of it: step i of a part
    # from frame 8 k on is step i + k.
    part, _ = model(clip[:, 400:656])
    want = np.array(per_step)[:, 50 + 6 : 50 + 25]
    assert want.std(axis=1).min() > 1e-3
    np.testing.assert_allclose(part[:, 6:25], want, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_number_of_channels(channels):
    stream = dataclasses.replace(
        RGB, name="depth", channels=channels, mirror_signs=(1,) * channels
    )
    model = _network(stream)
    assert model.name == "i3d_depth"
    assert model.input_shape == (None, None, None, None, channels)
    first = model.get_layer("Conv3d_1a_7x7-conv_3d")
    assert first.kernel.shape == (7, 7, 7, channels, 8)
    clip = _clip(9, 32, 40, channels)
    before = np.array(model(clip))
    for channel in range(channels):
        changed = clip.copy()
        changed[..., channel] *= -1
        assert np.abs(model(changed) - before).max() > 1e-4


def test_free_size_in_bfloat16_computes_nearly_the_same(free):
    rough = _network(dtype="mixed_bfloat16")
    clip = _clip(17, 96, 65)
    want, got = np.array(free(clip)), np.array(rough(clip))
    assert got.dtype == np.float32
    cosine = np.sum(want * got) / np.linalg.norm(want) / np.linalg.norm(got)
    assert cosine >= 0.99


@pytest.mark.parametrize("height, width", [(31, 40), (40, 31), (8, 8)])
def test_small_pictures_are_refused(free, height, width):
    message = f"frames of {height}x{width} px; at least 32x32 are needed"
    with pytest.raises(ValueError) as error:
        free(_clip(9, height, width))
    assert str(error.value) == f"i3d_rgb: {message}"
    with pytest.raises(ValueError) as error:
        build_inception_v1(5, size=None, width=0.02)(_clip(1, height, width)[0])
    assert str(error.value) == f"inception_v1: {message}"


def test_short_clips_of_free_size_are_refused(free):
    with pytest.raises(ValueError, match="a clip of 8 frames; at least 9 are needed"):
        free(_clip(8, 40, 40))


def test_a_graph_of_any_shape_answers_as_the_model(free):
    forward = tf.function(
        lambda clip: free(clip, training=False),
        input_signature=[tf.TensorSpec([None, None, None, None, 3])],
    )
    for shape in [(9, 40, 33), (17, 32, 64)]:
        clip = _clip(*shape)
        np.testing.assert_allclose(forward(clip), free(clip), atol=1e-5)


@pytest.mark.parametrize(
    "size, message",
    [
        (31, "size is 31 px; the network needs at least 32"),
        ((31, 64), "size is (31, 64) px; the network needs at least 32"),
        ((64, 31), "size is (64, 31) px; the network needs at least 32"),
        ((64,), "size is (64,); it must be px, (height, width) or None"),
        ((64, 64, 3), "size is (64, 64, 3); it must be px, (height, width) or None"),
    ],
)
@pytest.mark.parametrize("build", [lambda **o: build_i3d(RGB, **o), build_inception_v1])
def test_sizes_that_leave_no_network(build, size, message):
    with pytest.raises(ValueError) as error:
        build(size=size)
    assert str(error.value) == message


RELOAD = """
import sys
for name in ("i3d_tf", "flow", "experiments"):
    sys.modules[name] = None  # an import of it would fail
import keras
import numpy as np

folder = sys.argv[1]
clips = np.load(f"{folder}/clips.npz")
logits = {}
for name, clip in clips.items():
    model = keras.models.load_model(f"{folder}/{name.split('-')[0]}.keras")
    logits[name] = model(clip, training=False)
np.savez(f"{folder}/logits.npz", **logits)
"""


def test_saved_models_of_any_size_open_without_this_project(free, tmp_path):
    models = {
        "pair": _network(size=(33, 47)),
        "any": free,
        "image": build_inception_v1(5, size=None, width=0.125, seed=0),
    }
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
    clips = {
        "pair": _clip(9, 33, 47),
        "any-1": _clip(17, 32, 65),
        "any-2": _clip(9, 40, 40),
        "image": _clip(2, 50, 64)[0],
    }
    np.savez(tmp_path / "clips.npz", **clips)
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    logits = np.load(tmp_path / "logits.npz")
    for name, clip in clips.items():
        want = models[name.split("-")[0]](clip, training=False)
        np.testing.assert_array_equal(logits[name], want)


def test_a_ct_volume(data_dir, tmp_path):
    """Weights for three channels, summed, answer as on the volume in all three."""
    nibabel = pytest.importorskip("nibabel")
    volume = nibabel.load(data_dir / "volumes/example_ct.nii.gz")
    slices = np.moveaxis(volume.get_fdata(dtype=np.float32), -1, 0)
    clip = normalise_raw(slices[None, ..., None], CT).numpy()
    assert clip.shape == (1, 112, 122, 101, 1)
    # Air and metal reach the ends of the window; the median voxel is fat, -101 HU.
    assert (clip.min(), clip.max()) == (-1, 1)
    np.testing.assert_allclose(np.median(clip), -0.101, atol=1e-6)

    colour, grey = _network(RGB, (122, 101)), _network(CT, (122, 101))
    colour.save(tmp_path / "colour.keras")
    matches = load_released(grey, tmp_path / "colour.keras", new_channels=True)
    assert [match.note for match in matches if match.note] == ["sum over 3 channels"]
    logits = np.array(grey(clip))
    assert np.isfinite(logits).all()
    want = np.array(colour(np.repeat(clip, 3, axis=-1)))
    np.testing.assert_allclose(logits, want, atol=1e-5)
    # It is the volume that they answer to.
    assert np.abs(logits - grey(clip[:, ::-1])).max() > 1e-3
