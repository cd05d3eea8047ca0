"""The network against the paper's tables, and what its layers compute."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.inception import build_i3d, build_two_stream
from i3d_tf.streams import FLOW, RGB

STREAMS = {"rgb": RGB, "flow": FLOW}

# Inception rows of the paper: branch 0; branch 1 reduce, 3x3; branch 2 reduce, 3x3;
# pool projection.
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Of 16 frames of 64 px: [T, H, W, C] behind each layer of the trunk, in its order.
SHAPES = {
    "Conv3d_1a_7x7": (8, 32, 32, 64),
    "MaxPool3d_2a_3x3": (8, 16, 16, 64),
    "Conv3d_2b_1x1": (8, 16, 16, 64),
    "Conv3d_2c_3x3": (8, 16, 16, 192),
    "MaxPool3d_3a_3x3": (8, 8, 8, 192),
    "Mixed_3b": (8, 8, 8, 256),
    "Mixed_3c": (8, 8, 8, 480),
    "MaxPool3d_4a_3x3": (4, 4, 4, 480),
    "Mixed_4b": (4, 4, 4, 512),
    "Mixed_4c": (4, 4, 4, 512),
    "Mixed_4d": (4, 4, 4, 512),
    "Mixed_4e": (4, 4, 4, 528),
    "Mixed_4f": (4, 4, 4, 832),
    "MaxPool3d_5a_2x2": (2, 2, 2, 832),
    "Mixed_5b": (2, 2, 2, 832),
    "Mixed_5c": (2, 2, 2, 1024),
    "AvgPool3d_6a_7x7": (1, 1, 1, 1024),
    "Dropout_0b": (1, 1, 1, 1024),
    "Logits-Conv3d_0c_1x1": (1, 1, 1, 400),
}
# window, strides, padding.
POOLS = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2), "same"),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2), "same"),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2), "same"),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2), "same"),
    "AvgPool3d_6a_7x7": ((2, 7, 7), (1, 1, 1), "valid"),
}


def _units(mixed):
    """{unit: (filters, kernel side, what it looks at)} of an Inception module."""
    b0, b1_reduce, b1, b2_reduce, b2, b3 = MIXED[mixed]
    odd = "Conv3d_0a_3x3" if mixed == "Mixed_5b" else "Conv3d_0b_3x3"
    return {
        "Branch_0-Conv3d_0a_1x1": (b0, 1, None),
        "Branch_1-Conv3d_0a_1x1": (b1_reduce, 1, None),
        "Branch_1-Conv3d_0b_3x3": (b1, 3, "Branch_1-Conv3d_0a_1x1"),
        "Branch_2-Conv3d_0a_1x1": (b2_reduce, 1, None),
        f"Branch_2-{odd}": (b2, 3, "Branch_2-Conv3d_0a_1x1"),
        "Branch_3-Conv3d_0b_1x1": (b3, 1, "Branch_3-MaxPool3d_0a_3x3"),
    }


def _inputs(layer):
    """Names of the layers that a layer's input comes from."""
    tensors = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in tensors]


