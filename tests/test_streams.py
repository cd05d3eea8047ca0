"""What the streams are, and what their bytes mean."""

import dataclasses

import numpy as np
import pytest

from i3d_tf import clips
from i3d_tf.streams import ALL_STREAMS, CT, DEPTH, FLOW, RGB, STREAMS


def test_rgb_fields():
    assert dataclasses.asdict(RGB) == {
        "name": "rgb",
        "channels": 3,
        "planes": 1,
        "zero": 127.5,
        "scale": 127.5,
        "mirror_signs": (1, 1, 1),
        "motion": False,
        "lit": True,
        "raw_dtype": "uint8",
        "raw_zero": 127.5,
        "raw_scale": 127.5,
        "code_dtype": "uint8",
    }


def test_flow_fields():
    assert dataclasses.asdict(FLOW) == {
        "name": "flow",
        "channels": 2,
        "planes": 2,
        "zero": 128,
        "scale": 127,
        "mirror_signs": (-1, 1),
        "motion": True,
        "lit": False,
        "raw_dtype": "float32",
        "raw_zero": 0.0,
        "raw_scale": 20.0,
        "code_dtype": "uint8",
    }


def test_ct_fields():
    assert dataclasses.asdict(CT) == {
        "name": "ct",
        "channels": 1,
        "planes": 1,
        "zero": 127.5,
        "scale": 127.5,
        "mirror_signs": (1,),
        "motion": False,
        "lit": False,
        "raw_dtype": "float32",
        "raw_zero": 0.0,
        "raw_scale": 1000.0,
        "code_dtype": "uint8",
    }


def test_depth_fields():
    """Millimetres, of which two metres fill the range."""
    assert dataclasses.asdict(DEPTH) == {
        "name": "depth",
        "channels": 1,
        "planes": 1,
        "zero": 1000.0,
        "scale": 1000.0,
        "mirror_signs": (1,),
        "motion": False,
        "lit": False,
        "raw_dtype": "uint16",
        "raw_zero": 1000.0,
        "raw_scale": 1000.0,
        "code_dtype": "uint16",
    }


def test_streams_are_listed_rgb_first():
    assert STREAMS == (RGB, FLOW)
    assert ALL_STREAMS == (RGB, FLOW, DEPTH)


def test_a_stream_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RGB.channels = 1


@pytest.mark.parametrize(
    "stream, code, value",
    [
        (RGB, 0, -1.0),
        (RGB, 255, 1.0),
        (RGB, 51, -0.6),
        (FLOW, 1, -1.0),
        (FLOW, 128, 0.0),
        (FLOW, 255, 1.0),
        (FLOW, 0, -1.0),  # no code of its own; cut, not -128 / 127
        (FLOW, 129, 1 / 127),
        (CT, 0, -1.0),
        (CT, 255, 1.0),
        (DEPTH, 0, -1.0),  # not measured
        (DEPTH, 1250, 0.25),
        (DEPTH, 2000, 1.0),
        (DEPTH, 65535, 1.0),  # farther
    ],
)
def test_meaning_of_stored_codes(stream, code, value):
    got = clips.normalise(np.array([code], stream.code_dtype), stream).numpy()
    np.testing.assert_array_equal(got, np.array([value], np.float32))


@pytest.mark.parametrize(
    "stream, raw, value",
    [
        (RGB, 0, -1.0),
        (RGB, 255, 1.0),
        (FLOW, -20.0, -1.0),
        (FLOW, 5.0, 0.25),
        (FLOW, 20.0, 1.0),
        (FLOW, 33.0, 1.0),
        (FLOW, -400.0, -1.0),
        (CT, -1024.0, -1.0),  # air
        (CT, -100.0, -0.1),  # fat
        (CT, 0.0, 0.0),  # water
        (CT, 3000.0, 1.0),  # metal
        (DEPTH, 500, -0.5),
    ],
)
def test_meaning_of_raw_values(stream, raw, value):
    got = clips.normalise_raw(np.array([raw], stream.raw_dtype), stream).numpy()
    np.testing.assert_array_equal(got, np.array([value], np.float32))


def test_channels_that_do_not_divide_into_planes():
    with pytest.raises(
        ValueError, match="'flow': 2 channels do not divide into 3 planes"
    ):
        dataclasses.replace(FLOW, planes=3)


def test_each_channel_needs_a_mirror_sign():
    with pytest.raises(ValueError, match="'flow': 3 mirror_signs for 2 channels"):
        dataclasses.replace(FLOW, mirror_signs=(-1, 1, 1))
