"""What all commands do with bad input and Ctrl-C."""

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
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
    )
    assert (done.returncode, done.stderr) == (code, told)


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
