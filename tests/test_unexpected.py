"""Errors nobody expected: one line, and a file with the traceback."""

import pathlib
import re
import tempfile

import pytest

from flow import unexpected
from flow.unexpected import describe, doing, in_one_line


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files; no traceback is written yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(unexpected, "_written", {})
    return tmp_path


def raised(kind, text, *activities):
    """The error of a function that is called in the midst of activities."""
    try:
        _raise(kind, text, *activities)
    except Exception as error:
        return error


def _raise(kind, text, *activities):
    if not activities:
        raise kind(text)
    with doing(activities[0]):
        _raise(kind, text, *activities[1:])


def test_the_innermost_activity_is_told(temporary):
    line = in_one_line(raised(TypeError, "no\n number", "a folder", "reading a.mp4"))
    found = re.fullmatch(
        r"reading a\.mp4: unexpected TypeError: no number; the traceback is in (.+)",
        line,
    )
    path = pathlib.Path(found[1])
    assert list(temporary.iterdir()) == [path]
    text = path.read_text()
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in _raise\n" in text
    assert text.endswith(
        "TypeError: no\n number\nwhile reading a.mp4\nwhile a folder\n"
    )


def test_other_notes_are_no_activities():
    error = raised(KeyError, "x")
    error.add_note("Traceback of a process")
    assert describe(error) == "unexpected KeyError: 'x'"


def test_an_error_without_text():
    assert describe(MemoryError()) == "unexpected MemoryError"


def test_a_long_text_is_cut():
    assert describe(RuntimeError("0123456789" * 31)) == (
        f"unexpected RuntimeError: {'0123456789' * 30} ..."
    )


def test_one_fault_leaves_one_file(temporary):
    lines = [
        in_one_line(raised(ValueError, "a", f"reading {name}")) for name in ("a", "b")
    ]
    assert len(list(temporary.iterdir())) == 1
    assert lines[0].replace("reading a", "reading b") == lines[1]
    in_one_line(raised(IndexError, "a"))
    assert len(list(temporary.iterdir())) == 2


def test_without_room_for_a_file_the_traceback_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    line = in_one_line(raised(TypeError, "x"))
    assert line == (
        "unexpected TypeError: x; the traceback is in the lines above, as no temporary "
        "file can be written"
    )
    assert "TypeError: x\n" in capsys.readouterr().err


def test_errors_of_an_activity_are_themselves():
    error = FileNotFoundError(2, "No such file", "a.mp4")
    with pytest.raises(FileNotFoundError) as found, doing("reading"):
        raise error
    assert found.value is error