def _clip(stream, frames, size, *, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    shape = (batch, frames, size, size, stream.channels)
    return rng.uniform(-1, 1, shape).astype(np.float32)


def _tiny(stream=RGB, classes=5, **options):
    """An eighth of the filters, 32 px, and BatchNorm statistics as after training."""
    model = build_i3d(stream, classes, **{"size": 32, "width": 0.125, **options})
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(rng.uniform(0.4, 0.8, variable.shape))
        elif variable.name == "bias":
            variable.assign(rng.normal(0, 1, variable.shape))
    return model


def _outputs(model, *names):
    return keras.Model(
        model.input, [*(model.get_layer(name).output for name in names), model.output]
    )


@pytest.fixture(scope="module")
def full():
    """The two networks as released."""
    return build_two_stream(seed=0)


@pytest.fixture(scope="module")
def tiny():
    return _tiny(seed=0)


@pytest.mark.parametrize(
    "name, weights, trainable",
    [("rgb", 12_704_544, 12_689_984), ("flow", 12_682_592, 12_668_032)],
)
def test_number_of_weights(full, name, weights, trainable):
    model = full[name]
    assert model.count_params() == weights
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == trainable


def test_two_streams_differ_in_their_input_channels_only(full):
    assert list(full) == ["rgb", "flow"]
    assert [model.name for model in full.values()] == ["i3d_rgb", "i3d_flow"]
    assert full["rgb"].input_shape == (None, None, 224, 224, 3)
    assert full["flow"].input_shape == (None, None, 224, 224, 2)
    shapes = [
        {variable.path: tuple(variable.shape) for variable in model.variables}
        for model in full.values()
    ]
    assert set(shapes[0].items()) ^ set(shapes[1].items()) == {
        ("Conv3d_1a_7x7-conv_3d/kernel", (7, 7, 7, 3, 64)),
        ("Conv3d_1a_7x7-conv_3d/kernel", (7, 7, 7, 2, 64)),
    }
    mine = {id(variable) for variable in full["rgb"].variables}
    assert not mine & {id(variable) for variable in full["flow"].variables}


def test_build_two_stream_takes_streams_and_options():
    models = build_two_stream(3, (FLOW,), size=32, width=0.125, dropout=0.25)
    assert list(models) == ["flow"]
    assert models["flow"].input_shape == (None, None, 32, 32, 2)
    assert models["flow"].output_shape == (None, 3)
    assert models["flow"].get_layer("Dropout_0b").rate == 0.25


def test_endpoint_shapes_of_16_frames_of_64_px():
    model = build_i3d(RGB, size=64)
    got = _outputs(model, *SHAPES).compute_output_shape((3, 16, 64, 64, 3))
    assert dict(zip(SHAPES, got[:-1], strict=True)) == {
        name: (3, *shape) for name, shape in SHAPES.items()
    }
    assert got[-1] == (3, 400)


def test_layer_names_are_the_papers(full):
    units = [f"{mixed}-{unit}" for mixed in MIXED for unit in _units(mixed)]
    pools = [f"{mixed}-Branch_3-MaxPool3d_0a_3x3" for mixed in MIXED]
    convolutions = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", *units]
    parts = ("conv_3d", "batch_norm")
    below = [f"{name}-{part}" for name in convolutions for part in parts]
    wanted = {"rgb", *SHAPES, *units, *pools, *below}
    names = [layer.name for layer in full["rgb"].layers]
    assert len(names) == len(set(names))
    assert set(names) == wanted


def test_only_mixed_5b_has_the_odd_name_in_branch_2(full):
    names = [layer.name for layer in full["flow"].layers]
    odd = [name for name in names if name.endswith("Branch_2-Conv3d_0a_3x3")]
    assert odd == ["Mixed_5b-Branch_2-Conv3d_0a_3x3"]
    assert "Mixed_5b-Branch_2-Conv3d_0b_3x3" not in names
    assert "Mixed_5c-Branch_2-Conv3d_0b_3x3" in names


@pytest.mark.parametrize(
    "name, filters, kernel, strides",
    [
        ("Conv3d_1a_7x7", 64, 7, (2, 2, 2)),
        ("Conv3d_2b_1x1", 64, 1, (1, 1, 1)),
        ("Conv3d_2c_3x3", 192, 3, (1, 1, 1)),
    ],
)
def test_convolutions_of_the_stem(full, name, filters, kernel, strides):
    _check_unit(full["rgb"], name, filters, kernel, strides)


def _check_unit(model, name, filters, kernel, strides):
    convolution = model.get_layer(f"{name}-conv_3d")
    assert convolution.filters == filters
    assert convolution.kernel_size == (kernel, kernel, kernel)
    assert convolution.strides == strides
    assert convolution.padding == "same"
    assert not convolution.use_bias
    norm = model.get_layer(f"{name}-batch_norm")
    assert (norm.scale, norm.center, norm.epsilon) == (False, True, 1e-3)
    assert isinstance(model.get_layer(name), keras.layers.ReLU)
    assert _inputs(model.get_layer(name)) == [norm.name]
    assert _inputs(norm) == [convolution.name]


@pytest.mark.parametrize("mixed", MIXED)
def test_inception_modules(full, mixed):
    model, trunk = full["rgb"], list(SHAPES)
    before = trunk[trunk.index(mixed) - 1]
    for unit, (filters, kernel, source) in _units(mixed).items():
        name = f"{mixed}-{unit}"
        _check_unit(model, name, filters, kernel, (1, 1, 1))
        source = f"{mixed}-{source}" if source else before
        assert _inputs(model.get_layer(f"{name}-conv_3d")) == [source]
    pool = model.get_layer(f"{mixed}-Branch_3-MaxPool3d_0a_3x3")
    assert (pool.pool_size, pool.strides) == ((3, 3, 3), (1, 1, 1))
    assert pool.padding == "same"
    assert _inputs(pool) == [before]
    # The last unit of each branch, in the order of the branches.
    _, _, second_of_1, _, second_of_2, _ = units = list(_units(mixed))
    ends = [units[0], second_of_1, second_of_2, units[-1]]
    assert _inputs(model.get_layer(mixed)) == [f"{mixed}-{unit}" for unit in ends]


@pytest.mark.parametrize("name", POOLS)
def test_pools(full, name):
    layer = full["flow"].get_layer(name)
    assert (layer.pool_size, layer.strides, layer.padding) == POOLS[name]
    kind = "AveragePooling3D" if name.startswith("Avg") else "MaxPooling3D"
    assert type(layer).__name__ == kind


@pytest.mark.parametrize(
    "frames, features, logits", [(9, 2, 1), (64, 8, 7), (79, 10, 9), (250, 32, 31)]
)
def test_time_steps(full, frames, features, logits):
    model = _outputs(full["rgb"], "Mixed_5c", "Logits-Conv3d_0c_1x1")
    got = model.compute_output_shape((1, frames, 224, 224, 3))
    assert got == [(1, features, 7, 7, 1024), (1, logits, 1, 1, 400), (1, 400)]


@pytest.mark.parametrize("size, grid", [(33, 2), (64, 2), (112, 4), (256, 8)])
def test_last_pool_covers_the_final_grid(size, grid):
    model = build_i3d(FLOW, 3, size=size, width=0.02)
    assert model.get_layer("AvgPool3d_6a_7x7").pool_size == (2, grid, grid)
    got = _outputs(model, "Mixed_5c", "AvgPool3d_6a_7x7").compute_output_shape(
        (1, 16, size, size, 2)
    )
    # 0.02 of 384 + 384 + 128 + 128 filters, each rounded.
    assert got == [(1, 2, grid, grid, 22), (1, 1, 1, 1, 22), (1, 3)]


def test_width_multiplies_the_filters_but_not_the_classes(tiny):
    assert tiny.get_layer("Conv3d_1a_7x7").output.shape[-1] == 8
    assert tiny.get_layer("Mixed_3b").output.shape[-1] == 32
    # 16 filters become 2, and no fewer than 1 are left.
    assert tiny.get_layer("Mixed_3b-Branch_2-Conv3d_0a_1x1").output.shape[-1] == 2
    assert tiny.output_shape == (None, 5)


@pytest.mark.parametrize("frames, steps", [(9, 1), (16, 1), (17, 2), (33, 4)])
def test_logits_are_the_mean_of_those_of_each_step(tiny, frames, steps):
    model = _outputs(tiny, "Logits-Conv3d_0c_1x1")
    per_step, logits = (np.array(o) for o in model(_clip(RGB, frames, 32)))
    assert per_step.shape == (2, steps, 1, 1, 5)
    np.testing.assert_allclose(logits, per_step[:, :, 0, 0].mean(1), atol=1e-6)


@pytest.mark.parametrize(
    "frames, weights",
    [
        (9, [1 / 2, 1 / 2]),
        (17, [1 / 4, 1 / 2, 1 / 4]),
        (33, [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8]),
    ],
)
def test_first_and_last_step_weigh_half(tiny, frames, weights):
    features, logits = _outputs(tiny, "Mixed_5c")(_clip(RGB, frames, 32))
    head = tiny.get_layer("Logits-Conv3d_0c_1x1")
    kernel, bias = head.get_weights()
    pooled = np.einsum("btijc,t->bc", np.array(features, np.float64), weights)
    want = pooled @ kernel[0, 0, 0] + bias
    np.testing.assert_allclose(logits, want, atol=1e-5)
    # A global average would be something else.
    other = np.array(features).mean((1, 2, 3)) @ kernel[0, 0, 0] + bias
    assert frames == 9 or np.abs(other - want).max() > 1e-3


def test_last_pool_averages_the_space_of_larger_pictures():
    model = _tiny(size=64)
    features, logits = _outputs(model, "Mixed_5c")(_clip(RGB, 9, 64))
    assert features.shape == (2, 2, 2, 2, 128)
    kernel, bias = model.get_layer("Logits-Conv3d_0c_1x1").get_weights()
    want = np.array(features).mean((1, 2, 3)) @ kernel[0, 0, 0] + bias
    np.testing.assert_allclose(logits, want, atol=1e-5)


def test_a_unit_is_convolution_batch_norm_relu(tiny):
    names = ("MaxPool3d_2a_3x3", "Conv3d_2b_1x1")
    x, got, _ = _outputs(tiny, *names)(_clip(RGB, 9, 32))
    (kernel,) = tiny.get_layer("Conv3d_2b_1x1-conv_3d").get_weights()
    norm = tiny.get_layer("Conv3d_2b_1x1-batch_norm")
    beta, mean, variance = norm.get_weights()
    raw = (np.array(x) @ kernel[0, 0, 0] - mean) / np.sqrt(variance + 1e-3) + beta
    assert (raw < -0.1).any() and (raw > 0.1).any()
    np.testing.assert_allclose(got, np.maximum(raw, 0), atol=1e-5)


def test_training_moves_the_statistics_by_the_decay():
    model = build_i3d(RGB, 2, size=32, width=0.02, batch_norm_decay=0.75, seed=0)
    clip = _clip(RGB, 9, 32)
    raw = np.array(_outputs(model, "Conv3d_1a_7x7-conv_3d")(clip)[0])
    norm = model.get_layer("Conv3d_1a_7x7-batch_norm")
    model(clip, training=False)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), 0)
    model(clip, training=True)
    mean, variance = raw.mean((0, 1, 2, 3)), raw.var((0, 1, 2, 3))
    _, moving_mean, moving_variance = norm.get_weights()
    np.testing.assert_allclose(moving_mean, 0.25 * mean, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(moving_variance, 0.75 + 0.25 * variance, rtol=1e-3)


def test_batch_norm_decay(full):
    def decays(model):
        layers = [layer for layer in model.layers if layer.name.endswith("batch_norm")]
        assert len(layers) == 57
        return {layer.momentum for layer in layers}

    assert decays(full["rgb"]) == {0.999}
    assert decays(build_i3d(RGB, 2, size=32, width=0.02, batch_norm_decay=0.9)) == {0.9}


def test_dropout_lies_before_the_logits_and_acts_in_training_only(full):
    assert full["rgb"].get_layer("Dropout_0b").rate == 0
    model = _tiny(dropout=0.5, seed=3)
    assert _inputs(model.get_layer("Dropout_0b")) == ["AvgPool3d_6a_7x7"]
    assert _inputs(model.get_layer("Logits-Conv3d_0c_1x1")) == ["Dropout_0b"]
    pool_to_dropped = keras.Model(
        model.get_layer("AvgPool3d_6a_7x7").output, model.get_layer("Dropout_0b").output
    )
    ones = np.ones((4, 1, 1, 1, 128), np.float32)
    np.testing.assert_array_equal(pool_to_dropped(ones), ones)
    dropped = np.array(pool_to_dropped(ones, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert 0.35 < (dropped == 0).mean() < 0.65


@pytest.mark.parametrize("frames", [1, 8])
def test_short_clips_are_refused(tiny, frames):
    message = (
        f"i3d_rgb: a clip of {frames} frames; at least 9 are needed, of fewer no time "
        "step is left after the last pool"
    )
    clip = _clip(RGB, frames, 32)
    with pytest.raises(ValueError) as error:
        tiny(clip)
    assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        tiny(clip, training=True)
    assert str(error.value) == message


def test_short_clips_are_refused_in_a_graph(tiny):
    @tf.function(autograph=False)
    def forward(clip):
        return tiny(clip, training=False)

    with pytest.raises(ValueError) as error:
        forward(tf.zeros([1, 8, 32, 32, 3]))
    assert str(error.value) == (
        "i3d_rgb: a clip of 8 frames; at least 9 are needed, of fewer no time step is "
        "left after the last pool"
    )
    # AutoGraph puts the place in the code before it.
    with pytest.raises(ValueError) as error:
        tf.function(lambda clip: tiny(clip))(tf.zeros([1, 8, 32, 32, 3]))
    last = str(error.value).strip().splitlines()[-1]
    assert last.strip().startswith("ValueError: i3d_rgb: a clip of 8 frames; at least")


def test_graph_of_any_length_answers_as_the_model(tiny):
    forward = tf.function(
        lambda clip: tiny(clip, training=False),
        input_signature=[tf.TensorSpec([None, None, 32, 32, 3])],
    )
    for frames in (9, 17):
        clip = _clip(RGB, frames, 32)
        np.testing.assert_allclose(forward(clip), tiny(clip), atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 31}, "size is 31 px; the network needs at least 32"),
        ({"num_classes": 0}, "num_classes is 0; it must be at least 1"),
        ({"num_classes": -1}, "num_classes is -1; it must be at least 1"),
    ],
)
def test_sizes_that_leave_no_network(options, message):
    with pytest.raises(ValueError) as error:
        build_i3d(RGB, **options)
    assert str(error.value) == message


