"""The recipes in `experiments/configs`, by name or by path."""

import difflib
import pathlib

FOLDER = pathlib.Path(__file__).parent / "configs"


def recipe_path(recipe: str) -> pathlib.Path:
    """Returns the file of a recipe.

    Args:
      recipe: path of a file, or the name of a recipe that comes with this project, such
        as "own_videos".

    Raises:
      ValueError: there is no such file, and no recipe of that name.
    """
    path = pathlib.Path(recipe)
    if path.is_file():
        return path
    name = path.stem if path.suffix == ".py" else recipe
    known = names()
    if name == recipe and name in known:
        return FOLDER / f"{name}.py"
    close = difflib.get_close_matches(name, known, 1, cutoff=0)[0]
    raise ValueError(
        f"--config {recipe}: no such file or recipe; the closest recipe is {close}; "
        f"there are {', '.join(known)}"
    )


def names() -> list[str]:
    """Returns the names of all recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))
