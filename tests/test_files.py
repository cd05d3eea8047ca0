"""Files that exist whole or not at all, and what killed processes left of them."""

import json
import multiprocessing
import os
import pathlib
import re
import socket

import pytest

from flow import files
from flow.files import remove_leftovers, write_json, written_aside


def test_written_aside_keeps_the_suffix_and_names_its_writer(tmp_path):
    path = tmp_path / "new" / "a.b.json"
    with written_aside(path) as aside:
        assert aside.parent == path.parent
        # Between them the namespace that the number counts in, where there are any.
        host, number = re.escape(socket.gethostname()), os.getpid()
        assert re.fullmatch(rf"\.a\.b\.{host}-(\d+-)?{number}\.part\.json", aside.name)
        aside.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="half way"):
        with written_aside(tmp_path / "a.json") as aside:
            aside.write_text("half")
            raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []


def test_names_as_long_as_names_can_be(tmp_path):
    # 3 bytes each: 251 with the suffix.
    paths = [tmp_path / f"{character * 82}.json" for character in "画西"]
    with written_aside(paths[0]) as first, written_aside(paths[1]) as second:
        assert first != second and first.suffix == ".json"
        first.write_text("0")
        second.write_text("1")
    assert [path.read_text() for path in paths] == ["0", "1"]
    assert len(list(tmp_path.iterdir())) == 2


def test_write_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, None], "a": "ü"})
    assert (
        path.read_text("utf-8")
        == '{\n  "b": [\n    1,\n    null\n  ],\n  "a": "ü"\n}\n'
    )
    with pytest.raises(TypeError):
        write_json(path, {"b": object()})
    assert json.loads(path.read_text("utf-8")) == {"b": [1, None], "a": "ü"}
    assert list(tmp_path.iterdir()) == [path]


def die_while_writing(path):
    with written_aside(path) as aside:
        aside.write_text("half")
        os._exit(0)


def test_leftovers_of_dead_processes_are_removed(tmp_path):
    process = multiprocessing.get_context("spawn").Process(
        target=die_while_writing, args=[tmp_path / "deep" / "a.mkv"]
    )
    process.start()
    process.join()
    (left,) = (tmp_path / "deep").iterdir()
    assert f"-{process.pid}.part" in left.name
    host = socket.gethostname()
    kept = [
        f".a.{host}-{os.getpid()}.part.mkv",  # alive
        f".a.{host}-1.part.mkv",  # alive, and perhaps another user's
        f".a.other{host}-{process.pid}.part.mkv",
        f"a.{host}-{process.pid}.part.mkv",  # not hidden: a video's name
        f".a.{host}-{process.pid}.mkv",
    ]
    for name in kept:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "deep"])
    assert list((tmp_path / "deep").iterdir()) == []


def test_leftovers_of_a_folder_that_is_not_there(tmp_path):
    remove_leftovers(pathlib.Path(tmp_path / "none"))


def test_is_inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for path, folder in (("a", "a"), ("a/b/new", "a"), ("link/c", "a"), ("a/b", ".")):
        assert files.is_inside(path, folder), (path, folder)
    for path, folder in (("a", "a/b"), ("ab", "a"), ("a/../c", "a"), ("gs://a/b", "a")):
        assert not files.is_inside(path, folder), (path, folder)
    assert files.is_inside("gs://a/b/c", "gs://a/b")
    assert not files.is_inside("gs://a/bc", "gs://a/b")
