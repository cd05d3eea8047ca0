"""From a video file to classes: every step of it, and the command."""

import json
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
import tiny
from tiny import moving_texture

from flow.tvl1 import TVL1
from i3d_tf import raw_videos
from i3d_tf.config import Data
from i3d_tf.export import export
from i3d_tf.exported import ExportedModel
from i3d_tf.prediction import Predictor
from i3d_tf.streams import FLOW, RGB

pytestmark = pytest.mark.usefixtures("shallow_network")

LABELS = ["Hürdenlauf", "playing cricket", "跑步"]
FRAMES = 9


@pytest.fixture(scope="module")
def models():
    return tiny.networks(3, (RGB, FLOW))


@pytest.fixture(scope="module")
def model_dir(models, tmp_path_factory):
    data = Data("x", num_frames=FRAMES, size=32, smaller_side=40)
    path = tmp_path_factory.mktemp("models") / "tiny"
    export(models, LABELS, data, path)
    return path


@pytest.fixture
def exported_before(model_dir, tmp_path, monkeypatch):
    """A model without the class activation map, as other exports are."""
    output_names = ExportedModel.output_names
    monkeypatch.setattr(
        ExportedModel,
        "output_names",
        lambda self, name: () if name == "activation" else output_names(self, name),
    )
    return model_dir


@pytest.fixture(scope="module")
def video(write_video, tmp_path_factory):
    """17 frames of 80x120 px, which are 16 pairs."""
    path = tmp_path_factory.mktemp("videos") / "walk.avi"
    return write_video(path, moving_texture(17, 80, 120))


def _prepared(video, smaller_side_size=(60, 40)):
    """RGB and flow of a 25 fps video, frame by frame, with OpenCV and PyAV alone."""
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode()]
    frames = [cv2.resize(frame, smaller_side_size) for frame in frames]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    flow = np.stack(
        [solver.calc(*pair, None) for pair in zip(grey[:-1], grey[1:], strict=True)]
    )
    # To the nearest of 127 steps of 20 px, as 8 bits hold it.
    steps = np.clip(np.rint(flow * np.float32(127 / 20)), -127, 127)
    return np.stack(frames[1:]), steps * np.float32(20 / 127)


def _expected(models, rgb, flow):
    """Probabilities of the crop in the middle of 40x60 px."""
    clips = {
        "rgb": rgb[:, 4:36, 14:46].astype(np.float32) / 127.5 - 1,
        "flow": flow[:, 4:36, 14:46] / np.float32(20),
    }
    logits = np.mean([model(clips[n][None])[0] for n, model in models.items()], axis=0)
    return np.exp(logits) / np.exp(logits).sum()


def _check(prediction, probabilities):
    order = np.argsort(-probabilities)
    assert prediction.classes == [LABELS[index] for index in order]
    np.testing.assert_allclose(prediction.scores, probabilities[order], atol=1e-6)
    assert prediction.scores == sorted(prediction.scores, reverse=True)
    assert abs(sum(prediction.scores) - 1) < 1e-6
    assert {type(score) for score in prediction.scores} == {float}


def test_equals_the_preprocessing_by_hand(models, model_dir, video):
    rgb, flow = _prepared(video)
    # Of 16 pairs the 9 in the middle: 3 before, 4 behind.
    rgb, flow = rgb[3:12], flow[3:12]
    # The pattern moves 2 px right and 1 px down, half of it after the resize.
    np.testing.assert_allclose(np.median(flow, (0, 1, 2)), [1.0, 0.5], atol=0.16)
    prediction = Predictor(model_dir, engine="opencv")(video)
    np.testing.assert_array_equal(prediction.rgb, rgb, strict=True)
    np.testing.assert_array_equal(prediction.flow, flow, strict=True)
    _check(prediction, _expected(models, rgb, flow))


def test_a_short_video_is_looped(models, model_dir, write_video, tmp_path):
    path = write_video(tmp_path / "short.avi", moving_texture(5, 80, 120))
    rgb, flow = _prepared(path)
    assert len(rgb) == 4
    loop = [0, 1, 2, 3, 0, 1, 2, 3, 0]
    prediction = Predictor(str(model_dir), engine="opencv")(str(path))
    np.testing.assert_array_equal(prediction.rgb, rgb[loop])
    np.testing.assert_array_equal(prediction.flow, flow[loop])
    _check(prediction, _expected(models, rgb[loop], flow[loop]))


