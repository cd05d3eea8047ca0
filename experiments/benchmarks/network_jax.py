"""The network under JAX, on the accelerator that JAX has: forward and training step.

    KERAS_BACKEND=jax python -m experiments.benchmarks.network_jax --batches 8,32

Keras's layers, compiled as a whole: inference, and an update by SGD with momentum,
dropout on. A matrix product of the same type tells what the device can do. Each
compiles anew, which takes a minute or more on a GPU. Prints a table and leaves
network_jax_<device>.json in --output, written row by row. Needs no TensorFlow.
"""

import datetime
import functools
import itertools
import pathlib
import re

import numpy as np
from absl import flags

from experiments import command
from experiments.benchmarks import turns

_BATCHES = flags.DEFINE_list("batches", ["8"], "Clips at a time.")
_DTYPES = flags.DEFINE_list("dtypes", ["mixed_bfloat16", "float32"], "Of the network.")
_FRAMES = flags.DEFINE_integer("frames", 64, "T of a clip.", lower_bound=9)
_KINDS = ["training", "forward"]
_WORKS = flags.DEFINE_list("works", _KINDS, "What is timed.")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Timed runs of each.", lower_bound=1)
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)

_PRODUCT = 8192


def main():
    import keras

    if keras.config.backend() != "jax":
        raise ValueError(
            f"Keras's backend is {keras.config.backend()}; set KERAS_BACKEND=jax"
        )
    if unknown := set(_WORKS.value) - set(_KINDS):
        raise ValueError(f"--works: there is no {', '.join(sorted(unknown))}")
    import jax

    from experiments.benchmarks import machine, network_work
    from flow.files import write_json

    device = jax.devices()[0]
    result = {
        "date": datetime.date.today().isoformat(),
        "device": device.device_kind,
        "machine": machine.describe(),
        "versions": {"jax": jax.__version__, "keras": keras.__version__},
        "frames": _FRAMES.value,
        "matrix_product_tflop_s": {},
        "rows": [],
    }
    name = re.sub(r"\W+", "_", device.device_kind).lower()
    path = pathlib.Path(_OUTPUT.value) / f"network_jax_{name}.json"
    print(f"{device.device_kind}; {result['versions']}; RGB, 224 px, T={_FRAMES.value}")
    for dtype in _DTYPES.value:
        rate = _matrix_product(dtype)
        result["matrix_product_tflop_s"][dtype] = rate
        print(f"matrix product, {dtype}: {rate:.1f} TFLOP/s", flush=True)
    print("| | dtype | clips | s | clips/s | TFLOP/s | of the product | compiling, s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for dtype, work, batch in itertools.product(
        _DTYPES.value, _WORKS.value, map(int, _BATCHES.value)
    ):
        run = _network(work, dtype, batch)
        compiling = turns.seconds(run)
        seconds = [turns.seconds(run) for _ in range(_ROUNDS.value)]
        best = min(seconds)
        rate = network_work.gflop(work, _FRAMES.value) * batch / best / 1e3
        row = {
            "work": work,
            "dtype": dtype,
            "batch": batch,
            "seconds": seconds,
            "clips_s": batch / best,
            "tflop_s": rate,
            "of_product": rate / result["matrix_product_tflop_s"][dtype],
            "compiling_s": compiling,
        }
        result["rows"].append(row)
        write_json(path, result)
        print(
            f"| {work} | {dtype} | {batch} | {best:.4f} | {row['clips_s']:.1f} | "
            f"{rate:.2f} | {row['of_product']:.0%} | {compiling:.0f} |",
            flush=True,
        )
    print(f"{path}: the figures")


def _matrix_product(dtype):
    """TFLOP/s."""
    import jax

    plain = dtype.removeprefix("mixed_")
    factor = jax.random.normal(jax.random.key(0), [_PRODUCT, _PRODUCT], plain)
    product = jax.jit(lambda x: x @ x)

    def run():
        product(factor).block_until_ready()

    run()
    return 2 * _PRODUCT**3 / min(turns.seconds(run) for _ in range(5)) / 1e12


def _network(work, dtype, batch):
    """A function that does the work once."""
    import jax

    from experiments.benchmarks.network_work import CLASSES, SIZE
    from i3d_tf import RGB, build_i3d

    model = build_i3d(RGB, CLASSES, dtype=dtype, dropout=0.5, seed=0)
    shape = [batch, _FRAMES.value, SIZE, SIZE, RGB.channels]
    clips = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    clips = jax.device_put(clips)
    variables = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    if work == "forward":

        @jax.jit
        def forward(variables, others, clips):
            return model.stateless_call(variables, others, clips, training=False)[0]

        return lambda: forward(variables, others, clips).block_until_ready()
    update = _update(model, np.arange(batch) % CLASSES)
    momenta = [np.zeros_like(v) for v in variables]
    state = [jax.device_put(part) for part in (variables, momenta, others)]

    def run():
        *state[:], loss = update(*state, clips)
        loss.block_until_ready()

    return run


def _update(model, labels):
    """A compiled update: (variables, momenta, others, clips) -> the three and loss."""
    import jax

    def loss_of(variables, others, clips):
        logits, others = model.stateless_call(variables, others, clips, training=True)
        chosen = jax.nn.log_softmax(logits.astype("float32"))
        return -chosen[np.arange(len(labels)), labels].mean(), others

    # The old ones' memory is used for the new ones.
    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(variables, momenta, others, clips):
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, others), gradients = gradient(variables, others, clips)
        momenta = [0.9 * m - 1e-3 * g for m, g in zip(momenta, gradients, strict=True)]
        variables = [v + m for v, m in zip(variables, momenta, strict=True)]
        return variables, momenta, others, loss

    return update


if __name__ == "__main__":
    command.run(main)
