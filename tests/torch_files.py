"""Writes PyTorch files without torch, also such as torch would not write.

`torch.save` writes the same instructions; `test_torch_file.py` compares the two.
"""

import io
import struct
import zipfile

import numpy as np

_STORAGES = {
    "float16": "HalfStorage",
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
}
_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


class Code(bytes):
    """Pickle instructions to be put where a value is expected."""


def archive(value, *, storages=None, members=(), compression=zipfile.ZIP_STORED):
    """The zip archive of `torch.save(value)` since 1.6.

    Args:
      value: of dicts, lists, tuples, strings, ints, arrays and `Code`.
      storages: {key: bytes} instead of those of the arrays in `value`.
      members: further (name, bytes), or others of the usual names.
    """
    arrays = []
    contents = {"archive/data.pkl": pickled(value, arrays) + b"."}
    contents |= {"archive/byteorder": b"little", "archive/version": b"3\n"}
    if storages is None:
        storages = {str(k): array.tobytes() for k, array in enumerate(arrays)}
    for key, data in storages.items():
        contents[f"archive/data/{key}"] = data
    contents |= dict(members)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, data in contents.items():
            writer.writestr(name, data)
    return file.getvalue()


def stream(value, *, python_2=False, little_endian=True):
    """What `torch.save(value)` wrote before 1.6, in Python 3 or 2."""
    arrays = []
    system = {"protocol_version": 1001, "little_endian": little_endian}
    top = pickled(value, arrays, python_2, view=(None,))
    keys = [str(k) for k in range(len(arrays))]
    parts = [b"\x80\x02" + _MAGIC]
    parts += [pickled(v) + b"." for v in (1001, system)]
    parts += [top + b".", pickled(keys) + b"."]
    for array in arrays:
        parts += [struct.pack("<q", array.size), array.tobytes()]
    return b"".join(parts)


def pickled(value, arrays=None, python_2=False, view=()):
    """Instructions of protocol 2 without the final STOP; notes the arrays."""
    return b"\x80\x02" + _code(value, arrays, python_2, view)


def call(function, *arguments):
    """The `Code` that calls `function`, as "module name"."""
    name = function.replace(" ", "\n").encode()
    return Code(b"c" + name + b"\n" + _code(arguments) + b"R")


def storage(dtype="FloatStorage", key="0", count=4, *view):
    """The `Code` of a storage; streams have None for `view`, or what it is part of."""
    name = Code(f"ctorch\n{dtype}\n".encode())
    return Code(_code(("storage", name, key, "cpu", count, *view)) + b"Q")


def tensor(saved, offset, shape, strides):
    """The `Code` of a tensor on a storage."""
    rebuild = "torch._utils _rebuild_tensor_v2"
    ordered = call("collections OrderedDict")
    return call(rebuild, saved, offset, shape, strides, False, ordered)


def _code(value, arrays=None, python_2=False, view=()):
    def code(value):
        return _code(value, arrays, python_2, view)

    match value:
        case Code():
            return bytes(value)
        case bool():
            return b"\x88" if value else b"\x89"
        case None:
            return b"N"
        case int() if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        case int():
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        case float():
            return b"G" + struct.pack(">d", value)
        case str() if python_2:
            return b"U" + bytes([len(value)]) + value.encode()
        case str():
            return b"X" + struct.pack("<I", len(value)) + value.encode()
        case tuple():
            return b"(" + b"".join(map(code, value)) + b"t"
        case list():
            return b"](" + b"".join(map(code, value)) + b"e"
        case dict() if python_2:
            pairs = [list(pair) for pair in value.items()]
            return b"ccollections\nOrderedDict\n" + code((pairs,)) + b"R"
        case dict():
            items = b"".join(code(k) + code(v) for k, v in value.items())
            return b"ccollections\nOrderedDict\n)R(" + items + b"u"
        case np.ndarray():
            arrays.append(value.copy(order="C"))
            key = str(len(arrays) - 1)
            saved = storage(_STORAGES[str(value.dtype)], key, value.size, *view)
            strides = tuple(s // value.itemsize for s in arrays[-1].strides)
            if python_2:
                rebuild = "torch._utils _rebuild_tensor"
                return call(rebuild, saved, 0, value.shape, strides)
            return tensor(saved, 0, value.shape, strides)
    raise TypeError(type(value))
