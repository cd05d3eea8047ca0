"""Tiny videos whose motion is known, and settings that take no time."""

import functools
import signal
import subprocess
import sys

import cv2
import numpy as np

from flow.settings import Settings

SETTINGS = Settings("opencv", smaller_side=48)
# Not the flow's accuracy is of interest, but what becomes of videos.
QUICK = Settings(
    "opencv",
    smaller_side=16,
    parameters={"warps": 1, "outer_iterations": 1, "inner_iterations": 1},
)
LEFT, TOP, SIDE = 16, 12, 24


def moving_square(moves):
    """A textured square that is moved by (dx, dy) px in each frame: `[T, H, W, 3]`.

    48x64 px, so at a smaller side of 48 no pixel is resized.
    """
    rng = np.random.default_rng(3)
    ground, texture = (
        cv2.GaussianBlur(rng.normal(0, 1, size), (0, 0), 1.5)
        for size in ((48, 64), (SIDE, SIDE))
    )
    frames = []
    for dx, dy in moves:
        picture = 128 + ground / np.abs(ground).max() * 60
        place = np.s_[TOP + dy : TOP + dy + SIDE, LEFT + dx : LEFT + dx + SIDE]
        picture[place] = 128 + texture / np.abs(texture).max() * 127
        frames.append(np.rint(picture).astype(np.uint8))
    return np.repeat(np.stack(frames)[..., None], 3, axis=-1)


def noise(count, height=16, width=24, seed=0):
    """`[count, height, width, 3]` uint8 that no codec makes small."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, 3), np.uint8)


def contents(folder):
    """{relative path: bytes} of all files below `folder`, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flow_videos(folder):
    """`contents` without the report, which tells of times."""
    found = contents(folder)
    found.pop("report.json", None)
    return found


def states(report):
    return {entry["video"]: entry["state"] for entry in report}


def start(videos, output, *flags, **options):
    """The command as a process, in a session of its own; ends on `communicate`."""
    command = [sys.executable, "-m", "experiments.extract_flow"]
    command += ["--videos", videos, "--output", output, "--engine=opencv", *flags]
    # Tests that run in the background ignore SIGINT, and so would this.
    obey = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    options.setdefault("preexec_fn", obey)
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def errors(text):
    """The lines of standard error that are not the progress bar's."""
    lines = [line.split("\r")[-1] for line in text.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("flow:")]
