"""Computes TV-L1 optical flow for a folder of videos.

    python -m experiments.extract_flow --videos mine/videos --output mine/flow

Leaves one flow video per source video at the same relative path, and report.json with
what became of each. Stopped at any moment and run again, it goes on where it was. Two
runs on one output do no harm to each other, but both compute all that is not there when
they come to it. Exits 0 only if every video has its flow.

With --beam_pipeline_options the workers of Apache Beam do it, here or on a cluster:
experiments/cluster.md. Folders may be in object storage, as gs://mine/videos.
"""

from absl import flags

from experiments import command
from flow.extract_folder import extract_folder
from flow.pool import LIMIT
from flow.settings import Settings
from flow.tvl1 import ENGINES
from flow.video import SMALLER_SIDE
from flow.video_files import find_others

_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for flow.", required=True)
_ENGINE = flags.DEFINE_enum("engine", Settings.engine, ENGINES, "TV-L1 implementation.")
_SMALLER_SIDE = flags.DEFINE_integer(
    "smaller_side", SMALLER_SIDE, "Smaller side of the frames, px.", lower_bound=16
)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Processes; default: the processors at hand.", lower_bound=1
)
_LIMIT = flags.DEFINE_integer(
    "limit_seconds",
    LIMIT,
    "Without progress in a video, after which it is failed; 0: no limit.",
    lower_bound=0,
)
_UNTIL_DAMAGE = flags.DEFINE_bool(
    "until_damage",
    False,
    "Use a video that cannot be decoded to its end up to its last good frame.",
)
_RESUME = flags.DEFINE_bool("resume", True, "Keep flow videos that are there.")
_BEAM = flags.DEFINE_list(
    "beam_pipeline_options",
    None,
    "Extract by Apache Beam with these of its options, without their dashes.",
)


def main():
    output = _OUTPUT.value
    try:
        report = _extract(
            _VIDEOS.value,
            output,
            Settings(
                engine=_ENGINE.value,
                smaller_side=_SMALLER_SIDE.value,
                until_damage=_UNTIL_DAMAGE.value,
            ),
            resume=_RESUME.value,
        )
    except KeyboardInterrupt:
        command.fail(f"interrupted; run it again to go on from what is in {output}")
    states = [entry["state"] for entry in report]
    line = (
        f"{output}: {states.count('done')} flow videos written, "
        f"{states.count('skipped')} were there, {states.count('failed')} failed"
    )
    cut = sum(entry["damage"] is not None for entry in report)
    if cut:
        line += f"; used up to their damage: {cut}"
    others = len(find_others(_VIDEOS.value))
    if others:
        line += f"; files that have no suffix of a video: {others}"
    if "failed" in states:
        command.fail(f"{line}; reasons in {output}/report.json")
    print(line)


def _extract(*args, **kwargs):
    if _BEAM.value is None:
        return extract_folder(
            *args, **kwargs, workers=_WORKERS.value, limit=_LIMIT.value
        )
    options = command.beam_options(_BEAM.value, _WORKERS.value)
    from flow.beam import extract_by_beam

    return extract_by_beam(*args, **kwargs, options=options, limit=_LIMIT.value)


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