def test_bfloat16_computes_nearly_the_same():
    exact, rough = (
        _tiny(classes=32, seed=0),
        _tiny(classes=32, seed=0, dtype="mixed_bfloat16"),
    )
    for ours, theirs in zip(exact.variables, rough.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert {variable.dtype for variable in rough.variables} == {"float32"}
    for name in list(SHAPES)[:-1]:
        assert rough.get_layer(name).output.dtype == "bfloat16", name
        assert exact.get_layer(name).output.dtype == "float32", name
    clip = _clip(RGB, 16, 32, batch=4)
    want, got = np.array(exact(clip)), np.array(rough(clip))
    assert got.dtype == np.float32
    cosine = np.sum(want * got) / np.linalg.norm(want) / np.linalg.norm(got)
    assert cosine >= 0.99
    assert np.abs(got - want).max() > 1e-5  # it did compute in less precision
    # The head is float32: its logits are not rounded to 8 bits.
    assert (got != tf.cast(tf.cast(got, tf.bfloat16), tf.float32).numpy()).any()


def test_seed_decides_the_weights():
    def kernels(seed):
        model = build_i3d(RGB, 3, size=32, width=0.125, seed=seed)
        return [v.numpy() for v in model.variables if v.name == "kernel"]

    first, again, other = kernels(7), kernels(7), kernels(8)
    assert len(first) == 58
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    assert not np.array_equal(kernels(None)[0], kernels(None)[0])
    # No two kernels of a network begin alike.
    assert len({kernel.ravel()[:3].tobytes() for kernel in first}) == 58


def test_initial_weights(full):
    kernel, beta, mean, variance = (
        full["rgb"].get_layer(f"Conv3d_2c_3x3-{layer}").get_weights()[index]
        for layer, index in [("conv_3d", 0), *(("batch_norm", i) for i in range(3))]
    )
    deviation = 1 / np.sqrt(27 * 64)
    np.testing.assert_allclose(kernel.std(), deviation, rtol=0.01)
    np.testing.assert_allclose(kernel.mean(), 0, atol=0.01 * deviation)
    # Cut at two standard deviations of the normal distribution that is cut.
    assert 2.2 < np.abs(kernel).max() / deviation < 2.28
    assert not beta.any() and not mean.any()
    assert (variance == 1).all()
    head = full["rgb"].get_layer("Logits-Conv3d_0c_1x1")
    np.testing.assert_allclose(head.kernel.numpy().std(), 1 / np.sqrt(1024), rtol=0.01)
    assert not head.bias.numpy().any()


RELOAD = """
import sys
for name in ("i3d_tf", "flow", "experiments"):
    sys.modules[name] = None  # an import of it would fail
import keras
import numpy as np

path, clips, logits = sys.argv[1:]
model = keras.models.load_model(path)
np.save(logits, model(np.load(clips), training=False))
"""


def test_a_saved_model_opens_without_this_project(tiny, tmp_path):
    path, clips, logits = (tmp_path / name for name in ("m.keras", "x.npy", "y.npy"))
    tiny.save(path)
    clip = _clip(RGB, 17, 32)
    np.save(clips, clip)
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, path, clips, logits],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(logits), tiny(clip, training=False))