def test_frames_are_taken_at_25_per_second(model_dir, write_video, tmp_path):
    pattern = moving_texture(FRAMES + 1, 80, 120)
    # Each frame twice at 50 fps is the same video, and just long enough.
    twice = write_video(tmp_path / "twice.avi", pattern.repeat(2, axis=0), fps=50)
    rgb, flow = _prepared(write_video(tmp_path / "once.avi", pattern))
    prediction = Predictor(model_dir, engine="opencv")(twice)
    np.testing.assert_array_equal(prediction.rgb, rgb)
    np.testing.assert_array_equal(prediction.flow, flow)


def test_a_model_of_one_stream(models, video, tmp_path):
    data = Data("x", num_frames=FRAMES, size=32, smaller_side=40)
    flow_model = {"flow": models["flow"]}
    export(flow_model, LABELS, data, tmp_path / "flow")
    prediction = Predictor(tmp_path / "flow", engine="opencv")(video)
    rgb, flow = _prepared(video)
    _check(prediction, _expected(flow_model, rgb[3:12], flow[3:12]))


def test_a_model_of_rgb_alone_needs_no_flow(models, video, tmp_path, monkeypatch):
    data = Data("x", num_frames=FRAMES, size=32, smaller_side=40)
    rgb_model = {"rgb": models["rgb"]}
    export(rgb_model, LABELS, data, tmp_path / "rgb")
    rgb, flow = _prepared(video)
    monkeypatch.delattr("i3d_tf.raw_videos.frames_with_flow")
    prediction = Predictor(tmp_path / "rgb")(video)
    assert prediction.flow is None
    np.testing.assert_array_equal(prediction.rgb, rgb[3:12])
    _check(prediction, _expected(rgb_model, rgb[3:12], flow[3:12]))


def test_command_of_a_model_of_rgb_alone(models, video, tmp_path):
    data = Data("x", num_frames=FRAMES, size=32, smaller_side=40)
    export({"rgb": models["rgb"]}, LABELS, data, tmp_path / "rgb")
    output = tmp_path / "out"
    done = _run(
        *(f"--model={tmp_path / 'rgb'}", f"--video={video}", f"--output={output}")
    )
    assert done.returncode == 0, done.stderr
    left = sorted(path.name for path in output.iterdir())
    names = ["annotated.mp4", "frames.png", "over_time.png", "prediction.json"]
    assert left == names


def test_what_each_stream_says_and_where(models, model_dir, video):
    rgb, flow = _prepared(video)
    prediction = Predictor(model_dir, engine="opencv")(video)
    clips = {
        "rgb": rgb[3:12, 4:36, 14:46].astype(np.float32) / 127.5 - 1,
        "flow": flow[3:12, 4:36, 14:46] / np.float32(20),
    }
    order = [LABELS.index(label) for label in prediction.classes]
    for name, model in models.items():
        logits = model(clips[name][None])[0].numpy()[order]
        wanted = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(prediction.stream_scores[name], wanted, atol=1e-5)
    # Nine frames are two steps of one place, of which the mean is the logits.
    assert prediction.activation.shape == (2, 1, 1, 3)
    powers = np.exp(prediction.activation.mean((0, 1, 2)))
    np.testing.assert_allclose(powers / powers.sum(), prediction.scores, atol=1e-5)
    over_time = prediction.over_time()
    np.testing.assert_allclose(over_time.sum(1), [1, 1], atol=1e-6)
    ratio = over_time[:, 0] / over_time[:, 1]
    wanted = np.exp(
        prediction.activation[:, 0, 0, 0] - prediction.activation[:, 0, 0, 1]
    )
    np.testing.assert_allclose(ratio, wanted, rtol=1e-4)
    assert (prediction.begin, prediction.end, prediction.size) == (4 / 25, 13 / 25, 32)


