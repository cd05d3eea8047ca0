"""The steps of TV-L1 in the graph: beside OpenCV's functions and the equations."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from flow.tvl1_graph_median import median
from flow.tvl1_graph_steps import (
    iterate,
    linearise,
    not_last,
    resize,
    surroundings,
    warp,
)


@pytest.mark.parametrize(("height", "width"), [(40, 47), (31, 64), (256, 341)])
@pytest.mark.parametrize("step", [0.8, 0.5, 0.93])
def test_resize_is_opencvs(height, width, step):
    image = np.random.default_rng(1).uniform(0, 255, (height, width)).astype(np.float32)
    smaller = cv2.resize(image, None, fx=step, fy=step)
    got = resize(image[None, None], smaller.shape, (1 / step, 1 / step))[0, 0]
    np.testing.assert_allclose(got, smaller, atol=1e-3)
    larger = cv2.resize(smaller, (width, height))
    got = resize(smaller[None], (height, width))[0]
    np.testing.assert_allclose(got, larger, atol=1e-3)


@pytest.mark.parametrize("speed", [0.4, 8, 300])
def test_warp_is_opencvs_remap(speed):
    batch, height, width = 2, 40, 47
    random = np.random.default_rng(1)
    frames = random.uniform(0, 255, (batch, height, width)).astype(np.float32)
    flow = random.normal(0, speed, (2, batch, height, width)).astype(np.float32)
    warped = warp(surroundings(tf.constant(frames)), *flow)
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    for example, frame in enumerate(frames):
        edges = np.pad(frame, 1, mode="edge")
        in_x = (edges[1:-1, 2:] - edges[1:-1, :-2]) / 2
        in_y = (edges[2:, 1:-1] - edges[:-2, 1:-1]) / 2
        u, v = flow[:, example]
        at = np.float32(across + u), np.float32(down + v)
        for image, got in zip((frame, in_x, in_y), warped, strict=True):
            expected = cv2.remap(image, *at, cv2.INTER_CUBIC)
            np.testing.assert_allclose(got[example], expected, atol=2e-3)
    if speed == 300:
        assert (warped[0].numpy() == 0).mean() > 0.5


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (31, 64)])
@pytest.mark.parametrize("values", [2, 5, 1000])
def test_median_is_opencvs(size, height, width, values):
    images = np.random.default_rng(7).integers(0, values, (2, height, width))
    images = images.astype(np.float32)
    expected = [cv2.medianBlur(image, size) for image in images]
    np.testing.assert_array_equal(median(images, size), expected)


@pytest.mark.parametrize("size", [3, 5])
def test_median_of_zeros_and_ones_is_right_for_every_count(size):
    """Minima and maxima that are right for these are for all (Knuth, 5.3.4)."""
    shares = np.linspace(0.3, 0.7, 9)[:, None, None]
    images = np.float32(np.random.default_rng(3).random((9, 64, 256)) < shares)
    expected = [cv2.medianBlur(image, size) for image in images]
    np.testing.assert_array_equal(median(images, size), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_an_iteration_is_the_papers(gamma):
    """Against the equations in float64, without a thought of speed."""
    bound, theta, taut = 0.045, 0.3, 0.25 / 0.3
    channels = 3 if gamma else 2
    random = np.random.default_rng(5)
    first, second, ix, iy = random.normal(0, 0.5, (4, 2, 17, 33))
    flow = random.normal(0, 0.5, (channels, 2, 17, 33))
    dual = random.normal(0, 0.5, (channels, 2, 2, 17, 33))
    dual[:, 0, ..., -1] = dual[:, 1, :, -1] = 0
    planes = [tf.constant(each, tf.float32) for each in flow]
    duals = [tuple(tf.constant(each, tf.float32) for each in pair) for pair in dual]
    # The second example has stopped.
    goes_on = np.float32([1, 0]).reshape(2, 1, 1)
    numbers = [bound, theta, *(taut * mask.numpy() for mask in not_last(17, 33))]
    linear = linearise(
        *(tf.constant(first, tf.float32), np.float32([second, ix, iy])), planes, gamma
    )
    new_planes, new_duals, change = iterate(
        planes, duals, linear, *(np.float32(goes_on * number) for number in numbers)
    )

    rho = second - ix * flow[0] - iy * flow[1] - first + ix * flow[0] + iy * flow[1]
    if gamma:
        rho = rho + gamma * flow[2]
    square = ix**2 + iy**2
    step = np.where(rho < -bound * square, bound, -rho / square)
    step = np.where(rho > bound * square, -bound, step)
    expected = 0
    for channel, image in enumerate((ix, iy, gamma)[:channels]):
        p, q = dual[channel]
        divergence = np.diff(p, axis=2, prepend=0) + np.diff(q, axis=1, prepend=0)
        new = flow[channel] + step * image + theta * divergence
        expected += ((new - flow[channel])[0] ** 2).sum()
        new_x = np.diff(new, axis=2, append=new[..., -1:])
        new_y = np.diff(new, axis=1, append=new[:, -1:])
        norm = 1 + taut * np.hypot(new_x, new_y)
        got, (got_p, got_q) = new_planes[channel].numpy(), new_duals[channel]
        np.testing.assert_allclose(got[0], new[0], atol=1e-5)
        np.testing.assert_allclose(got_p[0], ((p + taut * new_x) / norm)[0], atol=1e-5)
        np.testing.assert_allclose(got_q[0], ((q + taut * new_y) / norm)[0], atol=1e-5)
        np.testing.assert_array_equal(got[1], planes[channel][1])
        np.testing.assert_array_equal(got_p[1], duals[channel][0][1])
        np.testing.assert_array_equal(got_q[1], duals[channel][1][1])
    np.testing.assert_allclose(change, [expected, 0], rtol=1e-4)
