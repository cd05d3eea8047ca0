"""What became of each video of a folder: report.json beside the results."""

import contextlib
import json
import time

from flow.extract import printable
from flow.files import local_copy, remove_leftovers, write_json

REPORT = "report.json"
REPORT_SECONDS = 60  # between two writes


def write_report(output, entries):
    """Writes the entries, sorted by path, below the path `output`; returns them so."""
    entries = sorted(entries, key=lambda entry: entry["video"])
    write_json(output / REPORT, entries)
    return entries


class Report:
    """`with Report(output, found) as report:` its entries, written to `output`.

    That is done once a minute and at the end, also of a run that is stopped. Entries of
    the run before stay until there are new ones; those of videos that are no longer
    there go. What killed processes left in `output` is removed before and afterwards.
    """

    def __init__(self, output, found):
        """`found` are the videos, relative paths."""
        self._output = output
        self._entries = _read(output / REPORT, found)
        self._written = time.monotonic()

    def __enter__(self):
        remove_leftovers(self._output)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            remove_leftovers(self._output)
            self._write()
            return
        # Of a full disk, what is to be told is which result it struck.
        with contextlib.suppress(OSError):
            remove_leftovers(self._output)
            if self._entries:
                self._write()

    def add(self, entry):
        """Takes a video's entry: a dict for JSON with its path as "video"."""
        self._entries[entry["video"]] = entry
        if time.monotonic() > self._written + REPORT_SECONDS:
            self._write()
            self._written = time.monotonic()

    @property
    def entries(self):
        """All of them, sorted by path."""
        return sorted(self._entries.values(), key=lambda entry: entry["video"])

    def _write(self):
        write_report(self._output, self.entries)


def _read(path, found):
    """{video: entry} of the run before."""
    try:
        with local_copy(path) as local:
            entries = json.loads(local.read_text("utf-8"))
        names = {printable(video.as_posix()) for video in found}
        return {e["video"]: e for e in entries if e["video"] in names}
    except (OSError, ValueError, TypeError, KeyError):
        return {}  # none, or somebody else's file
