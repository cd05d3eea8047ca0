"""Recipes: overrides, checks, and the way through JSON."""

import ast
import dataclasses
import json
import pathlib
import re

import pytest

from experiments import configs as recipes
from i3d_tf.config import Config, Data, StreamTraining
from i3d_tf.config_file import from_dict, load_config, to_dict
from i3d_tf.streams import FLOW, RGB
from i3d_tf.training.updates import passes_of

RECIPES = sorted(pathlib.Path(recipes.__path__[0]).glob("*.py"))

STREAM = StreamTraining(steps=10, learning_rates=(0.1, 0.01), boundaries=(5,))
CONFIG = Config(Data("two_stream_folder/tiny"), rgb=STREAM, flow=STREAM)

FILE = """
from i3d_tf.config import Config, Data, StreamTraining

STREAM = StreamTraining(steps=10, learning_rates=(0.1, 0.01), boundaries=(5,))
CONFIG = Config(Data("two_stream_folder/tiny"), rgb=STREAM, flow=STREAM)
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(FILE)
    return path


def _replaced(section, **fields):
    """CONFIG with fields of one section replaced."""
    changed = dataclasses.replace(getattr(CONFIG, section), **fields)
    return dataclasses.replace(CONFIG, **{section: changed})


def test_a_file_without_overrides(recipe):
    assert load_config(recipe) == CONFIG
    assert load_config(str(recipe)) == CONFIG


@pytest.mark.parametrize(
    "override, wanted",
    [
        ("batch_size=3", dataclasses.replace(CONFIG, batch_size=3)),
        ("dtype=mixed_bfloat16", dataclasses.replace(CONFIG, dtype="mixed_bfloat16")),
        ("flow=None", dataclasses.replace(CONFIG, flow=None)),
        ("rgb.steps=7", _replaced("rgb", steps=7)),
        ("flow.learning_rates=(1, 2e-3)", _replaced("flow", learning_rates=(1, 0.002))),
        ("flow.learning_rates=[1, 0.5]", _replaced("flow", learning_rates=(1, 0.5))),
        ("rgb.boundaries=8,", _replaced("rgb", boundaries=(8,))),
        ("rgb.dropout=0", _replaced("rgb", dropout=0.0)),
        ("data.mirror=False", _replaced("data", mirror=False)),
        ("data.dataset=other/set", _replaced("data", dataset="other/set")),
        # A string is a string, whatever it looks like, and may hold an equals sign.
        ("data.test_split=123", _replaced("data", test_split="123")),
        ("data.test_split=a=b", _replaced("data", test_split="a=b")),
        ("data.test_split=", _replaced("data", test_split="")),
        ("rgb.initial_weights=w/x.ckpt", _replaced("rgb", initial_weights="w/x.ckpt")),
        ("rgb.initial_weights=None", CONFIG),
        ("flow.freeze_up_to=Mixed_4f", _replaced("flow", freeze_up_to="Mixed_4f")),
    ],
)
def test_override(recipe, override, wanted):
    got = load_config(recipe, [override])
    assert got == wanted
    # 1 == 1.0, but JSON and the reader tell them apart.
    assert repr(got) == repr(_floats(wanted))


def _floats(config):
    """Fields that hold floats, as floats."""
    streams = {}
    for name in ("rgb", "flow"):
        if (stream := getattr(config, name)) is not None:
            rates = tuple(float(rate) for rate in stream.learning_rates)
            streams[name] = dataclasses.replace(stream, learning_rates=rates)
    return dataclasses.replace(config, **streams)


def test_overrides_are_checked_together_and_the_last_one_wins(recipe):
    config = load_config(
        recipe,
        [
            "rgb.learning_rates=(3.0,)",
            "rgb.boundaries=()",
            "batch_size=2",
            "batch_size=4",
        ],
    )
    assert config.rgb == StreamTraining(steps=10, learning_rates=(3.0,))
    assert config.flow == STREAM
    assert config.batch_size == 4


@pytest.mark.parametrize(
    "override, message",
    [
        ("bath_size=3", "Config has no field 'bath_size'; the closest is 'batch_size'"),
        ("rgb.step=3", "StreamTraining has no field 'step'; the closest is 'steps'"),
        ("data.smaler_side=3", "no field 'smaler_side'; the closest is 'smaller_side'"),
        ("=3", "Config has no field ''"),
        ("batch_size", "'batch_size': expected field=value or field.sub=value"),
        ("batch_size.x=3", "batch_size is 6 and has no fields"),
        ("data=None", "'None' is not of type Data"),
        ("rgb=5", "'5' is not of type"),
        ("batch_size=2.0", "'2.0' is not of type int"),
        ("batch_size=two", "'two' is not of type int"),
        ("batch_size=True", "'True' is not of type int"),
        ("batch_size=None", "'None' is not of type int"),
        ("rgb.dropout=True", "'True' is not of type float"),
        ("data.mirror=1", "'1' is not of type bool"),
        ("rgb.learning_rates=0.1", "'0.1' is not of type tuple"),
        ("rgb.learning_rates=0.1", ", which is written (0.1,) for one value"),
        ("rgb.learning_rates=(0.1, 'a')", "is not of type tuple"),
        ("rgb.boundaries=(1.5,)", "is not of type tuple"),
        ("rgb.initial_weights=12", "'12' is not of type str | None"),
    ],
)
def test_override_errors(recipe, override, message):
    with pytest.raises(ValueError) as error:
        load_config(recipe, [override])
    assert message in str(error.value)
    assert override in str(error.value)
    assert "\n" not in str(error.value)


def test_a_warmup_that_never_ends_is_refused():
    warm = StreamTraining(steps=6, learning_rates=(0.1,), warmup_steps=6)
    with pytest.raises(ValueError, match="^warmup_steps is 7, of 6 steps: the rate wo"):
        dataclasses.replace(warm, warmup_steps=7)


def test_override_of_a_stream_that_is_left_out(recipe):
    with pytest.raises(ValueError, match="^rgb.steps=3: rgb is None and has no fields"):
        load_config(recipe, ["rgb=None", "rgb.steps=3"])


@pytest.mark.parametrize(
    "override, message",
    [
        ("data.num_frames=8", "data.num_frames is 8; the network needs 9"),
        ("data.size=31", "data.size is 31; it must lie between 32 and"),
        ("data.size=257", "data.size is 257; .* data.smaller_side, 256"),
        ("rgb.steps=0", "steps is 0; it must be at least 1"),
        ("rgb.dropout=1", r"dropout is 1.0; it must lie in \[0, 1\)"),
        ("rgb.dropout=-0.1", r"dropout is -0.1; it must lie in \[0, 1\)"),
        ("rgb.boundaries=()", "0 boundaries need 1 learning_rates, 2 are given"),
        ("batch_size=0", "batch_size is 0; it must be at least 1"),
        ("dtype=float16", "dtype is 'float16'; known: auto, float32, mixed_bf"),
        ("checkpoint_steps=0", "checkpoint_steps is 0; it must be at least 1"),
        (
            "rgb.freeze_up_to=mixed4f",
            "no endpoint 'mixed4f'; the closest is 'Mixed_4f'",
        ),
    ],
)
def test_values_out_of_range(recipe, override, message):
    with pytest.raises(ValueError, match=message):
        load_config(recipe, [override])


@pytest.mark.parametrize("boundaries", [(5, 5), (6, 5)])
def test_boundaries_must_rise(boundaries):
    with pytest.raises(ValueError, match="must rise"):
        StreamTraining(10, learning_rates=(1.0, 1.0, 1.0), boundaries=boundaries)


def test_limits_themselves_are_allowed():
    data = Data("x", num_frames=9, size=32, smaller_side=32)
    assert (data.num_frames, data.size, data.smaller_side) == (9, 32, 32)
    stream = StreamTraining(1, learning_rates=(0.1,), dropout=0.0)
    assert (stream.steps, stream.dropout) == (1, 0.0)


def test_defaults_are_the_papers():
    data = Data("x")
    assert (data.num_frames, data.size, data.smaller_side) == (64, 224, 256)
    assert data.mirror
    stream = StreamTraining(1, learning_rates=(0.1,))
    assert (stream.momentum, stream.weight_decay, stream.dropout) == (0.9, 1e-7, 0.5)
    assert CONFIG.batch_norm_decay == 0.999
    assert CONFIG.width == 1.0


def test_streams_and_steps():
    longer = dataclasses.replace(STREAM, steps=20)
    both = dataclasses.replace(CONFIG, flow=longer)
    assert (both.streams, both.steps) == ((RGB, FLOW), 20)
    rgb = dataclasses.replace(both, flow=None)
    assert (rgb.streams, rgb.steps) == ((RGB,), 10)
    flow = dataclasses.replace(both, rgb=None)
    assert (flow.streams, flow.steps) == ((FLOW,), 20)
    with pytest.raises(ValueError, match="none of rgb, flow and depth is to be"):
        dataclasses.replace(CONFIG, rgb=None, flow=None)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        dataclasses.replace(CONFIG, rgb=None),
        _replaced("flow", initial_weights="w/model.ckpt", freeze_up_to="Mixed_4f"),
    ],
)
def test_round_trip_through_json(config):
    again = from_dict(json.loads(json.dumps(to_dict(config))))
    assert again == config
    assert again.streams == config.streams
    assert hash(again) == hash(config)  # tuples, not lists


def test_from_dict_names_the_field_it_does_not_know():
    values = to_dict(CONFIG)
    values["rgb"]["learning_rate"] = 0.1
    with pytest.raises(
        ValueError,
        match="StreamTraining has no field 'learning_rate'; the closest is "
        "'learning_rates'",
    ):
        from_dict(values)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_load(path):
    config = load_config(path)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    # Each of its fields can be set from the command line to what it is.
    overrides = [
        f"{section}.{name}={value}"
        for section, values in to_dict(config).items()
        if isinstance(values, dict)
        for name, value in values.items()
    ]
    assert load_config(path, overrides) == config


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_can_be_what_they_say(path):
    config = load_config(path)
    passes, clips = passes_of(config, 1)
    assert passes * clips == config.batch_size
    for stream in config.streams:
        training = getattr(config, stream.name)
        assert all(0 < boundary < training.steps for boundary in training.boundaries)
        assert training.warmup_steps < training.steps
    # The command that trains it.
    assert f" --config {path.stem} " in ast.get_docstring(
        ast.parse(path.read_text("utf-8"))
    )


@pytest.mark.parametrize(
    "name, passes",
    [
        ("kinetics400", {1: (64, 6), 2: (32, 6), 8: (8, 6), 64: (1, 6)}),
        ("kinetics400_plateau", {1: (64, 6), 2: (32, 6), 8: (8, 6), 64: (1, 6)}),
        ("ucf101_full", {1: (16, 6), 2: (8, 6), 8: (2, 6), 16: (1, 6)}),
        ("ucf101_fixed", {1: (16, 6), 2: (8, 6), 8: (2, 6), 16: (1, 6)}),
        ("ucf101_scratch", {1: (16, 6), 2: (8, 6), 8: (2, 6), 16: (1, 6)}),
        # Made for one GPU: on more BatchNorm has fewer clips.
        ("ucf101", {1: (1, 6), 2: (1, 3)}),
        ("hmdb51", {1: (1, 6), 2: (1, 3)}),
    ],
)
def test_recipes_are_for_any_number_of_devices(name, passes):
    config = load_config(pathlib.Path(recipes.__path__[0]) / f"{name}.py")
    assert {replicas: passes_of(config, replicas) for replicas in passes} == passes
    too_many = 2 * max(passes) if config.clips_at_once else 8
    with pytest.raises(ValueError, match=f"does not divide into {too_many} replicas"):
        passes_of(config, too_many)


def test_there_are_recipes():
    assert {"demo", "own_videos"} <= {path.stem for path in RECIPES}


def test_the_readme_lists_recipes_that_there_are():
    readme = (pathlib.Path(__file__).parents[1] / "README.md").read_text("utf-8")
    row = r"^\| \[(\w+)\]\(experiments/configs/\1\.py\) "
    listed = re.findall(row, readme, re.MULTILINE)
    assert {"demo", "kinetics400", "ucf101_full", "hmdb51"} <= set(listed)
    assert set(listed) <= {path.stem for path in RECIPES}


def test_no_such_file(tmp_path):
    with pytest.raises(ValueError, match="none.py: no such config"):
        load_config(tmp_path / "none.py")
    with pytest.raises(ValueError, match="no such config"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "text, told",
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("{}['nothing']", "KeyError: 'nothing'"),
        ("raise RuntimeError", "RuntimeError"),
    ],
)
def test_a_recipe_that_fails(tmp_path, text, told):
    path = tmp_path / "recipe.py"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load_config(path)
    assert str(error.value) == f"{path}: {told}"


def test_not_a_python_file(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="recipe.json: not a Python file"):
        load_config(path)


@pytest.mark.parametrize("text", ["", "CONFIG = {'batch_size': 3}", "config = 1"])
def test_a_file_without_a_config(tmp_path, text):
    path = tmp_path / "recipe.py"
    path.write_text(text)
    with pytest.raises(ValueError, match="recipe.py: defines no CONFIG of"):
        load_config(path)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("bath_size=3", "no field 'bath_size'; the closest is 'batch_size'"),
        ("batch_size=0", "batch_size is 0; it must be at least 1"),
        ("batch_size=(", "was never closed"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line_with_its_file(tmp_path, body, message):
    path = tmp_path / "mine.py"
    path.write_text(
        "from i3d_tf.config import *\n"
        "S = StreamTraining(steps=1, learning_rates=(0.1,))\n"
        f"CONFIG = Config(data=Data('a/b'), rgb=S, flow=S, {body})\n"
    )
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load_config(path)
    assert str(error.value).startswith(str(path))


def test_a_wrong_type_in_a_recipe_names_field_and_value(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from i3d_tf.config import *\n"
        "S = StreamTraining(steps=1, learning_rates=(0.1,))\n"
        "CONFIG = Config(data=Data('a/b', mirror='no'), rgb=S, flow=S)\n"
    )
    with pytest.raises(ValueError, match="mirror is 'no', not of type"):
        load_config(path)
