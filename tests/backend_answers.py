"""What the backend that KERAS_BACKEND names answers; a process of test_backends.py.

    KERAS_BACKEND=jax python tests/backend_answers.py FOLDER OUTPUT.npz

FOLDER has pairs of NAME.keras, saved by any backend, and its clip NAME.npy, and grey
frames `[N, H, W]` in frames.npy. Leaves the logits `golden/<case>` of the goldens'
cases, `loaded/<name>` of the files and `built/<name>` of networks that are built here
with their weights, and the frames' `flow`.
"""

import pathlib
import sys

import keras
import make_goldens
import numpy as np

from flow.tvl1_graph import tvl1_flow
from i3d_tf.inception import build_i3d
from i3d_tf.streams import STREAMS

# As many iterations everywhere: else the last bit of a sum decides when to stop.
FLOW_PARAMETERS = {
    "epsilon": 0.0,
    "inner_iterations": 8,
    "outer_iterations": 2,
    "warps": 2,
}


def main(folder, output):
    answers = {"backend": keras.config.backend()}
    for case, (stream, frames, size) in make_goldens.CASES.items():
        clip = make_goldens.clip(stream, frames, size)
        answers[f"golden/{case}"] = _logits(make_goldens.network(stream, size), clip)
    for path in sorted(pathlib.Path(folder).glob("*.keras")):
        clip = np.load(path.with_suffix(".npy"))
        loaded = keras.models.load_model(path)
        answers[f"loaded/{path.stem}"] = _logits(loaded, clip)
        (stream,) = (s for s in STREAMS if loaded.name == f"i3d_{s.name}")
        _, _, *size, _ = loaded.input_shape
        built = build_i3d(stream, loaded.output_shape[-1], size=tuple(size))
        built.set_weights(loaded.get_weights())
        answers[f"built/{path.stem}"] = _logits(built, clip)
    answers["flow"] = _flow(np.load(pathlib.Path(folder) / "frames.npy"))
    np.savez(output, **answers)


def _logits(model, clip):
    # Compiled as a whole: JAX by itself compiles every layer, five times as slowly.
    return model.predict_on_batch(clip)


def _flow(frames):
    def solve(previous, current):
        return tvl1_flow(previous, current, **FLOW_PARAMETERS)

    if keras.config.backend() == "jax":
        import jax

        solve = jax.jit(solve)
    return keras.ops.convert_to_numpy(solve(frames[:-1], frames[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
