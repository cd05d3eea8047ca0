"""The wheel: its content, and the whole chain with it from an empty folder."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tiny

import i3d_tf
from flow.files import read_json

REPOSITORY = pathlib.Path(__file__).parents[1]
SCRIPTS = {
    "i3d-build": "build_dataset",
    "i3d-check-released": "check_released",
    "i3d-demo": "demo",
    "i3d-distill": "distill",
    "i3d-evaluate": "evaluate",
    "i3d-export": "export",
    "i3d-features": "extract_features",
    "i3d-flow": "extract_flow",
    "i3d-fuse-scores": "fuse_scores",
    "i3d-fvd": "fvd",
    "i3d-import-flow": "import_flow",
    "i3d-import-weights": "import_weights",
    "i3d-inspect": "inspect_dataset",
    "i3d-predict": "predict",
    "i3d-sample-poses": "sample_poses",
    "i3d-sample-videos": "sample_videos",
    "i3d-show-flow": "show_flow",
    "i3d-single-frame": "single_frame",
    "i3d-three-splits": "three_splits",
    "i3d-train": "train",
    "i3d-ucf101-from-tfds": "ucf101_from_tfds",
    "i3d-weights": "weights",
}


def test_version_is_that_of_the_changelog():
    assert f"Version {i3d_tf.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()
    assert f"\nversion: {i3d_tf.__version__}\n" in (
        REPOSITORY / "CITATION.cff"
    ).read_text("utf-8")


def test_import_needs_no_tensorflow():
    script = (
        "import sys, i3d_tf; print(i3d_tf.__version__, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.stdout == f"{i3d_tf.__version__} False\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, as setuptools builds in the folder itself.
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("i3d_tf", "flow", "experiments", "tests"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    _pip(
        *("wheel", folder, "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", folder / "dist"),
    )
    (path,) = (folder / "dist").iterdir()
    return path


def _pip(*arguments, python=sys.executable):
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_content_of_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        info = f"i3d_tf-{i3d_tf.__version__}.dist-info"
        metadata = file.read(f"{info}/METADATA").decode()
        licence = file.read(f"{info}/licenses/LICENSE").decode()
    assert {name.split("/")[0] for name in names} == {
        *("experiments", "flow", "i3d_tf"),
        info,
    }
    # All of the code that a command may import, and what TFDS and help texts read.
    wanted = {
        path.relative_to(REPOSITORY).as_posix()
        for package in ("experiments", "flow", "i3d_tf")
        for pattern in ("*.py", "*.md", "py.typed", "label_maps/*.txt")
        for path in (REPOSITORY / package).rglob(pattern)
    }
    left_out = ("experiments/notebooks/", "experiments/serving/")
    wanted = {name for name in wanted if not name.startswith(left_out)}
    assert {name for name in names if not name.startswith(info)} == wanted
    assert {"flow/py.typed", "i3d_tf/py.typed"} < names
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "Apache License" in licence and "END OF TERMS AND CONDITIONS" in licence


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """run(script, *options) in an empty folder, with the wheel alone installed.

    The environment sees the libraries of this one, but no checkout.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    _pip("install", "--no-deps", "--no-index", wheel, python=python)
    done = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
    )
    # A path alone, so that the .pth file of an editable installation is not executed.
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    pathlib.Path(done.stdout.strip(), "libraries.pth").write_text(
        "".join(f"{library}\n" for library in libraries)
    )
    empty = folder / "empty"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(script, *options):
        return subprocess.run(
            [python.with_name(script), *map(str, options)],
            capture_output=True,
            encoding="utf-8",
            cwd=empty,
            env=environment,
        )

    run.folder = empty
    return run


