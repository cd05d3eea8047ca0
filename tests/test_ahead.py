"""Flow that threads compute ahead: the same, in order, and no more than is wanted."""

import threading

import numpy as np
import pytest
from tiny import moving_texture

from flow.ahead import frames_with_flow
from flow.tvl1 import ENGINES, TVL1, video_flow


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 11])
def test_the_same_in_order(engine, count):
    frames = moving_texture(11, 32, 40)[(np.arange(11) ** 1.1).astype(int) % 11][:count]
    wanted = list(video_flow(frames, TVL1(engine)))
    found = list(frames_with_flow(iter(frames), TVL1(engine), threads=3))
    assert len(found) == max(count - 1, 0)
    for (frame, flow), image, field in zip(found, frames[1:], wanted, strict=True):
        np.testing.assert_array_equal(frame, image)
        np.testing.assert_array_equal(flow, field)


def test_few_frames_are_read_ahead():
    read = []

    def frames():
        for number, frame in enumerate(moving_texture(40, 16, 16)):
            read.append(number)
            yield frame

    before = threading.active_count()
    pairs = frames_with_flow(frames(), TVL1(), threads=2)
    for taken in range(1, 31):
        next(pairs)
        assert len(read) <= taken + 1 + 2 * 2 + 1
    pairs.close()
    # No thread is left waiting for more.
    assert threading.active_count() == before


def test_an_error_of_the_frames_is_told():
    def frames():
        yield from moving_texture(9, 16, 16)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(frames_with_flow(frames(), TVL1()))


def test_an_error_of_the_solver_is_told():
    frames = [*moving_texture(3, 16, 16), *moving_texture(3, 20, 20)]
    with pytest.raises(ValueError, match="both must have one size"):
        list(frames_with_flow(frames, TVL1()))
