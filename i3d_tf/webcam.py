"""The last frames of a camera, for a model that takes longer than they last."""

import collections
import threading
import time

import cv2

from flow.video import resample


def watch(index, length, fps):
    """Yields the camera's last frames, a list of `[H, W, 3]` uint8 RGB.

    A thread goes on reading while the caller is busy, so each list is the newest there
    is; the same one does not come twice. It ends when the camera does.

    Args:
      index: of the camera, 0 for the first.
      length: frames of a list; the first one comes when there are so many.
      fps: rate that they are brought to, by the times at which they come.

    Raises ValueError if it cannot be opened or gives fewer frames.
    """
    camera = cv2.VideoCapture(index)
    latest = collections.deque(maxlen=length)
    changed = threading.Condition()
    state = {"count": 0, "ended": False}

    def read():
        try:
            for frame in resample(_timed(camera, state, fps), fps):
                with changed:
                    latest.append(frame)
                    state["count"] += 1
                    changed.notify()
        finally:
            with changed:
                state["ended"] = True
                changed.notify()

    def is_new():
        return state["ended"] or (len(latest) == length and state["count"] > seen)

    thread, seen = threading.Thread(target=read, daemon=True), 0
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(is_new)
                if state["count"] == seen or len(latest) < length:
                    break
                frames, seen = list(latest), state["count"]
            yield frames
    finally:
        state["ended"] = True
        thread.join()
        camera.release()
    if not seen:
        raise ValueError(
            f"camera {index}: cannot be opened, or ended after {state['count']} of "
            f"{length} frames"
        )


def _timed(camera, state, fps):
    """Yields (start, duration, image) until the camera ends or nobody reads on."""
    before = None
    while not state["ended"]:
        is_there, image = camera.read()
        if not is_there:
            return
        now = time.monotonic()
        if before is None or now > before:
            yield now, 1 / fps, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            before = now
