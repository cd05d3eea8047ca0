"""Processes of a benchmark that take turns, each with memory of its own.

The command starts itself once more with `--child`; what that process says are lines of
JSON: first that it is ready, then the seconds of each run it was told to make, and when
its input ends what is to be known of it at last.
"""

import json
import os
import socket
import subprocess
import sys
import time


class Child:
    """A process of a benchmark's command.

    Args:
      module: of the command, which hands `work` to `serve`.
      work: what JSON can say.
      options: further ones of the command.
      environment: variables beside those of this process.
    """

    def __init__(self, module, work, options=(), environment=None):
        self._work = work
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *options, f"--child={json.dumps(work)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def tell(self, run):
        """Has it make the run of this name, whose seconds are its next answer."""
        self._process.stdin.write(f"{run}\n")
        self._process.stdin.flush()

    def answer(self):
        """What it says next. Raises ValueError if it has ended."""
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(
                f"{self._work}: its process ended with {self._process.wait()}"
            )
        return json.loads(line)

    def close(self):
        """Tells it no more: after its last answer it ends."""
        self._process.stdin.close()


def cluster(count):
    """TF_CONFIG of each of so many hosts, processes of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return [
        json.dumps(
            {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        )
        for index in range(count)
    ]


def serve(runs, ready, last):
    """A child's life: ready, a run for each line that comes in, then what `last` says.

    Args:
      runs: {name: function}.
      ready: dict, the first answer.
      last: function that gives the last one.
    """
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": seconds(runs[line.strip()])}), flush=True)
    print(json.dumps(last()), flush=True)


def seconds(run):
    """Of one run."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
