"""Networks that tell where the joints of a pose are: a ResNet and four fc layers.

A teacher on depth and a student on RGB have the same structure, so that the outputs of
their fc layers can be compared one by one. Built from Keras layers and `keras.ops`
alone, as the video network is.
"""

import keras

HEADS = ("parallel", "series")
# Blocks of each stage, and whether they are bottlenecks (He et al. 2016, table 1).
RESNETS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
}
_FILTERS = (64, 128, 256, 512)
# Of a bottleneck's output over its inner width.
_EXPANSION = 4


def taps(head):
    """Names of the four fc layers whose outputs are compared.

    Raises ValueError for another head than "parallel" or "series".
    """
    if head not in HEADS:
        raise ValueError(f"head is {head!r}; known: {', '.join(HEADS)}")
    if head == "parallel":
        return ("fc", "fc_x", "fc_y", "fc_z")
    return ("fc_1", "fc_2", "fc_3", "fc_4")


def build_pose_network(
    stream,
    joints=1,
    *,
    size=224,
    resnet=18,
    head="parallel",
    features=512,
    unit=0.1,
    distance=1.0,
    width=1.0,
    batch_norm_decay=0.99,
    dtype="float32",
    seed=None,
):
    """Returns the network of one stream, from a picture to the joints' places.

    Input `[B, H, W, C]` in [-1, 1], output float32 `[B, joints, 3]`: x, y and z in
    metres, the camera's.

    Args:
      stream: a `Stream`, as `DEPTH` or `RGB`; gives the name and the channels C.
      joints: how many.
      size: H = W of the picture, px, at least 32.
      resnet: its layers (He et al. 2016): 18, 34 or 50.
      head: "parallel": one fc layer, and after it one for each of x, y and z;
        "series": four fc layers one after the other. `taps` names them.
      features: of the fc layers before the last.
      unit: metres of an output of 1 of the last fc layer, about what places vary by.
      distance: metres, z of an output of 0; near the places' mean, or the first updates
        move all features at once to get there, and no ReLU may be left that passes.
      width: multiplies filters and features.
      batch_norm_decay: of the moving statistics.
      dtype: "float32", "mixed_bfloat16" or "mixed_float16"; the places are float32.
      seed: of the initial weights; None draws one.

    Raises:
      ValueError: for sizes that leave no network, another head or another ResNet.
    """
    names = taps(head)
    if resnet not in RESNETS:
        raise ValueError(f"resnet is {resnet}; known: {', '.join(map(str, RESNETS))}")
    if size < 32 or joints < 1:
        raise ValueError(
            f"size is {size} px, joints {joints}; at least 32 px and 1 are needed"
        )
    layers = _Layers(width, batch_norm_decay, dtype, keras.random.SeedGenerator(seed))
    picture = keras.Input((size, size, stream.channels), name=stream.name)
    x = _resnet(picture, *RESNETS[resnet], layers)
    places = _HEADS[head](x, joints, max(1, round(features * width)), names, layers)
    places = keras.layers.Rescaling(
        unit, offset=[0.0, 0.0, distance], dtype="float32", name="places"
    )(places)
    return keras.Model(picture, places, name=f"pose_{stream.name}")


class _Layers:
    """Layers with the options that all of a network have in common."""

    def __init__(self, width, decay, dtype, seed):
        self._width, self._decay = width, decay
        self._dtype, self._seed = dtype, seed

    def filters(self, count):
        return max(1, round(count * self._width))

    def unit(self, x, name, filters, kernel, strides=1, relu=True):
        """Convolution -> BatchNorm -> ReLU."""
        x = keras.layers.Conv2D(
            filters,
            kernel,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(self._seed),
            dtype=self._dtype,
            name=f"{name}-conv",
        )(x)
        x = keras.layers.BatchNormalization(
            momentum=self._decay,
            epsilon=1e-5,
            dtype=self._dtype,
            name=f"{name}-batch_norm",
        )(x)
        return self.relu(x, name) if relu else x

    def relu(self, x, name):
        return keras.layers.ReLU(dtype=self._dtype, name=name)(x)

    def dense(self, x, name, units):
        # Of float32, as logits are: what is compared and regressed is not rounded.
        return keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(self._seed),
            dtype="float32",
            name=name,
        )(x)


def _resnet(x, counts, is_bottleneck, layers):
    """`[B, H, W, C]` -> `[B, features]`, the mean over the last grid."""
    x = layers.unit(x, "conv1", layers.filters(_FILTERS[0]), 7, strides=2)
    x = keras.layers.MaxPooling2D(3, 2, "same", name="pool1", dtype=x.dtype)(x)
    block = _bottleneck if is_bottleneck else _basic
    for stage, (count, filters) in enumerate(zip(counts, _FILTERS, strict=True), 2):
        for number in range(1, count + 1):
            strides = 2 if number == 1 and stage > 2 else 1
            name = f"conv{stage}_{number}"
            x = block(x, name, layers.filters(filters), strides, layers)
    return keras.layers.GlobalAveragePooling2D(name="pool5", dtype="float32")(x)


def _basic(x, name, filters, strides, layers):
    y = layers.unit(x, f"{name}-a", filters, 3, strides)
    y = layers.unit(y, f"{name}-b", filters, 3, relu=False)
    return _added(x, y, name, filters, strides, layers)


def _bottleneck(x, name, filters, strides, layers):
    y = layers.unit(x, f"{name}-a", filters, 1)
    y = layers.unit(y, f"{name}-b", filters, 3, strides)
    y = layers.unit(y, f"{name}-c", filters * _EXPANSION, 1, relu=False)
    return _added(x, y, name, filters * _EXPANSION, strides, layers)


def _added(x, y, name, filters, strides, layers):
    if strides > 1 or x.shape[-1] != filters:
        x = layers.unit(x, f"{name}-shortcut", filters, 1, strides, relu=False)
    total = keras.layers.Add(name=f"{name}-sum", dtype=x.dtype)([x, y])
    return layers.relu(total, name)


def _parallel(x, joints, features, names, layers):
    shared, *axes = names
    x = keras.layers.ReLU(name=f"{shared}-relu")(layers.dense(x, shared, features))
    return keras.ops.stack([layers.dense(x, axis, joints) for axis in axes], axis=-1)


def _series(x, joints, features, names, layers):
    *hidden, last = names
    for name in hidden:
        x = keras.layers.ReLU(name=f"{name}-relu")(layers.dense(x, name, features))
    x = layers.dense(x, last, 3 * joints)
    return keras.layers.Reshape((joints, 3), name="coordinates")(x)


_HEADS = {"parallel": _parallel, "series": _series}
