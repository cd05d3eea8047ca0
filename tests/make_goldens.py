"""The cases of tests/goldens: weights and inputs by a formula, answers of ours.

    .venv/bin/python tests/make_goldens.py

writes them anew; tests/goldens/README.md says when. Reads no random generator and no
initialiser, so that a golden says nothing of these.
"""

import pathlib
import re
import zlib

import keras
import numpy as np

from i3d_tf.inception import build_i3d
from i3d_tf.streams import FLOW, RGB

FOLDER = pathlib.Path(__file__).parent / "goldens"
# Name: stream, T, (H, W). Odd numbers pad otherwise than even ones.
CASES = {
    "rgb_9x32x32": (RGB, 9, (32, 32)),
    "rgb_16x64x64": (RGB, 16, (64, 64)),
    "rgb_19x45x58": (RGB, 19, (45, 58)),
    "flow_9x32x32": (FLOW, 9, (32, 32)),
    "flow_16x64x64": (FLOW, 16, (64, 64)),
}
ENDPOINTS = ("Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_3c", "Mixed_4f", "Mixed_5c")
CLASSES = 10


def spread(shape, start):
    """Numbers in (-1, 1) of the running index from `start`, scattered by its bits.

    The finalizer of MurmurHash3, in integers: the same everywhere. Of anything linear
    or periodic in the index, like its sine, all filters would be mixtures of a few.
    """
    index = np.arange(np.prod(shape, dtype=int), dtype=np.uint64) + np.uint64(start)
    bits = index.astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    # 24 bits, which a float32 holds exactly.
    return ((bits >> np.uint32(8)) / 2**23 - 1).astype(np.float32).reshape(shape)


def network(stream, size, width=1 / 8):
    """A network whose features keep about unit scale."""
    model = build_i3d(stream, CLASSES, size=size, width=width)
    for variable in model.weights:
        # Of the name's levels, so that neither order nor separator matters.
        levels = re.sub(r"\W", "/", variable.path).encode()
        values = spread(variable.shape, zlib.crc32(levels))
        if variable.name == "kernel":
            # Uniform numbers have a variance of 1/3; behind a ReLU half is left.
            values *= np.sqrt(6 / np.prod(variable.shape[:-1]))
        elif variable.name == "moving_variance":
            values = 1 + values / 2
        else:
            values *= 0.3
        variable.assign(values)
    return model


def clip(stream, frames, size):
    """`[1, frames, H, W, C]` in [-1, 1]."""
    return spread((1, frames, *size, stream.channels), 1)


def answer(name):
    """{"logits", "<endpoint>_mean", "<endpoint>_centre"} of a case.

    Logits `[10]`; the mean over batch, time, height and width `[C]`, and the centre
    pixel at all times `[T, C]`.
    """
    stream, frames, size = CASES[name]
    model = network(stream, size)
    outputs = {name: model.get_layer(name).output for name in ENDPOINTS}
    features = keras.Model(model.input, {**outputs, "logits": model.output})
    got = features(clip(stream, frames, size), training=False)
    got = {key: keras.ops.convert_to_numpy(value) for key, value in got.items()}
    kept = {"logits": got.pop("logits")[0]}
    for endpoint, value in got.items():
        kept[f"{endpoint}_mean"] = value.mean((0, 1, 2, 3))
        _, _, height, width, _ = value.shape
        kept[f"{endpoint}_centre"] = value[0, :, height // 2, width // 2]
    return kept


def main():
    for name in CASES:
        np.savez_compressed(FOLDER / f"{name}.npz", **answer(name))
        print(FOLDER / f"{name}.npz")


if __name__ == "__main__":
    main()
