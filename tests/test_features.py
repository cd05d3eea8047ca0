"""Features of video files: windows, whole videos in parts, files, the command."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from tiny import moving_texture

from flow import code
from flow.tvl1 import TVL1, video_flow
from flow.video import read_video
from i3d_tf import feature_files
from i3d_tf.config import Data
from i3d_tf.export import ENDPOINTS, export
from i3d_tf.exported import ExportedModel
from i3d_tf.feature_folder import extract_folder
from i3d_tf.features import FeatureExtractor, Features, FeatureSettings
from i3d_tf.fine_tuning import HEAD
from i3d_tf.inception import build_two_stream
from i3d_tf.long_videos import steps_of
from i3d_tf.raw_videos import window_starts
from i3d_tf.streams import FLOW, RGB
from i3d_tf.trunk import AVERAGE_POOL

pytestmark = pytest.mark.usefixtures("shallow_network")

LABELS = ["draw", "run", "swim"]
# A layer within a module, too.
BRANCH = "Mixed_3b-Branch_1-Conv3d_0b_3x3"
SERVED = (*ENDPOINTS, "Conv3d_1a_7x7", "MaxPool3d_4a_3x3", BRANCH)


@pytest.fixture(scope="module")
def models():
    return tiny.networks(3, (RGB, FLOW))


@pytest.fixture(scope="module")
def model_dir(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "model"
    data = Data("x", num_frames=16, size=32, smaller_side=40)
    export(models, LABELS, data, path, endpoints=SERVED)
    return path


@pytest.fixture(scope="module")
def model(model_dir):
    return ExportedModel(model_dir)


@pytest.fixture(scope="module")
def video(write_video, tmp_path_factory):
    """54 frames, which are 53 pairs, of 40x60 px, faster and faster."""
    path = tmp_path_factory.mktemp("videos") / "a.avi"
    shown = (np.arange(54) ** 1.25).astype(int)
    return write_video(path, moving_texture(147, 40, 60)[shown])


def clips_of(video):
    """All pairs of a video in [-1, 1], before the crop."""
    frames = list(read_video(video, smaller_side=40))
    flow = code.decode(code.encode(np.stack(list(video_flow(frames, TVL1())))))
    return {
        "rgb": np.stack(frames[1:]) / np.float32(127.5) - 1,
        "flow": flow / np.float32(20),
    }


def answers(models, stream, endpoint, clip, corner=(4, 14)):
    """What the Keras network answers on `[T, H, W, C]`, `[t, h, w, C]`."""
    top, left = corner
    model = models[stream]
    network = keras.Model(model.input, model.get_layer(endpoint).output)
    return network(clip[None, :, top : top + 32, left : left + 32])[0].numpy()


def test_windows_are_those_of_the_networks(models, model, video):
    settings = FeatureSettings(window=16, stride=12)
    found = FeatureExtractor(model, settings)(video)
    clips = clips_of(video)
    for stream in models:
        wanted = [
            answers(models, stream, AVERAGE_POOL, clips[stream][s : s + 16]).mean(
                (0, 1, 2)
            )
            for s in (0, 12, 24, 36)
        ]
        assert found.values[stream].dtype == np.float32
        np.testing.assert_allclose(found.values[stream], wanted, atol=1e-4)
        # No two windows are alike.
        gaps = np.linalg.norm(np.diff(wanted, axis=0), axis=1)
        assert gaps.min() > 1e-2, gaps
    # Pair k is frame k + 1.
    begins = np.array([1, 13, 25, 37])
    np.testing.assert_allclose(found.times, np.stack([begins, begins + 16], 1) / 25)


@pytest.mark.parametrize("endpoint", SERVED)
def test_a_whole_video_in_parts_is_as_the_whole(models, model, video, endpoint):
    found = FeatureExtractor(model, FeatureSettings(endpoint, window=None), chunk=8)(
        video
    )
    clips = clips_of(video)
    for stream in models:
        wanted = answers(models, stream, endpoint, clips[stream]).mean((1, 2))
        np.testing.assert_allclose(
            found.values[stream], wanted, atol=1e-4 * np.abs(wanted).max()
        )
    stride, joined, _ = steps_of(endpoint)
    begins = np.arange(len(wanted)) * stride
    ends = np.minimum(begins + stride * joined, 53)
    np.testing.assert_allclose(found.times, (np.stack([begins, ends], 1) + 1) / 25)


def test_how_far_steps_see():
    # Layers of a module see no more than all of it; the last two are the mean of two
    # steps of the one before.
    assert steps_of("Conv3d_1a_7x7") == (2, 1, 8)
    assert steps_of(BRANCH) == steps_of("Mixed_3b") and steps_of("Mixed_3b").stride == 2
    assert steps_of("MaxPool3d_4a_3x3").stride == 4
    assert steps_of("Mixed_4f") == (4, 1, 32)
    assert steps_of("Mixed_5c") == (8, 1, 56)
    assert steps_of(AVERAGE_POOL) == steps_of(HEAD) == (8, 2, 56)


@pytest.mark.parametrize("endpoint", SERVED)
def test_parts_have_the_bits_of_the_whole(model, write_video, tmp_path, endpoint):
    """Longer than any margin, so that parts are cut at both ends."""
    shown = (np.arange(224) ** 1.05).astype(int)
    path = write_video(tmp_path / "v.avi", moving_texture(296, 40, 41)[shown])
    settings = FeatureSettings(endpoint, window=None, streams=("rgb",))
    whole = FeatureExtractor(model, settings)(path)
    parts = FeatureExtractor(model, settings, chunk=16)(path)
    np.testing.assert_array_equal(parts.times, whole.times)
    found, wanted = parts.values["rgb"], whole.values["rgb"]
    np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max())


def test_all_lengths_and_chunks(models, model, write_video, tmp_path):
    """All remainders by 8, with which the padding of each level changes."""
    frames = moving_texture(230, 40, 41)
    extractor = FeatureExtractor(
        model, FeatureSettings("Mixed_5c", window=None, streams=("rgb",)), chunk=16
    )
    for length in (*range(222, 230), 10):
        path = write_video(tmp_path / "v.avi", frames[: length + 1])
        wanted = answers(
            models, "rgb", "Mixed_5c", clips_of_rgb(frames[1 : length + 1]), (4, 4)
        ).mean((1, 2))
        found = extractor(path).values
        assert set(found) == {"rgb"}
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found["rgb"], wanted, atol=1e-4 * scale)


def clips_of_rgb(frames):
    return frames / np.float32(127.5) - 1


def test_no_more_than_a_part_is_run_at_once(model, write_video, tmp_path):
    seen = []
    extractor = FeatureExtractor(
        model, FeatureSettings("Mixed_4f", window=None, streams=("rgb",)), chunk=16
    )
    extractor._model = _Recording(extractor._model, seen)
    extractor(write_video(tmp_path / "v.avi", moving_texture(222, 40, 41)))
    assert len(seen) == 14
    assert max(seen) <= 16 + 2 * steps_of("Mixed_4f").margin + 15


class _Recording:
    """A model that notes the frames of each call."""

    def __init__(self, model, seen):
        self._model, self._seen, self.made_for = model, seen, model.made_for

    def __call__(self, signature, **clips):
        self._seen.append(clips["rgb"].shape[1])
        return self._model(signature, **clips)


def test_ten_crops(models, model, video):
    settings = FeatureSettings(window=16, stride=40, crops=10)
    found = FeatureExtractor(model, settings)(video)
    clips = clips_of(video)
    corners = [(0, 0), (0, 28), (8, 0), (8, 28), (4, 14)]
    for stream, signs in (("rgb", 1), ("flow", np.array([-1, 1], np.float32))):
        assert found.values[stream].shape == (1, 10, 128)
        clip = clips[stream][:16]
        mirrored = clip[:, :, ::-1] * signs
        wanted = [
            answers(models, stream, AVERAGE_POOL, clip, corner) for corner in corners
        ] + [
            # A crop's mirror image begins as far from the other end.
            answers(models, stream, AVERAGE_POOL, mirrored, (top, 28 - left))
            for top, left in corners
        ]
        wanted = np.stack(wanted).mean((1, 2, 3))
        np.testing.assert_allclose(found.values[stream][0], wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("tail", "begins"),
    [("drop", [0, 20]), ("shift", [0, 20, 37]), ("loop", [0, 20, 40])],
)
def test_tails(models, model, video, tail, begins):
    settings = FeatureSettings(window=16, stride=20, tail=tail, streams=("rgb",))
    found = FeatureExtractor(model, settings)(video)
    clip = clips_of(video)["rgb"]
    wanted = []
    for begin in begins:
        indices = np.arange(begin, min(begin + 16, 53))
        window = clip[np.resize(indices, 16)]
        wanted.append(answers(models, "rgb", AVERAGE_POOL, window).mean((0, 1, 2)))
    np.testing.assert_allclose(found.values["rgb"], wanted, atol=1e-4)
    ends = [min(begin + 16, 53) for begin in begins]
    np.testing.assert_allclose(found.times * 25 - 1, np.stack([begins, ends], 1))


def test_starts_of_windows():
    assert window_starts(16, 16, 4, "drop") == [0]
    assert window_starts(5, 16, 4, "drop") == window_starts(5, 16, 4, "loop") == [0]
    assert window_starts(17, 16, 4, "drop") == [0]
    assert window_starts(17, 16, 4, "shift") == [0, 1]
    assert window_starts(17, 16, 4, "loop") == [0, 4]
    # What is left lies in a gap that the stride passes over.
    assert window_starts(17, 16, 30, "loop") == [0]
    assert window_starts(20, 16, 4, "shift") == [0, 4]


def test_short_videos_are_looped_or_refused(models, model, write_video, tmp_path):
    path = write_video(tmp_path / "short.avi", moving_texture(6, 40, 60))
    clip = clips_of(path)["rgb"]
    for window, length in ((16, 16), (None, 9)):
        settings = FeatureSettings(window=window, streams=("rgb",))
        found = FeatureExtractor(model, settings)(path)
        looped = clip[np.arange(length) % 5]
        wanted = answers(models, "rgb", AVERAGE_POOL, looped).mean((1, 2))
        np.testing.assert_allclose(
            found.values["rgb"], wanted.mean(0, keepdims=True), atol=1e-4
        )
        np.testing.assert_allclose(found.times, [[1 / 25, 6 / 25]])
        settings = FeatureSettings(window=window, streams=("rgb",), loop_short=False)
        with pytest.raises(ValueError) as error:
            FeatureExtractor(model, settings)(path)
        assert str(error.value) == (
            f"{path}: 6 frames at 25 fps; needed are {length} and the first, which "
            "has no flow"
        )


def test_steps_of_a_looped_video_are_within_it(models, model, write_video, tmp_path):
    # Of 6 pairs and 9 frames: steps from 0, 4 and not from 8 on.
    path = write_video(tmp_path / "short.avi", moving_texture(7, 40, 60))
    settings = FeatureSettings("Mixed_4f", window=None, streams=("rgb",))
    found = FeatureExtractor(model, settings)(path)
    looped = clips_of(path)["rgb"][np.arange(9) % 6]
    wanted = answers(models, "rgb", "Mixed_4f", looped).mean((1, 2))
    np.testing.assert_allclose(found.values["rgb"], wanted[:2], atol=1e-4)
    np.testing.assert_allclose(found.times * 25, [[1, 5], [5, 7]])


def test_features_of_a_model_in_bfloat16(video, tmp_path):
    models = build_two_stream(
        3, (RGB,), size=32, width=0.125, dtype="mixed_bfloat16", seed=0
    )
    data = Data("x", num_frames=16, size=32, smaller_side=40)
    export(models, LABELS, data, tmp_path / "model")
    model = ExportedModel(tmp_path / "model")
    features = FeatureExtractor(model, FeatureSettings(window=16))(video)
    assert features.values["rgb"].dtype == np.float32
    for format in feature_files.FORMATS:
        path = tmp_path / f"a.{format}"
        feature_files.write(path, features, {})
        found, _ = feature_files.read(path)
        np.testing.assert_array_equal(found.values["rgb"], features.values["rgb"])


def test_the_grid_is_kept(models, model, video):
    clip = clips_of(video)["flow"]
    whole = FeatureSettings("Mixed_4f", window=None, streams=("flow",), keep_grid=True)
    found = FeatureExtractor(model, whole)(video).values["flow"]
    wanted = answers(models, "flow", "Mixed_4f", clip)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    windows = FeatureSettings(
        "Mixed_4f", window=16, stride=37, streams=("flow",), keep_grid=True, crops=3
    )
    found = FeatureExtractor(model, windows)(video).values["flow"]
    wanted = answers(models, "flow", "Mixed_4f", clip[37:53])
    assert found.shape == (2, 3, *wanted.shape)
    np.testing.assert_allclose(found[1, 1], wanted, atol=1e-4 * np.abs(wanted).max())


def test_logits_of_a_whole_video_are_those_of_its_steps(models, model, video):
    settings = FeatureSettings(HEAD, window=None, streams=("rgb",))
    found = FeatureExtractor(model, settings, chunk=8)(video).values["rgb"]
    wanted = models["rgb"](clips_of(video)["rgb"][None, :, 4:36, 14:46])[0]
    np.testing.assert_allclose(found.mean(0), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"endpoint": "Mixed_4g"}, "no endpoint 'Mixed_4g'"),
        ({"window": 8}, "window is 8 frames; the network needs 9"),
        ({"window": 0}, "window is 0 frames; the network needs 9"),
        ({"stride": 0}, "stride is 0; it must be at least 1"),
        ({"window": None, "stride": 8}, "a whole video as one clip has neith"),
        ({"window": None, "tail": "shift"}, "tail 'shift'; a whole video as one"),
        ({"crops": 4}, "crops is 4; known: 1, 3, 5, 10"),
        ({"tail": "x"}, "tail is 'x'; known: drop, shift, loop"),
        ({"streams": ("depth",)}, "has no stream 'depth'; there are rgb, flow"),
        ({"endpoint": "Mixed_3c"}, "has no features of 'Mixed_3c', only of "),
    ],
)
def test_bad_settings_are_told(model, settings, told):
    with pytest.raises(ValueError, match=told):
        FeatureExtractor(model, FeatureSettings(**settings))


@pytest.mark.parametrize("format", feature_files.FORMATS)
def test_files_hold_what_was_written(tmp_path, format):
    rng = np.random.default_rng(0)
    values = {
        "rgb": rng.normal(size=(3, 2, 5)).astype(np.float32),
        "flow": rng.normal(size=(3, 2, 5)).astype(np.float32),
    }
    times = rng.normal(size=(3, 2))
    path = tmp_path / f"a.{format}"
    feature_files.write(path, Features(values, times), {"video": "ü.mp4", "window": 16})
    found, description = feature_files.read(path)
    assert description == {"video": "ü.mp4", "window": 16}
    assert set(found.values) == {"rgb", "flow"}
    for stream, value in values.items():
        np.testing.assert_array_equal(found.values[stream], value, strict=True)
    np.testing.assert_array_equal(found.times, times, strict=True)
    if format == "tfrecord":
        data = tf.data.TFRecordDataset([str(path)]).map(feature_files.parse)
        (record,) = data.as_numpy_iterator()
        np.testing.assert_array_equal(record["flow"], values["flow"], strict=True)
        np.testing.assert_array_equal(record["times"], times, strict=True)


@pytest.mark.parametrize("format", feature_files.FORMATS)
def test_other_files_are_told(tmp_path, format):
    path = tmp_path / f"a.{format}"
    values = {"rgb": np.zeros((3, 500), np.float32)}
    feature_files.write(path, Features(values, np.zeros((3, 2))), {"window": 16})
    whole = path.read_bytes()
    assert feature_files.describe(path) == (3, {"window": 16})
    damaged = [b"no features", b"", whole[:-9], whole[: len(whole) // 2]]
    damaged.append(whole[:3000] + b"damage" + whole[3006:])
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"another record")
    damaged.append(path.read_bytes())
    feature_files.write(path, Features(values, np.zeros((3, 2))), [1])
    damaged.append(path.read_bytes())
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"a.{format}: is no file of features"):
            feature_files.read(path)


def run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "experiments.extract_features", *flags],
        capture_output=True,
        encoding="utf-8",
    )


def test_command(model_dir, model, write_video, tmp_path):
    videos, output = tmp_path / "videos", tmp_path / "out"
    write_video(videos / "a" / "one.avi", moving_texture(40, 40, 60))
    (videos / "bad.avi").write_text("no video")
    flags = [f"--model={model_dir}", f"--videos={videos}", f"--output={output}"]
    done = run(*flags, "--window=16", "--stride=8", "--tail=shift", "--streams=rgb")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"error: {output}: 1 files of features written, 0 were there, 1 failed; "
        f"reasons in {output}/report.json"
    )
    settings = FeatureSettings(window=16, stride=8, tail="shift", streams=("rgb",))
    wanted = FeatureExtractor(model, settings)(videos / "a" / "one.avi")
    with np.load(output / "a" / "one.npz") as found:
        assert set(found) == {"rgb", "times", "description"}
        np.testing.assert_array_equal(found["rgb"], wanted.values["rgb"])
        np.testing.assert_array_equal(found["times"], wanted.times)
        description = json.loads(found["description"].item())
    assert (description["window"], description["video"]) == (16, "one.avi")


def test_a_folder_is_gone_on_with(model, write_video, tmp_path):
    videos, output = tmp_path / "videos", tmp_path / "out"
    for name in ("a/one.avi", "two.avi"):
        write_video(videos / name, moving_texture(30, 40, 60))
    (videos / "bad.avi").write_text("no video")

    def extract(stride=8, **options):
        settings = FeatureSettings(window=16, stride=stride, streams=("rgb",))
        extractor = FeatureExtractor(model, settings)
        report = extract_folder(videos, output, extractor, **options)
        assert json.loads((output / "report.json").read_text()) == report
        return {e["video"]: (e["state"], e["features"], e["reason"]) for e in report}

    told = extract()
    assert told["a/one.avi"] == told["two.avi"] == ("done", 2, None)
    assert told["bad.avi"][:2] == ("failed", 0)
    assert "bad.avi: cannot be decoded (" in told["bad.avi"][2]

    (videos / "bad.avi").unlink()
    (output / "a" / "one.npz").unlink()
    before = (output / "two.npz").stat().st_mtime_ns
    assert extract() == {
        "a/one.avi": ("done", 2, None),
        "two.avi": ("skipped", 2, None),
    }
    report = (output / "report.json").read_text()
    with pytest.raises(ValueError) as error:
        extract(stride=9)
    assert str(error.value).endswith(
        "one.npz: was made with stride 8 (now 9); choose another output, or "
        "--noresume to make it again"
    )
    # The report of what is there stays.
    assert (output / "report.json").read_text() == report
    write_video(videos / "two.avi", moving_texture(29, 40, 60, seed=1))
    assert "was made with source_bytes" in extract()["two.avi"][2]
    assert (output / "two.npz").stat().st_mtime_ns == before
    (output / "two.npz").write_bytes((output / "two.npz").read_bytes()[:-9])
    told = extract()["two.avi"][2]
    assert "is no file of features" in told
    assert told.endswith("; remove it or run with --noresume")
    assert extract(resume=False)["two.avi"] == ("done", 2, None)
    assert (output / "two.npz").stat().st_mtime_ns != before
    assert extract(format="tfrecord")["two.avi"] == ("done", 2, None)
    assert feature_files.read(output / "two.tfrecord")[0].values["rgb"].shape == (
        2,
        128,
    )


def test_twins_and_an_output_inside_are_refused(model, write_video, tmp_path):
    extractor = FeatureExtractor(model, FeatureSettings(window=16))
    write_video(tmp_path / "v" / "a.avi", moving_texture(12))
    with pytest.raises(ValueError, match="lies inside the videos"):
        extract_folder(tmp_path / "v", tmp_path / "v" / "out", extractor)
    (tmp_path / "v" / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="a.avi and a.mp4 would both become a.npz"):
        extract_folder(tmp_path / "v", tmp_path / "out", extractor)


def test_the_commands_help_names_what_there_is():
    # Written out there, so that help need not wait for TensorFlow.
    told = " ".join(run("--help").stdout.split())
    assert f"<{'|'.join(feature_files.FORMATS)}>" in told
    defaults = FeatureSettings()
    assert f"(default: '{defaults.endpoint}')" in told
    assert f"(default: '{defaults.window}')" in told


def test_command_ends_in_one_line_on_bad_input(model_dir, tmp_path):
    done = run(
        *(f"--model={model_dir}", f"--videos={tmp_path}", f"--output={tmp_path / 'o'}")
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path}: no videos")
