"""Inception-v1 as a table and a loop, for clips and for images.

Whether the layers are 3D or 2D follows from what is passed through them. Images
use the table's heights and widths, and for names TF-Slim's: `Conv2d_1a_7x7` for
`Conv3d_1a_7x7`, `MaxPool_2a_3x3` for `MaxPool3d_2a_3x3`.
"""

import functools

import keras

# In reading order. Convolutions: name, kernel, strides, filters. Pools: name,
# window, strides. Inception: name, (branch 0; branch 1 reduce, 3x3; branch 2
# reduce, 3x3; pool projection). Shapes in (time, height, width).
CONV, POOL, MIXED = "conv", "pool", "mixed"
INCEPTION_V1 = (
    (CONV, "Conv3d_1a_7x7", (7, 7, 7), (2, 2, 2), 64),
    (POOL, "MaxPool3d_2a_3x3", (1, 3, 3), (1, 2, 2)),
    (CONV, "Conv3d_2b_1x1", (1, 1, 1), (1, 1, 1), 64),
    (CONV, "Conv3d_2c_3x3", (3, 3, 3), (1, 1, 1), 192),
    (POOL, "MaxPool3d_3a_3x3", (1, 3, 3), (1, 2, 2)),
    (MIXED, "Mixed_3b", (64, 96, 128, 16, 32, 32)),
    (MIXED, "Mixed_3c", (128, 128, 192, 32, 96, 64)),
    (POOL, "MaxPool3d_4a_3x3", (3, 3, 3), (2, 2, 2)),
    (MIXED, "Mixed_4b", (192, 96, 208, 16, 48, 64)),
    (MIXED, "Mixed_4c", (160, 112, 224, 24, 64, 64)),
    (MIXED, "Mixed_4d", (128, 128, 256, 24, 64, 64)),
    (MIXED, "Mixed_4e", (112, 144, 288, 32, 64, 64)),
    (MIXED, "Mixed_4f", (256, 160, 320, 32, 128, 128)),
    (POOL, "MaxPool3d_5a_2x2", (2, 2, 2), (2, 2, 2)),
    (MIXED, "Mixed_5b", (256, 160, 320, 32, 128, 128)),
    (MIXED, "Mixed_5c", (384, 192, 384, 48, 128, 128)),
)
AVERAGE_POOL = "AvgPool3d_6a_7x7"  # what the classifier gets


def inception_v1(x, num_classes, *, dropout, decay, dtype, width, seed):
    """Clips to the logits of each step, `[B, steps, classes]`; images to logits."""
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; it must be at least 1")
    keras_seed = keras.random.SeedGenerator(seed)
    unit = functools.partial(_unit, decay=decay, dtype=dtype, seed=keras_seed)

    def filters(count):
        return max(1, round(count * width))

    for kind, name, *row in INCEPTION_V1:
        if kind == CONV:
            kernel, strides, count = row
            x = unit(x, name, filters(count), kernel, strides)
        elif kind == POOL:
            x = _max_pool(x, name, *row, dtype=dtype)
        else:
            x = _mixed(x, name, [filters(count) for count in row[0]], unit)

    x = _average_pool(x, AVERAGE_POOL, dtype=dtype)
    # The seed is an int here: a dropout layer keeps its own random state, which
    # checkpoints then hold.
    x = keras.layers.Dropout(dropout, seed=seed, dtype=dtype, name="Dropout_0b")(x)
    x = _layer(x, "Conv")(
        num_classes,
        1,
        kernel_initializer=_initializer(keras_seed),
        dtype="float32",
        name=_name(x, "Logits-Conv3d_0c_1x1"),
    )(x)
    return keras.ops.squeeze(x, axis=(_rank(x) - 1, _rank(x)))


def image_name(name):
    """What the image network calls the video network's `name`."""
    name = name.replace("Conv3d_", "Conv2d_").replace("MaxPool3d_", "MaxPool_")
    return name.replace("-conv_3d", "-conv_2d").replace("AvgPool3d_6a", "AvgPool_0a")


def _layer(x, kind):
    """Keras's layer of this kind for clips or for images, whichever x is."""
    return getattr(keras.layers, f"{kind}{_rank(x)}D")


def _name(x, name):
    return name if _rank(x) == 3 else image_name(name)


def _rank(x):
    """3 of clips `[B, T, H, W, C]`, 2 of images `[B, H, W, C]`."""
    return len(x.shape) - 2


def _unit(x, name, filters, kernel, strides=(1, 1, 1), *, decay, dtype, seed):
    """Convolution -> BatchNorm -> ReLU; the ReLU's output bears the unit's name."""
    x = _layer(x, "Conv")(
        filters,
        kernel[-_rank(x) :],
        strides=strides[-_rank(x) :],
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(seed),
        dtype=dtype,
        name=_name(x, f"{name}-conv_3d"),
    )(x)
    # No scale: the next convolution would only undo it, and none was released.
    x = keras.layers.BatchNormalization(
        scale=False,
        epsilon=1e-3,
        momentum=decay,
        dtype=dtype,
        name=_name(x, f"{name}-batch_norm"),
    )(x)
    return keras.layers.ReLU(dtype=dtype, name=_name(x, name))(x)


def _mixed(x, name, filters, unit):
    """An Inception module: four branches side by side, joined in the channels."""
    b0, b1_reduce, b1, b2_reduce, b2, b3 = filters
    # As released: in Mixed_5b alone the second unit of branch 2 is named 0a.
    branch_2_unit = "Conv3d_0a_3x3" if name == "Mixed_5b" else "Conv3d_0b_3x3"
    one, three = (1, 1, 1), (3, 3, 3)
    branch_0 = unit(x, f"{name}-Branch_0-Conv3d_0a_1x1", b0, one)
    branch_1 = unit(x, f"{name}-Branch_1-Conv3d_0a_1x1", b1_reduce, one)
    branch_1 = unit(branch_1, f"{name}-Branch_1-Conv3d_0b_3x3", b1, three)
    branch_2 = unit(x, f"{name}-Branch_2-Conv3d_0a_1x1", b2_reduce, one)
    branch_2 = unit(branch_2, f"{name}-Branch_2-{branch_2_unit}", b2, three)
    pool = f"{name}-Branch_3-MaxPool3d_0a_3x3"
    branch_3 = _max_pool(x, pool, three, one, dtype=x.dtype)
    branch_3 = unit(branch_3, f"{name}-Branch_3-Conv3d_0b_1x1", b3, one)
    return keras.layers.Concatenate(name=name, dtype=x.dtype)(
        [branch_0, branch_1, branch_2, branch_3]
    )


def _max_pool(x, name, window, strides, *, dtype):
    return _layer(x, "MaxPooling")(
        window[-_rank(x) :],
        strides=strides[-_rank(x) :],
        padding="same",
        dtype=dtype,
        name=_name(x, name),
    )(x)


def _average_pool(x, name, *, dtype):
    """The mean of the whole grid, in clips of every two steps in succession."""
    grid = x.shape[-3:-1]
    if None in grid:
        x = keras.ops.mean(x, axis=(-3, -2), keepdims=True)
        grid = (1, 1)
    window = (2, *grid)[-_rank(x) :]
    return _layer(x, "AveragePooling")(
        window, strides=1, dtype=dtype, name=_name(x, name)
    )(x)


def _initializer(seed):
    """Truncated normal of variance 1 / fan_in, close to Sonnet's default for w."""
    return keras.initializers.VarianceScaling(
        1.0, "fan_in", "truncated_normal", seed=seed
    )
