"""Studies: what is trained, compared and exported, from the command on."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny

from experiments.sample_poses import render_samples
from i3d_tf import pipeline, protocols
from i3d_tf.config import Config, Data, Pose, StreamTraining
from i3d_tf.config_file import from_dict, to_dict
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.poses.builder import TwoStreamPoses
from i3d_tf.distillation import report, study
from i3d_tf.distillation.recipes import MARS, depth_to_rgb
from i3d_tf.evaluation.runs import evaluate_runs
from i3d_tf.exported import read_assets
from i3d_tf.prediction import Predictor
from i3d_tf.streams import DEPTH, RGB

pytestmark = pytest.mark.usefixtures("shallow_network")

STREAM = StreamTraining(steps=2, learning_rates=(0.01,), dropout=0.0)
DATA = Data(dataset="two_stream_poses/arms", num_frames=1, size=32, smaller_side=32)
TEACHER = Config(
    data=DATA,
    depth=STREAM,
    pose=Pose(features=64),
    batch_size=4,
    dtype="float32",
    width=0.0625,
)
STUDENT = dataclasses.replace(
    TEACHER,
    data=dataclasses.replace(
        DATA, train_split="train[:6]", unlabelled_split="unlabelled"
    ),
    depth=None,
    rgb=dataclasses.replace(STREAM, distillation=depth_to_rgb(response_weight=1.0)),
)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poses")
    render_samples(folder / "arms", train=12, unlabelled=10, test=5, size=32, seed=0)
    TwoStreamPoses.of(
        folder / "arms",
        data_dir=folder / "data",
        name="arms",
        smaller_side=32,
        workers=1,
    ).build()
    return folder / "data"


def test_a_mirrored_pair_has_mirrored_joints(data_folder):
    """RGB, depth and x together: each example is the stored one or its mirror image."""
    builder = open_dataset(data_folder, DATA.dataset)
    plain = dataclasses.replace(DATA, mirror=False)
    found = {}
    for name, data in (("plain", plain), ("mirrored", DATA)):
        found[name] = [
            (inputs["rgb"][0].numpy(), inputs["depth"][0].numpy(), joints[0].numpy())
            for inputs, joints in pipeline.train_batches(
                builder, data, (RGB, DEPTH), batch_size=1, seed=0, epoch=0
            )
        ]
    assert len(found["plain"]) == 12
    turned = 0
    for one, other in zip(found["plain"], found["mirrored"], strict=True):
        rgb, depth, joints = one
        assert rgb.shape == (32, 32, 3) and depth.shape == (32, 32, 1)
        assert joints.shape == (3, 3) and -1 <= depth.min() < depth.max() <= 1
        if not np.array_equal(joints, other[2]):
            turned += 1
            rgb, depth, joints = rgb[:, ::-1], depth[:, ::-1], joints * [-1, 1, 1]
        for wanted, got in zip((rgb, depth, joints), other, strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert 0 < turned < 12


def test_a_pixel_of_depth_is_its_millimetres(data_folder):
    builder = open_dataset(data_folder, DATA.dataset)
    (stored, *_) = builder.as_dataset("test").take(1)
    for inputs, joints, _ in pipeline.eval_batches(
        builder, DATA, (DEPTH,), split="test", batch_size=5
    ):
        millimetres = stored["depth"][0].numpy()
        wanted = np.clip(millimetres / 1000 - 1, -1, 1)
        np.testing.assert_allclose(inputs["depth"][0], wanted, atol=1e-6)
        np.testing.assert_allclose(joints[0], stored["joints"], atol=1e-6)


def test_recipes_survive_json():
    assert from_dict(json.loads(json.dumps(to_dict(STUDENT)))) == STUDENT
    assert STUDENT.inputs == (RGB, DEPTH) and STUDENT.streams == (RGB,)


def test_the_student_alone_sees_labelled_examples_only():
    alone = study.alone(STUDENT)
    assert STUDENT.train_splits == ("train[:6]", "unlabelled")
    assert alone.train_splits == ("train[:6]",) and alone.inputs == (RGB,)
    assert not alone.distillations


RESULTS = {
    "figure": "error",
    "better": "lower",
    "split": "test",
    "seeds": [0, 1, 2],
    "teacher": 0.05,
    "student_alone": [0.2, 0.22, 0.18],
    "distilled": [0.15, 0.23, 0.16],
}


def test_a_summary_pairs_seeds():
    found = report.summary(RESULTS)
    assert found["student_alone"] == pytest.approx({"mean": 0.2, "spread": 0.02})
    distilled = found["distilled"]
    assert distilled["mean"] == pytest.approx(0.18)
    assert distilled["gain"] == pytest.approx((0.05 - 0.01 + 0.02) / 3)
    assert distilled["wins"] == 2
    lines = report.table(RESULTS)
    assert lines[2] == "| teacher | 50.0 mm | | | |"
    assert lines[4].endswith("| 150.0 mm, 230.0 mm, 160.0 mm | +20.0 mm | 2 of 3 |")


def test_of_shares_the_higher_is_better():
    results = {**RESULTS, "figure": "top1", "better": "higher"}
    assert report.summary(results)["distilled"]["wins"] == 1
    assert report.table(results)[2] == "| teacher | 5.0 % | | | |"


def test_of_one_seed_there_is_no_spread():
    results = {**RESULTS, "seeds": [0], "student_alone": [0.2], "distilled": [0.2]}
    found = report.summary(results)
    assert found["student_alone"]["spread"] == 0 and found["distilled"]["wins"] == 0
    assert report.table(results)[3].startswith("| student alone | 200.0 mm | 200.0")


def test_a_study_has_one_student():
    both = dataclasses.replace(
        tiny.config(), rgb=dataclasses.replace(STREAM, distillation=MARS)
    )
    with pytest.raises(ValueError, match="streams rgb, flow, of which rgb has a"):
        study.student_of(both)
    with pytest.raises(ValueError, match="streams depth, of which none has a"):
        study.student_of(TEACHER)


def test_teachers_of_other_tests_are_refused():
    """What reaches the student by way of its teacher must not have seen its test."""
    study.check_teachers(STUDENT, [TEACHER])
    for config, match in (
        (_on(TEACHER, dataset="two_stream_poses/other"), "data.dataset is two_stream_"),
        (_on(TEACHER, test_split="unlabelled"), "data.test_split is unlabelled of the"),
        (_on(TEACHER, size=64, smaller_side=64), "data.size is 64 of the teacher and"),
        (
            dataclasses.replace(TEACHER, pose=Pose(features=64, unit=1.0)),
            "pose.unit is 1.0 of the teacher and 0.1 of the student",
        ),
        (
            dataclasses.replace(TEACHER, depth=None, rgb=STREAM),
            "distillation.inputs is depth; the teacher's config trains rgb",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            study.check_teachers(STUDENT, [config])


def test_a_teacher_has_one_run_for_each_stream():
    with pytest.raises(ValueError, match="depth: trained by more than one of the"):
        study.check_teachers(STUDENT, [TEACHER, TEACHER])


def _on(config, **data):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **data))


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"inputs": ("flow",)}, "flow is a stream of clips"),
        ({"inputs": ("deep",)}, "inputs is .*'deep'.*; known: rgb, flow, depth"),
        ({"response": "softmax"}, "of poses it is squared_error"),
    ],
)
def test_distillations_that_pictures_cannot_have(changes, match):
    with pytest.raises(ValueError, match=match):
        study.with_distillation(STUDENT, **changes)


def test_mistakes_in_a_pose_or_distillation_are_told():
    values = to_dict(STUDENT)
    with pytest.raises(ValueError, match="pose.resnet is 101; known: 18, 34, 50"):
        from_dict({**values, "pose": {"resnet": 101}})
    rgb = {**values["rgb"], "distillation": {"response": "squared_error"}}
    with pytest.raises(ValueError, match="Distillation lacks inputs"):
        from_dict({**values, "rgb": rgb})


@pytest.mark.slow
def test_a_study_from_teacher_to_export(data_folder, tmp_path, capsys):
    """A second time all is there; the report is of what the runs' histories say."""
    from i3d_tf.training import train

    teachers = (str(tmp_path / "teacher"),)
    train(TEACHER, teachers[0], data_folder)
    configs = {
        "student_alone": study.alone(STUDENT),
        "distilled": study.with_distillation(STUDENT, teacher=teachers),
    }
    found = study.train_ways(configs, tmp_path, data_folder, [3, 5])
    assert study.train_ways(configs, tmp_path, data_folder, [3, 5]) == found
    results = study.evaluate_study(STUDENT, teachers, tmp_path, data_folder, [3, 5])
    for way, runs in found.items():
        wanted = [run["rgb_error"] for run in runs]
        assert results[way] == pytest.approx(wanted, rel=1e-5)
        assert wanted[0] != wanted[1]
    path, written = report.write_report(tmp_path, results, "test")
    assert written == ["Of the split test:", "", *report.table(results)]
    assert path == tmp_path / "report.md"
    assert path.read_text().splitlines() == written
    assert study.seeds_of(tmp_path) == [3, 5]
    assert json.loads((tmp_path / "report.json").read_text())["seeds"] == [3, 5]

    # Of one split, whatever the runs' own configs say.
    other = _on(STUDENT, test_split="train[:4]")
    of_train = study.evaluate_study(other, teachers, tmp_path, data_folder, [3, 5])
    assert of_train["split"] == "train[:4]"
    beside, _ = report.write_report(tmp_path, of_train, "test")
    assert beside == tmp_path / "report_train%5B%3A4%5D.md"
    assert path.read_text().splitlines() == written
    assert of_train["distilled"][0] == pytest.approx(
        study.evaluate([tmp_path / "distilled" / "seed_3"], data_folder, "train[:4]")[
            "rgb_error"
        ]
    )
    assert of_train["distilled"][0] != pytest.approx(results["distilled"][0], rel=1e-3)

    path = tmp_path / "distilled" / "seed_5" / "config.json"
    kept = json.loads(path.read_text())
    kept["config"]["rgb"]["steps"] = 9
    path.write_text(json.dumps(kept))
    with pytest.raises(ValueError, match="seed_5: is trained up to step 2 of 9; start"):
        study.evaluate_study(STUDENT, teachers, tmp_path, data_folder, [3, 5])

    with pytest.raises(ValueError, match="tell where joints are and not which class"):
        evaluate_runs([tmp_path / "teacher"], data_folder, protocols.center)

    study.export_student(tmp_path, 3, tmp_path / "model")
    with pytest.raises(ValueError, match="model: tells where joints are in a picture"):
        Predictor(tmp_path / "model")(tmp_path / "none.mp4")
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    assert list(serve.structured_input_signature[1]) == ["rgb"]
    labels, told = read_assets(tmp_path / "model")
    assert labels == ["elbow", "wrist", "tip"]
    assert "fps" not in told and told["joints"].startswith("m in the camera's")
    builder = open_dataset(data_folder, DATA.dataset)
    errors = []
    for example in builder.as_dataset("test"):
        # As they are stored: JPEG's decoders differ by a level or two.
        joints = serve(rgb=example["rgb"])["joints"][0]
        errors.append(tf.norm(joints - example["joints"], axis=-1).numpy().mean())
    assert np.mean(errors) == pytest.approx(results["distilled"][0], rel=1e-3)


