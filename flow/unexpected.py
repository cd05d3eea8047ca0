"""One line for an unexpected error, with the activity and the traceback's file."""

import contextlib
import os
import sys
import tempfile
import traceback

_PREFIX = "while "  # of the notes that `doing` leaves
_LONGEST = 300  # characters of an error's own text; TensorFlow's can fill a page

# {(type of an error, where it was raised): file of its traceback}, so that a fault that
# strikes every video of a folder leaves one file.
_written: dict[tuple, str] = {}


@contextlib.contextmanager
def doing(activity: str):
    """Notes an activity in every error that leaves the block.

    Args:
      activity: in words, with its file, such as "classifying clip.mp4".
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"{_PREFIX}{activity}")
        raise


def in_one_line(error: BaseException) -> str:
    """Describes an error that nobody expected, and writes its traceback to a file.

    Returns:
      The text of `describe` and the name of the file. If no file can be written, the
      traceback goes to stderr.
    """
    return f"{describe(error)}; the traceback is in {_traceback_file(error)}"


def describe(error: BaseException) -> str:
    """Returns the innermost activity of `doing`, and an error's type and text."""
    notes = getattr(error, "__notes__", ())
    activities = [n.removeprefix(_PREFIX) for n in notes if n.startswith(_PREFIX)]
    return ": ".join([*activities[:1], f"unexpected {short(error)}"])


def short(error: BaseException) -> str:
    """Returns an error's type and the begin of its text."""
    text = " ".join(str(error).split())
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} ..."
    return ": ".join(part for part in (type(error).__name__, text) if part)


def _traceback_file(error):
    frames = traceback.extract_tb(error.__traceback__)
    key = (type(error), *((f.filename, f.lineno) for f in frames[-1:]))
    if key not in _written:
        text = "".join(traceback.format_exception(error))
        try:
            number, path = tempfile.mkstemp(".txt", "i3d-traceback-", text=True)
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            print(text, file=sys.stderr)
            path = "the lines above, as no temporary file can be written"
        _written[key] = path
    return _written[key]
