"""Reads a pickle of numbers, texts, lists, dicts and NumPy arrays without running it.

A pickle is a program: Python's unpickler imports and calls what it names. Here the few
names that NumPy's arrays need mean functions of this file, and no other name means
anything.
"""

import pickle

import numpy as np

# Byte orders are told apart from these.
_DTYPES = {
    "b1",
    "f2",
    "f4",
    "f8",
    *(f"{kind}{size}" for kind in "iu" for size in "1248"),
}


def read_pickle(path):
    """What a pickle holds.

    Raises ValueError if it is damaged, or names a type or function that is not one of
    NumPy's for arrays, scalars and dtypes of numbers.
    """
    with open(path, "rb") as file:
        try:
            # Strings of Python 2 are bytes; latin1 keeps them.
            return _resolved(_Unpickler(file, encoding="latin1").load())
        # Of damaged bytes the unpickler raises whatever it meets.
        except Exception as error:
            text = str(error) or type(error).__name__
            raise ValueError(f"{path}: cannot be read as a pickle ({text})") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        # NumPy 2 has renamed numpy.core.
        known = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if known not in _FUNCTIONS:
            raise ValueError(
                f"refuses {f'{module}.{name}'[:80]!a}; only NumPy's arrays are allowed"
            )
        return _Function(_FUNCTIONS[known])


class _Function:
    """What a name means: can be called, and a pickle cannot change it."""

    __slots__ = ("_function",)

    def __init__(self, function):
        self._function = function

    def __call__(self, *arguments):
        return self._function(*arguments)

    def __setstate__(self, state):
        raise ValueError("it changes a function")


class _Dtype:
    __slots__ = ("value",)

    def __init__(self, code, *_):
        if type(code) is not str or code not in _DTYPES:
            raise ValueError(f"refuses arrays of {code!a:.40}; numbers are allowed")
        self.value = np.dtype(code)

    def __setstate__(self, state):
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """Empty until its pickle says what it holds."""

    __slots__ = ("value",)

    def __init__(self, *_):
        self.value = None

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, raw = state
        self.value = _from_buffer(raw, dtype, shape, "F" if is_fortran else "C").value


def _from_buffer(raw, dtype, shape, order):
    # Of other sizes than the bytes', reshape would raise: nothing large is allocated.
    array = _Array()
    array.value = np.frombuffer(_bytes(raw), dtype.value).reshape(shape, order=order)
    return array


def _scalar(dtype, raw):
    return np.frombuffer(_bytes(raw), dtype.value)[0]


def _bytes(raw):
    return raw.encode("latin1") if type(raw) is str else bytes(memoryview(raw))


def _encode(text, encoding):
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise ValueError("it encodes text otherwise than in latin1")
    return text.encode("latin1")


def _refuse(*_):
    raise ValueError("it makes arrays in another way than NumPy does")


_FUNCTIONS = {
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.dtype": _Dtype,
    # Named as the type of an array, and never called.
    "numpy.ndarray": _refuse,
    "_codecs.encode": _encode,
}


def _resolved(found):
    """With arrays in the place of `_Array`, in dicts and lists."""
    if type(found) is dict:
        return {key: _resolved(value) for key, value in found.items()}
    if type(found) is list:
        return [_resolved(value) for value in found]
    return found.value if type(found) is _Array else found
