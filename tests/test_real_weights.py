"""DeepMind's own weights: the answers of TF-Hub's own graph, and known ones.

The reference is the module `deepmind/i3d-kinetics-400/1` of TF-Hub, which holds the
network as DeepMind built it and the weights of `kinetics400-rgb`.
"""

import types

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tiny import call

from flow.video import decode, read_video
from i3d_tf import RGB, build_i3d
from i3d_tf.export import export
from i3d_tf.exported import ExportedModel
from i3d_tf.fvd import frechet_distance, network_input
from i3d_tf.prediction import Predictor
from i3d_tf.weights.networks import load_networks

# Largest difference of logits, as a share of the largest logit.
TOLERANCE = 1e-4
CRICKET = "clips/cricket_shot/v_CricketShot_g04_c01_rgb.gif"


@pytest.fixture(scope="module")
def released(data_dir):
    """Prefix of DeepMind's checkpoint."""
    return data_dir / "reference/kinetics400_rgb_scratch/model.ckpt"


@pytest.fixture(scope="module")
def network(released):
    """The network, as a function of a clip in a graph."""
    model = build_i3d(RGB, weights=released)
    return tf.function(lambda clip: model(clip, training=False))


@pytest.fixture(scope="module")
def original(data_dir):
    """TF-Hub's own graph, from a clip to its logits."""
    folder = data_dir / "reference/tfhub_i3d_kinetics_400"
    module = tf.saved_model.load(str(folder), tags=[])

    def answer(clip):
        clip = tf.constant(clip, tf.float32)
        return module.signatures["default"](clip)["default"].numpy()

    answer.module = module
    return answer


@pytest.fixture(scope="module")
def exported(released, tmp_path_factory):
    """A SavedModel with the weights."""
    output = tmp_path_factory.mktemp("kinetics") / "model"
    networks = load_networks([f"rgb={released}"])
    export(networks.models, networks.class_names, networks.data, output)
    return output


@pytest.fixture(scope="module")
def signatures(exported):
    """The SavedModel's signatures as TensorFlow alone loads them."""
    model = tf.saved_model.load(str(exported))
    yield model.signatures


@pytest.fixture(scope="module")
def cricket(data_dir):
    """`[79, 224, 224, 3]` uint8."""
    return np.stack([image for *_, image in decode(data_dir / CRICKET)])


def normalised(frames):
    """`[1, T, H, W, 3]` float32 in [-1, 1]."""
    return (frames[None] / 127.5 - 1).astype(np.float32)


def assert_same_logits(got, wanted):
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= TOLERANCE * np.abs(wanted).max()


def test_known_answers(network, cricket, data_dir):
    answers = np.load(data_dir / "reference/kinetics400_rgb_scratch/tfhub_logits.npz")
    random = np.random.default_rng(7).integers(-16, 17, (16, 224, 224, 3)) / 16
    for name, clip in (
        ("cricket_32", normalised(cricket[:32])),
        ("random_16", random[None].astype(np.float32)),
    ):
        assert_same_logits(network(clip)[0], answers[name].reshape(400))


@pytest.mark.slow
def test_the_network_answers_as_the_original_graph(network, original, cricket):
    """On the whole sample, on parts of it, on noise, bright and dark clips."""
    rng = np.random.default_rng(0)
    clips = [
        normalised(cricket),
        normalised(cricket[5:14]),
        normalised(cricket[::-2]),
        rng.uniform(-1, 1, (2, 10, 224, 224, 3)).astype(np.float32),
        np.stack([np.full((9, 224, 224, 3), v, np.float32) for v in (-1, 0, 1)]),
    ]
    for clip in clips:
        assert_same_logits(network(clip), original(clip))


