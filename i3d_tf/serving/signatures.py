"""The signatures of a SavedModel: which tensors it takes, and what it answers."""

from typing import NamedTuple

import tensorflow as tf

from i3d_tf import clips
from i3d_tf.evaluation import fuse
from i3d_tf.fine_tuning import HEAD
from i3d_tf.inception import MIN_FRAMES
from i3d_tf.serving import raw_video
from i3d_tf.streams import ALL_STREAMS, FLOW, RGB

TOP = 5


class Input(NamedTuple):
    """What a signature takes under a name.

    Attributes:
      shape: None for sides that are free.
      dtype: "uint8", "float32", "string" ...
      least: of each free side the letter and the least, as "T >= 9".
    """

    shape: tuple[int | None, ...]
    dtype: str
    least: tuple[str, ...]


CLIP = ("B >= 1", f"T >= {MIN_FRAMES}")


def action_signatures(networks, labels, data, endpoints):
    """{signature name: concrete function} of networks of clips.

    Args:
      networks: {stream name: folded network that answers [logits, what the last pool
        gets, *endpoints]}.
      labels: class names.
      data: `config.Data`.
      endpoints: names of the layers whose features are served.
    """
    streams = [stream for stream in ALL_STREAMS if stream.name in networks]
    labels = tf.constant(labels)
    inputs = {
        stream.name: Input(
            (None, None, data.size, data.size, stream.channels),
            stream.raw_dtype,
            CLIP,
        )
        for stream in streams
    }

    # Signatures call them, so that each network is traced and written once.
    run = {stream.name: _network(stream, networks, data) for stream in streams}

    def outputs(clips_):
        """{stream name: [logits, what the last pool gets, *features]}."""
        return {
            stream.name: run[stream.name](
                clips.normalise_raw(clips_[stream.name], stream)
            )
            for stream in streams
            if stream.name in clips_
        }

    def answers(**clips_):
        return _answers(outputs(clips_), labels)

    def normalised(**clips_):
        return _answers(
            {name: run[name](clip) for name, clip in clips_.items()}, labels
        )

    def activation(**clips_):
        found = outputs(clips_)
        # Pool and classifier are linear, and can be taken in the other order.
        maps = [networks[name].get_layer(HEAD)(one[1]) for name, one in found.items()]
        return {**_answers(found, labels), "activation": fuse(maps)}

    def features(**clips_):
        return {
            # Of networks in bfloat16 too: NumPy has no such numbers.
            f"{name}_{endpoint}": tf.cast(value, tf.float32)
            for name, one in outputs(clips_).items()
            for endpoint, value in zip(endpoints, one[2:], strict=True)
        }

    def of_frames(frames):
        prepared = raw_video.prepare(frames, data, with_flow=FLOW.name in networks)
        return answers(**{name: prepared[name] for name in networks})

    made = {"serving_default": _signature(answers, inputs)}
    for name, one in inputs.items():
        made[name] = _signature(answers, {name: one})
    made["normalised"] = _signature(
        normalised,
        {name: one._replace(dtype="float32") for name, one in inputs.items()},
    )
    made["activation"] = _signature(activation, inputs)
    if endpoints:
        made["features"] = _signature(features, inputs)
        for name, one in inputs.items():
            made[f"{name}_features"] = _signature(features, {name: one})
    shape = (None, None, None, None, 3)
    frames = Input(shape, "uint8", ("B >= 1", "T >= 2", "H >= 1", "W >= 1"))
    video = made["video"] = _signature(of_frames, {"frames": frames})
    made["encoded"] = _signature(
        lambda encoded: video(frames=raw_video.decode_frames(encoded)),
        {"encoded": Input((None,), "string", ("N >= 1",))},
    )
    if RGB.name in networks:
        made["default"] = _signature(
            lambda rgb_input: {"default": run[RGB.name](rgb_input)[0]},
            {"rgb_input": Input(inputs[RGB.name].shape, "float32", CLIP)},
        )
    return made


def pose_signatures(networks, data):
    """{"serving_default": concrete function} of networks of pictures."""
    streams = [stream for stream in ALL_STREAMS if stream.name in networks]

    def serve(**inputs):
        joints = [
            networks[stream.name](
                clips.normalise_raw(inputs[stream.name], stream), training=False
            )
            for stream in streams
        ]
        return {"joints": fuse(joints)}

    inputs = {
        stream.name: Input(
            (None, data.size, data.size, stream.channels), stream.raw_dtype, CLIP[:1]
        )
        for stream in streams
    }
    return {"serving_default": _signature(serve, inputs)}


def _network(stream, networks, data):
    """A function: clips in [-1, 1] -> [logits, *features]."""
    shape = [None, None, data.size, data.size, stream.channels]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32)])
    def run(clip):
        return tf.nest.flatten(networks[stream.name](clip, training=False))

    return run


def _answers(outputs, labels):
    """What is served of {stream name: [logits, ...]}; labels are a string tensor."""
    logits = {name: one[0] for name, one in outputs.items()}
    fused = fuse(list(logits.values()))
    probabilities = tf.nn.softmax(fused)
    best = tf.math.top_k(probabilities, min(TOP, labels.shape[0]))
    return {
        **{f"{name}_logits": one for name, one in logits.items()},
        "logits": fused,
        "probabilities": probabilities,
        "classes": tf.gather(labels, best.indices),
        "scores": best.values,
    }


def _signature(function, inputs):
    """A concrete function of {name: Input}, which refuses what is none of these."""
    specs = {
        name: tf.TensorSpec(one.shape, one.dtype, name=name)
        for name, one in inputs.items()
    }

    def checked(**tensors):
        return function(
            **{name: _checked(tensors[name], name, inputs[name]) for name in inputs}
        )

    return tf.function(checked, autograph=False).get_concrete_function(**specs)


def _checked(tensor, name, wanted):
    """The tensor; in the graph an error that names what is right, if it is wrong.

    TensorFlow does not compare what a signature gets with its shapes, and computes
    something, or fails in the middle of the network.
    """
    # Without its static shape, which would make every check true as it is built.
    hidden = tf.compat.v1.placeholder_with_default(tensor, shape=None)
    shape, rank = tf.shape(hidden), len(wanted.shape)
    free = iter(wanted.least)
    texts = [next(free) if side is None else str(side) for side in wanted.shape]
    least = [int(text.split(">= ")[-1]) for text in texts]
    is_free = [side is None for side in wanted.shape]
    # Of any rank as many sides as are wanted.
    sides = tf.concat([shape, tf.fill([rank], -1)], 0)[:rank]
    fits = (sides == least) | (is_free & (sides > least))
    right = (tf.size(shape) == rank) & tf.reduce_all(fits)
    told = f"{name}: expected [{', '.join(texts)}], received"
    with tf.control_dependencies([tf.debugging.Assert(right, [told, shape], 9)]):
        return tf.ensure_shape(tf.identity(hidden), wanted.shape)
