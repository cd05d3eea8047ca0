"""What the storage benchmark measures of each encoding."""

import functools
import time
from importlib import metadata

import numpy as np
import tensorflow as tf
import tqdm

from experiments.benchmarks.encodings import FLOW_ENCODINGS, RGB_ENCODINGS, SIZE
from i3d_tf import clips

CLIP = 64  # frames for which times are given
VIEWS = 4  # crops of each video


def versions():
    return ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("tensorflow", "opencv-contrib-python", "pillow")
    )


def compare(stream, videos, rounds):
    """A dict for each encoding of `stream`, "rgb" or "flow".

    Args:
      videos: `[T, H, W, C]` uint8 arrays.
    """
    rng = np.random.default_rng(0)
    views = [
        [
            clips.View(
                tf.constant(0),
                *(
                    tf.constant(rng.integers(0, side - SIZE + 1), tf.int32)
                    for side in frames.shape[1:3]
                ),
                tf.constant(False),
            )
            for _ in range(VIEWS)
        ]
        for frames in videos
    ]
    encodings = {"rgb": RGB_ENCODINGS, "flow": FLOW_ENCODINGS}[stream]
    works = [
        _Work(encoding, videos, views)
        for encoding in tqdm.tqdm(encodings, desc=f"encodings of {stream}")
    ]
    for _ in range(rounds):
        for work in works:
            work.run()
    return [work.result() for work in works]


class _Work:
    """The videos in an encoding; what `run` took."""

    def __init__(self, encoding, videos, views):
        self.name = encoding.name
        began = time.process_time()
        encoded = [[encoding.encode(frame) for frame in frames] for frames in videos]
        self.frames = sum(map(len, encoded))
        self.encode_ms = (time.process_time() - began) / self.frames * 1e3
        self.bytes = sum(len(data) for one in encoded for data in one) / self.frames
        decode = tf.function(encoding.decode, reduce_retracing=True, autograph=False)
        self.calls = [
            functools.partial(decode, data, view, tf.constant(frames.shape[1]))
            for data, frames, its_views in zip(
                map(tf.constant, encoded), videos, views, strict=True
            )
            for view in its_views
        ]
        self._compare(videos, views)
        self.seconds = []

    def _compare(self, videos, views):
        """Errors against what was encoded; also traces the function."""
        squares, within, self.largest_error = [], [], 0
        calls = iter(self.calls)
        for frames, its_views in zip(videos, views, strict=True):
            off = []
            for view in its_views:
                crop = np.s_[
                    :,
                    int(view.top) : int(view.top) + SIZE,
                    int(view.left) : int(view.left) + SIZE,
                ]
                decoded = next(calls)().numpy().astype(np.int16)
                off.append(np.abs(decoded - frames[crop]))
            off = np.stack(off)
            squares.append(np.mean(np.square(off, dtype=np.float64)))
            within.append(np.mean(off <= 1))
            self.largest_error = max(self.largest_error, int(off.max()))
        mean = np.mean(squares)
        self.psnr = None if mean == 0 else float(10 * np.log10(255**2 / mean))
        self.within_1 = float(min(within))

    def run(self):
        # Of the processor and not of the wall: other work on the machine counts less.
        began = time.process_time()
        for call in self.calls:
            call()
        self.seconds.append(time.process_time() - began)

    def result(self):
        a_frame = min(self.seconds) / self.frames / VIEWS
        return {
            "name": self.name,
            "bytes": round(self.bytes),
            "encode_ms": round(self.encode_ms, 3),
            "decode_ms": round(a_frame * CLIP * 1e3, 2),
            "psnr": self.psnr,
            "within_1": self.within_1,
            "largest_error": self.largest_error,
        }
