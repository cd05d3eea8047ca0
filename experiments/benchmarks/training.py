"""What the training loop costs: beside the network, in memory, over replicas.

    python -m experiments.benchmarks.training --videos videos
    python -m experiments.benchmarks.training --sections memory,scaling

loop: an update by the loop, of the same batch and of records made of some of --videos,
against forward, backward and SGD alone, in turns; all of them again without a network,
which shows the loop's part where noise does not hide it; and a whole `training.train`.
memory: each size in a process of its own. scaling: replicas on this machine's cores,
in turns with one. Prints tables and leaves training.json in --output, in which the
sections that were not asked for stay. What Kinetics would take elsewhere is in
`training_estimate.py`.
"""

import datetime
import json
import pathlib
import platform
import subprocess
import sys
import tempfile

from absl import flags

from experiments import command

_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos, for the loop.")
_SECTIONS = flags.DEFINE_list(
    "sections", ["loop", "memory", "scaling"], "Those that are measured."
)
_ROUNDS = flags.DEFINE_integer("rounds", 4, "Timed runs of each.", lower_bound=1)
_SIZES = flags.DEFINE_enum(
    "sizes", "full", ["full", "tiny"], "Tiny ones try the benchmark and tell nothing."
)
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
_CHILD = flags.DEFINE_string("child", None, "Internal: the work of this process.")

_MODULE = "experiments.benchmarks.training"

# (frames, px, clips of an update, width of the network).
_LOOP = {"full": (64, 224, 1, 1.0), "tiny": (9, 32, 2, 0.125)}
# Records and the frames of each, epochs of the whole run.
_RECORDS = {"full": (8, 250, 2), "tiny": (4, 20, 2)}
_SCALING = {"full": (32, 112, 6, 1.0), "tiny": (9, 32, 6, 0.125)}
_MEMORY = {
    "full": [
        *(((t, 224, clips, 1.0), {}) for t in (16, 32, 64) for clips in (1, 2, 4)),
        ((64, 224, 4, 1.0), {"clips_at_once": 2}),
        ((64, 224, 4, 1.0), {"clips_at_once": 1}),
        ((64, 224, 4, 1.0), {"recompute": True}),
        ((64, 224, 4, 1.0), {"clips_at_once": 1, "recompute": True}),
        ((64, 224, 4, 1.0), {"dtype": "mixed_bfloat16"}),
        ((64, 224, 4, 1.0), {"dtype": "mixed_bfloat16", "recompute": True}),
    ],
    "tiny": [((9, 32, 2, 0.125), {}), ((9, 32, 2, 0.125), {"clips_at_once": 1})],
}
# (strategy, logical devices of a process, processes, options); a replica takes a clip
# at a time, so that its passes are the same on any number of them.
_REPLICAS = [
    ("one", 1, 1, {}),
    ("mirrored", 1, 1, {}),
    ("mirrored", 2, 1, {}),
    ("multi_worker", 1, 1, {}),
    ("multi_worker", 1, 2, {}),
    ("multi_worker", 1, 3, {}),
    ("mirrored", 2, 1, {"synchronised_batch_norm": True}),
    ("multi_worker", 1, 2, {"synchronised_batch_norm": True}),
]


def main():
    if _CHILD.value:
        from experiments.benchmarks import training_work

        work = json.loads(_CHILD.value)
        name = work.pop("name")
        if name == "replicas":
            training_work.serve_replicas(**work)
        else:
            print(json.dumps(training_work.WORKS[name](**work)))
        return
    from experiments.benchmarks import machine, training_tables
    from flow.files import write_json

    measures = {"loop": _loop, "memory": _memory, "scaling": _scaling}
    if unknown := set(_SECTIONS.value) - set(measures):
        raise ValueError(f"--sections: there is no {', '.join(sorted(unknown))}")
    if "loop" in _SECTIONS.value and not _VIDEOS.value:
        raise ValueError("give --videos, of which the loop's records are made")
    path = pathlib.Path(_OUTPUT.value) / "training.json"
    result = json.loads(path.read_text()) if path.is_file() else {}
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "python": platform.python_version(),
    }
    print(about["machine"])
    for name in _SECTIONS.value:
        # Written as it grows: a section takes long.
        for measured in measures[name]():
            result[name] = {**about, **measured}
            write_json(path, result)
        print(training_tables.TABLES[name](result[name]), flush=True)
    print(f"{path}: the figures")


def _run(name, **work):
    """A work of `training_work` in a process of its own, so that memory is its own."""
    child = subprocess.run(
        [
            *(sys.executable, "-m", _MODULE),
            f"--child={json.dumps({'name': name, **work})}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    if child.returncode:
        raise ValueError(f"{name}: its process ended with {child.returncode}")
    return json.loads(child.stdout.splitlines()[-1])


def _loop():
    size = _LOOP[_SIZES.value]
    count, length, epochs = _RECORDS[_SIZES.value]
    with tempfile.TemporaryDirectory() as folder:
        records = _run(
            *("records",),
            videos=_VIDEOS.value,
            folder=folder,
            count=count,
            length=length,
        )
        yield {
            "size": size,
            "turns": _run("loop", size=size, rounds=_ROUNDS.value, **records),
            "run": _run("whole_run", size=size, epochs=epochs, **records),
        }


def _memory():
    rows = []
    for size, options in _MEMORY[_SIZES.value]:
        measured = _run("memory", size=size, options=options)
        rows.append({"size": size, "options": options, **measured})
        yield {"rows": rows}


def _scaling():
    """Each row in turns with one device, whose process stays."""
    size = _SCALING[_SIZES.value]
    alone = _start(_REPLICAS[0], size)
    alone[0].answer()
    rows = []
    for row in _REPLICAS:
        # The first is compared with itself: how much turns differ.
        group = _start(row, size)
        answers = [child.answer() for child in group]
        seconds = {"update": [], "nothing": []}
        of_one = {"update": [], "nothing": []}
        for _ in range(_ROUNDS.value):
            for name in seconds:
                of_one[name].append(_take_turn(alone, name))
                seconds[name].append(_take_turn(group, name))
        strategy, devices, processes, options = row
        rows.append(
            {
                "strategy": strategy,
                "devices": devices,
                "processes": processes,
                "options": options,
                **answers[0],
                "seconds": seconds,
                "seconds_of_one": of_one,
                "peak_gb": max(_ends(group)),
            }
        )
        yield {"size": size, "rows": rows}
    _ends(alone)


def _take_turn(group, name):
    """Seconds until all processes of a group have made the run of this name."""
    for child in group:
        child.tell(name)
    return max(child.answer()["seconds"] for child in group)


def _ends(group):
    # All at once: hosts wait for each other.
    for child in group:
        child.close()
    return [child.answer()["peak_gb"] for child in group]


def _start(row, size):
    """The processes of one row, the hosts of a cluster on loopback."""
    from experiments.benchmarks.turns import Child, cluster

    strategy, devices, processes, options = row
    work = {
        "name": "replicas",
        "size": size,
        "strategy": strategy,
        "devices": devices,
        "options": {"clips_at_once": 1, **options},
    }
    if strategy != "multi_worker":
        return [Child(_MODULE, work)]
    return [
        Child(_MODULE, work, environment={"TF_CONFIG": each})
        for each in cluster(processes)
    ]


if __name__ == "__main__":
    command.run(main)
