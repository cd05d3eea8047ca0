"""The tensors of a PyTorch file, without torch and without running its pickle.

Both forms are read: the zip archive of torch 1.6 and later, and the stream that
was written before, in which the first ports of I3D were published.
"""

import io
import pathlib
import struct
import zipfile

import numpy as np

from i3d_tf.weights.torch_pickle import Tensor, read_pickle

# An I3D with two optimiser slots has 150 MB.
_MAX_BYTES = 2**30
# The stream's first objects.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def read_torch_file(path):
    """Returns {name: array} of a `state_dict`, or of the one under "state_dict".

    The arrays are read-only views of what was read, in the file's dtypes.

    Raises:
      ValueError: for any other file, and for torn and hostile ones: names that no
        state_dict needs, tensors that reach outside their storage, storages of
        another size than announced, compressed archives.
      OSError: if the file cannot be read.
    """
    path = pathlib.Path(path)
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(f"{path}: {size} bytes; files over {_MAX_BYTES} are not read")
    data = path.read_bytes()
    try:
        top, storages = (_archive if data[:2] == b"PK" else _stream)(data)
        named = _state_dict(top)
        return {name: _array(tensor, storages) for name, tensor in named.items()}
    except Exception as error:
        # Torn files raise a dozen kinds of exceptions in zipfile and pickletools.
        raise ValueError(f"{path}: not a PyTorch file to be read: {error}") from None


def _archive(data):
    """The archive's (pickled object, {key: bytes of a storage})."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    members = {member.filename: member for member in archive.infolist()}
    if any(member.compress_type for member in members.values()):
        raise ValueError("its archive is compressed, which torch.save does not do")
    # More than the file has: members that lie over each other.
    if sum(member.file_size for member in members.values()) > len(data):
        raise ValueError("its archive's members are larger than the file")
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"an archive with {len(pickles)} files data.pkl, not one")
    folder = pickles[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in members and archive.read(order) != b"little":
        raise ValueError("its numbers are not little-endian")
    top, announced = read_pickle(io.BytesIO(archive.read(pickles[0])))
    storages = {}
    for key, storage in announced.items():
        if f"{folder}data/{key}" not in members:
            raise ValueError(f"its storage {key[:40]!r} is missing")
        storages[key] = _whole(storage, archive.read(f"{folder}data/{key}"))
    return top, storages


def _stream(data):
    """The stream's (pickled object, {key: bytes of a storage}).

    Five pickles (magic number, protocol, system, object, keys), then each storage
    as its count, int64, and its numbers.
    """
    stream = io.BytesIO(data)
    if [read_pickle(stream)[0], read_pickle(stream)[0]] != [_MAGIC, _PROTOCOL]:
        raise ValueError("it does not begin as torch.save begins")
    system, _ = read_pickle(stream)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise ValueError("its numbers are not little-endian")
    top, announced = read_pickle(stream)
    keys, _ = read_pickle(stream)
    storages = {}
    for key in keys:
        (count,) = struct.unpack("<q", stream.read(8))
        if type(key) is not str or key not in announced:
            raise ValueError("it holds a storage that was not announced")
        storage = announced[key]
        if count != storage.count:
            raise ValueError(
                f"its storage {key[:40]!r} has {count} numbers, announced were "
                f"{storage.count}"
            )
        storages[key] = _whole(storage, stream.read(count * storage.dtype.itemsize))
    return top, storages


def _whole(storage, data):
    wanted = storage.count * storage.dtype.itemsize
    if len(data) != wanted:
        raise ValueError(
            f"its storage {storage.key[:40]!r} has {len(data)} bytes, not {wanted}"
        )
    return data


def _state_dict(top):
    """{name: Tensor} of the pickled object."""
    named = _named(top)
    if "state_dict" in named:
        named = _named(named["state_dict"])
    for name, value in named.items():
        if type(value) is not Tensor:
            raise ValueError(f"its entry {name[:80]!r} is no tensor of a state_dict")
    return named


def _named(value):
    """A dict of a dict or of the list of pairs that Python 2 writes for one."""
    pairs = list(value.items()) if type(value) is dict else value
    if type(pairs) is not list or not all(
        type(pair) in (list, tuple) and len(pair) == 2 and type(pair[0]) is str
        for pair in pairs
    ):
        raise ValueError("it holds no state_dict")
    return dict(pairs)


def _array(tensor, storages):
    storage, offset, shape, strides = tensor
    if storage.key not in storages:
        raise ValueError(f"its storage {storage.key[:40]!r} is missing")
    size = storage.dtype.itemsize
    return np.ndarray(
        shape,
        storage.dtype,
        buffer=storages[storage.key],
        offset=offset * size,
        strides=[stride * size for stride in strides],
    )
