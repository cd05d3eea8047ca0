"""The Inception-v1 3D network of Carreira & Zisserman (CVPR 2017), and the 2D one.

Built from Keras layers and `keras.ops` alone: they run on the TensorFlow, JAX and
PyTorch backends, and a saved `.keras` file opens without this project. Layer
names are the paper's endpoints: `model.get_layer("Mixed_4f").output` is a
feature. Inside a module the levels are joined by hyphens, as Keras allows no slash
and PyTorch no dot: `Mixed_3b-Branch_1-Conv3d_0b_3x3`, with `-conv_3d` and `-batch_norm`
below.
"""

import functools

import keras

from i3d_tf.streams import FLOW, RGB
from i3d_tf.trunk import inception_v1

# Time is halved by Conv3d_1a, MaxPool3d_4a and MaxPool3d_5a, space by these and
# two more pools. The last pool needs two time steps, so 2 * 8 - 7 frames.
STRIDE = 32
MIN_FRAMES = 9


def build_i3d(
    stream,
    num_classes=None,
    *,
    weights=None,
    size=224,
    dropout=0.0,
    batch_norm_decay=0.999,
    dtype="float32",
    width=1.0,
    seed=None,
):
    """Returns the network of one stream, from clips to logits.

    Input `[B, T, H, W, C]` in [-1, 1] with any T >= 9, output float32 logits
    `[B, num_classes]`: the mean over the time steps of a sliding 2-step average
    pool, of which 64 frames give 7.

    Args:
      stream: a `Stream`, `RGB` or `FLOW`; gives the name and the channels C.
      num_classes: number of classes; by default that of `weights`, or else 400, which
        gives 12,704,544 (RGB) and 12,682,592 (flow) weights.
      weights: the name of a published network, such as "kinetics400-rgb", which is
        downloaded into a cache, or a file or workdir that
        `i3d_tf.weights.load_released` takes. If its number of classes differs from
        `num_classes`, the classifier is new and untrained. None draws random weights.
      size: side of the clip in px, at least 32: a number for a square, (H, W), or None
        for a network that takes every clip of at least 32x32. The last pool covers
        the whole final grid of ceil(size / 32) cells, 7x7 for 224. The weights are
        the same for all sizes.
      dropout: share of features dropped in training (0.5 in the paper).
      batch_norm_decay: decay of the moving statistics; 0.999 as released. Short
        trainings want 0.9: after n steps, decay**n of the initial values is left.
      dtype: "float32", "mixed_bfloat16" or "mixed_float16"; the logits are float32.
      width: multiplies every filter count but the classes', for small variants.
      seed: seed of the initial weights and the dropout; None draws one.

    Raises:
      OSError: the weights cannot be downloaded or read.
      ValueError: `size` leaves no network; or `weights` belong to another stream or
        width, or are of no known kind. Calling the model raises it for fewer than 9
        frames, or without a fixed size for fewer than 32 px, where their number is
        known (in a graph it may not be) and the model was not reloaded.
    """
    if weights:
        # Reading them takes TensorFlow, which the network itself does without.
        from i3d_tf.weights.checkpoint_file import open_checkpoint

        weights = open_checkpoint(weights, stream.name)
    if num_classes is None:
        num_classes = weights.num_classes if weights else 400
    clip = keras.Input((None, *_sides(size), stream.channels), name=stream.name)
    logits = inception_v1(
        clip,
        num_classes,
        dropout=dropout,
        decay=batch_norm_decay,
        dtype=dtype,
        width=width,
        seed=seed,
    )
    logits = keras.ops.mean(logits, axis=1)
    model = keras.Model(clip, logits, name=f"i3d_{stream.name}")
    refuse_small_inputs(model)
    if weights:
        from i3d_tf.weights import load_released

        load_released(model, weights, new_head=True)
    return model


def build_two_stream(num_classes=None, streams=(RGB, FLOW), **options):
    """Returns `{stream name: build_i3d(stream, num_classes, **options)}`.

    The two networks share no weights and are alike but for their input channels.
    """
    return {
        stream.name: build_i3d(stream, num_classes, **options) for stream in streams
    }


def build_inception_v1(
    num_classes=1001,
    *,
    channels=3,
    size=224,
    dropout=0.0,
    batch_norm_decay=0.9997,
    dtype="float32",
    width=1.0,
    seed=None,
):
    """Returns the image network, which `i3d_tf.weights.inflate` makes a 3D one.

    Input `[B, H, W, channels]` in [-1, 1], output float32 logits
    `[B, num_classes]`. As in TF-Slim there is a class for the background before
    ImageNet's 1000, and the decay is 0.9997. Other arguments and errors are those of
    `build_i3d`.
    """
    image = keras.Input((*_sides(size), channels), name="image")
    logits = inception_v1(
        image,
        num_classes,
        dropout=dropout,
        decay=batch_norm_decay,
        dtype=dtype,
        width=width,
        seed=seed,
    )
    model = keras.Model(image, logits, name="inception_v1")
    refuse_small_inputs(model)
    return model


def _sides(size):
    """(height, width) in px, None for any."""
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2:
        raise ValueError(f"size is {size}; it must be px, (height, width) or None")
    if any(side is not None and side < STRIDE for side in sides):
        raise ValueError(f"size is {size} px; the network needs at least {STRIDE}")
    return sides


def refuse_small_inputs(model):
    """Makes calls on fewer than 9 frames or 32 px an error.

    Of 8 frames the logits would be the mean of no step, NaN. A check around `call`
    and not a layer of our own, so that a saved model consists of stock layers.
    """
    call = model.call

    @functools.wraps(call)
    def checked(inputs, *args, **kwargs):
        # Keras takes the clip in a list or by its name too.
        (clip,) = keras.tree.flatten(inputs)
        *frames, height, width = clip.shape[1:-1]
        problem = None
        if frames and frames[0] is not None and frames[0] < MIN_FRAMES:
            problem = (
                f"a clip of {frames[0]} frames; at least {MIN_FRAMES} are needed, of "
                "fewer no time step is left after the last pool"
            )
        elif any(side is not None and side < STRIDE for side in (height, width)):
            problem = f"frames of {height}x{width} px; at least 32x32 are needed"
        if problem:
            error = ValueError(f"{model.name}: {problem}")
            # Else Keras appends the whole clip to the message.
            error._keras_call_info_injected = True
            raise error
        return call(inputs, *args, **kwargs)

    model.call = checked
