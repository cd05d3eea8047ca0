"""The Inception-v1 3D network of Carreira & Zisserman (CVPR 2017): a table, a loop.

Built from Keras layers and `keras.ops` alone: it runs on the TensorFlow, JAX and
PyTorch backends, and a saved `.keras` file opens without this project. Layer
names are the paper's endpoints: `model.get_layer("Mixed_4f").output` is a
feature. Inside a module the levels are joined by dots (Keras allows no slash):
`Mixed_3b.Branch_1.Conv3d_0b_3x3`, with `.conv_3d` and `.batch_norm` below.
"""

import functools

import keras

from i3d_tf.streams import FLOW, RGB

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
# Time is halved by Conv3d_1a, MaxPool3d_4a and MaxPool3d_5a, space by these and
# two more pools. The last pool needs two time steps, so 2 * 8 - 7 frames.
STRIDE = 32
MIN_FRAMES = 9


def build_i3d(
    stream,
    num_classes=400,
    *,
    size=224,
    dropout=0.0,
    batch_norm_decay=0.999,
    dtype="float32",
    width=1.0,
    seed=None,
):
    """Returns the network of one stream, from clips to logits.

    Input `[B, T, size, size, C]` in [-1, 1] with any T >= 9, output float32
    logits `[B, num_classes]`: the mean over the time steps of a sliding 2-step
    average pool, of which 64 frames give 7.

    Args:
      stream: a `Stream`, `RGB` or `FLOW`; gives the name and the channels C.
      num_classes: 400 gives 12,704,544 (RGB) and 12,682,592 (flow) weights.
      size: side of the square clip in px, at least 32. The last pool covers the
        whole final grid of ceil(size / 32) cells, 7x7 for 224.
      dropout: share of features dropped in training (0.5 in the paper).
      batch_norm_decay: of the moving statistics; 0.999 as released. Short
        trainings want 0.9: after n steps, decay**n of the initial values is left.
      dtype: "float32" or "mixed_bfloat16"; the logits are float32 in both.
      width: multiplies every filter count but the classes', for small variants.
      seed: of the initial weights and the dropout; None draws one.

    Raises:
      ValueError: for sizes that leave no network; calling the model on fewer
        than 9 frames.
    """
    if size < STRIDE:
        raise ValueError(f"size is {size} px; the network needs at least {STRIDE}")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; it must be at least 1")
    keras_seed = keras.random.SeedGenerator(seed)
    unit = functools.partial(
        _unit, decay=batch_norm_decay, dtype=dtype, seed=keras_seed
    )

    def filters(count):
        return max(1, round(count * width))

    clip = keras.Input((None, size, size, stream.channels), name=stream.name)
    x = clip
    for kind, name, *row in INCEPTION_V1:
        if kind == CONV:
            kernel, strides, count = row
            x = unit(x, name, filters(count), kernel, strides)
        elif kind == POOL:
            x = _max_pool(x, name, *row, dtype=dtype)
        else:
            x = _mixed(x, name, [filters(count) for count in row[0]], unit)

    grid = -(-size // STRIDE)
    x = keras.layers.AveragePooling3D(
        (2, grid, grid), strides=1, dtype=dtype, name="AvgPool3d_6a_7x7"
    )(x)
    # The seed is an int here: a dropout layer keeps its own random state, which
    # checkpoints then hold.
    x = keras.layers.Dropout(dropout, seed=seed, dtype=dtype, name="Dropout_0b")(x)
    x = keras.layers.Conv3D(
        num_classes,
        1,
        kernel_initializer=_initializer(keras_seed),
        dtype="float32",
        name="Logits.Conv3d_0c_1x1",
    )(x)
    x = keras.ops.squeeze(x, axis=(2, 3))
    logits = keras.ops.mean(x, axis=1)
    model = keras.Model(clip, logits, name=f"i3d_{stream.name}")
    _refuse_short_clips(model)
    return model


def build_two_stream(num_classes=400, streams=(RGB, FLOW), **options):
    """Returns `{stream name: build_i3d(stream, num_classes, **options)}`.

    The two networks share no weights and are alike but for their input channels.
    """
    return {
        stream.name: build_i3d(stream, num_classes, **options) for stream in streams
    }


def _unit(x, name, filters, kernel, strides=(1, 1, 1), *, decay, dtype, seed):
    """Convolution -> BatchNorm -> ReLU; the ReLU's output bears the unit's name."""
    x = keras.layers.Conv3D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(seed),
        dtype=dtype,
        name=f"{name}.conv_3d",
    )(x)
    # No scale: the next convolution would only undo it, and none was released.
    x = keras.layers.BatchNormalization(
        scale=False,
        epsilon=1e-3,
        momentum=decay,
        dtype=dtype,
        name=f"{name}.batch_norm",
    )(x)
    return keras.layers.ReLU(dtype=dtype, name=name)(x)


def _mixed(x, name, filters, unit):
    """An Inception module: four branches side by side, joined in the channels."""
    b0, b1_reduce, b1, b2_reduce, b2, b3 = filters
    # As released: in Mixed_5b alone the second unit of branch 2 is named 0a.
    branch_2_unit = "Conv3d_0a_3x3" if name == "Mixed_5b" else "Conv3d_0b_3x3"
    one, three = (1, 1, 1), (3, 3, 3)
    branch_0 = unit(x, f"{name}.Branch_0.Conv3d_0a_1x1", b0, one)
    branch_1 = unit(x, f"{name}.Branch_1.Conv3d_0a_1x1", b1_reduce, one)
    branch_1 = unit(branch_1, f"{name}.Branch_1.Conv3d_0b_3x3", b1, three)
    branch_2 = unit(x, f"{name}.Branch_2.Conv3d_0a_1x1", b2_reduce, one)
    branch_2 = unit(branch_2, f"{name}.Branch_2.{branch_2_unit}", b2, three)
    pool = f"{name}.Branch_3.MaxPool3d_0a_3x3"
    branch_3 = _max_pool(x, pool, three, one, dtype=x.dtype)
    branch_3 = unit(branch_3, f"{name}.Branch_3.Conv3d_0b_1x1", b3, one)
    return keras.layers.Concatenate(name=name, dtype=x.dtype)(
        [branch_0, branch_1, branch_2, branch_3]
    )


def _max_pool(x, name, window, strides, *, dtype):
    return keras.layers.MaxPooling3D(
        window, strides=strides, padding="same", dtype=dtype, name=name
    )(x)


def _initializer(seed):
    """Truncated normal of variance 1 / fan_in, close to Sonnet's default for w."""
    return keras.initializers.VarianceScaling(
        1.0, "fan_in", "truncated_normal", seed=seed
    )


def _refuse_short_clips(model):
    """Makes calls on fewer than 9 frames an error: the mean of none is NaN.

    A check around `call` and not a layer of our own, so that a saved model
    consists of stock layers.
    """
    call = model.call

    @functools.wraps(call)
    def checked(inputs, *args, **kwargs):
        frames = inputs.shape[1]
        if frames is not None and frames < MIN_FRAMES:
            error = ValueError(
                f"{model.name}: a clip of {frames} frames; at least {MIN_FRAMES} are "
                "needed, of fewer no time step is left after the last pool"
            )
            # Else Keras appends the whole clip to the message.
            error._keras_call_info_injected = True
            raise error
        return call(inputs, *args, **kwargs)

    model.call = checked
