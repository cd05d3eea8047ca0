"""Configurations from a recipe's file, the command line and config.json."""

import ast
import dataclasses
import difflib
import importlib.util
import pathlib
import re
import types
import typing

from flow.unexpected import short
from i3d_tf.config import Config, Data, Linear, Pose, StreamTraining
from i3d_tf.distillation.spec import Distillation, Pair


def load_config(path, overrides=(), name="CONFIG"):
    """The `CONFIG` of a recipe's file, with `field.sub=value` overrides.

    Args:
      name: of what the file defines, as the "TEACHER" of a distillation.

    Raises ValueError for a file without one, an unknown field or a wrong type.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such config")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None:
        raise ValueError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except TypeError as error:
        raise ValueError(f"{path}: {_with_closest(str(error))}") from error
    except (ValueError, SyntaxError, NameError, ImportError) as error:
        raise ValueError(f"{path}: {error}") from error
    # A recipe is a program, which can raise anything.
    except Exception as error:
        raise ValueError(f"{path}: {short(error)}") from error
    config = getattr(module, name, None)
    if not isinstance(config, Config):
        raise ValueError(f"{path}: defines no {name} of i3d_tf.config.Config")
    values = to_dict(config)
    # All of them before the fields are checked against each other: rates and
    # boundaries change together.
    for override in overrides:
        _override(values, override)
    return from_dict(values)


def _with_closest(message):
    """Names the closest field if a TypeError's message is about an unknown one."""
    # From Python 3.13 on the message goes on with a suggestion of its own.
    unknown = re.search(r"unexpected keyword argument '(\w+)'", message)
    if unknown is None:
        return message
    kinds = (Config, Data, StreamTraining, Linear, Pose, Distillation, Pair)
    names = [field.name for kind in kinds for field in dataclasses.fields(kind)]
    close = difflib.get_close_matches(unknown[1], names, 1, cutoff=0)[0]
    return f"no field {unknown[1]!r}; the closest is {close!r}"


def to_dict(config):
    """As JSON has it: tuples are lists."""
    return dataclasses.asdict(config)


def from_dict(values):
    """The Config of `to_dict`'s output, also after a way through JSON."""
    return _from_dict(Config, values)


def _from_dict(kind, values):
    types_ = typing.get_type_hints(kind)
    fields = {}
    for name, value in values.items():
        _require_field(kind, name, name)
        nested = _dataclass_in(types_[name])
        if nested and isinstance(value, dict):
            value = _from_dict(nested, value)
        elif nested and isinstance(value, tuple | list):
            value = tuple(_from_dict(nested, one) for one in value)
        if not _fits(value, types_[name]):
            raise ValueError(f"{name} is {value!r}, not of type {types_[name]}")
        fields[name] = tuple(value) if isinstance(value, list) else value
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.name not in fields
    ]
    if missing:
        raise ValueError(f"{kind.__name__} lacks {', '.join(missing)}")
    return kind(**fields)


def _override(values, override):
    """Sets one `field.sub=value` in the nested dict of a Config."""
    name, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"{override!r}: expected field=value or field.sub=value")
    kind, *path = Config, *name.split(".")
    for depth, field in enumerate(path):
        _require_field(kind, field, override)
        wanted = typing.get_type_hints(kind)[field]
        if depth == len(path) - 1:
            values[field] = _parse(text, wanted, override)
            return
        kind, values = _dataclass_in(wanted), values[field]
        if not isinstance(values, dict):
            raise ValueError(f"{override}: {field} is {values!r} and has no fields")


def _require_field(kind, name, where):
    names = [field.name for field in dataclasses.fields(kind)]
    if name not in names:
        close = difflib.get_close_matches(name, names, 1, cutoff=0)[0]
        raise ValueError(
            f"{where}: {kind.__name__} has no field {name!r}; the closest is {close!r}"
        )


def _parse(text, wanted, override):
    if wanted is str:
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text  # A string without quotes, for fields that may be None.
    if _dataclass_in(wanted) and isinstance(value, dict | tuple | list):
        # What its fields are is checked as it is made.
        return value
    if _fits(value, wanted):
        return _convert(value, wanted)
    hint = ""
    if typing.get_origin(wanted) is tuple and isinstance(value, float):
        hint = ", which is written (0.1,) for one value"
    raise ValueError(
        f"{override}: {text!r} is not of type {getattr(wanted, '__name__', wanted)}"
        f"{hint}"
    )


def _fits(value, wanted):
    origin = typing.get_origin(wanted)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, option) for option in typing.get_args(wanted))
    if origin is tuple:
        inner = typing.get_args(wanted)[0]
        return isinstance(value, tuple | list) and all(_fits(v, inner) for v in value)
    if wanted in (int, float) and isinstance(value, bool):
        return False
    if wanted is float:
        return isinstance(value, int | float)
    return isinstance(value, wanted)


def _convert(value, wanted):
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)[0]
        return tuple(_convert(item, inner) for item in value)
    return float(value) if wanted is float else value


def _dataclass_in(wanted):
    """The dataclass that a type is, or that its values may be or hold."""
    for option in (wanted, *typing.get_args(wanted)):
        if dataclasses.is_dataclass(option):
            return option
    return None
