"""The command that writes published weights as a Keras model."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tiny

from experiments.import_weights import import_weights
from i3d_tf.inception import build_inception_v1
from i3d_tf.streams import CT, FLOW, RGB

# In a process that does not know this project: opens the model, answers a clip.
OPEN = """
import sys
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
clip = np.load(sys.argv[2])
np.save(sys.argv[3], keras.ops.convert_to_numpy(model(clip)))
assert not [name for name in sys.modules if name.startswith(("i3d_tf", "flow"))]
"""


def _network(stream, classes=5):
    """A network an eighth as wide for 32x32 px."""
    return tiny.networks(classes, [stream])[stream.name]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A narrow RGB network of five classes as a file, and the network."""
    path = tmp_path_factory.mktemp("source") / "rgb.keras"
    model = _network(RGB)
    model.save(path)
    return path, model


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "images.keras"
    build_inception_v1(11, size=32, width=0.125, seed=0).save(path)
    return path


def test_a_model_that_opens_without_the_project(source, tmp_path):
    path, model = source
    output = tmp_path / "models/imported.keras"
    command = [sys.executable, "-m", "experiments.import_weights", "--size", "32"]
    done = subprocess.run(
        [*command, "--source", path, "--output", output],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ours", "theirs", "shape", "note"]
    assert len(lines) == 1 + 57 + 1 + 1
    unit = "Mixed_5b-Branch_2-Conv3d_0a_3x3"
    assert [unit, unit, "3x3x3x4x16"] in [line.split() for line in lines]
    assert lines[-1] == f"{output}: Keras model, rgb, 5 classes, 32x32 px"
    assert os.listdir(output.parent) == ["imported.keras"]

    clip = np.random.default_rng(0).uniform(-1, 1, [1, 11, 32, 32, 3])
    np.save(tmp_path / "clip.npy", clip.astype(np.float32))
    arguments = [output, tmp_path / "clip.npy", tmp_path / "logits.npy"]
    subprocess.run(
        [sys.executable, "-I", "-c", OPEN, *arguments], cwd=tmp_path, check=True
    )
    got = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(got, model(clip).numpy(), rtol=0, atol=1e-5)


def test_the_stream_is_found(tmp_path, capsys):
    for stream in (FLOW, CT):
        _network(stream).save(tmp_path / "source.keras")
        import_weights(tmp_path / "source.keras", tmp_path / "imported.keras", size=32)
        assert f"Keras model, {stream.name}, 5 classes" in capsys.readouterr().out
        model = keras.models.load_model(tmp_path / "imported.keras")
        assert model.input.shape == (None, None, 32, 32, stream.channels)


def test_a_new_head_and_size_replace_what_is_there(source, tmp_path, capsys):
    path, trained = source
    output = tmp_path / "imported.keras"
    output.write_text("what was there before")
    import_weights(path, output, new_head=3, size=64)
    *_, head, last = capsys.readouterr().out.splitlines()
    assert head.split(maxsplit=3) == [
        *("Logits-Conv3d_0c_1x1", "Logits-Conv3d_0c_1x1", "1x1x1x128x3"),
        "kept: new head of 3 classes",
    ]
    assert last == f"{output}: Keras model, rgb, 3 classes, 64x64 px"
    model = keras.models.load_model(output)
    assert model.input.shape == (None, None, 64, 64, 3)
    assert model.output.shape == (None, 3)
    for name in ("Conv3d_1a_7x7-conv_3d", "Mixed_5c-Branch_3-Conv3d_0b_1x1-batch_norm"):
        for got, want in zip(
            model.get_layer(name).weights, trained.get_layer(name).weights, strict=True
        ):
            np.testing.assert_array_equal(got.numpy(), want.numpy())


@pytest.mark.parametrize("stream", [None, "flow"])
def test_images(images, tmp_path, capsys, stream):
    output = tmp_path / "imported.keras"
    with pytest.raises(ValueError) as error:
        import_weights(images, output, stream=stream, size=32)
    assert str(error.value) == (
        f"{images}: its 11 classes are of images; give the number of actions with "
        "--new_head"
    )
    import_weights(images, output, stream=stream, new_head=4, size=32)
    lines = capsys.readouterr().out.splitlines()
    note = "inflated in time" + (", mean over 3 channels" if stream else "")
    assert lines[1].split(maxsplit=3)[1:] == [
        *("Conv2d_1a_7x7", f"7x7x7x{2 if stream else 3}x8"),
        note,
    ]
    assert lines[-1].endswith(f"model, {stream or 'rgb'}, 4 classes, 32x32 px")


def test_no_stream_of_so_many_channels(tmp_path):
    build_inception_v1(11, channels=4, size=32, width=0.125).save(tmp_path / "s.keras")
    with pytest.raises(ValueError, match="4 input channels, of which no stream is kno"):
        import_weights(tmp_path / "s.keras", tmp_path / "imported.keras", new_head=4)


@pytest.mark.parametrize("name", ["model.h5", "model", "folder.keras"])
def test_the_output_is_a_keras_file(tmp_path, name):
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(ValueError, match="it must be a file that ends in .keras"):
        # Refused before the source is looked at.
        import_weights(tmp_path / "missing", tmp_path / name)


def test_a_source_without_a_classifier(source, tmp_path):
    _, model = source
    trunk = keras.Model(model.input, model.get_layer("Mixed_5c").output)
    trunk.save(tmp_path / "trunk.keras")
    with pytest.raises(ValueError, match="trunk.keras: it has no kernel of Logits/"):
        import_weights(tmp_path / "trunk.keras", tmp_path / "imported.keras")


def test_no_source(tmp_path):
    output = tmp_path / "imported.keras"
    with pytest.raises(FileNotFoundError, match="missing: there is no such file"):
        import_weights(tmp_path / "missing", output)
    assert not output.exists()
