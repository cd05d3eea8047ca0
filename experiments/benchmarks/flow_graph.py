r"""Speed and accuracy of TV-L1's graph engine, on the processor or an accelerator.

    python -m experiments.benchmarks.flow_graph --clips videos --middlebury middlebury
    KERAS_BACKEND=jax python -m experiments.benchmarks.flow_graph --clips videos \\
        --batches 64,256

The engine runs compiled by XLA, and under TensorFlow also as a plain `tf.function`.
The batches are pairs of frames of real clips of one size, which OpenCV solves before,
on one core. Prints a table and leaves flow_graph_<backend>_<device>.json in --output.
Needs neither TensorFlow under another backend nor numba. A machine with an accelerator
needs neither the videos nor OpenCV's own TV-L1, if the solved pairs are brought along:

    python -m experiments.benchmarks.flow_graph --clips videos --solved pairs.npz
    KERAS_BACKEND=jax python -m experiments.benchmarks.flow_graph --solved pairs.npz
"""

import datetime
import itertools
import pathlib
import platform
import re
import time

import numpy as np
from absl import flags

from experiments import command

_CLIPS = flags.DEFINE_string("clips", None, "Folder of videos.")
_SOLVED = flags.DEFINE_string(
    "solved", None, "File of pairs with OpenCV's flow: read, or written if --clips is."
)
_MIDDLEBURY = flags.DEFINE_string("middlebury", None, "As of the flow benchmark.")
_COUNT = flags.DEFINE_integer("count", 3, "Clips of the size.", lower_bound=1)
_PAIRS = flags.DEFINE_integer("pairs", 4, "Pairs of frames a clip.", lower_bound=1)
_SIZE = flags.DEFINE_list("size", ["256", "341"], "Height and width of frames, px.")
_BATCHES = flags.DEFINE_list("batches", ["1", "2"], "Pairs at a time.")
_REPEATS = flags.DEFINE_integer(
    "repeats", 1, "Timed runs of each batch after the first.", lower_bound=1
)
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)


def main():
    import keras

    from experiments.benchmarks import machine
    from flow.files import write_json

    if not _CLIPS.value and not _SOLVED.value:
        raise ValueError("--clips or --solved must say what is to be solved")
    device = _device(keras.config.backend())
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "device": device,
        "rows": [],
    }
    print(f"{result['machine']}; {result['backend']} on {device}\n")
    print(
        "| graph engine | size | pairs at a time | frames/s | OpenCV frames/s | ",
        end="",
    )
    print("ratio | mean px off | 99th percentile |\n|---|---|---|---|---|---|---|---|")
    pairs, expected, seconds = _solved_pairs()
    for (name, flow), batch in itertools.product(
        _engines(result["backend"]).items(), map(int, _BATCHES.value)
    ):
        row = _measure(flow, pairs, expected, batch)
        row = {"engine": name, "size": pairs.shape[2:], "pairs": batch, **row}
        row["opencv_frames_s"] = 1 / seconds
        row["ratio"] = row["frames_s"] * seconds
        result["rows"].append(row)
        _print(row)
    if _MIDDLEBURY.value:
        from experiments.benchmarks.flow_work import middlebury_errors

        compiled = list(_engines(result["backend"]).values())[-1]
        result["middlebury"] = middlebury_errors(
            _MIDDLEBURY.value,
            {"graph": lambda *pair: compiled(*np.stack(pair)[:, None])[0]},
        )
        for pair in result["middlebury"]:
            print(f"{pair['name']}: mean endpoint error {pair['graph']:.4f} px")
    name = re.sub(r"\W+", "_", f"flow_graph_{result['backend']}_{device}").lower()
    path = pathlib.Path(_OUTPUT.value) / f"{name}.json"
    write_json(path, result)
    print(f"\n{path}: the figures")


def _device(backend):
    if backend == "jax":
        import jax

        return jax.devices()[0].device_kind
    if backend != "tensorflow":
        raise ValueError(f"Keras's backend is {backend}; here it is tensorflow or jax")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu")


def _engines(backend):
    """{name: function of two batches -> their flow, a NumPy array}; XLA's is last."""
    from flow.tvl1_graph import tvl1_flow

    if backend == "jax":
        import jax

        compiled = jax.jit(tvl1_flow)
        return {"jax.jit": lambda *pairs: np.asarray(compiled(*pairs))}
    import tensorflow as tf

    graphs = {
        "tf.function": tf.function(tvl1_flow, autograph=False),
        "tf.function, XLA": tf.function(tvl1_flow, autograph=False, jit_compile=True),
    }
    return {
        name: lambda *pairs, graph=graph: graph(*map(tf.constant, pairs)).numpy()
        for name, graph in graphs.items()
    }


def _solved_pairs():
    """(`[N, 2, H, W]` uint8 grey, OpenCV's flow of them, its s a pair)."""
    if not _CLIPS.value:
        solved = np.load(_SOLVED.value)
        return solved["pairs"], solved["expected"], float(solved["seconds"])
    import cv2

    from experiments.benchmarks.flow_work import first_pairs
    from flow.tvl1 import TVL1

    cv2.setNumThreads(1)
    size = tuple(map(int, _SIZE.value))
    clips = first_pairs(_CLIPS.value, size, clips=_COUNT.value, pairs=_PAIRS.value)
    pairs = np.array([pair for clip in clips for pair in clip])
    if not len(pairs):
        raise ValueError(f"{_CLIPS.value}: no video gives frames of {size}")
    opencv = TVL1("opencv")
    opencv(*pairs[0])  # It makes its buffers before the clock runs.
    began = time.perf_counter()
    expected = np.stack([opencv(*pair) for pair in pairs])
    seconds = (time.perf_counter() - began) / len(pairs)
    if _SOLVED.value:
        np.savez(_SOLVED.value, pairs=pairs, expected=expected, seconds=seconds)
    return pairs, expected, seconds


def _measure(flow, pairs, expected, batch):
    # As many batches as the pairs fill, at least one; pairs may come twice in it.
    count = max(len(pairs) // batch, 1) * batch
    chosen = np.arange(count) % len(pairs)
    off, seconds = [], 0.0
    flow(*pairs[chosen[:batch]].swapaxes(0, 1))  # Compiled before the clock runs.
    for first in range(0, count, batch):
        numbers = chosen[first : first + batch]
        frames = pairs[numbers].swapaxes(0, 1)
        for _ in range(_REPEATS.value):
            began = time.perf_counter()
            solved = flow(*frames)
            seconds += time.perf_counter() - began
        off.append(np.abs(solved - expected[numbers]))
    off = np.concatenate(off)
    return {
        "frames_s": count * _REPEATS.value / seconds,
        # Of the pair that is worst.
        "mean_off": float(off.mean(axis=(1, 2, 3)).max()),
        "percentile_99_off": float(np.percentile(off, 99, axis=(1, 2, 3)).max()),
    }


def _print(row):
    height, width = row["size"]
    print(
        f"| {row['engine']} | {height}x{width} | {row['pairs']} | "
        f"{row['frames_s']:.2f} | {row['opencv_frames_s']:.2f} | {row['ratio']:.2f} | "
        f"{row['mean_off']:.4f} | {row['percentile_99_off']:.3f} |",
        flush=True,
    )


if __name__ == "__main__":
    command.run(main)
