"""Adapters between features of different grids and widths."""

import keras
import numpy as np
import pytest

from i3d_tf.distillation.adapters import Adapter, cell_means


def features(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_cells_share_values_by_how_much_of_them_they_hold():
    np.testing.assert_array_equal(
        cell_means(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    )
    np.testing.assert_allclose(cell_means(3, 2), np.array([[2, 1, 0], [0, 1, 2]]) / 3)
    np.testing.assert_array_equal(cell_means(1, 3), np.ones([3, 1]))
    np.testing.assert_array_equal(cell_means(5, 5), np.eye(5))


@pytest.mark.parametrize("size, cells", [(7, 3), (3, 7), (8, 4), (14, 4)])
def test_means_keep_the_mean_of_all(size, cells):
    means = cell_means(size, cells)
    np.testing.assert_allclose(means.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(means.mean(0), 1 / size, rtol=1e-6)


def test_a_grid_of_half_the_size_is_average_pooling():
    x = features(2, 8, 6, 4, 3)
    pooled = keras.layers.AveragePooling3D((2, 3, 1))(x)
    adapter = Adapter([4, 2, 4, 3])
    np.testing.assert_allclose(adapter(x), pooled, atol=1e-6)
    assert not adapter.weights


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_another_width_is_a_convolution_of_size_one(dimensions):
    x = features(2, *[4, 3, 5][:dimensions], 6)
    adapter = Adapter([*x.shape[1:-1], 9])
    got = adapter(x)
    kernel, bias = adapter.trainable_weights
    bias.assign(np.arange(9))
    layer = getattr(keras.layers, f"Conv{dimensions}D")(9, 1)
    layer.build(x.shape)
    layer.set_weights([kernel.numpy().reshape(layer.kernel.shape), np.arange(9)])
    np.testing.assert_allclose(adapter(x), layer(x), atol=1e-5)
    assert got.shape == adapter.compute_output_shape(x.shape)


def test_grid_and_width_at_once():
    x = features(2, 4, 6, 6, 5)
    adapter = Adapter([2, 7, 3, 8])
    assert adapter(x).shape == (2, 2, 7, 3, 8)
    kernel, _ = adapter.trainable_weights
    wanted = x @ kernel.numpy()
    for axis, cells in enumerate((2, 7, 3), start=1):
        means = cell_means(x.shape[axis], cells).astype("float64")
        wanted = np.moveaxis(np.tensordot(wanted, means, [[axis], [1]]), -1, axis)
    np.testing.assert_allclose(adapter(x), wanted, atol=1e-5)


def test_what_is_alike_stays_as_it_is():
    x = features(2, 3, 4, 5)
    adapter = Adapter([3, 4, 5])
    np.testing.assert_array_equal(adapter(x), x)
    assert not adapter.weights


def test_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"are \[3, 4\], the teacher's \[2, 3, 4\]"):
        Adapter([2, 3, 4])(features(2, 3, 4))
    with pytest.raises(ValueError, match="must be known"):
        Adapter([2, 4])(keras.Input([None, 4]))
