r"""Seconds of a clip by what is imported first: i3d_tf or TensorFlow.

    python -m experiments.benchmarks.import_order

TensorFlow decides about oneDNN while it is imported. `i3d_tf` turns it on if it comes
first; otherwise the processor decides, and without AVX-512 it stays off. Three
processes answer the same clip of random pixels with the same SavedModel of random
weights and take turns: one imports i3d_tf first, one TensorFlow alone, as a server
does, and one TensorFlow with oneDNN off, as on a processor without AVX-512. Prints a
table and leaves import_order.json in --output.
"""

import json
import os
import pathlib
import tempfile

from absl import flags

from experiments import command

_ROUNDS = flags.DEFINE_integer("rounds", 3, "Timed runs of each.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 64, "Frames of the clip.", lower_bound=9)
_SIZE = flags.DEFINE_integer("size", 224, "Side of the clip, px.", lower_bound=32)
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
_CHILD = flags.DEFINE_string("child", None, "Used by the benchmark itself.")

_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
# {row of the table: (first import, value of the variable)}
_PROCESSES = {
    "i3d_tf first": ("i3d_tf", None),
    "TensorFlow alone": ("tensorflow", None),
    f"TensorFlow alone, {_VARIABLE}=1": ("tensorflow", "1"),
    f"TensorFlow alone, {_VARIABLE}=0": ("tensorflow", "0"),
}


def main():
    if _CHILD.value:
        return _work(**json.loads(_CHILD.value))

    from experiments.benchmarks import machine, turns
    from experiments.benchmarks.random_model import export_random
    from flow.files import write_json
    from i3d_tf.config import Data
    from i3d_tf.streams import RGB

    data = Data("none", num_frames=_FRAMES.value, size=_SIZE.value)
    with tempfile.TemporaryDirectory() as folder:
        model = str(pathlib.Path(folder) / "model")
        export_random(model, data, (RGB,))
        options = [f"--frames={_FRAMES.value}", f"--size={_SIZE.value}"]
        children = {}
        for name, (first, value) in _PROCESSES.items():
            work = {"model": model, "first": first, "value": value}
            children[name] = turns.Child(
                "experiments.benchmarks.import_order", work, options
            )
            children[name].answer()
        seconds = {name: [] for name in children}
        for _ in range(_ROUNDS.value):
            for name, child in children.items():
                child.tell("clip")
                seconds[name].append(child.answer()["seconds"])
        for child in children.values():
            child.close()
            child.answer()
    fastest = {name: min(values) for name, values in seconds.items()}
    least = fastest["i3d_tf first"]
    result = {
        "machine": machine.describe(),
        "clip": f"{_FRAMES.value} RGB frames of {_SIZE.value} px",
        "rounds": _ROUNDS.value,
        "seconds": seconds,
        "ratio": {name: value / least for name, value in fastest.items()},
    }
    print(f"{result['machine']}; {result['clip']}\n")
    print("| process | s | ratio |\n|---|---|---|")
    for name, value in fastest.items():
        print(f"| {name} | {value:.2f} | {value / least:.2f} |")
    path = pathlib.Path(_OUTPUT.value) / "import_order.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)


def _work(model, first, value):
    """Runs as a process that answers one clip again and again."""
    os.environ.pop(_VARIABLE, None)
    if value is not None:
        os.environ[_VARIABLE] = value
    if first == "i3d_tf":
        import i3d_tf  # noqa: F401
    import numpy as np
    import tensorflow as tf

    from experiments.benchmarks import turns

    loaded = tf.saved_model.load(model)
    shape = [1, _FRAMES.value, _SIZE.value, _SIZE.value, 3]
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    clip = tf.constant(pixels)

    def answer():
        loaded.signatures["rgb"](rgb=clip)["logits"].numpy()

    answer()
    turns.serve({"clip": answer}, {"ready": True}, lambda: {"end": True})


if __name__ == "__main__":
    command.run(main)
