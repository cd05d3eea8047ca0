"""Time and peak memory of one training step of both streams.

    python -m experiments.benchmarks.train_step --batch_size 1 --frames 64 --size 224

Each dtype runs in a process of its own, as the peak is the process's; the first step,
which traces and compiles, is told apart from the later ones. Prints a table and
leaves train_step.json in --output.
"""

import datetime
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

from absl import flags

from experiments import command

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 1, "Clips a step.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 64, "T of a clip.", lower_bound=9)
_SIZE = flags.DEFINE_integer("size", 224, "Side of a clip, px.", lower_bound=32)
_STEPS = flags.DEFINE_integer("steps", 3, "Timed steps.", lower_bound=1)
_DTYPES = flags.DEFINE_list("dtypes", ["mixed_bfloat16", "float32"], "Of the runs.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
_CHILD = flags.DEFINE_string("child", None, "Internal: measure this dtype alone.")


def main():
    if _CHILD.value:
        print(json.dumps(_measure(_CHILD.value)))
        return
    from flow.files import write_json

    size = {
        "batch_size": _BATCH_SIZE.value,
        "frames": _FRAMES.value,
        "size": _SIZE.value,
        "steps": _STEPS.value,
    }
    runs = []
    for dtype in _DTYPES.value:
        arguments = [f"--{name}={value}" for name, value in size.items()]
        module = [sys.executable, "-m", "experiments.benchmarks.train_step"]
        child = subprocess.run(
            [*module, *arguments, f"--child={dtype}"], stdout=subprocess.PIPE, text=True
        )
        if child.returncode:
            raise ValueError(f"{dtype}: the run ended with {child.returncode}")
        runs.append({"dtype": dtype, **json.loads(child.stdout.splitlines()[-1])})
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        **size,
        "runs": runs,
    }
    print(f"{result['machine']}; both streams, {size}")
    print("| dtype | first step s | step s | peak GB |")
    print("|---|---|---|---|")
    for run in runs:
        print(
            f"| {run['dtype']} | {run['first_step_s']:.1f} | {run['step_s']:.2f} | "
            f"{run['peak_gb']:.2f} |"
        )
    path = pathlib.Path(_OUTPUT.value) / "train_step.json"
    write_json(path, result)
    print(f"{path}: the figures")


def _measure(dtype):
    import numpy as np
    import tensorflow as tf

    from i3d_tf.checkpoints import new_stream_state
    from i3d_tf.config import Config, Data, StreamTraining
    from i3d_tf.training import make_strategy
    from i3d_tf.updates import make_step

    stream = StreamTraining(steps=1, learning_rates=(0.01,))
    config = Config(
        data=Data("none", num_frames=_FRAMES.value, size=_SIZE.value),
        rgb=stream,
        flow=stream,
        batch_size=_BATCH_SIZE.value,
        dtype=dtype,
    )
    strategy = make_strategy("one")
    with strategy.scope():
        states = {s.name: new_stream_state(s, config, 400) for s in config.streams}
    step = make_step(strategy, config, states)
    generator = np.random.default_rng(0)
    shape = [config.batch_size, _FRAMES.value, _SIZE.value, _SIZE.value]
    clips = {
        stream.name: tf.constant(
            generator.uniform(-1, 1, [*shape, stream.channels]), tf.float32
        )
        for stream in config.streams
    }
    batch = clips, tf.one_hot(tf.range(config.batch_size), 400)
    seconds = []
    for _ in range(1 + _STEPS.value):
        began = time.perf_counter()
        step(batch, tuple(states))
        seconds.append(time.perf_counter() - began)
    # Linux tells kilobytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "first_step_s": round(seconds[0], 3),
        "step_s": round(float(np.median(seconds[1:])), 3),
        "all_steps_s": [round(value, 3) for value in seconds[1:]],
        "peak_gb": round(peak, 3),
        "tensorflow": tf.__version__,
    }


def _processor():
    """The processor's name, with AMX or AVX-512 where bfloat16 profits from it."""
    path = pathlib.Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or platform.machine()
    lines = dict(
        (part.strip() for part in line.split(":", 1))
        for line in path.read_text().splitlines()
        if ":" in line
    )
    flags_ = lines.get("flags", "").split()
    units = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags_]
    return f"{lines.get('model name', platform.machine())} ({', '.join(units)})"


if __name__ == "__main__":
    command.run(main)
