"""The notebooks: what they may hold, and that each does what it says."""

import ast
import json
import pathlib
import tempfile

import nbformat
import pytest
import tensorflow as tf
import tiny
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from experiments.sample_scenes import CLASSES
from i3d_tf import RGB, build_i3d
from i3d_tf.checkpoints import load_workdir, read_config
from i3d_tf.export import export
from i3d_tf.exported import read_assets
from i3d_tf.fine_tuning import HEAD
from i3d_tf.streams import FLOW

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "experiments/notebooks"
NAMES = ["distillation", "fine_tuning", "quick_start", "tpu_training"]
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

# Put in after the settings. What pytest makes an error is one in a kernel too.
STRICT = """
import warnings

warnings.filterwarnings("error", module=r"(i3d_tf|flow|experiments)(\\.|$)|__main__$")
"""
# A network an eighth as wide, of small pictures and for few updates.
TINY = [
    "width=0.125",
    "data.num_frames=9",
    "data.size=32",
    "data.smaller_side=40",
    *(
        f"{stream}.{field}"
        for stream in ("rgb", "flow")
        for field in ("steps=2", "boundaries=()", "learning_rates=(0.01,)")
    ),
]
SAMPLES = {"train_per_class": 1, "test_per_class": 1, "seconds": 0.6}


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parsed(source):
    """The syntax tree of a cell, in which magics and `!` are calls of IPython."""
    return ast.parse(TransformerManager().transform_cell(source))


def definitions(source):
    """What a cell defines, as types of the syntax tree."""
    found = (node for node in ast.walk(parsed(source)) if isinstance(node, DEFINITIONS))
    return [type(node).__name__ for node in found]


def ipython_calls(source):
    """(method, first word) of each magic and each `!` of a cell."""
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            if isinstance(of, ast.Call) and getattr(of.func, "id", "") == "get_ipython":
                found.append((node.func.attr, ast.literal_eval(node.args[0])))
    return found


def run(name, folder, monkeypatch, **settings):
    """Executes a notebook with other settings in `folder`; returns it as executed."""
    notebook = read(name)
    (at,) = (
        index
        for index, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    )
    known = {node.targets[0].id for node in parsed(notebook.cells[at].source).body}
    assert set(settings) <= known
    lines = [f"{key} = {value!r}" for key, value in settings.items()]
    injected = nbformat.v4.new_code_cell("\n".join([*lines, STRICT]))
    notebook.cells.insert(at + 1, injected)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with tempfile.TemporaryDirectory() as kernel:
        for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            monkeypatch.setenv(variable, kernel)
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=600, resources=resources).execute()
    return notebook


def text_of(notebook):
    """All that the executed cells printed to stdout."""
    return "".join(
        output.text
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )


def displayed(notebook):
    """Types of what cells show: {"image/png": how many, ...}."""
    found = {}
    for cell in code_cells(notebook):
        for output in cell.outputs:
            for kind in output.get("data", ()):
                found[kind] = found.get(kind, 0) + 1
    return found


def of_model(model, streams, classes):
    """That a SavedModel answers so many classes to clips of these streams alone."""
    labels, made_for = read_assets(model)
    assert made_for["streams"] == list(streams) and len(labels) == classes
    shape = [1, 9, made_for["size"], made_for["size"]]
    inputs = {
        "rgb": tf.zeros([*shape, 3], tf.uint8),
        "flow": tf.zeros([*shape, 2], tf.float32),
    }
    clips = {name: inputs[name] for name in streams}
    serve = tf.saved_model.load(str(model)).signatures["serving_default"]
    assert set(serve.structured_input_signature[1]) == set(streams)
    answers = serve(**clips)["probabilities"].numpy()
    assert answers.shape == (1, classes)
    assert answers.sum() == pytest.approx(1, abs=1e-5)