def test_windows_are_classified_one_by_one(models, model_dir, write_video, tmp_path):
    # 29 pairs: windows from 0, 12 and, shifted back, 20 on.
    shown = (np.arange(30) ** 1.25).astype(int)
    pattern = moving_texture(71, 80, 120)[shown]
    path = write_video(tmp_path / "video.avi", pattern)
    rgb, flow = _prepared(path)
    predictions = list(Predictor(model_dir, engine="opencv").windows(path, 12))
    times = [(round(p.begin * 25), round(p.end * 25)) for p in predictions]
    assert times == [(1, 10), (13, 22), (21, 30)]
    for start, prediction in zip((0, 12, 20), predictions, strict=True):
        window = np.s_[start : start + 9]
        np.testing.assert_array_equal(prediction.rgb, rgb[window])
        np.testing.assert_array_equal(prediction.flow, flow[window])
        _check(prediction, _expected(models, rgb[window], flow[window]))


def test_frames_of_a_camera_are_classified_as_a_video(model_dir, video):
    predictor = Predictor(model_dir)
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode()]
    from_file = next(predictor.windows(video, 9))
    prediction = predictor.of_frames(frames[:10])
    np.testing.assert_array_equal(prediction.rgb, from_file.rgb)
    np.testing.assert_array_equal(prediction.flow, from_file.flow)
    np.testing.assert_allclose(prediction.scores, from_file.scores, atol=1e-6)


def test_one_frame_of_a_camera_is_too_few(model_dir, video):
    with pytest.raises(ValueError, match="frames are 1; needed are at least 2"):
        Predictor(model_dir).of_frames([np.zeros((40, 60, 3), np.uint8)])


def test_no_more_flow_than_is_wanted(model_dir, video, monkeypatch):
    solved = []

    class Counting(TVL1):
        def __call__(self, previous, current):
            solved.append(1)
            return super().__call__(previous, current)

    monkeypatch.setattr(raw_videos, "TVL1", Counting)
    # Of 16 pairs nine.
    Predictor(model_dir)(video)
    assert len(solved) == 9


def test_a_model_without_the_map_is_told(exported_before, video):
    with pytest.raises(ValueError, match="has no signature 'activation'; export it"):
        Predictor(exported_before)


def test_one_frame_is_too_few(model_dir, write_video, tmp_path):
    path = write_video(tmp_path / "one.avi", moving_texture(1))
    with pytest.raises(ValueError) as error:
        Predictor(model_dir)(path)
    assert str(error.value) == (
        f"{path}: 1 frame at 25 fps; needed are at least 2, as in training a video's "
        "first frame, which has no flow, is left out"
    )


def test_a_missing_video(model_dir, tmp_path):
    path = tmp_path / "none.mp4"
    with pytest.raises(ValueError) as error:
        Predictor(model_dir)(path)
    assert str(error.value) == (
        f"{path}: cannot be decoded (No such file or directory)"
    )


def test_a_folder_that_is_no_model(video, tmp_path):
    with pytest.raises(ValueError) as error:
        Predictor(tmp_path)(video)
    message = str(error.value)
    assert message.startswith(f"{tmp_path}: not a SavedModel of experiments.export (")
    assert "\n" not in message


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-m", "experiments.predict", *arguments],
        capture_output=True,
        encoding="utf-8",
    )


def test_command_prints_json(model_dir, video):
    done = _run(
        *(f"--model={model_dir}", f"--video={video}", "--format=json", "--top=2")
    )
    assert done.returncode == 0, done.stderr
    want = Predictor(model_dir)(video)

    def best(scores):
        named = sorted(zip(scores, want.classes, strict=True), reverse=True)[:2]
        return [
            {"class": name, "probability": round(score, 6)} for score, name in named
        ]

    assert json.loads(done.stdout) == {
        "video": str(video),
        "begin": 0.16,
        "end": 0.52,
        "predictions": best(want.scores),
        "streams": {
            stream: best(scores) for stream, scores in want.stream_scores.items()
        },
    }


