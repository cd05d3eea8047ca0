"""Signatures for raw video, features and others: equal to the offline way."""

import io
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from PIL import Image
from tiny import call, moving_texture, raw_clips

from flow.video import decode, resample
from flow.video_files import find_videos
from i3d_tf.config import Data
from i3d_tf.export import ENDPOINTS, export
from i3d_tf.inception import build_two_stream
from i3d_tf.prediction import Predictor
from i3d_tf.serving import raw_video
from i3d_tf.streams import FLOW, RGB

pytestmark = pytest.mark.usefixtures("shallow_network")

LABELS = ["draw", "run", "swim"]
DATA = Data("x", num_frames=9, size=32, smaller_side=40)


@pytest.fixture(scope="module")
def models():
    return tiny.networks(3, (RGB, FLOW))


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "both"
    export(models, LABELS, DATA, path)
    return path


@pytest.fixture(scope="module")
def signatures(exported):
    # Kept: functions live as long as their model.
    model = tf.saved_model.load(str(exported))
    yield model.signatures
    del model


def in_range(clips):
    return {"rgb": clips["rgb"] / np.float32(127.5) - 1, "flow": clips["flow"] / 20}


def test_there_are_all_signatures(signatures):
    assert set(signatures) == {
        *("serving_default", "normalised", "rgb", "flow", "activation"),
        *("features", "rgb_features", "flow_features"),
        *("video", "encoded", "default"),
    }


def test_a_model_without_flow_has_the_same_but_flow(models, tmp_path):
    export({"rgb": models["rgb"]}, LABELS, DATA, tmp_path / "rgb")
    model = tf.saved_model.load(str(tmp_path / "rgb"))
    assert set(model.signatures) == {
        *("serving_default", "normalised", "rgb", "activation"),
        *("features", "rgb_features"),
        *("video", "encoded", "default"),
    }
    frames = moving_texture(12)[None]
    wanted = call(
        model.signatures["rgb"],
        **{
            k: v.numpy()
            for k, v in raw_video.prepare(frames, DATA, with_flow=0).items()
        },
    )
    got = call(model.signatures["video"], frames=frames)
    np.testing.assert_allclose(got["logits"], wanted["logits"], atol=1e-5)


@pytest.mark.parametrize("name", ["rgb", "flow"])
def test_one_stream(models, signatures, name):
    clips = raw_clips()
    got = call(signatures[name], **{name: clips[name]})
    logits = models[name](in_range(clips)[name]).numpy()
    np.testing.assert_allclose(got["logits"], logits, atol=1e-4)
    np.testing.assert_allclose(got["probabilities"].sum(-1), 1, atol=1e-6)
    best = [LABELS[index] for index in logits.argmax(-1)]
    assert [row[0].decode() for row in got["classes"]] == best


def test_floats_in_the_networks_range(signatures):
    clips = raw_clips()
    wanted = call(signatures["serving_default"], **clips)
    clips = {name: clip.astype(np.float32) for name, clip in in_range(clips).items()}
    got = call(signatures["normalised"], **clips)
    assert set(got) == set(wanted)
    for name in ("logits", "rgb_logits", "flow_logits"):
        np.testing.assert_allclose(got[name], wanted[name], atol=1e-5)


