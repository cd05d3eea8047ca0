"""From an image network to a video network (Carreira & Zisserman, section 2.2).

Every 2D filter is repeated N times in time and divided by N, so that a video of
one repeated image, a "boring" one, is answered as the 2D network answers the image.
That holds at the time steps that no zero padding reaches, `untouched_steps`.
"""

import re

import keras
import numpy as np

from i3d_tf.trunk import INCEPTION_V1, MIXED, image_name
from i3d_tf.weights.kernels import adapt_channels, fold_scale, inflate_kernel

_CONVOLUTION, _NORM = "-conv_3d", "-batch_norm"
_FIRST, _HEAD = "Conv3d_1a_7x7-conv_3d", "Logits-Conv3d_0c_1x1"


def inflate(image_model, model, *, new_head=False):
    """Assigns the inflated weights of a 2D Inception-v1 to a 3D one, all of them.

    Filters of another number of input channels than the images' are their mean
    over channels, repeated (flow), or for one channel their sum. A convolution's
    bias, a BatchNorm scale and an epsilon other than 1e-3 are folded into what the
    3D units have.

    Args:
      image_model: `build_inception_v1`'s network, or any Keras model of its units:
        Conv2D and BatchNormalization layers whose names begin with the unit's, as
        `Mixed_3b_Branch_0_Conv2d_0a_1x1_bn`. Parts may be joined by `-`, `.`, `/`, `_`,
        and `InceptionV1` may stand before. It must take images in [-1, 1].
      model: a network of `build_i3d`, of the same width.
      new_head: if the classes differ in number or `image_model` has no classifier,
        keep the model's own and inflate all else; otherwise that is an error.

    Raises:
      ValueError: if any layer with weights is left over on either side or a shape
        differs; then `model` is unchanged.
    """
    ours = {layer.name: layer for layer in model.layers if layer.weights}
    theirs, unknown = _counterparts(image_model, ours)
    missing = [name for name in ours if name not in theirs]
    if new_head and _HEAD in missing:
        missing.remove(_HEAD)
    if missing or unknown:
        raise ValueError(
            f"{image_model.name} does not fit {model.name}: it has nothing for "
            f"{len(missing)} of the model's layers {missing[:5]}, {len(unknown)} of "
            f"its own are not in the model {unknown[:5]}"
        )
    values = []
    for name, image_layer in theirs.items():
        if name == _HEAD:
            pairs = _inflated_head(image_layer, ours[name])
            if new_head and pairs[0][1].shape[-1] != ours[name].filters:
                continue
        elif name.endswith(_CONVOLUTION):
            norm = name.removesuffix(_CONVOLUTION) + _NORM
            pairs = _inflated_unit(image_layer, theirs[norm], ours[name], ours[norm])
        else:
            continue  # with its convolution
        for variable, array in pairs:
            if array.shape != tuple(variable.shape):
                raise ValueError(
                    f"{image_model.name}: {image_layer.name} makes {variable.path} "
                    f"{list(array.shape)}, the model {model.name} has "
                    f"{list(variable.shape)}"
                )
        values += pairs
    for variable, array in values:
        variable.assign(array)


def untouched_steps(endpoint, frames):
    """The time steps of an endpoint that no zero padding in time reaches, a range.

    There an inflated network answers `frames` repeated images as the 2D network
    answers the one. Each convolution that sees more than one step takes one or two
    from both ends: of 64 frames 30 of the 32 steps of Conv3d_1a_7x7 are left, 23 of
    Mixed_3c, one of Mixed_4f and none of Mixed_5c, which has the first at 101 frames.

    How far padding changes the others, relative L2, in a random network (a quarter
    of the filters, 64 px): the four steps at the beginning of Mixed_5c by 26, 5, 1
    and 0.4 %; the logits, the mean over all steps, by 19 % at 16 frames, 2 % at 64,
    0.9 % at 128 and 0.5 % at 250.
    """
    if endpoint not in (name for _, name, *_ in INCEPTION_V1):
        raise ValueError(f"{endpoint!r} is not an endpoint of the table")
    length, first, end = frames, 0, frames
    for kind, name, *row in INCEPTION_V1:
        # A module's 3x3x3 convolutions see more than its other branches.
        kernel, stride = (3, 1) if kind == MIXED else (row[0][0], row[1][0])
        steps = -(-length // stride)
        # TensorFlow's SAME: an odd one is added at the end.
        before = max((steps - 1) * stride + kernel - length, 0) // 2
        # Step i sees `kernel` inputs from stride * i - before on. Pools are padded
        # with -inf, which changes nothing, but next to it lie steps that the zeros of
        # Conv3d_1a_7x7 have reached.
        first = -(-(first + before) // stride)
        end = (end + before - kernel) // stride + 1
        length = steps
        if name == endpoint:
            return range(first, max(first, end))


def _counterparts(image_model, ours):
    """{name of our layer: the 2D layer for it}, and the names of all others."""
    theirs, unknown = {}, []
    for layer in image_model.layers:
        if not layer.weights:
            continue
        name = next((name for name in ours if _fits(layer, name)), None)
        if name is None or name in theirs:
            unknown.append(layer.name)
        else:
            theirs[name] = layer
    return theirs, unknown


def _fits(image_layer, name):
    """Returns whether a 2D layer has the kind and the name of our layer `name`."""
    if name.endswith(_NORM):
        kind, unit = keras.layers.BatchNormalization, name.removesuffix(_NORM)
    else:
        kind, unit = keras.layers.Conv2D, name.removesuffix(_CONVOLUTION)
    parts = re.split("[-./_]", image_name(unit))
    pattern = "(InceptionV1[-./_])*" + "[-./_]".join(parts)
    return isinstance(image_layer, kind) and bool(re.match(pattern, image_layer.name))


def _inflated_unit(image_convolution, image_norm, convolution, norm):
    """[(variable, array for it)] of a unit."""
    kernel, mean, variance = fold_scale(
        _array(image_convolution.kernel),
        _array(image_norm.moving_mean),
        _array(image_norm.moving_variance),
        scale=_array(image_norm.gamma, 1.0),
        bias=_array(image_convolution.bias, 0.0),
        epsilon=image_norm.epsilon,
    )
    steps, channels = convolution.kernel.shape[0], convolution.kernel.shape[-2]
    if convolution.name == _FIRST:
        kernel = adapt_channels(kernel, channels)
    return [
        (convolution.kernel, inflate_kernel(kernel, steps)),
        (norm.beta, _array(image_norm.beta, np.zeros_like(mean))),
        (norm.moving_mean, mean),
        (norm.moving_variance, variance),
    ]


def _inflated_head(image_layer, layer):
    """[(variable, array for it)] of the classifier, which has no BatchNorm."""
    kernel = _array(image_layer.kernel)
    return [
        (layer.kernel, inflate_kernel(kernel, 1)),
        (layer.bias, _array(image_layer.bias, np.zeros(kernel.shape[-1]))),
    ]


def _array(variable, absent=None):
    """The values of a variable in float64, or what stands for one that is None."""
    if variable is None:
        return absent
    return keras.ops.convert_to_numpy(variable).astype(np.float64)