@pytest.mark.slow
def test_the_wheel_is_what_runs(run):
    script = "import experiments, flow, i3d_tf; print(experiments, flow, i3d_tf)"
    done = run("python", "-c", script)
    assert done.stdout.count(str(run.folder.parent)) == 3, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_the_commands_own(run, script):
    done = run(script, "--help")
    module = SCRIPTS[script]
    path = REPOSITORY / "experiments" / f"{module}.py"
    first = path.read_text().split('"""')[1].splitlines()[0]
    assert done.stdout.startswith(f"{first}\n"), done.stdout + done.stderr
    # Most take flags alone; `i3d-weights` takes words.
    assert re.search(rf"^    {script}( --| download |$)", done.stdout, re.MULTILINE)
    assert f"experiments.{module}" not in done.stdout
    assert "--[no]debug" in done.stdout
    own = ("--output:", "--data_dir:", "--model:", "--checkpoints:", "--weights_dir:")
    for flag in own:
        if flag in done.stdout:
            break
    else:
        raise AssertionError(f"no option of {script}: {done.stdout}")
    # Of absl and TensorFlow none.
    assert "--[no]logtostderr" not in done.stdout
    # absl's own exit code of --help.
    assert done.returncode == 1


@pytest.mark.slow
def test_chain_from_an_empty_folder(run, write_video):
    folder = run.folder
    for label, seed in (("left", 0), ("right", 1)):
        for number in range(2):
            frames = tiny.moving_texture(12, seed=2 * number + seed)
            write_video(
                folder / f"videos/{label}/v{number}.avi",
                frames if seed else frames[:, :, ::-1],
            )
    small = ("num_frames=9", "size=32", "smaller_side=40")
    settings = [f"--set=data.{setting}" for setting in small]
    settings += [f"--set={name}.steps=2" for name in ("rgb", "flow")]
    settings += ["--set=width=0.125", "--set=batch_size=2", "--set=clips_at_once=None"]
    settings += ["--set=dtype=float32", "--set=data.dataset=two_stream_folder/mine"]

    def succeed(*command):
        done = run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr[-3000:]}"
        return done.stdout

    data = ("--data_dir", "data")
    succeed(
        *("i3d-flow", "--videos", "videos", "--output", "flow"),
        *("--smaller_side", 40, "--workers", 2),
    )
    succeed(
        *("i3d-build", "--videos", "videos", "--flow", "flow", *data),
        *("--name", "mine", "--test_glob", "*/v1.avi", "--workers", 2),
    )
    told = succeed(
        *("i3d-train", "--config", "own_videos_scratch", "--workdir", "run"),
        *(*data, *settings),
    )
    assert "run: trained 2 steps; test rgb_top1" in told
    told = succeed("i3d-evaluate", "--workdir", "run", *data)
    assert told.endswith("run/evaluation: results of 2 videos\n")
    succeed("i3d-export", "--workdir", "run", "--output", "model")
    told = succeed(
        *("i3d-predict", "--model", "model", "--video", "videos/left/v1.avi"),
        *("--output", "prediction"),
    )
    predictions = read_json(folder / "prediction" / "prediction.json")["predictions"]
    assert {entry["class"] for entry in predictions} == {"left", "right"}
    assert np.isclose(sum(one["probability"] for one in predictions), 1, atol=1e-5)
    assert (folder / "prediction" / "annotated.mp4").stat().st_size > 0
    assert {path.name for path in folder.iterdir()} == {
        *("videos", "flow", "data", "run", "model", "prediction")
    }


@pytest.mark.slow
def test_unknown_recipe(run):
    done = run(
        "i3d-train", "--config", "own_video", "--workdir", "none", "--data_dir", "none"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "error: --config own_video: no such file or recipe; the closest recipe is "
        "own_videos; there are arm_actions, "
    )


def test_scripts_are_the_commands():
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    lines = parser["options.entry_points"]["console_scripts"].split("\n")
    found = dict(line.split(" = ") for line in lines if line)
    assert found == {
        name: f"experiments.{module}:cli" for name, module in SCRIPTS.items()
    }
    commands = {
        path.stem
        for path in (REPOSITORY / "experiments").glob("*.py")
        if "\ndef cli():" in path.read_text()
    }
    # The report is of `make demo`.
    assert commands == {*SCRIPTS.values(), "demo_report"}
