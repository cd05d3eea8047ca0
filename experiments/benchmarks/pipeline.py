"""Two-stream clips a second from records, and from video files.

    python -m experiments.benchmarks.pipeline --videos videos

Of --videos a few are made into videos of given lengths, with their flow, and these into
records. The pipeline is compared with what its decoder alone can do on frames that lie
in memory, and with decoding the video and its flow video for every clip. All take
turns, so that what else the machine does falls on all. With --minutes, what a process
holds over that time of epochs instead. Prints tables and leaves pipeline.json, or
pipeline_memory.json, in --output.
"""

import datetime
import json
import pathlib
import platform
import subprocess
import sys
import tempfile

from absl import flags

from experiments import command

_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.")
_COUNT = flags.DEFINE_integer("count", 4, "Of these, at most.", lower_bound=1)
_LENGTHS = flags.DEFINE_list("lengths", ["50", "250", "1000"], "Frames of videos.")
_SHARDS = flags.DEFINE_list(
    "shards",
    ["8", "1", "64"],
    "Of the records; all but the first at 250 frames.",
)
_RECORDS = flags.DEFINE_integer("records", 400, "Records at most.", lower_bound=64)
_FRAMES = flags.DEFINE_integer(
    "frames", 120_000, "Frames of all records of a data set together, about."
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Timed runs of each.", lower_bound=1)
_MINUTES = flags.DEFINE_float("minutes", 0, "Of a run that tells memory, and no other.")
_PAUSE = flags.DEFINE_float("pause", 1, "Seconds a batch of that run, as of training.")
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)
_CHILD = flags.DEFINE_string("child", None, "Internal: the work of this process.")

SHARDS_LENGTH = 250  # frames of the videos of which the number of shards is varied


def main():
    if _CHILD.value:
        from experiments.benchmarks import pipeline_work

        work = json.loads(_CHILD.value)
        print(json.dumps(pipeline_work.WORKS[work.pop("name")](**work)))
        return
    if not _VIDEOS.value:
        raise ValueError("give --videos")
    from experiments.benchmarks import machine, pipeline_work
    from flow.files import write_json

    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "python": platform.python_version(),
        "versions": pipeline_work.versions(),
        "clip": pipeline_work.CLIP,
    }
    print(f"{result['machine']}; {result['versions']}; {result['clip']}")
    output = pathlib.Path(_OUTPUT.value)
    with tempfile.TemporaryDirectory() as folder:
        if _MINUTES.value:
            data_set = _make(folder, SHARDS_LENGTH, int(_SHARDS.value[0]))
            result["memory"] = _run(
                "memory", **data_set, minutes=_MINUTES.value, pause=_PAUSE.value
            )
            _print_memory(result["memory"])
            write_json(output / "pipeline_memory.json", result)
            return
        result["data_sets"] = []
        for length, shards in _data_sets():
            rows = _run("rates", **_make(folder, length, shards), rounds=_ROUNDS.value)
            result["data_sets"].append(rows)
            _print_rates(rows)
            write_json(output / "pipeline.json", result)


def _data_sets():
    first, *others = map(int, _SHARDS.value)
    for length in map(int, _LENGTHS.value):
        yield length, first
    for shards in others:
        yield SHARDS_LENGTH, shards


def _make(folder, length, shards):
    count = max(24, min(_RECORDS.value, _FRAMES.value // length))
    return _run(
        "make",
        folder=folder,
        videos=_VIDEOS.value,
        count=_COUNT.value,
        length=length,
        records=max(shards, count),
        shards=shards,
    )


def _run(name, **work):
    """A work of `pipeline_work` in a process of its own, so that memory is its own."""
    arguments = [f"--child={json.dumps({'name': name, **work})}"]
    child = subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks.pipeline", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    if child.returncode:
        raise ValueError(f"{name}: its process ended with {child.returncode}")
    return json.loads(child.stdout.splitlines()[-1])


def _print_rates(data_set):
    print(
        f"\n| {data_set['length']} frames a video, {data_set['shards']} shards | "
        "clips/s | ms of CPU a clip | of the decoder | MB read a clip |\n"
        "|---|---|---|---|---|"
    )
    for row in data_set["rows"]:
        print(
            f"| {row['name']} | {row['clips_s']:.1f} | {row['cpu_ms']:.1f} | "
            f"{row['share']:.0%} | {row['mb_read']:.2f} |"
        )
    print(f"\npeak {data_set['peak_gb']:.2f} GB after two epochs", flush=True)


def _print_memory(memory):
    print("\n| minutes | epochs | clips | GB held |\n|---|---|---|---|")
    for minutes, epochs, clips, held in memory["held"][
        :: len(memory["held"]) // 12 or 1
    ]:
        print(f"| {minutes:.1f} | {epochs} | {clips} | {held:.2f} |")


if __name__ == "__main__":
    command.run(main)