RECIPE = """
from i3d_tf.config_file import from_dict

TEACHER = from_dict({teacher!r})
CONFIG = from_dict({student!r})
"""


def distill(tmp_path, *options, data_dir="data"):
    """Runs the command; returns (exit code, stdout, stderr)."""
    recipe = tmp_path / "recipe.py"
    recipe.write_text(RECIPE.format(teacher=to_dict(TEACHER), student=to_dict(STUDENT)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.distill", f"--config={recipe}"),
            *(f"--workdir={tmp_path / 'study'}", f"--data_dir={data_dir}", *options),
        ],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "options, told",
    [
        (["--stages=teach"], "error: --stages teach: expected some of train_teacher,"),
        (["--seeds=0,0"], "error: --seeds 0,0: expected numbers, each once"),
        (["--stages=export"], "error: --output names what the stage export writes"),
        (["--set=rgb.distilation=None"], "the closest is 'distillation'"),
    ],
)
def test_wrong_options_are_told_at_once(tmp_path, options, told):
    code, _, error = distill(tmp_path, *options)
    assert code == 1 and told in error and "Traceback" not in error
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "options, told",
    [
        (["--set=data.unlabelled_split=none"], "no split 'none'; there are train, unl"),
        (["--set=data.train_split=train[:2]", "--set=data.unlabelled_split=None"], "2"),
        (["--set_teacher=data.test_split=train"], "data.test_split is train of the"),
        (["--stages=train_teacher", "--teacher=x"], "there is nothing to do"),
    ],
)
def test_nothing_is_trained_for_a_study_that_cannot_be(
    data_folder, tmp_path, options, told
):
    code, _, error = distill(tmp_path, *options, data_dir=data_folder)
    assert code == 1 and told in error and "Traceback" not in error
    assert not (tmp_path / "study").exists()


def test_an_export_needs_no_data(tmp_path):
    options = ["--stages=export", f"--output={tmp_path / 'model'}"]
    code, _, error = distill(tmp_path, *options, data_dir="none")
    assert code == 1 and "seed_0: no config.json, so nothing was trained" in error


@pytest.mark.slow
def test_the_command_does_all_stages(data_folder, tmp_path):
    stages = "--stages=train_teacher,distil,evaluate,export"
    options = [stages, f"--output={tmp_path / 'model'}"]
    code, told, error = distill(tmp_path, *options, data_dir=data_folder)
    assert code == 0, error
    assert "| distilled |" in told and "| teacher |" in told
    written = json.loads((tmp_path / "study" / "report.json").read_text())
    (alone,), (distilled,) = written["student_alone"], written["distilled"]
    assert written["summary"]["distilled"]["wins"] == int(distilled < alone)
    assert (tmp_path / "model" / "saved_model.pb").is_file()
    # With the teacher named, and nothing to be trained anew.
    named = [f"--teacher={tmp_path / 'study' / 'teacher'}", "--stages=evaluate"]
    code, again, error = distill(tmp_path, *named, data_dir=data_folder)
    assert code == 0, error
    assert again.splitlines()[:7] == told.splitlines()[-8:-1]
