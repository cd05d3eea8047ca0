"""Features of a folder of videos, resumable."""

import time

import tqdm

from flow.extract import failure, is_of_output, look_at, printable
from flow.extract_folder import find_sources
from flow.files import as_path, exists, make_folder
from flow.report import Report
from flow.settings import made_otherwise, refuse_other_settings
from i3d_tf import feature_files


def extract_folder(videos, output, extractor, *, format="npz", resume=True):
    """Writes the features of each video below `videos` to a file below `output`.

    Leaves `output/<same relative path>.<format>`, see `feature_files`, and
    `output/report.json`, a list with a dict for each video: video (relative path),
    state ("done", "skipped" if its file was there, or "failed"), reason of a failure,
    seconds spent on it, features (how many windows or steps). A video that cannot be
    used is "failed", and the rest goes on. A run that was stopped is gone on with by
    the next: the files that are there are whole.

    Args:
      videos, output: folders, here or in object storage.
      extractor: a `features.FeatureExtractor`.
      format: of `feature_files.FORMATS`.
      resume: to keep files that are there and were made alike, of a video of the same
        name and number of bytes; others are failures.

    Returns that list.

    Raises:
      ValueError: no videos, two that differ only in their suffix, an output inside the
        folder of videos, or files that are there and were made with other settings.
      OSError: something cannot be written, which ends the run.
    """
    videos, output = as_path(videos), as_path(output)

    def target(video):
        return video.with_suffix(f".{format}")

    found = find_sources(videos, output, target)
    if resume:
        targets = [output / target(video) for video in found]
        refuse_other_settings(
            targets, extractor.description(), lambda path: _describe(path)[1]
        )
    make_folder(output)
    with (
        Report(output, found) as report,
        tqdm.tqdm(found, desc="features", unit=" videos") as bar,
    ):
        for video in bar:
            began = time.monotonic()
            entry = {"video": printable(video.as_posix())}
            path = output / target(video)
            entry.update(_extract(videos / video, path, extractor, resume))
            entry["seconds"] = round(time.monotonic() - began, 3)
            report.add(entry)
            if entry["state"] == "failed":
                bar.write(f"failed: {entry['reason']}")
    return report.entries


def _describe(path):
    """(number of features, description) of a file that is there."""
    try:
        return feature_files.describe(path)
    except ValueError as error:
        raise ValueError(f"{error}; remove it or run with --noresume") from error


def _extract(source, path, extractor, resume):
    """What the report tells of a video, whose features are written to `path`."""
    entry = {"state": "failed", "reason": None, "features": 0}
    try:
        size, _ = look_at(source)
        description = {
            **extractor.description(),
            "video": source.name,
            "source_bytes": size,
        }
        if resume and exists(path):
            state = "skipped"
            count, made = _describe(path)
            other = made_otherwise(path, made, description)
            if other:
                raise ValueError(other)
        else:
            state = "done"
            features = extractor(source)
            count = len(features.times)
            feature_files.write(path, features, description)
        entry.update(state=state, features=count)
    except Exception as error:
        if is_of_output(error):
            raise
        entry["reason"] = failure(source, error)
    return entry
