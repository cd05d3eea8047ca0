"""Tests of the quiet start of TensorFlow."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from experiments.startup import _tell_of_unused_gpu

ROOT = pathlib.Path(__file__).parents[1]
ONEDNN = "I0000 00:00:17.4 1 port.cc:153] oneDNN custom operations are on.\n"
CU_INIT = "E0000 00:00:17.4 1 cuda_platform.cc:52] failed call to cuInit: (303)\n"
OTHERS = "E0000 00:00:17.4 1 disk.cc:7] the disk is full\nplain text\n"


def start(code, folder, **variables):
    """Runs Python code with `folder` before all installed packages."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    if "TF_CPP_MIN_LOG_LEVEL" not in variables:
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


@pytest.fixture
def stand_in(tmp_path):
    """The function that writes a package named tensorflow, which logs and then acts."""

    def write(action="pass"):
        package = tmp_path / "tensorflow"
        package.mkdir()
        (package / "__init__.py").write_text(
            "import os\n"
            f"os.write(2, {(ONEDNN + OTHERS).encode()!r})\n"
            "class config:\n"
            "    def list_physical_devices(kind):\n"
            f"        os.write(2, {CU_INIT.encode()!r})\n"
            "        return []\n"
            f"{action}\n"
        )
        return tmp_path

    return write


def test_known_lines_are_dropped_and_others_passed_on(stand_in):
    done = start("import experiments, tensorflow; print('end')", stand_in())
    assert (done.stdout, done.stderr) == ("end\n", OTHERS)


def test_everything_is_shown_on_request(stand_in):
    code = "import experiments, tensorflow"
    done = start(code, stand_in(), TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stderr == ONEDNN + OTHERS


def test_everything_is_shown_when_the_import_fails(stand_in):
    folder = stand_in("raise ImportError('no library')")
    done = start("import experiments, tensorflow", folder)
    assert done.returncode == 1
    assert done.stderr.startswith(ONEDNN + OTHERS + "Traceback")


def test_everything_is_shown_when_the_process_crashes(stand_in, tmp_path):
    folder = stand_in("os.abort()")
    (tmp_path / "temporary").mkdir()
    done = start(
        "import experiments, tensorflow", folder, TMPDIR=str(tmp_path / "temporary")
    )
    assert done.returncode == -signal.SIGABRT
    assert done.stderr == ONEDNN + OTHERS
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_search_for_tensorflow_does_not_use_the_quiet_start_up(stand_in):
    code = "import experiments, importlib.util as u; u.find_spec('tensorflow')"
    done = start(f"{code}; import tensorflow", stand_in())
    assert done.stderr == OTHERS


def test_tensorflow_itself_starts_without_a_line(tmp_path):
    code = "import experiments, tensorflow as tf; print(tf.zeros(2).numpy())"
    done = start(code, tmp_path, CUDA_VISIBLE_DEVICES="-1")
    assert (done.stdout, done.stderr) == ("[0. 0.]\n", "")


def test_a_gpu_that_tensorflow_cannot_use_is_told_once(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    noise = [ONEDNN.encode(), CU_INIT.encode()]
    _tell_of_unused_gpu(noise, tmp_path)
    assert capfd.readouterr().err == ""
    (tmp_path / "0000:01:00.0").mkdir()
    _tell_of_unused_gpu(noise, tmp_path)
    told = capfd.readouterr().err
    assert "(failed call to cuInit: (303))" in told
    assert "'tensorflow[and-cuda]'" in told and told.count("\n") == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    _tell_of_unused_gpu(noise, tmp_path)
    assert capfd.readouterr().err == ""
