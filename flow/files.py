"""Files that exist whole or not at all."""

import contextlib
import json
import os
import pathlib


@contextlib.contextmanager
def written_aside(path):
    """`with written_aside(path) as aside:` write to `aside`, which becomes `path`.

    The file gets its name when the block ends without an error, else it is
    removed. The name written to keeps the suffix, from which libraries guess the
    format; the process id in it keeps two writers of one file apart.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path, value):
    """Writes `value` as indented JSON, aside first."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
