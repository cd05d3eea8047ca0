"""Recipes by name and by path."""

import pytest

from experiments import recipes
from experiments.recipes import recipe_path
from i3d_tf.config_file import load_config


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The current folder is one without recipes."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_by_name():
    assert recipe_path("own_videos") == recipes.FOLDER / "own_videos.py"
    assert load_config(recipe_path("own_videos")).data.dataset == (
        "two_stream_folder/mine"
    )


def test_by_path(elsewhere):
    path = elsewhere / "mine.py"
    path.touch()
    assert recipe_path("mine.py").resolve() == path
    assert recipe_path(str(path)) == path


def test_a_file_comes_before_a_recipe_of_its_name(elsewhere):
    (elsewhere / "demo").touch()
    assert recipe_path("demo").resolve() == elsewhere / "demo"


@pytest.mark.parametrize(
    "recipe, closest",
    [
        ("own_video", "own_videos"),
        ("kinetics", "kinetics400"),
        ("experiments/configs/own_videos.py", "own_videos"),
        ("configs/hmdb.py", "hmdb51"),
        ("demo.py", "demo"),
    ],
)
def test_unknown_ones(recipe, closest):
    with pytest.raises(ValueError) as error:
        recipe_path(recipe)
    told = str(error.value)
    assert told.startswith(
        f"--config {recipe}: no such file or recipe; the closest recipe is {closest}; "
        "there are arm_actions, arm_actions_mars, arm_actions_scratch, demo, "
    )
    assert told.endswith(", ucf101_scratch")


def test_names_are_those_of_the_files():
    assert recipes.names() == sorted(p.stem for p in recipes.FOLDER.glob("*.py"))
    assert {"demo", "own_videos", "kinetics400"} < set(recipes.names())
