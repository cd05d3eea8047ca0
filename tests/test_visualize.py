"""Flow in colours: exact colours of known motions."""

import numpy as np
import pytest

from flow import visualize


def color(u, v, max_flow):
    """The colour of one motion in px, as three integers."""
    flow = np.full((1, 1, 2), (u, v), np.float32)
    return visualize.flow_to_color(flow, max_flow)[0, 0].tolist()


def test_known_motions():
    assert color(0, 0, 5) == [255, 255, 255]
    assert color(5, 0, 5) == [255, 0, 0]
    # Down is a quarter turn: 13.75 of the 15 hues from red to yellow.
    assert color(0, 5, 5) == [255, round(255 * 13.75 / 15), 0]
    # Left is half a turn, hue 27.5: 2.5 of the 11 from cyan (25) to blue.
    assert color(-5, 0, 5) == [0, round(255 * (1 - 2.5 / 11)), 255]
    # Up is hue 41.25: 5.25 of the 13 from blue (36) to magenta.
    assert color(0, -5, 5) == [round(255 * 5.25 / 13), 0, 255]


@pytest.mark.parametrize(
    ("hue", "expected"),
    [
        (15, [255, 255, 0]),
        (21, [0, 255, 0]),
        (25, [0, 255, 255]),
        (36, [0, 0, 255]),
        (49, [255, 0, 255]),
    ],
)
def test_pure_colors_are_at_their_hues(hue, expected):
    angle = 2 * np.pi * hue / 55
    u, v = 3 * np.cos(angle), 3 * np.sin(angle)
    np.testing.assert_allclose(color(u, v, 3.0001), expected, atol=1)


def test_saturation_is_the_speed_and_beyond_is_darker():
    assert color(2, 0, 4) == [255, 128, 128]
    assert color(4, 0, 4) == [255, 0, 0]
    assert color(4.01, 0, 4) == color(400, 0, 4) == [191, 0, 0]


def test_no_jump_at_motion_to_the_right():
    above, below = color(1, -1e-4, 2), color(1, 1e-4, 2)
    np.testing.assert_allclose(above, below, atol=1)


def test_opposite_motions_differ():
    angles = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    flow = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[None].astype("f4")
    there = visualize.flow_to_color(flow, 1.01).astype(int)
    back = visualize.flow_to_color(-flow, 1.01).astype(int)
    assert np.abs(there - back).max(axis=-1).min() > 150


def test_only_flow_over_max_flow_matters():
    flow = np.random.default_rng(0).normal(size=(2, 3, 5, 7, 2)).astype(np.float32)
    colors = visualize.flow_to_color(flow, 2.0)
    assert colors.shape == (2, 3, 5, 7, 3) and colors.dtype == np.uint8
    np.testing.assert_array_equal(visualize.flow_to_color(4 * flow, 8.0), colors)


def test_default_scale_is_the_largest_but_noise_stays_white():
    flow = np.zeros((2, 2, 2), np.float32)
    flow[0, 0] = 3, 4
    flow[1, 1] = 2.5, 0
    colors = visualize.flow_to_color(flow)
    np.testing.assert_array_equal(colors, visualize.flow_to_color(flow, 5.0))
    assert colors[1, 1].tolist() == [255, 128, 128]
    assert visualize.flow_to_color(flow / 1000).min() >= 253


def test_max_magnitude():
    flow = np.zeros((10, 10, 2), np.float32)
    flow[:5, :, 0] = 2
    flow[0, 0] = 30, 40
    assert visualize.max_magnitude(flow) == 50
    assert visualize.max_magnitude(flow, percentile=90) == 2
    assert visualize.max_magnitude(flow / 1000) == 1


def test_color_wheel():
    wheel = visualize.color_wheel(201)
    assert wheel.shape == (201, 201, 3) and wheel.dtype == np.uint8
    assert wheel[100, 100].tolist() == [255, 255, 255]
    assert wheel[0, 0].tolist() == wheel[-1, 0].tolist() == [255, 255, 255]
    for (row, column), motion in {
        (100, 200): (1, 0),
        (200, 100): (0, 1),
        (100, 0): (-1, 0),
        (0, 100): (0, -1),
    }.items():
        np.testing.assert_allclose(wheel[row, column], color(*motion, 1), atol=3)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), r"shape \(4, 4, 3\); expected \[..., H, W"),
        (np.zeros((4, 2), np.float32), r"shape \(4, 2\)"),
        (np.zeros((0, 4, 2), np.float32), r"shape \(0, 4, 2\)"),
        (np.full((4, 4, 2), 128, np.uint8), "uint8; expected float px"),
        (np.full((4, 4, 2), np.nan, np.float32), "not finite"),
    ],
)
def test_wrong_flow_is_an_error(flow, message):
    with pytest.raises(ValueError, match=message):
        visualize.flow_to_color(flow)
    with pytest.raises(ValueError, match=message):
        visualize.max_magnitude(flow)


@pytest.mark.parametrize("max_flow", [0, -1, np.nan, np.inf])
def test_wrong_scale_is_an_error(max_flow):
    with pytest.raises(ValueError, match="expected a positive number of px"):
        visualize.flow_to_color(np.zeros((1, 1, 2), np.float32), max_flow)


@pytest.mark.parametrize("size", [1, 2.5])
def test_wrong_wheel_is_an_error(size):
    with pytest.raises(ValueError, match=f"size is {size}; expected an integer"):
        visualize.color_wheel(size)
