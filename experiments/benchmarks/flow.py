"""Speed and accuracy of TV-L1's engines, and what the flow of data sets costs.

    python -m experiments.benchmarks.flow --clips videos --middlebury middlebury

All engines see the same pairs of frames, taking turns on one core, so that what else
the machine does falls on all. Then whole extractions, from video files to flow videos,
with one worker and more. Prints tables and leaves flow.json in --output. The graph
engine has a benchmark of its own, `flow_graph`.
"""

import datetime
import pathlib
import platform
import tempfile

from absl import flags

from experiments import command

_CLIPS = flags.DEFINE_string("clips", None, "Folder of videos.", required=True)
_MIDDLEBURY = flags.DEFINE_string(
    "middlebury", None, "Folder of <name>/frame10.png, frame11.png, flow10.flo."
)
_PAIRS = flags.DEFINE_integer("pairs", 8, "Pairs of frames a clip.", lower_bound=1)
_SIDES = flags.DEFINE_list("sides", ["256", "128"], "Smaller sides of frames, px.")
_WORKERS = flags.DEFINE_list("workers", ["1", "2"], "Workers of the extractions.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)


def main():
    import cv2

    from experiments.benchmarks import flow_work, machine
    from flow.files import write_json
    from flow.tvl1 import ENGINES, TVL1

    # A frame's flow is one core's work: extraction has a process for each.
    cv2.setNumThreads(1)
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "python": platform.python_version(),
        "versions": flow_work.versions(),
        "clips": [],
        "middlebury": [],
        "extractions": [],
    }
    path = pathlib.Path(_OUTPUT.value) / "flow.json"
    print(f"{result['machine']}; one core; {result['versions']}\n")
    for side in map(int, _SIDES.value):
        clips = list(flow_work.compare_clips(_CLIPS.value, side, _PAIRS.value))
        result["clips"] += clips
        _print_clips(clips, side)
        write_json(path, result)
    if _MIDDLEBURY.value:
        result["middlebury"] = flow_work.middlebury_errors(
            _MIDDLEBURY.value, {engine: TVL1(engine) for engine in ENGINES}
        )
        _print_middlebury(result["middlebury"])
    with tempfile.TemporaryDirectory() as folder:
        for workers in map(int, _WORKERS.value):
            result["extractions"].append(
                flow_work.extraction(_CLIPS.value, folder, workers)
            )
    _print_extractions(result["extractions"])
    result["data_sets"] = flow_work.data_sets(result)
    _print_data_sets(result["data_sets"])
    write_json(path, result)
    print(f"\n{path}: the figures")


def _print_clips(clips, side):
    print(
        f"| clip, smaller side {side} | size | opencv ms | fast ms | ratio | ", end=""
    )
    print("mean px off | 99th percentile |")
    print("|---|---|---|---|---|---|---|")
    for clip in clips:
        height, width = clip["size"]
        print(
            f"| {clip['clip']} | {height}x{width} | {clip['opencv_ms']:.0f} | "
            f"{clip['fast_ms']:.1f} | {clip['ratio']:.1f} | {clip['mean_off']:.4f} | "
            f"{clip['percentile_99_off']:.3f} |"
        )
    opencv, fast = (
        sum(clip[f"{engine}_ms"] * clip["pairs"] for clip in clips)
        for engine in ("opencv", "fast")
    )
    print(
        f"| all | | | | **{opencv / fast:.1f}** | "
        f"at most {max(clip['mean_off'] for clip in clips):.4f} | "
        f"at most {max(clip['percentile_99_off'] for clip in clips):.3f} |\n"
    )


def _print_middlebury(pairs):
    print("| Middlebury, mean endpoint error px | opencv | fast |\n|---|---|---|")
    for pair in pairs:
        print(f"| {pair['name']} | {pair['opencv']:.4f} | {pair['fast']:.4f} |")


def _print_extractions(extractions):
    print("\n| extraction, fast | workers | frames | s | frames/s | bytes a frame |")
    print("|---|---|---|---|---|---|")
    for one in extractions:
        print(
            f"| smaller side 256 | {one['workers']} | {one['frames']} | "
            f"{one['seconds']:.1f} | {one['frames_s']:.1f} | "
            f"{one['bytes_a_frame']:.0f} |"
        )


def _print_data_sets(data_sets):
    print("\n| data set | frames | core-hours fast | opencv | GB of flow videos |")
    print("|---|---|---|---|---|")
    for one in data_sets:
        print(
            f"| {one['name']} | {one['frames'] / 1e6:.1f} M | "
            f"{one['core_hours_fast']:,.0f} | {one['core_hours_opencv']:,.0f} | "
            f"{one['gigabytes']:,.0f} |"
        )


if __name__ == "__main__":
    command.run(main)
