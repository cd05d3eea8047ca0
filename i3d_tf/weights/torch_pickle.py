"""Reads the pickle of a PyTorch file without running it.

A pickle is a program: Python's unpickler imports and calls what it names. Here a
loop reads the few instructions that `torch.save(state_dict)` writes, from Python 2
on. The names in `_FUNCTIONS` and `DTYPES` mean something to it; any other name or
instruction is refused. What a pickle can cost is bounded by its length.
"""

import math
import pickletools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# An I3D with two optimiser slots has 40,000.
_MAX_INSTRUCTIONS = 200_000
_MAX_RANK = 8

DTYPES = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch BFloat16Storage": np.dtype(tf.bfloat16.as_numpy_dtype),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("i1"),
    "torch ByteStorage": np.dtype("u1"),
    "torch BoolStorage": np.dtype("?"),
}


class Storage(NamedTuple):
    """`count` numbers that the file holds under `key`."""

    dtype: np.dtype
    key: str
    count: int


class Tensor(NamedTuple):
    """Part of a storage: offset, shape and strides, counted in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickle(stream):
    """Returns (object, {key: Storage}) of the pickle at the stream's position.

    The object is made of numbers, strings, None, tuples, lists, dicts with names or
    numbers as keys, `Tensor` and `Storage`. An OrderedDict is a dict, or the list of
    pairs that Python 2 writes for one.

    Raises ValueError for what is refused, and various exceptions for torn pickles.
    """
    stack, below, memo, storages = [], [], {}, {}
    for number, (opcode, value, _) in enumerate(pickletools.genops(stream)):
        if number == _MAX_INSTRUCTIONS:
            raise ValueError("its pickle is too long for a state_dict")
        name = opcode.name
        match name:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                stack.append(value)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINSTRING" | "SHORT_BINSTRING":
                stack.append(value)
            case "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(_take(stack, int(name[-1])))
            case "MARK":
                below.append(stack)
                stack = []
            case "TUPLE":
                items, stack = stack, below.pop()
                stack.append(tuple(items))
            case "APPENDS":
                items, stack = stack, below.pop()
                _extend(stack[-1], items)
            case "APPEND":
                items = _take(stack, 1)
                _extend(stack[-1], items)
            case "SETITEMS":
                items, stack = stack, below.pop()
                _update(stack[-1], items)
            case "SETITEM":
                items = _take(stack, 2)
                _update(stack[-1], items)
            case "GLOBAL":
                stack.append(_known(value))
            case "STACK_GLOBAL":
                stack.append(_known(" ".join(_take(stack, 2))))
            case "REDUCE":
                function, arguments = _take(stack, 2)
                stack.append(_call(function, arguments))
            case "BUILD":
                # Attributes of the object, a state_dict's `_metadata`: not needed.
                stack.pop()
            case "BINPERSID":
                storage = _storage(*stack.pop())
                if storages.setdefault(storage.key, storage) != storage:
                    raise ValueError("two storages have one key")
                stack.append(storage)
            case "STOP":
                return stack.pop(), storages
            case _:
                raise ValueError(f"refuses the pickle instruction {name}")


def _take(stack, count):
    if len(stack) < count:
        raise ValueError("its pickle takes what is not there")
    taken = tuple(stack[-count:])
    del stack[-count:]
    return taken


def _extend(target, items):
    if type(target) is not list:
        raise ValueError("its pickle appends to what is no list")
    target.extend(items)


def _update(target, items):
    # Tuples as keys would be hashed, which takes for ever if they nest deeply.
    if type(target) is not dict or any(type(k) not in (str, int) for k in items[::2]):
        raise ValueError("its pickle sets items that have no names")
    target.update(zip(items[::2], items[1::2], strict=True))


def _known(name):
    if name not in _FUNCTIONS and name not in DTYPES:
        raise ValueError(f"refuses {name.replace(' ', '.')[:80]!r}")
    return name


def _call(name, arguments):
    if type(name) is not str or name not in _FUNCTIONS:
        raise ValueError("its pickle calls what is no function")
    return _FUNCTIONS[name](*arguments)


def _storage(kind, dtype, key, _device, count, view=None):
    # Old files can hold a storage that is part of another: `view`.
    if kind != "storage" or type(dtype) is not str or dtype not in DTYPES or view:
        raise ValueError("it refers to what is no whole storage")
    if type(key) is not str or type(count) is not int or count < 0:
        raise ValueError("a storage has no key or no size")
    return Storage(DTYPES[dtype], key, count)


def _tensor(storage, offset, shape, strides, *_):
    if type(storage) is not Storage:
        raise ValueError("a tensor has no storage")
    if not len(shape) == len(strides) <= _MAX_RANK:
        raise ValueError("a tensor's shape does not fit its strides")
    if any(type(n) is not int or n < 0 for n in (offset, *shape, *strides)):
        raise ValueError("a tensor's offset, shape or strides are no sizes")
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    # The first condition refuses strides of zero, which make much of little.
    if count > storage.count or (last if count else offset - 1) >= storage.count:
        raise ValueError("a tensor reaches outside its storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


_FUNCTIONS = {
    # Pairs stay as they are: to copy them would cost anew at each call.
    "collections OrderedDict": lambda pairs=None: {} if pairs is None else pairs,
    "torch Size": lambda sizes: sizes,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": lambda data, *_: data,
}
