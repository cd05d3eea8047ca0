"""What the flow benchmark measures."""

import itertools
import pathlib
import shutil
import time
from importlib import metadata

import cv2
import numpy as np
import tqdm

from flow.extract_folder import extract_folder
from flow.settings import Settings
from flow.tvl1 import ENGINES, TVL1
from flow.video import VideoError, read_video, to_grey
from flow.video_files import find_videos

SKIPPED = 10  # frames: what a clip begins with is often dark or still
APART = 5  # frames from pair to pair

# Frames at 25 fps: UCF101's 13,320 clips of 7.2 s; Kinetics-400's 306,245 of 10 s.
DATA_SETS = {"UCF101": 2_400_000, "Kinetics-400": 306_245 * 250}


def versions():
    return ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("opencv-contrib-python", "numba", "numpy")
    )


def compare_clips(folder, side, pairs):
    """Yields a dict for each clip: ms a frame of each engine, and how far apart."""
    solvers = {engine: TVL1(engine) for engine in ENGINES}
    # Compiled, or read from the disk, before the clock runs.
    solvers["fast"](*np.zeros([2, 16, 16], np.uint8))
    for video in tqdm.tqdm(find_videos(folder), desc=f"clips, {side} px"):
        frames = read_video(pathlib.Path(folder) / video, smaller_side=side)
        seconds, off = dict.fromkeys(ENGINES, 0.0), []
        try:
            for pair in _pairs(frames, pairs):
                flows = {}
                for engine, solver in solvers.items():
                    began = time.perf_counter()
                    flows[engine] = solver(*pair)
                    seconds[engine] += time.perf_counter() - began
                off.append(np.abs(flows["fast"] - flows["opencv"]))
        except VideoError:  # Cut short: the pairs before count.
            pass
        if off:
            yield {
                "clip": video.as_posix(),
                "size": off[0].shape[:2],
                "pairs": len(off),
                **{f"{name}_ms": 1e3 * s / len(off) for name, s in seconds.items()},
                "ratio": seconds["opencv"] / seconds["fast"],
                "mean_off": float(np.mean(off)),
                "percentile_99_off": float(np.percentile(off, 99)),
            }


def _pairs(frames, count):
    greys = (to_grey(frame) for frame in itertools.islice(frames, SKIPPED, None))
    for number, pair in enumerate(itertools.pairwise(greys)):
        if number == APART * count:
            return
        if number % APART == 0:
            yield pair


def first_pairs(folder, size, *, clips, pairs):
    """Grey pairs of the first `clips` videos that have frames of `size` (H, W):
    [[(previous, current), ...] of a clip, ...]."""
    found = []
    for video in find_videos(folder):
        frames = read_video(pathlib.Path(folder) / video, smaller_side=min(size))
        its_pairs = list(_pairs(frames, pairs))
        if its_pairs and its_pairs[0][0].shape == size:
            found.append(its_pairs)
        if len(found) == clips:
            break
    return found


def middlebury_errors(folder, engines):
    """Mean endpoint error of each engine in px, of all pixels whose flow is known.

    Args:
      engines: {name: function of two grey frames -> flow `[H, W, 2]`}.
    """
    results = []
    for truth_file in sorted(pathlib.Path(folder).glob("*/flow10.flo")):
        words = np.fromfile(truth_file, "<f4")
        width, height = words[1:3].view(np.int32)
        truth = words[3:].reshape(height, width, 2)
        known = (np.abs(truth) < 1e9).all(axis=-1)
        frames = [
            to_grey(cv2.imread(str(truth_file.with_name(name)))[..., ::-1])
            for name in ("frame10.png", "frame11.png")
        ]
        errors = {
            name: float(np.linalg.norm(engine(*frames) - truth, axis=-1)[known].mean())
            for name, engine in engines.items()
        }
        results.append({"name": truth_file.parent.name, **errors})
    return results


def extraction(clips, folder, workers):
    """Extracts all clips, decoding and writing included."""
    output = pathlib.Path(folder) / f"flow-{workers}"
    began = time.perf_counter()
    report = extract_folder(clips, output, Settings("fast"), workers=workers)
    seconds = time.perf_counter() - began
    frames = sum(entry["flow_frames"] for entry in report)
    size = sum(path.stat().st_size for path in output.rglob("*.mkv"))
    shutil.rmtree(output)
    return {
        "workers": workers,
        "frames": frames,
        "seconds": seconds,
        "frames_s": frames / seconds,
        "bytes_a_frame": size / frames,
    }


def data_sets(result):
    """Core-hours and gigabytes, worked out from the clips at 256 px, if there are."""
    clips = [clip for clip in result["clips"] if min(clip["size"]) == 256]
    if not clips:
        return []
    pairs = sum(clip["pairs"] for clip in clips)
    ratio = sum(c["opencv_ms"] * c["pairs"] for c in clips) / sum(
        c["fast_ms"] * c["pairs"] for c in clips
    )
    opencv = sum(c["opencv_ms"] * c["pairs"] for c in clips) / pairs / 1e3
    one = result["extractions"][0]
    # Of the extraction, decoding and writing included; OpenCV's is the flow alone.
    fast = one["seconds"] / one["frames"] * one["workers"]
    return [
        {
            "name": name,
            "frames": frames,
            "core_hours_fast": frames * fast / 3600,
            "core_hours_opencv": frames * opencv / 3600,
            "ratio_of_flow_alone": ratio,
            "gigabytes": frames * one["bytes_a_frame"] / 1e9,
        }
        for name, frames in DATA_SETS.items()
    ]
