"""Computes TV-L1 optical flow for a folder of videos.

    python -m experiments.extract_flow --videos mine/videos --output mine/flow

Leaves one flow video per source video at the same relative path and report.json.
Stopped at any moment and run again, it goes on where it was. Exits 0 only if every
video has its flow.
"""

from absl import flags

from experiments import command
from flow.extract import Settings, extract_folder
from flow.tvl1 import ENGINES
from flow.video import SMALLER_SIDE

_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for flow.", required=True)
_ENGINE = flags.DEFINE_enum("engine", "opencv", ENGINES, "TV-L1 implementation.")
_SMALLER_SIDE = flags.DEFINE_integer(
    "smaller_side", SMALLER_SIDE, "Smaller side of the frames, px.", lower_bound=16
)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Processes; default: the processors at hand.", lower_bound=1
)
_RESUME = flags.DEFINE_bool("resume", True, "Keep flow videos that are there.")


def main():
    report = extract_folder(
        _VIDEOS.value,
        _OUTPUT.value,
        Settings(engine=_ENGINE.value, smaller_side=_SMALLER_SIDE.value),
        workers=_WORKERS.value,
        resume=_RESUME.value,
    )
    states = [entry["state"] for entry in report]
    line = (
        f"{_OUTPUT.value}: {states.count('done')} flow videos written, "
        f"{states.count('skipped')} were there, {states.count('failed')} failed"
    )
    if "failed" in states:
        command.fail(f"{line}; reasons in {_OUTPUT.value}/report.json")
    print(line)


if __name__ == "__main__":
    command.run(main)
