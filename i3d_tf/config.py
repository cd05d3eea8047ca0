"""Configurations: frozen dataclasses, one file a recipe in experiments/configs."""

import ast
import dataclasses
import difflib
import importlib.util
import pathlib
import types
import typing

from i3d_tf.fine_tuning import check_endpoint
from i3d_tf.inception import MIN_FRAMES, STRIDE
from i3d_tf.streams import STREAMS


@dataclasses.dataclass(frozen=True)
class Data:
    """What the networks see.

    Attributes:
      dataset: builder and config below the data folder, `two_stream_ucf101/split_1`.
      train_split, test_split: of the data set.
      num_frames: T of a clip, at 25 frames per second.
      size: side of the square crop, px.
      smaller_side: of the frames that are cropped, px.
      mirror: whether half of the training clips are mirrored.
      light: how much contrast, brightness and colours of training clips vary, see
        `augmentation.random_light`; 0 leaves them as they are.
    """

    dataset: str
    train_split: str = "train"
    test_split: str = "test"
    num_frames: int = 64
    size: int = 224
    smaller_side: int = 256
    mirror: bool = True
    light: float = 0.0

    def __post_init__(self):
        if self.num_frames < MIN_FRAMES:
            raise ValueError(
                f"data.num_frames is {self.num_frames}; the network needs {MIN_FRAMES}"
            )
        if not STRIDE <= self.size <= self.smaller_side:
            raise ValueError(
                f"data.size is {self.size}; it must lie between {STRIDE} and "
                f"data.smaller_side, {self.smaller_side}"
            )
        if not 0 <= self.light <= 1:
            raise ValueError(f"data.light is {self.light}; it must lie in [0, 1]")


@dataclasses.dataclass(frozen=True)
class StreamTraining:
    """How one stream is trained.

    Attributes:
      steps: how many updates.
      learning_rates: one more than `boundaries`.
      boundaries: steps after which the next rate applies.
      momentum: of SGD.
      weight_decay: w of the penalty w / 2 * sum of squares of all kernels.
      dropout: share of the features before the logits that is dropped.
      initial_weights: path of what `load_released` takes: weights of this stream, or
        2D ones, which are inflated; None for random weights. A new classifier
        replaces one of another number of classes.
      freeze_up_to: the last endpoint that keeps its initial_weights, with all before
        it, as "Mixed_4f"; "Mixed_5c" leaves the classifier alone to be trained; None
        trains all.
    """

    steps: int
    learning_rates: tuple[float, ...]
    boundaries: tuple[int, ...] = ()
    momentum: float = 0.9
    weight_decay: float = 1e-7
    dropout: float = 0.5
    initial_weights: str | None = None
    freeze_up_to: str | None = None

    def __post_init__(self):
        if len(self.learning_rates) != len(self.boundaries) + 1:
            raise ValueError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} "
                f"learning_rates, {len(self.learning_rates)} are given"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError(f"boundaries {self.boundaries} must rise")
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must lie in [0, 1)")
        if self.freeze_up_to is not None:
            check_endpoint(self.freeze_up_to)


@dataclasses.dataclass(frozen=True)
class Config:
    """A recipe.

    Attributes:
      data: what the networks see.
      rgb, flow: how each stream is trained; None leaves it out.
      batch_size: clips of all replicas together.
      dtype: of the computation, "float32" or "mixed_bfloat16".
      batch_norm_decay: of BatchNorm's moving statistics.
      width: multiplies the filter counts; 1 is the paper's network.
      seed: of weights, order, Views and dropout.
      checkpoint_steps: updates between checkpoints within an epoch; one is written
        after every epoch too.
      evaluate_epochs: epochs between evaluations; 0 for none but the last.
    """

    data: Data
    rgb: StreamTraining | None
    flow: StreamTraining | None
    batch_size: int = 6
    dtype: str = "float32"
    batch_norm_decay: float = 0.999
    width: float = 1.0
    seed: int = 0
    checkpoint_steps: int = 1000
    evaluate_epochs: int = 1

    def __post_init__(self):
        if not self.streams:
            raise ValueError("neither rgb nor flow is to be trained")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")
        if self.dtype not in ("float32", "mixed_bfloat16"):
            raise ValueError(f"dtype is {self.dtype!r}; known: float32, mixed_bfloat16")
        if self.checkpoint_steps < 1:
            raise ValueError(
                f"checkpoint_steps is {self.checkpoint_steps}; it must be at least 1"
            )

    @property
    def streams(self):
        """The `Stream`s that are trained, in the order of results."""
        return tuple(
            stream for stream in STREAMS if getattr(self, stream.name) is not None
        )

    @property
    def steps(self):
        """Updates until every stream is trained."""
        return max(getattr(self, stream.name).steps for stream in self.streams)


def load_config(path, overrides=()):
    """The `CONFIG` of a recipe's file, with `field.sub=value` overrides.

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
    config = getattr(module, "CONFIG", None)
    if not isinstance(config, Config):
        raise ValueError(f"{path}: defines no CONFIG of i3d_tf.config.Config")
    values = to_dict(config)
    # All of them before the fields are checked against each other: rates and
    # boundaries change together.
    for override in overrides:
        _override(values, override)
    return from_dict(values)


def _with_closest(message):
    """Python's "unexpected keyword argument 'bath_size'", with the closest field."""
    _, quoted, name = message.partition("unexpected keyword argument ")
    if not quoted:
        return message
    kinds = (Config, Data, StreamTraining)
    names = [field.name for kind in kinds for field in dataclasses.fields(kind)]
    close = difflib.get_close_matches(name.strip("'"), names, 1, cutoff=0)[0]
    return f"no field {name}; the closest is {close!r}"


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
        if nested and value is not None:
            value = _from_dict(nested, value)
        if not _fits(value, types_[name]):
            raise ValueError(f"{name} is {value!r}, not of type {types_[name]}")
        fields[name] = tuple(value) if isinstance(value, list) else value
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
    if _fits(value, wanted):
        return _convert(value, wanted)
    raise ValueError(
        f"{override}: {text!r} is not of type {getattr(wanted, '__name__', wanted)}"
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
    for option in (wanted, *typing.get_args(wanted)):
        if dataclasses.is_dataclass(option):
            return option
    return None
