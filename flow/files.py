"""Files that exist whole or not at all, on this machine or in object storage.

Paths that begin with `gs://`, `s3://` and the like are remote; `etils.epath` reads and
writes them, by TensorFlow's `tf.io.gfile` or by fsspec. Libraries that open only local
files get a copy. All errors of a storage are OSErrors here.
"""

import contextlib
import errno
import functools
import hashlib
import json
import os
import pathlib
import re
import socket
import sys
import tempfile

from etils import epath

NAME_BYTES = 255  # of a file's name at most, on the usual file systems


@contextlib.contextmanager
def written_aside(path):
    """`with written_aside(path) as aside:` write to `aside`, which becomes `path`.

    The file gets its name when the block ends without an error, else it is
    removed. The name written to keeps the suffix, from which libraries guess the
    format; the host and process in it keep two writers of one file apart, and tell
    `remove_leftovers` whose it is. A remote file is written on this machine and
    uploaded at the end of the block; a storage shows it when it has all of it.
    """
    if is_remote(path):
        yield from _uploaded(as_path(path))
        return
    path = pathlib.Path(path).absolute()  # as below
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(_aside_name(path))
    try:
        yield aside
        _to_disk(aside)
        os.replace(aside, path)
    except OSError as error:
        # A full disk is told without the file.
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        aside.unlink(missing_ok=True)


def _to_disk(path):
    """Else a file may be empty under its name after a power cut."""
    # For writing too: Windows refuses to flush a file that is open for reading only.
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _aside_name(path):
    ending = f"{_mark(os.getpid())}{path.suffix}"
    name = f".{path.stem}{ending}"
    if len(os.fsencode(name)) > NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
        name = f".{digest}{ending}"
    return name


def _mark(process):
    return f".{socket.gethostname()}-{_namespace()}{process}.part"


@functools.cache
def _namespace():
    """Containers may share a host's name and its files, but not its processes."""
    path = pathlib.Path("/proc/self/ns/pid")
    return f"{path.stat().st_ino}-" if path.exists() else ""


def remove_leftovers(folder):
    """Removes what `written_aside` left below `folder` in processes that were killed.

    Only those of this host that are no longer alive: others may still be writing.
    A remote folder has none.
    """
    if is_remote(folder):
        return
    mark = re.compile(re.escape(_mark("PROCESS")).replace("PROCESS", r"(\d+)"))
    for path in pathlib.Path(folder).rglob(".*.part*"):
        found = mark.search(path.name)
        if found and not _is_alive(int(found[1])):
            path.unlink(missing_ok=True)


def _is_alive(process):
    if sys.platform == "win32":  # There the call below would end the process.
        return True
    try:
        os.kill(process, 0)  # sends nothing, only looks
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and another user's
    return True


def write_json(path, value):
    """Writes `value` as indented JSON, aside first."""
    with written_aside(path) as aside:
        text = json.dumps(value, indent=2, ensure_ascii=False)
        aside.write_text(f"{text}\n", "utf-8")


def read_json(path):
    """Reads a JSON file.

    Raises:
      ValueError: it is not JSON.
      OSError: it cannot be read.
    """
    try:
        return json.loads(as_path(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is damaged, not JSON ({error})") from error


def make_folder(path):
    """Makes a folder of this machine; a storage has none to be made.

    Raises OSError if that cannot be, or nothing can be written into it.
    """
    if is_remote(path):
        return
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except FileExistsError as error:
        raise NotADirectoryError(
            errno.ENOTDIR, "is a file and no folder", str(path)
        ) from error
    except OSError as error:
        # Some name the file that was tried.
        raise OSError(error.errno, error.strerror, str(path)) from error


def is_remote(path):
    return "://" in os.fspath(path)


def as_path(path):
    """A `pathlib.Path`, or an `epath.Path` if `path` is remote.

    Takes a string or one of these two; pathlib makes `gs:/a`, a local path, of `gs://a`.

    Raises ValueError if it begins with something of which nothing is known.
    """
    if not is_remote(path):
        return pathlib.Path(path)
    try:
        return epath.Path(path)
    except KeyError as error:
        raise ValueError(
            f"{path}: files at {error.args[0]} cannot be read; gs:// and s3:// can"
        ) from error


@contextlib.contextmanager
def local_copy(path):
    """`with local_copy(path) as local:` a path on this machine, to read from.

    It is `path` itself unless that is remote: then a copy, removed at the end of the
    block.
    """
    if not is_remote(path):
        # FFmpeg takes a name that begins with "12:" for one at a protocol "12".
        yield pathlib.Path(path).absolute()
        return
    path = as_path(path)
    with tempfile.TemporaryDirectory() as folder:
        local = pathlib.Path(folder, f"copy{path.suffix}")
        with _storage_errors(path):
            path.copy(local)
        yield local


def _uploaded(path):
    with tempfile.TemporaryDirectory() as folder:
        local = pathlib.Path(folder, f"new{path.suffix}")
        yield local
        with _storage_errors(path):
            epath.Path(local).copy(path, overwrite=True)


def is_inside(path, folder):
    """Whether a path is that of a folder, or of something below it."""
    path, folder = as_path(path), as_path(folder)
    if is_remote(path) or is_remote(folder):
        return path == folder or folder in path.parents
    return path.resolve().is_relative_to(folder.resolve())


def exists(path):
    """Whether there is such a file or folder."""
    with _storage_errors(path):
        return as_path(path).exists()


def is_folder(path):
    path = as_path(path)
    with _storage_errors(path):
        # Of a storage it cannot reach, TensorFlow's is_dir says no.
        return path.exists() and path.is_dir()


def size_and_time(path):
    """(bytes, time of the last change); the time's unit is the storage's own."""
    if not is_remote(path):
        found = os.stat(path)
        return found.st_size, found.st_mtime_ns
    with _storage_errors(path):
        found = as_path(path).stat()
        return found.length, found.mtime


def remote_files_below(folder, is_file):
    """Yields the files below a remote folder that are not hidden.

    Args:
      folder: an `epath.Path`.
      is_file: is_file(path) is True if a path can only be that of a file. To ask the
        storage takes a request for each.
    """
    with _storage_errors(folder):
        found = list(folder.iterdir())
    for path in found:
        # Storages list a folder's own marker, an empty file, in the folder.
        if path == folder or path.name.startswith("."):
            continue
        if is_file(path) or not is_folder(path):
            yield path
        else:
            yield from remote_files_below(path, is_file)


@contextlib.contextmanager
def _storage_errors(path):
    """Turns the errors of TensorFlow and of fsspec's many clients into OSErrors."""
    try:
        yield
    except Exception as error:
        if not is_remote(path):
            raise
        missing = isinstance(error, FileNotFoundError)
        number = errno.ENOENT if missing else errno.EIO
        text = " ".join(str(error).split()) or type(error).__name__
        raise OSError(number, text, str(path)) from error