def test_features_are_the_endpoints(models, signatures):
    clips = raw_clips()
    got = call(signatures["features"], **clips)
    names = itertools.product(models, ENDPOINTS)
    assert set(got) == {f"{stream}_{endpoint}" for stream, endpoint in names}
    for stream, model in models.items():
        for endpoint in ENDPOINTS:
            output = model.get_layer(endpoint).output
            wanted = keras.Model(model.input, output)(in_range(clips)[stream]).numpy()
            value = got[f"{stream}_{endpoint}"]
            np.testing.assert_allclose(value, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_features_of_one_stream_are_those_of_both(signatures, stream):
    clips = raw_clips()
    both = call(signatures["features"], **clips)
    alone = call(signatures[f"{stream}_features"], **{stream: clips[stream]})
    assert set(alone) == {name for name in both if name.startswith(stream)}
    for name, value in alone.items():
        np.testing.assert_allclose(value, both[name], atol=1e-5)


@pytest.mark.parametrize("streams", [(RGB,), (RGB, FLOW)])
def test_logits_are_the_mean_of_the_activation_map(signatures, tmp_path, streams):
    rng = np.random.default_rng(0)
    size, made = 32, signatures
    if streams == (RGB,):
        # 33 frames of 70 px: five steps of a grid of 3x3.
        size, data = 70, Data("x", num_frames=33, size=70, smaller_side=80)
        models = build_two_stream(3, streams, size=70, width=0.125, seed=3)
        export(models, LABELS, data, tmp_path / "model", endpoints=())
        model = tf.saved_model.load(str(tmp_path / "model"))
        made = model.signatures
    shape = (2, 33, size, size)
    clips = {
        "rgb": rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
        "flow": rng.uniform(-20, 20, (*shape, 2)).astype(np.float32),
    }
    clips = {stream.name: clips[stream.name] for stream in streams}
    got = call(made["activation"], **clips)
    activation = got.pop("activation")
    grid = -(-size // 32)
    assert activation.shape == (2, 5, grid, grid, 3)
    pooled = (activation[:, :-1] + activation[:, 1:]).mean((1, 2, 3)) / 2
    np.testing.assert_allclose(got["logits"], pooled, atol=1e-5)
    # Not the same everywhere, of which any mean would do.
    assert activation.std((1, 2, 3)).min() > 1e-3
    answers = call(made["serving_default"], **clips)
    assert set(answers) == set(got)
    for name, value in answers.items():
        if name != "classes":
            np.testing.assert_allclose(got[name], value, atol=1e-5)


def test_default_is_tf_hubs(models, signatures):
    clip = in_range(raw_clips())["rgb"]
    got = call(signatures["default"], rgb_input=clip)
    assert list(got) == ["default"]
    np.testing.assert_allclose(got["default"], models["rgb"](clip), atol=1e-4)


@pytest.mark.parametrize(
    ("frames", "size"),
    # Longer than a clip, as long as one, shorter; landscape, upright, enlarged.
    [
        (17, (60, 91)),
        pytest.param(10, (96, 61), marks=pytest.mark.slow),
        pytest.param(5, (33, 45), marks=pytest.mark.slow),
    ],
)
def test_video_is_as_the_offline_way(
    exported, signatures, write_video, tmp_path, frames, size
):
    video = moving_texture(frames, *size)
    path = write_video(tmp_path / "video.avi", video)
    offline = Predictor(exported, engine="opencv")(path)
    prepared = tf.function(raw_video.prepare)(video[None], DATA, with_flow=True)
    height, width = offline.rgb.shape[1:3]
    top, left = (height - 32) // 2, (width - 32) // 2
    crop = np.s_[:, top : top + 32, left : left + 32]
    # OpenCV interpolates in steps of 1/2048.
    rgb = prepared["rgb"][0].numpy().astype(int)
    assert np.abs(rgb - offline.rgb[crop]).max() <= 1
    # Both are flow of the whole frames, of greys that differ by one here and there.
    difference = np.abs(prepared["flow"][0] - offline.flow[crop])
    assert difference.mean() < 0.05, difference.mean()
    got = call(signatures["video"], frames=video[None])
    scores = dict(zip(offline.classes, offline.scores, strict=True))
    wanted = [scores[label] for label in LABELS]
    np.testing.assert_allclose(got["probabilities"][0], wanted, atol=0.02)
    assert got["classes"][0][0].decode() == offline.classes[0]


def test_videos_of_a_batch_do_not_mix(signatures):
    videos = np.stack([moving_texture(12, seed=seed) for seed in (0, 1)])
    both = call(signatures["video"], frames=videos)["logits"]
    for index in (0, 1):
        alone = call(signatures["video"], frames=videos[index : index + 1])["logits"]
        np.testing.assert_allclose(both[index], alone[0], atol=1e-4)
    assert np.abs(both[0] - both[1]).max() > 1e-3


def test_encoded_frames_and_gifs_are_videos(signatures):
    video = moving_texture(11)
    jpegs = [tf.io.encode_jpeg(frame, quality=95).numpy() for frame in video]
    decoded = np.stack([tf.io.decode_jpeg(jpeg).numpy() for jpeg in jpegs])
    got = call(signatures["encoded"], encoded=np.array(jpegs, object))
    wanted = call(signatures["video"], frames=decoded[None])
    np.testing.assert_array_equal(got["logits"], wanted["logits"])

    pages = [Image.fromarray(frame).quantize(64) for frame in video]
    file = io.BytesIO()
    pages[0].save(file, "gif", save_all=True, append_images=pages[1:], duration=40)
    shown = tf.io.decode_gif(file.getvalue()).numpy()
    assert len(shown) == 11
    got = call(signatures["encoded"], encoded=np.array([file.getvalue()], object))
    wanted = call(signatures["video"], frames=shown[None])
    np.testing.assert_array_equal(got["logits"], wanted["logits"])


CLIP = r"rgb: expected \[B >= 1, T >= 9, 32, 32, 3\], received"
FRAMES = r"frames: expected \[B >= 1, T >= 2, H >= 1, W >= 1, 3\], received"


@pytest.mark.parametrize(
    ("name", "key", "shape", "told"),
    [
        ("rgb", "rgb", (0, 9, 32, 32, 3), CLIP),
        ("rgb", "rgb", (1, 8, 32, 32, 3), CLIP),
        ("rgb", "rgb", (9, 32, 32, 3), CLIP),
        ("rgb", "rgb", (1, 9, 30, 32, 3), CLIP),
        ("rgb", "rgb", (1, 9, 32, 32, 1), CLIP),
        ("video", "frames", (9, 50, 50, 3), FRAMES),
        ("video", "frames", (1, 1, 50, 50, 3), FRAMES),
        ("video", "frames", (0, 9, 50, 50, 3), FRAMES),
        ("video", "frames", (1, 9, 0, 50, 3), FRAMES),
        ("video", "frames", (1, 9, 50, 50, 4), FRAMES),
        ("default", "rgb_input", (1, 5, 32, 32, 3), "rgb_input: expected .B >= 1, T"),
    ],
)
def test_bad_shapes_are_told_with_what_is_right(signatures, name, key, shape, told):
    dtype = np.float32 if key == "rgb_input" else np.uint8
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        call(signatures[name], **{key: np.zeros(shape, dtype)})


@pytest.mark.parametrize(
    ("encoded", "told"),
    [
        ([b"GIF8", b"GIF8"], "of a GIF one string is expected"),
        ([], r"encoded: expected \[N >= 1\], received"),
    ],
)
def test_bad_bytes_are_told(signatures, encoded, told):
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        call(signatures["encoded"], encoded=np.array(encoded, "S4"))


@pytest.mark.slow
def test_video_is_as_the_offline_way_on_real_clips(exported, data_dir):
    """Same top-1, probabilities within 0.02, on all clips that can be decoded."""
    folder = data_dir / "clips"
    clips = [path for path in find_videos(folder) if path.parts[0] != "odd_files"]
    assert len(clips) > 100
    predictor = Predictor(exported)
    model = tf.saved_model.load(str(exported))
    for path in clips:
        frames = np.stack(list(resample(decode(folder / path), 25)))
        offline = predictor(folder / path)
        got = call(model.signatures["video"], frames=frames[None])
        scores = dict(zip(offline.classes, offline.scores, strict=True))
        wanted = [scores[label] for label in LABELS]
        assert got["classes"][0][0].decode() == offline.classes[0], path
        np.testing.assert_allclose(got["probabilities"][0], wanted, atol=0.02)
