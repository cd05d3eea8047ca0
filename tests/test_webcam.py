"""A camera's last frames, of a camera that is none."""

import itertools
import threading

import numpy as np
import pytest

from i3d_tf import webcam

pytestmark = pytest.mark.usefixtures("shallow_network")


class Camera:
    """Shows frame k, of value k, at k / 50 s."""

    frames = 0
    released = False

    def __init__(self, index):
        self.index, self.shown = index, itertools.count()

    def read(self):
        number = next(self.shown)
        if number >= self.frames:
            return False, None
        Camera.now = number / 50
        image = np.full((4, 6, 3), number, np.uint8)
        image[..., 0] = 255  # blue, as OpenCV has it
        return True, image

    def release(self):
        Camera.released = True


@pytest.fixture
def camera(monkeypatch):
    monkeypatch.setattr(webcam.cv2, "VideoCapture", Camera)
    monkeypatch.setattr(webcam.time, "monotonic", lambda: Camera.now)
    monkeypatch.setattr(Camera, "released", False)
    return Camera


def test_the_last_frames_at_25_a_second(camera, monkeypatch):
    monkeypatch.setattr(camera, "frames", 40)
    *_, last = webcam.watch(0, 8, 25)
    # At 50 a second every other one; the last is shown for 1/25 s.
    values = [int(frame[0, 0, 0]) for frame in last]
    assert np.diff(values).tolist()[:-1] == [2] * 6
    assert values[-1] == 39 and len(last) == 8
    # RGB: blue is the last.
    assert (last[0][..., 2] == 255).all()
    assert camera.released


def test_lists_are_whole_and_each_is_newer(camera, monkeypatch):
    monkeypatch.setattr(camera, "frames", 200)
    # The camera shows 40 frames more after each list that was taken.
    allowed, read = threading.Semaphore(40), camera.read

    def gated(self):
        allowed.acquire()
        return read(self)

    monkeypatch.setattr(camera, "read", gated)
    ends = []
    for frames in webcam.watch(0, 5, 25):
        assert len(frames) == 5
        ends.append(int(frames[-1][0, 0, 0]))
        allowed.release(40)
    assert len(ends) >= 2
    assert ends == sorted(set(ends)) and ends[-1] >= 198


def test_a_caller_that_stops_releases_the_camera(camera, monkeypatch):
    monkeypatch.setattr(camera, "frames", 10**9)
    monkeypatch.setattr(camera, "read", endless)
    frames = webcam.watch(0, 5, 25)
    next(frames)
    frames.close()
    assert camera.released


def endless(self):
    number = next(self.shown)
    Camera.now = number / 50
    return True, np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize("frames", [0, 3])
def test_no_camera_and_one_that_ends_at_once(camera, monkeypatch, frames):
    monkeypatch.setattr(camera, "frames", frames)
    told = f"camera 2: cannot be opened, or ended after {-(-frames // 2)} of 9 frames"
    with pytest.raises(ValueError, match=told):
        list(webcam.watch(2, 9, 25))
