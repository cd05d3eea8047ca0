"""Speed of bfloat16 against float32 on processors of several kinds.

    python -m experiments.benchmarks.dtypes

One processor stands for those that have less: ONEDNN_MAX_CPU_ISA holds back the
instructions that oneDNN may use. On a processor without AVX-512 TensorFlow keeps
bfloat16 from oneDNN and computes it with its own kernels. It looks at the processor for
that and not at the variable, so the level "AVX2" turns oneDNN off for bfloat16.

Each work has a process of its own, and the processes of a level take turns, so that
other load on the machine falls on all of them. Prints a table of ratios and writes
<--name>.json to --output.
"""

import datetime
import json
import pathlib
import platform

from absl import flags

from experiments import command

_FRAMES = flags.DEFINE_integer("frames", 17, "Frames of a clip.", lower_bound=9)
_ROUNDS = flags.DEFINE_integer("rounds", 2, "Timed runs of each work.", lower_bound=1)
_LEVELS = flags.DEFINE_list("levels", None, "Levels to run. Default: all of them.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
_NAME = flags.DEFINE_string("name", "dtypes", "Name of the JSON file without .json.")
_CHILD = flags.DEFINE_string("child", None, "Internal: the work of this process.")

_OFF = {"TF_ENABLE_ONEDNN_OPTS": "0"}
# The environments of float32 and of bfloat16.
LEVELS = {
    "whole processor": ({}, {}),
    "AVX512_CORE_BF16": 2 * ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},),
    "AVX512_CORE": 2 * ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},),
    "AVX2": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, _OFF),
    "oneDNN off": (_OFF, _OFF),
}
WORKS = {"forward": "forward, folded", "training": "training, fast"}
DTYPES = ("float32", "mixed_bfloat16")


def main():
    if _CHILD.value:
        _serve(json.loads(_CHILD.value))
        return
    from experiments.benchmarks import machine
    from flow.files import write_json

    levels = _LEVELS.value or list(LEVELS)
    if unknown := set(levels) - set(LEVELS):
        raise ValueError(
            f"--levels: there is no {', '.join(sorted(unknown))}; expected some of "
            f"{', '.join(LEVELS)}"
        )
    path = pathlib.Path(_OUTPUT.value) / f"{_NAME.value}.json"
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "python": platform.python_version(),
        "frames": _FRAMES.value,
        "levels": {},
    }
    print(f"{result['machine']}; one clip of {_FRAMES.value} frames, 224x224 RGB")
    print("| level | work | float32, s | bfloat16, s | bfloat16 : float32 |")
    print("|---|---|---|---|---|")
    for level in levels:
        result["levels"][level] = _take_turns(LEVELS[level])
        for work, found in result["levels"][level].items():
            plain, mixed = (found[dtype] for dtype in DTYPES)
            print(
                f"| {level} | {work} | {plain:.2f} | {mixed:.2f} | "
                f"{found['ratio']:.2f} |",
                flush=True,
            )
        # Written after each level, as a run may take long.
        write_json(path, result)
    print(f"{path}: the figures")


def _take_turns(environments):
    """{work: {dtype: seconds of the fastest round, "ratio": bfloat16 to float32}}."""
    from experiments.benchmarks.turns import Child

    children = {}
    for work, name in WORKS.items():
        for dtype, environment in zip(DTYPES, environments, strict=True):
            child = Child(
                "experiments.benchmarks.dtypes",
                {"name": name, "dtype": dtype, "frames": _FRAMES.value},
                environment=environment,
            )
            child.answer()
            children[work, dtype] = child
    seconds = {key: [] for key in children}
    for _ in range(_ROUNDS.value):
        for key, child in children.items():
            child.tell("run")
            seconds[key].append(child.answer()["seconds"])
    for child in children.values():
        child.close()
    found = {}
    for work in WORKS:
        plain, mixed = (min(seconds[work, dtype]) for dtype in DTYPES)
        times = {DTYPES[0]: round(plain, 4), DTYPES[1]: round(mixed, 4)}
        found[work] = {**times, "ratio": round(mixed / plain, 3)}
    return found


def _serve(work):
    from experiments.benchmarks import network_work, turns

    prepared = network_work.prepare(batch_size=1, **work)
    prepared.run()
    turns.serve({"run": prepared.run}, {}, dict)


if __name__ == "__main__":
    command.run(main)
