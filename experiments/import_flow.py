r"""Turns flow that other programs left as pictures into flow videos.

    python -m experiments.import_flow --images tvl1_flow --bound 20 \
        --videos UCF-101 --smaller_side 256 --output ucf101/flow

Reads denseflow's and TSN's `<video>/flow_x_00001.jpg` with `flow_y_00001.jpg`, or trees
`u/<video>/frame000001.jpg` and `v/<video>/frame000001.jpg`, as in the UCF101 archive
of the two-stream fusion paper. Leaves flow videos and report.json as extract_flow does;
stopped and run again, it goes on where it was. Exits 0 only if every video has its
flow.

Give --videos whenever they are there: the flow videos then lie where build_dataset
looks for them, have the size of the videos' frames, and are known to be of all frames.

Such flow mostly is of the frames that a video holds, at the video's own rate, and keeps
it: build_dataset then takes the same frames. The networks, however, were trained on 25
frames a second, and predict looks at videos so: what moves by 24 px from frame to frame
at 25 a second moves by 20 px at 29.97. Where that matters, compute the flow of such
videos with extract_flow.
"""

from absl import flags

from experiments import command
from flow.flow_images import LAYOUTS
from flow.import_folder import import_folder
from flow.import_images import SURPLUS, ImportSettings
from flow.video import FPS

_IMAGES = flags.DEFINE_string("images", None, "Folder of pictures.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for flow.", required=True)
_BOUND = flags.DEFINE_float(
    "bound",
    None,
    "px of the highest code, as the pictures were made, which they do not reveal: "
    "denseflow's -b, by default 32; 20 by TSN's tools and in most archives.",
    required=True,
)
_VIDEOS = flags.DEFINE_string("videos", None, "Folder of the videos, if there.")
_LAYOUT = flags.DEFINE_enum(
    "layout",
    None,
    LAYOUTS,
    "u and v beside each other in one folder or apart in two trees; default: as found.",
)
_FPS = flags.DEFINE_float(
    "fps",
    None,
    "Frames per second of the flow; default: all frames of a video at its own rate, "
    f"or {FPS} without --videos.",
)
_SMALLER_SIDE = flags.DEFINE_integer(
    "smaller_side",
    None,
    "px to which the flow is resized, as a recipe's data.smaller_side; default: as it "
    "is stored.",
    lower_bound=16,
)
_SURPLUS = flags.DEFINE_enum(
    "surplus",
    None,
    SURPLUS,
    "Which flow to leave out of a video that has as many as frames; default: an error.",
)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Processes; default: the processors at hand.", lower_bound=1
)
_RESUME = flags.DEFINE_bool("resume", True, "Keep flow videos that are there.")


def main():
    output = _OUTPUT.value
    try:
        report = import_folder(
            _IMAGES.value,
            output,
            ImportSettings(
                _BOUND.value, _FPS.value, _SMALLER_SIDE.value, _SURPLUS.value
            ),
            layout=_LAYOUT.value,
            videos=_VIDEOS.value,
            workers=_WORKERS.value,
            resume=_RESUME.value,
        )
    except KeyboardInterrupt:
        command.fail(f"interrupted; run it again to go on from what is in {output}")
    line = f"{output}: {summary(report)}"
    if not _VIDEOS.value:
        line += "; not compared with videos, as --videos is not given"
    if any(entry["state"] == "failed" for entry in report):
        command.fail(f"{line}; reasons in {output}/report.json")
    print(line)


def summary(report):
    """What became of all videos, in one line."""
    states = [entry["state"] for entry in report]
    line = (
        f"{states.count('done')} flow videos written, {states.count('skipped')} were "
        f"there, {states.count('failed')} failed"
    )
    whole = [entry for entry in report if entry["state"] != "failed"]
    # Every video counts by its values.
    weights = [e["flow_frames"] * e["size"][0] * e["size"][1] for e in whole]
    if whole:
        cut = sum(w * e["cut"] for w, e in zip(weights, whole, strict=True))
        share = f"{cut / sum(weights):.2%}"
        if share != "0.00%":
            line += f"; {share} of the values were beyond 20 px and are cut"
    rates = sorted({entry["fps"] for entry in whole} - {FPS})
    if rates:
        others = sum(entry["fps"] != FPS for entry in whole)
        line += (
            f"; {others} at {' and '.join(map(str, rates[:5]))} frames a second, "
            f"not {FPS} (--help says what follows)"
        )
    return line


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
