"""Platforms without the calls of POSIX, simulated: Windows lacks these attributes."""

import os
import pathlib
import signal
import subprocess
import sys

from flow import files, pool
from flow.files import remove_leftovers, written_aside
from flow.process import _how

SCRIPT = """
import os, signal
# Here and, as this script is read by them too, in the processes.
for module, name in ((signal, "pthread_sigmask"), (os, "sched_getaffinity")):
    if hasattr(module, name):
        delattr(module, name)

import sys
from flow.pool import Workers, default_workers


def handler(_):
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


if __name__ == "__main__":
    assert default_workers() == os.cpu_count()
    with Workers(2) as processes:
        print(list(processes.map(handler, [1, 2, 3])))
"""


def test_processes_without_masks_of_signals(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
    )
    assert done.stdout == "[True, True, True]\n", done.stderr


def test_processors_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert pool.default_workers() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert pool.default_workers() == 1


def test_windows_sends_no_signal_to_look_for_a_process(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    # There it ends the process, whatever the signal.
    monkeypatch.delattr(os, "kill")
    left = tmp_path / files._aside_name(pathlib.Path("a.mkv"))
    left.touch()
    remove_leftovers(tmp_path)
    assert left.exists()


def test_files_are_flushed_by_a_handle_that_may_write(tmp_path, monkeypatch):
    modes = []

    def fsync(number):
        # Nothing is written; Windows refuses a handle that could not.
        os.write(number, b"")
        modes.append(number)

    monkeypatch.setattr(os, "fsync", fsync)
    with written_aside(tmp_path / "a.txt") as aside:
        aside.write_text("whole")
    assert len(modes) == 1
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_killed_process_is_described_without_sigkill(monkeypatch):
    number = signal.SIGTERM
    monkeypatch.delattr(signal, "SIGKILL", raising=False)
    assert _how(-number).startswith(f"killed by signal {number:d} (")
