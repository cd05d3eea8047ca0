"""Tests of oneDNN, which TensorFlow has to be told of before it is imported."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="oneDNN is switched by the variable on x86-64 alone",
)

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
STATE = (
    "from tensorflow.python.util import _pywrap_util_port as p; print(p.IsMklEnabled())"
)
# Stands for a processor without AVX-512: TensorFlow starts without oneDNN, and the
# variable is not set when i3d_tf is imported.
TENSORFLOW_WITHOUT_ONEDNN = (
    f"import os; os.environ['{VARIABLE}'] = '0'; import tensorflow; "
    f"del os.environ['{VARIABLE}']"
)


def run(*lines, **variables):
    """(stdout, the lines of i3d_tf on stderr) of a new process."""
    environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line for line in done.stderr.splitlines() if line.startswith("i3d_tf: ")]
    return done.stdout, told


def test_i3d_tf_first_turns_onednn_on():
    assert run("import i3d_tf", STATE) == ("True\n", [])


def test_tensorflow_first_without_onednn_is_told_with_the_remedy():
    out, (told,) = run(TENSORFLOW_WITHOUT_ONEDNN, "import i3d_tf", STATE)
    assert out == "False\n"
    assert told == (
        "i3d_tf: TensorFlow was imported first and runs without oneDNN, so that "
        f"this network takes 2 to 4 times as long; set {VARIABLE}=1 before the "
        "program starts, or import i3d_tf before tensorflow and keras"
    )


def test_tensorflow_first_with_onednn_is_not_told():
    code = f"import os, tensorflow; del os.environ['{VARIABLE}']; import i3d_tf"
    assert run(code, STATE, **{VARIABLE: "1"}) == ("True\n", [])


def test_who_turned_onednn_off_is_not_told():
    code = "import tensorflow, i3d_tf"
    assert run(code, STATE, **{VARIABLE: "0"}) == ("False\n", [])