@pytest.mark.slow
def test_signatures_answer_as_the_original_graph(
    signatures, original, cricket, data_dir
):
    middle = cricket[7 + 1 : 7 + 65]  # of 78 pairs the middle 64, without frame 0
    clip = cricket[:64]
    wanted = original(normalised(clip))
    assert_same_logits(
        call(signatures["default"], rgb_input=normalised(clip))["default"], wanted
    )
    assert_same_logits(call(signatures["rgb"], rgb=clip[None])["rgb_logits"], wanted)
    # Frames are resized to 256 px, of which the middle 224 are cropped.
    prepared = np.stack(
        [
            cv2.resize(frame, (256, 256), interpolation=cv2.INTER_LINEAR)
            for frame in middle
        ]
    )[:, 16:240, 16:240]
    wanted = original(normalised(prepared))
    answers = call(signatures["video"], frames=cricket[None])
    # TensorFlow and OpenCV may round a resized value to neighbouring bytes.
    assert np.abs(answers["logits"] - wanted).max() < 0.02 * np.abs(wanted).max()
    assert answers["classes"][0][0] == b"playing cricket"
    gif = np.array([(data_dir / CRICKET).read_bytes()], object)
    encoded = call(signatures["encoded"], encoded=gif)
    assert encoded["classes"][0][0] == b"playing cricket"
    assert np.abs(encoded["logits"] - answers["logits"]).max() < 0.5


@pytest.mark.slow
def test_the_tutorial_of_tf_hub_runs_on_an_export(exported, original, cricket):
    """Its lines with the path of an export in place of the module's address.

    `hub.load` of a folder is `tf.saved_model.load`.
    """
    hub = types.SimpleNamespace(load=lambda path: tf.saved_model.load(str(path)))
    sample_video = cricket / 255.0

    def predict(i3d):
        model_input = tf.constant(sample_video, dtype=tf.float32)[tf.newaxis, ...]
        logits = i3d(model_input)["default"][0]
        return tf.nn.softmax(logits).numpy()

    got = predict(hub.load(exported).signatures["default"])
    wanted = predict(original.module.signatures["default"])
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "frames, distance", [(10, 569.77), (15, 133.909), (16, 152.902), (30, 151.39244)]
)
def test_frechet_distances_are_the_known_ones(network, frames, distance):
    """Of 16 black and 16 white videos; the last is of the original TensorFlow code.

    The others are of PyTorch ports, which agree within 0.2 %.
    """
    features = [
        np.repeat(network(network_input(np.full((1, frames, 224, 224, 3), v))), 16, 0)
        for v in (np.uint8(0), np.uint8(255))
    ]
    tolerance = 1e-4 if frames == 30 else 2e-3
    assert frechet_distance(*features) == pytest.approx(distance, rel=tolerance)


@pytest.fixture(scope="module")
def predictor(exported):
    return Predictor(exported)


@pytest.mark.slow
@pytest.mark.parametrize(
    "clip, name, least",
    [
        ("kinetics/flipping_a_pancake.mkv", "flipping pancake", 0.99),
        ("kinetics/mmaction2_demo.mp4", "arm wrestling", 0.99),
        ("kinetics/R6llTwEh07w.mp4", "using segway", 0.99),
        ("activitynet/v_GGSY1Qvo990.mp4", "clean and jerk", 0.99),
        ("activitynet/v_ZNVhz7ctTq0.mp4", "walking the dog", 0.97),
        ("ucf101/SoccerJuggling/*", "juggling soccer ball", 0.99),
        ("ucf101/ApplyEyeMakeup/*", "filling eyebrows", 0.7),
        ("hmdb51/cartwheel/*", "cartwheeling", 0.75),
    ],
)
def test_first_answers_on_real_clips(predictor, data_dir, clip, name, least):
    (path,) = (data_dir / "clips").glob(clip)
    prediction = predictor(path)
    assert prediction.classes[0] == name
    assert prediction.scores[0] >= least


@pytest.mark.slow
def test_every_frame_of_a_video_is_seen_as_the_original_sees_it(
    exported, original, data_dir
):
    """From the file: the crop of the middle 64 frames, through both networks."""
    path = data_dir / "clips/kinetics/mmaction2_demo.mp4"
    prediction = Predictor(exported)(path)
    frames = np.stack(list(read_video(path, fps=25, smaller_side=256)))
    start = (len(frames) - 1 - 64) // 2 + 1
    clip = frames[start : start + 64]
    top, left = ((side - 224) // 2 for side in clip.shape[1:3])
    clip = clip[:, top : top + 224, left : left + 224]
    wanted = tf.nn.softmax(original(normalised(clip))[0]).numpy()
    labels = ExportedModel(exported).labels
    got = dict(zip(prediction.classes, prediction.scores, strict=True))
    np.testing.assert_allclose([got[label] for label in labels], wanted, atol=1e-4)
