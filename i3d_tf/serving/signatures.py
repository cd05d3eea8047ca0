"""The signatures of a SavedModel: which tensors it takes, and what it answers."""

import tensorflow as tf

from i3d_tf import clips
from i3d_tf.evaluation import fuse
from i3d_tf.inception import MIN_FRAMES
from i3d_tf.serving import raw_video
from i3d_tf.streams import ALL_STREAMS

TOP = 5
RGB, FLOW = "rgb", "flow"


def action_signatures(networks, labels, data, endpoints):
    """{signature name: concrete function} of networks of clips.

    Args:
      networks: {stream name: folded network that answers [logits, *endpoints]}.
      labels: class names.
      data: `config.Data`.
      endpoints: names of the layers whose features are served.
    """
    streams = [stream for stream in ALL_STREAMS if stream.name in networks]
    labels = tf.constant(labels)
    specs = {
        stream.name: tf.TensorSpec(
            [None, None, data.size, data.size, stream.channels],
            stream.raw_dtype,
            name=stream.name,
        )
        for stream in streams
    }

    # Signatures call them, so that each network is traced and written once.
    run = {stream.name: _network(stream, networks, data) for stream in streams}

    def answers(**inputs):
        logits = {
            stream.name: run[stream.name](_normalised(inputs, stream))[0]
            for stream in streams
            if stream.name in inputs
        }
        return _answers(logits, labels)

    def features(**inputs):
        found = {}
        for stream in streams:
            _, *values = run[stream.name](_normalised(inputs, stream))
            for name, value in zip(endpoints, values, strict=True):
                found[f"{stream.name}_{name}"] = value
        return found

    def of_frames(frames):
        _check(frames, "frames", 2, "a video")
        prepared = raw_video.prepare(frames, data, with_flow=FLOW in networks)
        return answers(**{name: prepared[name] for name in networks})

    def of_hub(rgb_input):
        _check(rgb_input, "rgb_input", MIN_FRAMES, "a clip")
        return {"default": run[RGB](rgb_input)[0]}

    made = {"serving_default": _concrete(answers, **specs)}
    for name, spec in specs.items():
        made[name] = _concrete(answers, **{name: spec})
    if endpoints:
        made["features"] = _concrete(features, **specs)
    if set(networks) <= {RGB, FLOW}:
        video = made["video"] = _concrete(
            of_frames,
            frames=tf.TensorSpec([None, None, None, None, 3], tf.uint8, name="frames"),
        )
        made["encoded"] = _concrete(
            lambda encoded: video(frames=raw_video.decode_frames(encoded)),
            encoded=tf.TensorSpec([None], tf.string, name="encoded"),
        )
    if RGB in networks:
        shape = [None, None, data.size, data.size, 3]
        made["default"] = _concrete(
            of_hub, rgb_input=tf.TensorSpec(shape, tf.float32, name="rgb_input")
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

    specs = {
        stream.name: tf.TensorSpec(
            [None, data.size, data.size, stream.channels],
            stream.raw_dtype,
            name=stream.name,
        )
        for stream in streams
    }
    return {"serving_default": _concrete(serve, **specs)}


def _network(stream, networks, data):
    """A function: clips in [-1, 1] -> [logits, *features]."""
    shape = [None, None, data.size, data.size, stream.channels]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32)])
    def run(clip):
        return tf.nest.flatten(networks[stream.name](clip, training=False))

    return run


def _answers(logits, labels):
    """What is served of {stream name: logits}; labels are a `[num_classes]` tensor."""
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


def _normalised(inputs, stream):
    clip = inputs[stream.name]
    _check(clip, stream.name, MIN_FRAMES, "a clip")
    return clips.normalise_raw(clip, stream)


def _check(clip, name, frames, what):
    """In the graph: the batch holds something, and enough frames."""
    batch, time = tf.unstack(tf.shape(clip)[:2])
    tf.debugging.assert_positive(
        batch, f"{name}: the batch is empty; expected at least one clip"
    )
    tf.debugging.assert_greater_equal(
        time, frames, f"{name}: {what} needs at least {frames} frames"
    )


def _concrete(function, **specs):
    return tf.function(function, autograph=False).get_concrete_function(**specs)
