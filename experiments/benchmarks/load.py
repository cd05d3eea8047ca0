r"""An exported model under load: many clients in one process, some of them wrong.

    python -m experiments.benchmarks.load
    python -m experiments.benchmarks.load --model models/demo --requests 1000

Clients ask for the answers of clips of noise, one after the other and at the same time,
in the signature serving_default; every tenth request is malformed. Each answer is
compared with the one that its clip got alone, and each malformed request has to be
refused. Prints throughput, latencies and memory, and leaves load.json in --output.
Without --model one of random weights is exported, which takes as long.
"""

import concurrent.futures
import pathlib
import tempfile
import time

import numpy as np
from absl import flags

from experiments import command

_MODEL = flags.DEFINE_string("model", None, "SavedModel of export, of actions.")
_REQUESTS = flags.DEFINE_integer(
    "requests", 1000, "Of each number of clients.", lower_bound=10
)
_CLIENTS = flags.DEFINE_list("clients", ["1", "4", "16"], "At the same time.")
_FRAMES = flags.DEFINE_integer("frames", 16, "T of the clips.", lower_bound=9)
_SIZE = flags.DEFINE_integer("size", 64, "Of a model of random weights, px.")
_WIDTH = flags.DEFINE_float("width", 0.25, "Of a model of random weights.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
# Different clips; every so many requests one is malformed; points at which memory is
# looked at.
_CLIPS, _MALFORMED, _LOOKS = 8, 10, 10


def main():
    from experiments.benchmarks import machine
    from flow.files import write_json

    with tempfile.TemporaryDirectory() as folder:
        load = _Load(_MODEL.value or _random_model(pathlib.Path(folder) / "model"))
        rows = [load.under(int(clients)) for clients in _CLIENTS.value]
    result = {
        "machine": machine.describe(),
        "model": _MODEL.value or f"random, {_SIZE.value} px, width {_WIDTH.value}",
        "frames": _FRAMES.value,
        "requests": _REQUESTS.value,
        "rows": rows,
    }
    print(f"{result['machine']}; {result['model']}; {_FRAMES.value} frames\n")
    print("| clients | clips/s | ms: median | 95 % | 99 % | MB held at begin, end |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['clients']} | {row['clips_s']:.1f} | {row['ms'][0]:.0f} | "
            f"{row['ms'][1]:.0f} | {row['ms'][2]:.0f} | "
            f"{row['mb'][0]:.0f}, {row['mb'][-1]:.0f} |"
        )
    refused = sum(row["refused"] for row in rows)
    print(f"\n{refused} malformed requests refused, all other answers as alone")
    write_json(pathlib.Path(_OUTPUT.value) / "load.json", result)


def _random_model(path):
    from experiments.benchmarks.random_model import export_random
    from i3d_tf.config import Data

    side = _SIZE.value
    data = Data("none", num_frames=_FRAMES.value, size=side, smaller_side=side)
    export_random(path, data, width=_WIDTH.value)
    return path


class _Load:
    """A model, clips, and what each clip gets when nobody else asks."""

    def __init__(self, model_dir):
        import tensorflow as tf

        # The signature lives as long as the model does.
        self._model = tf.saved_model.load(str(model_dir))
        self._serve = self._model.signatures["serving_default"]
        rng = np.random.default_rng(0)
        specs = self._serve.structured_input_signature[1]
        self._clips = []
        for _ in range(_CLIPS):
            shapes = {n: (1, _FRAMES.value, *s.shape[2:]) for n, s in specs.items()}
            self._clips.append(
                {
                    name: tf.constant(rng.integers(0, 20, shape), specs[name].dtype)
                    for name, shape in shapes.items()
                }
            )
        self._alone = [self._logits(clip) for clip in self._clips]
        self._refusal = tf.errors.InvalidArgumentError

    def _logits(self, clip):
        return self._serve(**clip)["logits"].numpy()

    def _ask(self, number):
        """Seconds of a request, or None of a malformed one, which was refused."""
        clip = self._clips[number % _CLIPS]
        if number % _MALFORMED == _MALFORMED - 1:
            try:
                self._logits({name: value[:, :3] for name, value in clip.items()})
            except self._refusal:
                return None
            raise ValueError(f"request {number}: 3 frames were not refused")
        began = time.perf_counter()
        logits = self._logits(clip)
        seconds = time.perf_counter() - began
        if not np.allclose(logits, self._alone[number % _CLIPS], atol=1e-4):
            raise ValueError(f"request {number}: answered otherwise than alone")
        return seconds

    def under(self, clients):
        """A row: throughput, latencies and memory with so many clients."""
        from experiments.benchmarks import machine

        held, found = [machine.held_gb()], []
        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            for part in np.array_split(np.arange(_REQUESTS.value), _LOOKS):
                found += pool.map(self._ask, part.tolist())
                held.append(machine.held_gb())
        took = time.perf_counter() - began
        answered = [seconds for seconds in found if seconds is not None]
        return {
            "clients": clients,
            "clips_s": len(answered) / took,
            "ms": [1e3 * float(np.percentile(answered, p)) for p in (50, 95, 99)],
            "mb": [1e3 * gb for gb in held],
            "refused": len(found) - len(answered),
        }


if __name__ == "__main__":
    command.run(main)
