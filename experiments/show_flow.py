"""Shows the flow of a video in colours, beside it: a video, or a picture of one frame.

    python -m experiments.show_flow --video clip.avi --output clip.mp4
    python -m experiments.show_flow --video clip.avi --flow flow/clip.mkv --output a.png

The suffix of --output is the format: .mp4, .gif or .png. Flow is computed if there is
no flow video; extract_flow does that with all cores.
"""

import collections
import contextlib
import itertools
import pathlib
import tempfile

import tqdm
from absl import flags

from experiments import command
from flow import code, side_by_side
from flow.extract import write_flow
from flow.files import make_folder
from flow.flow_video import describe_flow_video
from flow.settings import Settings
from flow.tvl1 import ENGINES, video_flow
from flow.unexpected import doing
from flow.video import SMALLER_SIDE, decode, read_video, resample

_VIDEO = flags.DEFINE_string("video", None, "Video file.", required=True)
_FLOW = flags.DEFINE_string("flow", None, "Its flow video; default: computed.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "File ending in .mp4, .gif or .png.", required=True
)
_FRAME = flags.DEFINE_integer(
    "frame", None, "Of a .png, counted from 1; default: the middle.", lower_bound=1
)
_MAX_FLOW = flags.DEFINE_float(
    "max_flow",
    None,
    "px a frame at the rim of the colour wheel; default: of all but the fastest 0.1 % "
    "of the pixels.",
)
_ENGINE = flags.DEFINE_enum("engine", Settings.engine, ENGINES, "TV-L1 implementation.")
_SMALLER_SIDE = flags.DEFINE_integer(
    "smaller_side",
    SMALLER_SIDE,
    "Smaller side in px at which flow is computed.",
    lower_bound=16,
)


def main():
    output = pathlib.Path(_OUTPUT.value)
    suffixes = (*side_by_side.VIDEO_SUFFIXES, ".png")
    if output.suffix.lower() not in suffixes:
        raise ValueError(f"--output {output}: it must end in {', '.join(suffixes)}")
    picture = output.suffix.lower() == ".png"
    if _FLOW.value:
        for flag in (_ENGINE, _SMALLER_SIDE):
            if flag.present:
                raise ValueError(f"--{flag.name} is for flow that is computed")
    if _FRAME.value and not picture:
        raise ValueError("--frame is for a .png")
    if _MAX_FLOW.value is not None and not _MAX_FLOW.value > 0:
        raise ValueError(f"--max_flow {_MAX_FLOW.value}: it must be above 0 px")
    make_folder(output.parent)  # what is wrong with it shows at once
    settings = Settings(_ENGINE.value, smaller_side=_SMALLER_SIDE.value)
    with doing(f"showing the flow of {_VIDEO.value}"):
        if picture:
            shown = f"frame {show_frame(settings)} of {_VIDEO.value}"
        else:
            show_video(settings)
            shown = _VIDEO.value
    print(f"{output}: {shown} and its flow")


def show_frame(settings):
    """Writes the picture; returns the number of the frame."""
    if _FLOW.value:
        made = describe_flow_video(_FLOW.value)
        fps, last = made["fps"], made["flow_frames"]
    else:
        fps = settings.fps
        last = sum(1 for _ in resample(decode(_VIDEO.value), fps)) - 1
    if not last:
        raise ValueError(f"{_VIDEO.value}: has one frame at {fps} fps, so no flow")
    frame = _FRAME.value or max(1, (last + 1) // 2)
    if frame > last:
        raise ValueError(
            f"{_VIDEO.value}: has flow into frames 1 to {last} (of {fps} a second), "
            f"none into {frame}"
        )
    if _FLOW.value:
        pairs = side_by_side.read_pairs(_VIDEO.value, _FLOW.value)
        image, flow = next(itertools.islice(pairs, frame - 1, None))
        if made.get("source_sha256") is None:
            # Only their lengths then tell whether they belong together.
            collections.deque(pairs, maxlen=0)
    else:
        frames = read_video(_VIDEO.value, smaller_side=settings.smaller_side)
        two = list(itertools.islice(frames, frame - 1, frame + 1))
        image, (flow,) = two[1], video_flow(two, settings.tvl1())
        flow = code.decode(code.encode(flow))  # as flow videos hold it
    note = side_by_side.frame_note(frame, fps)
    side_by_side.write_picture(_OUTPUT.value, image, flow, _MAX_FLOW.value, note)
    return frame


def show_video(settings):
    """Writes the video, with a flow video of its own if none was given."""
    with contextlib.ExitStack() as stack:
        flow = _FLOW.value
        if not flow:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            flow = pathlib.Path(folder, "flow.mkv")
            with tqdm.tqdm(desc="flow", unit=" frames") as bar:
                compute = _counted(bar)
                write_flow(_VIDEO.value, flow, settings, {}, map_chunks=compute)
        side_by_side.write_video(_OUTPUT.value, _VIDEO.value, flow, _MAX_FLOW.value)


def _counted(bar):
    def compute(function, chunks):
        for codes in map(function, chunks):
            bar.update(len(codes))
            yield codes

    return compute


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
