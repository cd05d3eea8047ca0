r"""Measures the memory of everything that walks a folder of videos.

    python -m experiments.benchmarks.memory_over_folders --videos clips

Each command runs as a process of its own, once over three videos and once over the
whole folder; the peak memory of the process and its children is sampled in both runs.
If nothing is kept from one video to the next, both peaks are the same. Three folders
are walked:

- real: the videos of --videos repeated to --count, the three largest first;
- 720p: --large generated videos of 1280x720 px and 70 frames;
- 96x72: --many generated videos of 96x72 px and 30 frames.

The model is small and has random weights: two streams, clips of 64 frames of 32 px.
Prints a table and writes memory_over_folders.json to --output, under the key --label;
with --only the other rows stay as they are in the file.
"""

import functools
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from experiments import command

_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.", required=True)
_COUNT = flags.DEFINE_integer("count", 200, "Videos of the real folder.", 3)
_LARGE = flags.DEFINE_integer("large", 40, "Videos of 720p.", 3)
_MANY = flags.DEFINE_integer("many", 1200, "Videos of 96x72 px.", 3)
_ONLY = flags.DEFINE_list("only", [], "Rows to measure, as predict; default: all.")
_LABEL = flags.DEFINE_string("label", "now", "Key of the results in the JSON file.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)

_FEW = 3  # videos of the first run
_PERIOD = 0.02  # seconds between two samples
_PREDICTOR = """
import pathlib, sys
from i3d_tf.prediction import Predictor

predictor = Predictor(sys.argv[1])
for video in sorted(pathlib.Path(sys.argv[2]).rglob("*.*")):
    predictor(video)
"""


def main():
    from experiments.benchmarks import machine
    from experiments.benchmarks.random_model import export_random
    from flow.files import write_json
    from i3d_tf.config import Data

    path = pathlib.Path(_OUTPUT.value) / "memory_over_folders.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    rows = results.get(_LABEL.value, {}).get("rows", {}) if _ONLY.value else {}
    results[_LABEL.value] = {"machine": machine.describe(), "rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model, sources = folder / "model", _make_videos(folder / "sources")
        data = Data("none", size=32, smaller_side=40)
        export_random(model, data, width=0.125, endpoints=["Mixed_5c"])
        for name, kind, run in _works(model):
            if _ONLY.value and name not in _ONLY.value:
                continue
            count = len(sources[kind])
            peaks = []
            for number in (_FEW, count):
                aside = folder / f"{name} {kind} {number}"
                _link(sources[kind][:number], aside / "videos" / "clips")
                peaks.append(_peak(run(aside)))
            rows[f"{name}, {count} {kind}"] = peaks
            write_json(path, results)
    print(f"{machine.describe()}\n")
    print("| | MB, 3 videos | MB, all | more |\n|---|---|---|---|")
    for name, (few, all_) in rows.items():
        print(f"| {name} | {few:,.0f} | {all_:,.0f} | {all_ - few:,.0f} |")


def _works(model):
    """Yields (name, kind of videos, function of a folder) for each row of the table.

    The function returns the command line to run, which reads `<folder>/videos`.
    """

    def run(module, **options):
        given = [f"--{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", f"experiments.{module}", *given]

    def predict(folder, **options):
        return run("predict", model=model, video=folder / "videos", **options)

    def features(folder):
        options = {"endpoint": "Mixed_5c", "output": folder / "features"}
        options |= {"model": model, "videos": folder / "videos"}
        return run("extract_features", **options)

    def flow(folder):
        options = {"videos": folder / "videos", "output": folder / "flow"}
        return run("extract_flow", smaller_side=40, **options)

    def build(folder):
        # The flow is not what is measured here.
        subprocess.run(flow(folder), check=True, capture_output=True)
        options = {"videos": folder / "videos", "flow": folder / "flow"}
        options |= {"data_dir": folder / "data", "name": "walked"}
        return run("build_dataset", **options)

    def predictor(folder):
        return [sys.executable, "-c", _PREDICTOR, model, folder / "videos"]

    def annotated(folder):
        return predict(folder, output=folder / "output")

    yield "predict", "720p", predict
    yield "predict", "real", predict
    yield "predict", "96x72", predict
    yield "predict with --output", "real", annotated
    yield "Predictor", "720p", predictor
    yield "Predictor", "real", predictor
    yield "extract_features", "real", features
    yield "extract_flow", "real", flow
    yield "build_dataset", "real", build


def _make_videos(folder):
    """Returns {kind: paths}, a path for each video of the folder that is walked."""
    from flow.film import write_mp4
    from flow.video import Damaged, VideoError, decode
    from flow.video_files import find_videos

    folder.mkdir()
    generated = {}
    for kind, size, frames in (("720p", (720, 1280), 70), ("96x72", (72, 96), 30)):
        generated[kind] = folder / f"{kind}.mp4"
        write_mp4(generated[kind], _moving(size, frames), 25)
    given, sizes = pathlib.Path(_VIDEOS.value).absolute(), {}
    for path in find_videos(given):
        try:
            for _, _, image in itertools.islice(decode(given / path), 2):
                sizes[given / path] = image.size
        except (Damaged, VideoError):
            continue
    real = itertools.cycle(sorted(sizes, key=sizes.get, reverse=True))
    return {
        "720p": [generated["720p"]] * _LARGE.value,
        "real": list(itertools.islice(real, _COUNT.value)),
        "96x72": [generated["96x72"]] * _MANY.value,
    }


def _moving(size, frames):
    """Yields pictures `[H, W, 3]` uint8 of noise that moves 3 px right a frame."""
    height, width = size
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8, (width + 3 * frames) // 8 + 1, 3))
    noise = coarse.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    for frame in range(frames):
        yield noise[:, 3 * frame : 3 * frame + width]


def _link(paths, folder):
    folder.mkdir(parents=True)
    for number, path in enumerate(paths):
        (folder / f"{number:04}{path.suffix}").symlink_to(path)


def _peak(line):
    """Runs a command; returns the peak memory of all its processes in 10**6 bytes."""
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(line, stdout=nowhere, stderr=nowhere)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_held, _family(process.pid))))
        time.sleep(_PERIOD)
    if process.returncode:
        raise ValueError(f"{line}: ended with exit code {process.returncode}")
    return peak / 1e6


def _family(pid):
    """Returns the ids of a process and of all processes below it."""
    found = [pid]
    for one in found:
        for path in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found.extend(map(int, path.read_text().split()))
            except OSError:  # it has ended meanwhile
                continue
    return found


@functools.cache
def _page():
    return os.sysconf("SC_PAGE_SIZE")


def _held(pid):
    """Returns the bytes in memory of a process; 0 if it has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0
    return int(text.split()[1]) * _page()


if __name__ == "__main__":
    command.run(main)