def test_command_goes_on_after_a_bad_video(model_dir, write_video, tmp_path):
    folder = tmp_path / "clips"
    for name, seed in (("a/one.avi", 0), ("two.avi", 4)):
        write_video(folder / name, np.roll(moving_texture(11), 3 * seed, axis=2))
    (folder / "bad.avi").write_text("no video")
    output = tmp_path / "out"
    done = _run(
        *(f"--model={model_dir}", f"--video={folder}", "--format=json"),
        *("--top=1", f"--output={output}"),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    videos = [folder / name for name in ("a/one.avi", "two.avi")]
    assert [record["video"] for record in records] == [str(path) for path in videos]
    predictor = Predictor(model_dir)
    for record, video in zip(records, videos, strict=True):
        (best,) = predictor(video).best(1)
        (told,) = record["predictions"]
        assert (told["class"], told["probability"]) == (best[0], round(best[1], 6))
        left = output / video.relative_to(folder)
        assert json.loads((left / "prediction.json").read_text()) == record
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told[0].startswith(f"error: {folder / 'bad.avi'}: cannot be decoded (")
    assert told[1] == "error: 1 of 3 videos could not be classified"


def test_command_prints_a_table_for_each(model_dir, write_video, tmp_path):
    names = ("one.avi", "two.avi")
    paths = [write_video(tmp_path / name, moving_texture(11)) for name in names]
    done = _run(f"--model={model_dir}", *(f"--video={path}" for path in paths))
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * (1 + len(LABELS))
    assert [lines[0], lines[len(lines) // 2]] == [str(path) for path in paths]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--stride=9"], "camera 99: is looked at alone, without --output or --stride"),
        (["--video=98"], "camera 99: is looked at alone, without --output or --stride"),
        ([], "camera 99: cannot be opened, or ended after 0 of 10 frames"),
    ],
)
def test_command_of_a_camera(model_dir, flags, told):
    done = _run(f"--model={model_dir}", "--video=99", *flags)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == f"error: {told}"


def test_results_are_not_put_among_the_videos(model_dir, write_video, tmp_path):
    video = write_video(tmp_path / "v" / "annotated.avi", moving_texture(11))
    before = video.read_bytes()
    for given, output in (("v", "v"), ("v", "v/out"), ("v/annotated.avi", "v")):
        done = _run(
            *(f"--model={model_dir}", f"--video={tmp_path / given}"),
            f"--output={tmp_path / output}",
        )
        assert done.returncode == 1
        told = "lies inside the videos" if given == "v" else "is the folder of the vid"
        assert f"error: output {tmp_path / output} {told}" in done.stderr
    assert video.read_bytes() == before
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["annotated.avi"]


def test_two_videos_of_one_name_are_refused(model_dir, write_video, tmp_path):
    for folder in ("a", "b"):
        write_video(tmp_path / folder / "one.avi", moving_texture(11))
    videos = [f"--video={tmp_path / folder / 'one.avi'}" for folder in ("a", "b")]
    done = _run(f"--model={model_dir}", f"--output={tmp_path / 'out'}", *videos)
    assert done.returncode == 1 and "two videos named one.avi" in done.stderr


def test_command_of_windows(model_dir, write_video, tmp_path):
    pattern = moving_texture(30, 80, 120)
    path, output = write_video(tmp_path / "video.avi", pattern), tmp_path / "out"
    done = _run(
        *(f"--model={model_dir}", f"--video={path}", "--format=json"),
        *("--stride=12", f"--output={output}", "--top=2"),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert json.loads((output / "prediction.json").read_text()) == record
    predictions = list(Predictor(model_dir).windows(path, 12))
    told = [(window["begin"], window["end"]) for window in record["windows"]]
    assert told == [(0.04, 0.4), (0.52, 0.88), (0.84, 1.2)]
    for window, prediction in zip(record["windows"], predictions, strict=True):
        assert [p["class"] for p in window["predictions"]] == prediction.classes[:2]
    means = {
        label: np.mean([dict(p.best(None))[label] for p in predictions])
        for label in LABELS
    }
    best = sorted(means, key=means.get, reverse=True)[:2]
    assert [p["class"] for p in record["predictions"]] == best
    for told in record["predictions"]:
        assert abs(told["probability"] - means[told["class"]]) < 1e-5
    # Each window until the next one begins, the last one to its end.
    with av.open(str(output / "annotated.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 9 + 8 + 9


def test_command_ends_in_one_line_on_bad_input(model_dir, tmp_path):
    path = tmp_path / "text.avi"
    path.write_text("no video")
    done = _run(f"--model={model_dir}", f"--video={path}", "--format=json")
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: {path}: cannot be decoded (")
    assert "Traceback" not in done.stderr
