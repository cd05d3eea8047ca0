"""The 8-bit code of flow: every code, every bound."""

import numpy as np
import pytest

from flow import code

STEP = 20 / 127  # px


def test_every_code_survives_the_round_trip():
    codes = np.arange(1, 256, dtype=np.uint8)
    flow = code.decode(codes)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(flow, (np.arange(1, 256) - 128) * STEP, rtol=1e-6)
    encoded = code.encode(flow)
    assert encoded.dtype == np.uint8
    np.testing.assert_array_equal(encoded, codes)


def test_code_0_that_encode_never_gives_is_the_bound():
    assert code.decode(np.array([0, 1], np.uint8)).tolist() == [-20, -20]


def test_zero_is_exact():
    assert code.encode(np.zeros((1, 1, 2), np.float32)).tolist() == [[[128, 128]]]
    assert code.decode(np.array([128], np.uint8)).tolist() == [0]


def test_error_is_at_most_half_a_step():
    flow = np.linspace(-20, 20, 100_001, dtype=np.float32)
    error = np.abs(code.decode(code.encode(flow)) - flow)
    assert error.max() == pytest.approx(STEP / 2, abs=3e-4)


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (20, 255),
        (20.1, 255),
        (1000, 255),
        (-20, 1),
        (-20.1, 1),
        (-1e9, 1),
        (19.9, 254),
        (-19.9, 2),
        (STEP, 129),
        (-STEP, 127),
        (0.49 * STEP, 128),
        (0.51 * STEP, 129),
        (-0.51 * STEP, 127),
    ],
)
def test_known_codes(flow, expected):
    assert code.encode(np.array([flow])).tolist() == [expected]


def test_code_is_symmetric():
    flow = np.linspace(0, 25, 1001, dtype=np.float32)
    positive, negative = code.encode(flow), code.encode(-flow)
    np.testing.assert_array_equal(positive.astype(int) - 128, 128 - negative)
    np.testing.assert_array_equal(code.decode(positive), -code.decode(negative))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    flow = np.zeros((2, 2, 2), np.float32)
    flow[1, 0, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        code.encode(flow)


def test_formula_in_the_tags_is_the_one_in_use():
    values = np.array([-20, -7.3, 0, 0.1, 12.34, 20])
    by_formula = [eval(code.FORMULA, {"v": v, "round": round}) for v in values]
    assert code.encode(values).tolist() == by_formula
