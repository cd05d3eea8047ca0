"""One video's flow, in pictures of another program -> its flow video."""

import dataclasses
import math
import time

import numpy as np

from flow import code
from flow.extract import failure, flow_path, look_at, new_entry, printable
from flow.files import exists
from flow.flow_images import list_pairs, read_flow, resize_flow
from flow.flow_video import describe_flow_video, write_flow_video
from flow.settings import made_otherwise
from flow.stored_frames import pairs_in_time, read_source, tidy_rate
from flow.video import FPS, VideoError, read_video, resized

ENGINE = "imported"
SURPLUS = ("first", "last")


@dataclasses.dataclass(frozen=True)
class ImportSettings:
    """How the pictures are read; kept in every flow video's tags.

    Attributes:
      bound: px that the codes reach to: 32 by default in denseflow, 20 in dense_flow
        of TSN and in the archives of the two-stream fusion paper. Nothing in the
        pictures tells.
      fps: frames per second at which the flow was computed. None, as most programs do
        it: of every frame that the video holds, at its own rate; where there is no
        video to ask, that is taken to be 25.
      smaller_side: of the flow in px, to which it is resized. None keeps the stored
        one.
      surplus: which flow to leave out, "first" or "last", where there are as many as
        frames; None makes that an error.

    Raises ValueError for a value out of its range.
    """

    bound: float
    fps: float | None = None
    smaller_side: int | None = None
    surplus: str | None = None

    def __post_init__(self):
        for name in ("bound", "fps", "smaller_side"):
            value = getattr(self, name)
            if value is None and name != "bound":
                continue
            if not (0 < value < math.inf):
                raise ValueError(f"{name} is {value}; it must be above 0")
        if self.surplus not in (None, *SURPLUS):
            raise ValueError(f"surplus is {self.surplus!r}; known: {SURPLUS}")

    def description(self):
        """As it stands in the tags; there `fps` and `smaller_side` are the video's."""
        parameters = dataclasses.asdict(self)
        return {
            "fps": self.fps,
            "smaller_side": self.smaller_side,
            "engine": ENGINE,
            "parameters": {**parameters, "formula": "2 * bound * code / 255 - bound"},
        }

    def compared(self):
        """What of `description` a flow video must have to be kept."""
        description = self.description()
        return {key: description[key] for key in ("engine", "parameters")}


def target_path(folder, video):
    """Where the flow video of a folder or, if there is one, a video lies: relative."""
    if video:
        return flow_path(video)
    # A folder's name may hold a point, which would be a video's suffix.
    return folder.with_name(f"{folder.name}.mkv")


def new_import_entry(folder, video, settings):
    """An entry of the report before anything was done; one of both may be None."""
    return {
        **new_entry(video or folder, settings),
        "images": folder and printable(folder.as_posix()),
        "pictures": 0,
        "stored_size": None,
        "cut": None,
    }


def import_video(places, videos, output, settings, resume, names):
    """Writes one flow video; returns its entry of the report.

    Args:
      places: the `Places` of the pictures.
      videos: folder of the videos, a path, or None.
      output: folder of the flow videos, a path.
      settings: the `ImportSettings`.
      resume: to keep a flow video that is there, if it fits.
      names: (folder of the pictures, video or None), both relative.

    Raises OSError if the flow cannot be written.
    """
    began = time.monotonic()
    folder, video = names
    target = output / target_path(folder, video)
    source = videos / video if video else None
    entry = new_import_entry(folder, video, settings)
    try:
        pairs = list_pairs(places, folder)
        entry["pictures"] = len(pairs)
        if resume and exists(target):
            entry.update(_what_is_there(target, settings, source, len(pairs)))
            entry["state"] = "skipped"
        else:
            told = "video", "damage", "images", "pictures"
            kept = {key: entry[key] for key in told}
            entry.update(_write(target, pairs, source, settings, kept))
            entry["state"] = "done"
    except Exception as error:
        if isinstance(error, OSError):
            raise
        entry["reason"] = failure(places.trees[0] / folder, error)
    entry["seconds"] = round(time.monotonic() - began, 3)
    return entry


def _what_is_there(target, settings, source, pictures):
    """The tags of the flow video `target`, if it fits."""
    try:
        made = describe_flow_video(target)
    except VideoError as error:
        raise VideoError(f"{error}; remove it or run with --noresume") from error
    wanted = {
        **settings.compared(),
        "pictures": pictures,
        "source_bytes": source and look_at(source)[0],
    }
    other = made_otherwise(target, made, wanted)
    if other:
        raise VideoError(other)
    return made


def _write(target, pairs, source, settings, description):
    """Writes the flow video; returns its tags."""
    description = {**description, **settings.description()}
    first = read_flow(pairs[0], settings.bound)
    side = settings.smaller_side or min(first.shape[:2])
    if source:
        found = read_source(source)
        fps = tidy_rate(settings.fps or found.fps)
        pairs = pairs_in_time(pairs, source, found, fps, settings.surplus)
        # As pairs are read later, of which the pictures' pixels need not be square.
        size = next(read_video(source, fps=fps, smaller_side=side)).shape[:2]
        description.update(found.tags)
    else:
        fps, size = tidy_rate(settings.fps or FPS), resized(first, side)
        description.update(source_bytes=None, source_sha256=None)
    description.update(smaller_side=side, stored_size=list(first.shape[:2]))
    frames = _codes(pairs, first.shape, size, settings.bound, description)
    return write_flow_video(target, frames, fps=fps, description=description)


def _codes(pairs, shape, size, bound, description):
    """Yields the codes `[h, w, 2]` uint8 of `size` for pairs, or zero for None.

    At the end it adds `cut` to `description`: tags are made when all is written.
    """
    cut = count = 0
    for pair in pairs:
        flow = np.zeros(shape, np.float32) if pair is None else read_flow(pair, bound)
        if flow.shape != shape:
            raise VideoError(
                f"{pair[0]}: is {flow.shape[1]}x{flow.shape[0]} px, the first was "
                f"{shape[1]}x{shape[0]}"
            )
        flow = resize_flow(flow, size)
        cut += np.count_nonzero(np.abs(flow) > code.BOUND)
        count += flow.size
        yield code.encode(flow)
    description["cut"] = round(cut / count, 6)
