"""Flow videos for a folder of videos: several processes, resumable."""

import dataclasses
import functools
import pathlib
import time

import tqdm

from flow.files import write_json
from flow.flow_video import describe_flow_video, write_flow_video
from flow.pool import map_videos
from flow.tvl1 import TVL1, video_flow
from flow.video import FPS, SMALLER_SIDE, VideoError, find_videos, read_video


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is computed; kept in every flow video's tags.

    Attributes:
      engine: of `TVL1`.
      fps: frames per second at which the videos are sampled.
      smaller_side: of the frames, in px; flow is computed after the resize.
    """

    engine: str = "opencv"
    fps: int = FPS
    smaller_side: int = SMALLER_SIDE

    def description(self):
        """As it stands in the tags, with all parameters of the algorithm."""
        return {
            "fps": self.fps,
            "smaller_side": self.smaller_side,
            "tvl1": TVL1(self.engine).parameters,
        }


def flow_path(video):
    """`a/b.avi` -> `a/b.mkv`: where the flow of a video lies, both relative."""
    return pathlib.Path(video).with_suffix(".mkv")


def extract_folder(videos, output, settings=None, *, workers=None, resume=True):
    """Writes a flow video below `output` for each video below `videos`.

    Leaves `output/<same relative path>.mkv` and `output/report.json`, a list with
    a dict for each video: `video`, `state` ("done", "skipped": was there already,
    or "failed"), `reason` of a failure, `frames` of the video and of its flow video
    (`flow_frames`), 0 of a failed one, and `seconds` spent.

    Returns that list, sorted by path. A video that cannot be read is "failed" and
    the rest goes on.

    Raises:
      ValueError: no videos, two that differ only in their suffix, or an output
        inside the folder of videos, which the next run would take for sources.
    """
    videos, output = pathlib.Path(videos), pathlib.Path(output)
    settings = settings or Settings()
    found = find_videos(videos)
    if output.resolve().is_relative_to(videos.resolve()):
        raise ValueError(f"output {output} lies inside the videos {videos}")
    _refuse_twins(found)
    extract = functools.partial(extract_video, videos, output, settings, resume)
    report = []
    with tqdm.tqdm(total=len(found), desc="flow", unit="video") as bar:
        frames = 0
        for entry in map_videos(extract, found, workers):
            report.append(entry)
            frames += entry["flow_frames"] if entry["state"] == "done" else 0
            bar.set_postfix(frames=frames)
            bar.update()
            if entry["state"] == "failed":
                bar.write(f"failed: {entry['reason']}")
    report.sort(key=lambda entry: entry["video"])
    write_json(output / "report.json", report)
    return report


def extract_video(videos, output, settings, resume, video):
    """Writes one flow video; returns its entry of the report."""
    began = time.monotonic()
    target = output / flow_path(video)
    entry = {
        "video": video.as_posix(),
        "state": "done",
        "reason": None,
        "frames": 0,
        "flow_frames": 0,
    }
    try:
        if resume and target.exists():
            flow_frames = _check_settings(target, settings)["flow_frames"]
            entry.update(
                state="skipped", frames=flow_frames + 1, flow_frames=flow_frames
            )
        else:
            frames = write_flow(videos / video, target, settings)
            entry.update(frames=frames, flow_frames=frames - 1)
    except (ValueError, OSError) as error:
        entry.update(state="failed", reason=str(error))
    entry["seconds"] = round(time.monotonic() - began, 3)
    return entry


def write_flow(source, target, settings):
    """Writes the flow of the video `source` to `target`; returns the frames read.

    Raises VideoError if the video cannot be decoded or has fewer than 2 frames at
    `settings.fps`; then there is no `target`.
    """
    frames = 0

    def counted():
        nonlocal frames
        for frame in read_video(
            source, fps=settings.fps, smaller_side=settings.smaller_side
        ):
            frames += 1
            yield frame

    flows = video_flow(counted(), TVL1(settings.engine))
    first = next(flows, None)
    if first is None:
        raise VideoError(
            f"{source}: {frames} frame at {settings.fps} fps; flow needs at least 2"
        )
    with write_flow_video(
        target, fps=settings.fps, description=settings.description()
    ) as add:
        add(first)
        for flow in flows:
            add(flow)
    return frames


def _check_settings(target, settings):
    made = describe_flow_video(target)
    wanted = settings.description()
    other = {key: made.get(key) for key in wanted if made.get(key) != wanted[key]}
    if other:
        raise VideoError(
            f"{target}: exists and was made with {other}; choose another output or "
            "run without resume"
        )
    return made


def _refuse_twins(videos):
    seen = {}
    for video in videos:
        other = seen.setdefault(flow_path(video), video)
        if other != video:
            raise ValueError(
                f"{other} and {video} would have one flow video, {flow_path(video)}; "
                "rename one of them"
            )
