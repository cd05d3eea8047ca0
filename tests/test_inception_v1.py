"""The image network against TF-Slim's Inception-v1."""

import keras
import numpy as np
import pytest

from i3d_tf.inception import build_inception_v1

# TF-Slim's endpoints of 224x224 px: [H, W, C].
SHAPES = {
    "Conv2d_1a_7x7": (112, 112, 64),
    "MaxPool_2a_3x3": (56, 56, 64),
    "Conv2d_2b_1x1": (56, 56, 64),
    "Conv2d_2c_3x3": (56, 56, 192),
    "MaxPool_3a_3x3": (28, 28, 192),
    "Mixed_3b": (28, 28, 256),
    "Mixed_3c": (28, 28, 480),
    "MaxPool_4a_3x3": (14, 14, 480),
    "Mixed_4b": (14, 14, 512),
    "Mixed_4c": (14, 14, 512),
    "Mixed_4d": (14, 14, 512),
    "Mixed_4e": (14, 14, 528),
    "Mixed_4f": (14, 14, 832),
    "MaxPool_5a_2x2": (7, 7, 832),
    "Mixed_5b": (7, 7, 832),
    "Mixed_5c": (7, 7, 1024),
    "AvgPool_0a_7x7": (1, 1, 1024),
    "Dropout_0b": (1, 1, 1024),
    "Logits-Conv2d_0c_1x1": (1, 1, 1001),
}
MODULES = [name for name in SHAPES if name.startswith("Mixed")]


@pytest.fixture(scope="module")
def full():
    return build_inception_v1(seed=0)


def test_number_of_weights(full):
    # TF-Slim's own test counts 5,607,184 up to Mixed_5c.
    assert full.count_params() == 5_607_184 + (1024 + 1) * 1001
    assert (full.input_shape, full.output_shape) == ((None, 224, 224, 3), (None, 1001))


def test_endpoints_are_tf_slims(full):
    shapes = {name: full.get_layer(name).output.shape[1:] for name in SHAPES}
    assert shapes == SHAPES


def test_layer_names_are_tf_slims(full):
    units = ["Conv2d_1a_7x7", "Conv2d_2b_1x1", "Conv2d_2c_3x3"]
    for module in MODULES:
        odd = "Conv2d_0a_3x3" if module == "Mixed_5b" else "Conv2d_0b_3x3"
        units += [
            f"{module}-Branch_0-Conv2d_0a_1x1",
            f"{module}-Branch_1-Conv2d_0a_1x1",
            f"{module}-Branch_1-Conv2d_0b_3x3",
            f"{module}-Branch_2-Conv2d_0a_1x1",
            f"{module}-Branch_2-{odd}",
            f"{module}-Branch_3-Conv2d_0b_1x1",
        ]
    pools = [f"{module}-Branch_3-MaxPool_0a_3x3" for module in MODULES]
    parts = [f"{unit}-{part}" for unit in units for part in ("conv_2d", "batch_norm")]
    names = [layer.name for layer in full.layers]
    assert len(names) == len(set(names))
    assert set(names) == {"image", *SHAPES, *units, *pools, *parts}


def test_layers(full):
    first = full.get_layer("Conv2d_1a_7x7-conv_2d")
    assert (first.kernel_size, first.strides, first.padding) == ((7, 7), (2, 2), "same")
    assert first.kernel.shape == (7, 7, 3, 64)
    assert not first.use_bias
    norm = full.get_layer("Mixed_4d-Branch_1-Conv2d_0b_3x3-batch_norm")
    assert (norm.scale, norm.center, norm.epsilon) == (False, True, 1e-3)
    assert norm.momentum == 0.9997
    for name, window, strides in [
        ("MaxPool_2a_3x3", (3, 3), (2, 2)),
        ("MaxPool_4a_3x3", (3, 3), (2, 2)),
        ("MaxPool_5a_2x2", (2, 2), (2, 2)),
        ("Mixed_5c-Branch_3-MaxPool_0a_3x3", (3, 3), (1, 1)),
    ]:
        pool = full.get_layer(name)
        assert (pool.pool_size, pool.strides, pool.padding) == (window, strides, "same")
    pool = full.get_layer("AvgPool_0a_7x7")
    assert (pool.pool_size, pool.padding) == ((7, 7), "valid")
    assert full.get_layer("Logits-Conv2d_0c_1x1").use_bias


@pytest.mark.parametrize("size", [64, (33, 47), None])
def test_logits_are_of_the_mean_over_the_grid(size):
    model = build_inception_v1(5, channels=2, size=size, width=0.125, seed=0)
    height, width = (64, 64) if size == 64 else (33, 47)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, height, width, 2)).astype(np.float32)
    features, logits = keras.Model(
        model.input, [model.get_layer("Mixed_5c").output, model.output]
    )(images)
    assert features.shape == (2, 2, 2, 128)
    kernel, bias = model.get_layer("Logits-Conv2d_0c_1x1").get_weights()
    want = np.array(features, np.float64).mean((1, 2)) @ kernel[0, 0] + bias
    np.testing.assert_allclose(logits, want, atol=1e-6)


def test_options():
    model = build_inception_v1(
        3, size=32, width=0.125, dropout=0.25, batch_norm_decay=0.9
    )
    assert model.output_shape == (None, 3)
    assert model.get_layer("Dropout_0b").rate == 0.25
    assert model.get_layer("Conv2d_2b_1x1-batch_norm").momentum == 0.9
    with pytest.raises(ValueError, match="num_classes is 0; it must be at least 1"):
        build_inception_v1(0, size=32)
