"""What becomes of listed videos: an example each, or a reason why not."""

import contextlib
from typing import NamedTuple

from flow.extract import UNUSABLE
from flow.pool import LIMIT, ProcessDied, Workers
from flow.unexpected import in_one_line
from i3d_tf.datasets.listing import Listed


class Outcome(NamedTuple):
    """What became of a listed video.

    Attributes:
      listed: the `Listed`.
      present: whether its file is there.
      example: its features; None if it cannot be used.
      reason: why not, in one line that names the file; else None.
      damage: why its example ends before the video does, as the reason; else None.
    """

    listed: Listed
    present: bool
    example: dict | None
    reason: str | None
    damage: str | None = None


def outcome_of(entry, encode, *args):
    """The Outcome of a `Listed` whose file is there: encode(*args), or its error."""
    try:
        return Outcome(entry, True, encode(*args), None)
    except (*UNUSABLE, OSError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return Outcome(entry, True, None, text)
    except Exception as error:
        text = f"{entry.video}: {in_one_line(error)}"
        return Outcome(entry, True, None, text)


def encoding_processes(workers, limit=LIMIT):
    """`with encoding_processes(workers) as processes:` for `encode_all`.

    They are for all splits together: to start them takes seconds, as each imports
    TensorFlow.

    Args:
      workers: how many; None takes the processors at hand. With 1 there is none, and
        the work is done here.
      limit: seconds without progress in a video, after which its process is ended and
        the video cannot be used; 0 for any. Where there is no process there is none.
    """
    return contextlib.nullcontext() if workers == 1 else Workers(workers, limit)


def encode_all(find_gap, encode, entries, processes):
    """Yields the Outcome of every `Listed`, as they finish.

    Args:
      find_gap: find_gap(entry) is the Outcome if a file is missing, else None.
      encode: encode(entry) is the Outcome if all are there; it travels to the
        processes.
      entries: the `Listed`.
      processes: of `encoding_processes`.
    """

    def look_after(entry):
        gap = find_gap(entry)
        if gap or processes is None:
            return gap or encode(entry)
        try:
            return processes.call(encode, entry)
        except ProcessDied as error:
            # A crash of a decoder is a matter of one video.
            return Outcome(entry, True, None, f"{entry.video}: {error}")

    if processes is None:
        yield from map(look_after, entries)
    else:
        yield from processes.look_after(look_after, entries)
