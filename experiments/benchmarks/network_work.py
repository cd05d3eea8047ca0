"""What the network's benchmark times, each ready to be run again and again."""

from typing import Any, NamedTuple

import numpy as np

SIZE = 224
CLASSES = 400
PRODUCT = 4096


class Prepared(NamedTuple):
    """Work with its floating-point operations, a multiply-add being two."""

    run: Any
    gflop: float
    version: str


def prepare(name, dtype, frames, batch_size):
    """The work of this name; see `network.py`'s lists."""
    if name == "matrix product":
        return _matrix_product(dtype)
    kind, how = name.split(", ")
    clips = np.random.default_rng(0).uniform(-1, 1, [batch_size, frames, SIZE, SIZE, 3])
    if how.startswith("PyTorch"):
        run, version = _torch(kind, how, dtype, clips.astype("float32"))
    else:
        run, version = _tensorflow(kind, how, dtype, clips.astype("float32"))
    return Prepared(run, batch_size * gflop(kind, frames), version)


def _matrix_product(dtype):
    import i3d_tf  # noqa: F401  isort: skip, it chooses oneDNN

    import tensorflow as tf

    factor = tf.cast(tf.random.normal([PRODUCT, PRODUCT]), _plain(dtype))
    product = tf.function(lambda: tf.matmul(factor, factor))
    return Prepared(
        lambda: product().numpy(), 2 * PRODUCT**3 / 1e9, f"tensorflow {tf.__version__}"
    )


def _tensorflow(kind, how, dtype, clips):
    from i3d_tf import RGB, build_i3d  # isort: skip, it chooses oneDNN

    import keras
    import tensorflow as tf

    from i3d_tf.config import Config, Data, StreamTraining
    from i3d_tf.fast import for_inference, for_training
    from i3d_tf.training.state import new_stream_state
    from i3d_tf.training.updates import make_updates

    model = build_i3d(RGB, CLASSES, dtype=dtype, dropout=0.5, seed=0)
    version = f"tensorflow {tf.__version__}, keras {keras.__version__}"
    clips = tf.constant(clips)
    if kind == "forward":
        network = for_inference(model) if how == "folded" else model
        forward = tf.function(lambda: network(clips, training=False))
        return lambda: forward().numpy(), version
    config = Config(
        data=Data("none"),
        rgb=StreamTraining(steps=1, learning_rates=(1e-3,), dropout=0.5),
        flow=None,
        batch_size=len(clips),
        dtype=dtype,
        recompute=how == "recomputed",
    )
    view = (lambda model, **_: model) if how == "Keras" else for_training
    states = {"rgb": new_stream_state(RGB, config, CLASSES)}
    update = make_updates(tf.distribute.get_strategy(), config, states, view)
    batch = {"rgb": clips}, tf.one_hot(tf.zeros([len(clips)], tf.int32), CLASSES)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    return lambda: update(batches, 0, 1, ("rgb",)), version


def _torch(kind, how, dtype, clips):
    import torch

    from experiments.benchmarks.torch_i3d import I3D

    plain_layout = how.endswith("NCDHW")
    layout = torch.contiguous_format if plain_layout else torch.channels_last_3d
    plain = getattr(torch, _plain(dtype))
    network = I3D(3, CLASSES).to(memory_format=layout)
    clips = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous()
    clips = clips.to(memory_format=layout)
    if kind == "forward":
        network, clips = network.eval().to(plain), clips.to(plain)

        def run():
            with torch.inference_mode():
                network(clips)

        return run, f"torch {torch.__version__}"
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    labels = torch.zeros(len(clips), dtype=torch.long)

    def run():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=plain == torch.bfloat16):
            logits = network(clips)
        functional = torch.nn.functional
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return run, f"torch {torch.__version__}"


def _plain(dtype):
    return dtype.removeprefix("mixed_")


def gflop(kind, frames):
    """Of a clip's convolutions, "forward" or "training".

    The paper's 64 frames have 111.15 G multiply-adds.
    """
    first, *others = _convolutions(frames)
    if kind == "forward":
        return first + sum(others)
    # Each again for the kernel's gradient and for its input's, which the first, having
    # the clip for input, does without. What is computed once more to save memory does
    # not count.
    return 2 * first + 3 * sum(others)


def _convolutions(frames):
    """GFLOP of each convolution, in the model's order."""
    from i3d_tf import RGB, build_i3d  # isort: skip, it chooses oneDNN

    import keras

    model = build_i3d(RGB, CLASSES)
    layers = [x for x in model.layers if isinstance(x, keras.layers.Conv3D)]
    shapes = keras.Model(
        model.input, [layer.output for layer in layers]
    ).compute_output_spec(keras.KerasTensor((1, frames, SIZE, SIZE, 3)))
    return [
        2 * np.prod(shape.shape) * np.prod(layer.kernel.shape[:-1]) / 1e9
        for layer, shape in zip(layers, shapes, strict=True)
    ]