def test_these_are_all():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES
    page = (FOLDER / "README.md").read_text("utf-8")
    assert all(f"({name}.ipynb)" in page for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_valid_and_without_outputs(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_cells(notebook):
        assert cell.outputs == [] and cell.execution_count is None
        assert cell.metadata.keys() <= {"tags"}
    first = notebook.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert "**Needs**" in first.source and "**Takes**" in first.source


@pytest.mark.parametrize("name", NAMES)
def test_begins_with_settings_and_installation(name):
    settings, installation = code_cells(read(name))[:2]
    assert settings.metadata.tags == ["parameters"]
    for node in parsed(settings.source).body:
        assert isinstance(node, ast.Assign), ast.unparse(node)
        assert [type(target) for target in node.targets] == [ast.Name]
        ast.literal_eval(node.value)
    assert ipython_calls(installation.source) == [
        ("run_line_magic", "pip"),
    ]
    assert "HOST/OWNER/REPOSITORY" in settings.source


@pytest.mark.parametrize("name", NAMES)
def test_defines_nothing_and_calls_no_shell(name):
    """A `!` would go on after a command that fails, as `%pip` alone may."""
    for cell in code_cells(read(name)):
        assert definitions(cell.source) == []
        for method, word in ipython_calls(cell.source):
            assert (method, word) == ("run_line_magic", "pip")


@pytest.mark.parametrize(
    "source, found",
    [
        ("%pip install x\nif True:\n    def f():\n        pass", ["FunctionDef"]),
        ("x = [lambda: y for y in z]", ["Lambda"]),
        ("class A:\n    async def f(self): pass", ["ClassDef", "AsyncFunctionDef"]),
        ("x = '''def f(): pass'''", []),
    ],
)
def test_definitions_are_found(source, found):
    assert definitions(source) == found


@pytest.mark.parametrize(
    "source, found",
    [
        ("!ls", [("system", "ls")]),
        ("x = !ls", [("getoutput", "ls")]),
        ("%%bash\nls", [("run_cell_magic", "bash")]),
        ("if x:\n    %pip install y", [("run_line_magic", "pip")]),
    ],
)
def test_commands_are_found(source, found):
    assert ipython_calls(source) == found


@pytest.fixture
def run_small(tmp_path, monkeypatch):
    """run_small(name, **settings) in a folder of its own, with `output` below it."""

    def run_small(name, **settings):
        before = set(FOLDER.iterdir())
        notebook = run(name, tmp_path, monkeypatch, output="out", **settings)
        assert set(FOLDER.iterdir()) == before
        assert not (ROOT / "out").exists()
        return notebook

    return run_small


def test_quick_start_with_a_model(run_small, tmp_path):
    """Of tiny networks of random weights, whose answers are read from the file."""
    models = tiny.networks(len(tiny.LABELS), (RGB, FLOW))
    export(models, tiny.LABELS, tiny.config().data, tmp_path / "model")
    notebook = run_small("quick_start", model=str(tmp_path / "model"), **SAMPLES)
    best = json.loads((tmp_path / "out/prediction.json").read_text())
    assert sorted(name for name, _ in best) == sorted(tiny.LABELS)
    assert sum(probability for _, probability in best) == pytest.approx(1, abs=1e-5)
    for name, probability in best:
        assert f"{probability:7.2%}  {name}\n" in text_of(notebook)
    # Frames, and one with its flow.
    assert displayed(notebook)["image/png"] == 2
    assert (tmp_path / "out/annotated.mp4").stat().st_size > 10_000
    # Neither trained nor installed anything.
    assert not (tmp_path / "out/run").exists()
    assert code_cells(notebook)[2].outputs == []


@pytest.mark.slow
def test_quick_start_trains_a_model(run_small, tmp_path):
    run_small("quick_start", recipe=TINY, **SAMPLES)
    history = json.loads((tmp_path / "out/run/history.json").read_text())
    assert history[-1]["step"] == 2
    of_model(tmp_path / "out/model", ("rgb", "flow"), len(CLASSES))
    best = json.loads((tmp_path / "out/prediction.json").read_text())
    assert len(best) == 5 and {name for name, _ in best} <= set(CLASSES)


@pytest.mark.slow
def test_fine_tuning(run_small, tmp_path):
    """From weights of other classes, of which all but the classifier are kept."""
    given = build_i3d(RGB, 5, size=32, width=0.125, seed=7)
    given.save(tmp_path / "rgb.keras")
    notebook = run_small(
        "fine_tuning",
        recipe=[*TINY, "batch_size=9"],
        smaller_side=40,
        initial_rgb=str(tmp_path / "rgb.keras"),
        freeze_up_to="Mixed_5c",
        sample_videos_per_class=2,
        sample_seconds=0.6,
    )
    out = tmp_path / "out"
    config, labels = read_config(out / "run")
    assert config.rgb.initial_weights == str(tmp_path / "rgb.keras")
    assert labels == sorted(CLASSES)
    assert json.loads((out / "run/history.json").read_text())[-1]["step"] == 2
    results = json.loads((out / "evaluation/results.json").read_text())
    assert results["videos"] == 9
    assert set(results) >= {"rgb", "flow", "fused"}
    trained = load_workdir(out / "run")[2]["rgb"]
    for variable in given.trainable_variables:
        other = next(v for v in trained.variables if v.path == variable.path)
        if HEAD not in variable.path:
            assert (variable.numpy() == other.numpy()).all(), variable.path
    of_model(out / "model", ("rgb", "flow"), len(CLASSES))
    # Flow, curves, three confusions, calibration.
    assert displayed(notebook)["image/png"] == 6


@pytest.mark.slow
def test_tpu_training_on_the_cpu(run_small, tmp_path):
    notebook = run_small(
        "tpu_training",
        strategy="one",
        bucket=str(tmp_path / "bucket"),
        recipe=[*TINY, "batch_size=8", "clips_at_once=4", "flow=None"],
        smaller_side=40,
        sample_videos_per_class=2,
        sample_seconds=0.6,
    )
    assert "OneDeviceStrategy: 1 replicas" in text_of(notebook)
    # Neither the library nor TensorFlow for TPUs was installed.
    installations = [
        cell for cell in code_cells(notebook) if ipython_calls(cell.source)
    ]
    assert [cell.outputs for cell in installations] == [[], []]
    bucket = tmp_path / "bucket"
    assert json.loads((bucket / "run/history.json").read_text())[-1]["step"] == 2
    assert (bucket / "data/two_stream_folder/mine").is_dir()
    results = json.loads((bucket / "run/evaluation/results.json").read_text())
    assert results["videos"] == 9
    of_model(tmp_path / "out/model", ("rgb",), len(CLASSES))


@pytest.mark.slow
def test_distillation(run_small, tmp_path):
    run_small(
        "distillation",
        labelled=2,
        unlabelled=2,
        tested=2,
        teacher_steps=2,
        steps=2,
        batch_size=6,
        num_frames=9,
        width=0.125,
        seeds=[3],
    )
    study = tmp_path / "out/study"
    report = json.loads((study / "report.json").read_text())
    assert report["figure"] == "top1" and report["seeds"] == [3]
    for way in ("student_alone", "distilled"):
        run_dir = study / way / "seed_3"
        history = json.loads((run_dir / "history.json").read_text())
        assert history[-1]["step"] == 2
        assert report[way] == [history[-1]["test"]["rgb_top1"]]
        config, _ = read_config(run_dir)
        assert bool(config.distillations) == (way == "distilled")
    teacher = json.loads((study / "teacher/history.json").read_text())
    assert report["teacher"] == teacher[-1]["test"]["flow_top1"]
    of_model(tmp_path / "out/model", ("rgb",), 3)


@pytest.mark.parametrize(
    "name, settings, told",
    [
        ("fine_tuning", {"videos": "no_such_folder"}, "no_such_folder"),
        (
            "quick_start",
            {"model": "m", "video": "v.avi"},
            "m: there is no such folder; as a name",
        ),
    ],
)
def test_what_fails_fails_the_notebook(run_small, name, settings, told):
    with pytest.raises(CellExecutionError, match=told):
        run_small(name, **settings)
