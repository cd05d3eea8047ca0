"""What all commands do with bad input and Ctrl-C."""

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "wrong, code, told",
    [
        ("ValueError('no\\nsuch thing')", 1, "error: no such thing\n"),
        ("FileNotFoundError('videos')", 1, "error: videos\n"),
        ("KeyboardInterrupt", 130, "interrupted\n"),
    ],
)
def test_one_line_and_an_exit_code(wrong, code, told):
    script = f"""
from experiments import command
def main():
    raise {wrong}
command.run(main)
"""
    done = _run(script)
    assert (done.returncode, done.stderr) == (code, told)


def test_a_reader_that_goes_away_ends_the_command_quietly():
    script = """
from experiments import command
def main():
    for _ in range(100_000):
        print("some line")
command.run(main)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=pathlib.Path(__file__).parents[1],
    ) as process:
        assert process.stdout.readline() == b"some line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def _run(script, *options, **environment):
    return subprocess.run(
        [sys.executable, "-c", script, *options],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
        env={**os.environ, **environment},
    )


UNEXPECTED = """
from experiments import command
from flow.unexpected import doing
def main():
    with doing("classifying clip.mp4"):
        raise RuntimeError("no such\\n thing")
command.run(main)
"""


def test_an_unexpected_error_is_one_line_that_names_the_file(tmp_path):
    done = _run(UNEXPECTED, TMPDIR=str(tmp_path))
    (path,) = tmp_path.iterdir()
    assert done.stderr == (
        "error: classifying clip.mp4: unexpected RuntimeError: no such thing; the "
        f"traceback is in {path}\n"
    )
    assert done.returncode == 1
    assert path.read_text().startswith("Traceback (most recent call last):\n")


def test_debug_prints_the_traceback_instead(tmp_path):
    done = _run(UNEXPECTED, "--debug", TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == (
        "error: classifying clip.mp4: unexpected RuntimeError: no such thing"
    )


def test_debug_prints_the_traceback_of_bad_input_too():
    script = UNEXPECTED.replace("RuntimeError", "ValueError")
    done = _run(script, "--debug")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("\nerror: no such thing\n")


def test_help_of_a_console_script_is_that_of_its_module():
    # As pip writes it: `__main__` is a stub, and the command is imported.
    script = """
import sys
from experiments.evaluate import cli
sys.argv[0] = "/bin/i3d-evaluate"
cli()
"""
    done = _run(script, "--help")
    assert done.stdout.startswith(
        "Measures the accuracy of streams and of their fusion on a data set.\n"
    )
    for option in ("workdir", "protocol", "fusion", "[no]debug"):
        assert f"\n  --{option}:" in done.stdout
    assert "\n/bin/i3d-evaluate:\n" in done.stdout
    assert "--[no]logtostderr" not in done.stdout


@pytest.mark.parametrize(
    "name, options",
    [
        ("evaluate", ["protocol", "clips", "crops", "frames", "fusion", "weights"]),
        ("fuse_scores", ["fusion", "weights"]),
        ("three_splits", ["protocol", "fusion", "weights"]),
    ],
)
def test_help_lists_the_options_that_commands_share(name, options):
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", "--help"],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
    )
    for option in options:
        assert f"\n  --{option}:" in done.stdout
