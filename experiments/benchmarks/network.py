"""Speed and memory of the network: forward, training step, whole videos.

    python -m experiments.benchmarks.network --dtypes float32,mixed_bfloat16
    python -m experiments.benchmarks.network --works 'forward, Keras;forward, folded'

Beside the network as Keras's layers run it and as `i3d_tf.fast` does, a plain matrix
product of the same dtype tells what the machine can do, and, where PyTorch is
installed, the same network there. Each has a process of its own, so that peak memory
is its own, and they take turns, so that what else the machine does falls on all.
Prints tables and leaves <--name>.json in --output.
"""

import datetime
import importlib.util
import json
import pathlib
import platform

from absl import flags

from experiments import command

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 1, "Clips a run.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 64, "T of a clip.", lower_bound=9)
_WHOLE = flags.DEFINE_integer(
    "whole_video", 1000, "Frames of one whole video; 0 leaves it out.", lower_bound=0
)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed runs of each.", lower_bound=1)
_DTYPES = flags.DEFINE_list("dtypes", ["float32"], "float32, mixed_bfloat16.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
_NAME = flags.DEFINE_string("name", "network", "Of the JSON file, without .json.")
_WORKS = flags.DEFINE_string(
    "works", None, "Names of those to run, with semicolons between; None runs all."
)
_CHILD = flags.DEFINE_string("child", None, "Internal: the work of this process.")

# What takes turns. PyTorch's tensors have the channels last, as TensorFlow's, but for
# the one that says otherwise.
_FORWARD = ("matrix product", "forward, Keras", "forward, folded", "forward, PyTorch")
_TRAINING = (
    "training, Keras",
    "training, fast",
    "training, recomputed",
    "training, PyTorch",
    "training, PyTorch NCDHW",
)


def main():
    if _CHILD.value:
        _serve(json.loads(_CHILD.value))
        return
    from experiments.benchmarks import machine
    from flow.files import write_json

    has_torch = importlib.util.find_spec("torch") is not None
    chosen = _WORKS.value.split(";") if _WORKS.value else [*_FORWARD, *_TRAINING]
    if unknown := set(chosen) - {*_FORWARD, *_TRAINING}:
        raise ValueError(f"--works: there is no {', '.join(sorted(unknown))}")
    path = pathlib.Path(_OUTPUT.value) / f"{_NAME.value}.json"
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "python": platform.python_version(),
        "batch_size": _BATCH_SIZE.value,
        "runs": [],
    }
    print(f"{result['machine']}; batch {_BATCH_SIZE.value}, 224x224 RGB")
    print("| | dtype | T | s | clips/s | GFLOP/s | of the product | peak GB |")
    print("|---|---|---|---|---|---|---|---|")

    def measure(names, dtype, frames, rounds):
        # Written after each group: a run may take long.
        runs = _take_turns(names, dtype, frames, rounds)
        result["runs"] += runs
        for run in runs:
            _add_rates(run, result["runs"])
            _print_row(run)
        write_json(path, result)

    for dtype in _DTYPES.value:
        for names in (_FORWARD, _TRAINING):
            names = [name for name in names if name in chosen]
            if not has_torch:
                names = [name for name in names if "PyTorch" not in name]
            measure(names, dtype, _FRAMES.value, _ROUNDS.value)
        if _WHOLE.value and "forward, folded" in chosen:
            measure(["forward, folded"], dtype, _WHOLE.value, 1)
    print(f"{path}: the figures")


def _take_turns(names, dtype, frames, rounds):
    """Starts a process for each of the works, then runs them one after the other."""
    from experiments.benchmarks.turns import Child

    children = []
    for name in names:
        work = {"name": name, "dtype": dtype, "frames": frames}
        options = [f"--batch_size={_BATCH_SIZE.value}"]
        child = Child("experiments.benchmarks.network", work, options)
        children.append((work, child, child.answer()))
    seconds = [[] for _ in children]
    for _ in range(rounds):
        for times, (_, child, _) in zip(seconds, children, strict=True):
            child.tell("run")
            times.append(child.answer()["seconds"])
    runs = []
    for times, (work, child, ready) in zip(seconds, children, strict=True):
        child.close()
        runs.append({**work, **ready, **child.answer(), "all_seconds": times})
    return runs


def _serve(work):
    from experiments.benchmarks import machine, network_work, turns

    prepared = network_work.prepare(batch_size=_BATCH_SIZE.value, **work)
    prepared.run()
    turns.serve(
        {"run": prepared.run},
        {"gflop": prepared.gflop, "version": prepared.version},
        lambda: {"peak_gb": round(machine.peak_gb(), 3)},
    )


def _add_rates(run, runs):
    """Clips and operations a second, of the fastest round: noise only adds."""
    best = min(run["all_seconds"])
    run["seconds"] = round(best, 4)
    run["gflop_s"] = round(run["gflop"] / best, 1)
    if run["name"] == "matrix product":
        return
    run["clips_s"] = round(_BATCH_SIZE.value / best, 3)
    for other in runs:
        if (other["name"], other["dtype"]) == ("matrix product", run["dtype"]):
            run["share_of_product"] = round(run["gflop_s"] / other["gflop_s"], 3)


def _print_row(run):
    share = run.get("share_of_product")
    print(
        f"| {run['name']} | {run['dtype']} | {run['frames']} | "
        f"{run['seconds']:.3f} | {run.get('clips_s', '')} | {run['gflop_s']:.0f} | "
        f"{'' if share is None else f'{share:.0%}'} | {run['peak_gb']:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    command.run(main)
