"""Networks from names, files and workdirs: `weights.networks` and what builds on it."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tiny

from i3d_tf import FLOW, RGB, build_i3d, named_models
from i3d_tf.config import Data
from i3d_tf.exported import ExportedModel
from i3d_tf.named_models import find_model
from i3d_tf.weights import catalogue, load_released, networks
from i3d_tf.weights.checkpoint_file import open_checkpoint
from i3d_tf.weights.download import Unreachable
from i3d_tf.weights.initial import set_initial_weights
from i3d_tf.weights.networks import load_networks, read_labels

pytestmark = pytest.mark.usefixtures("shallow_network")

LABELS = list(tiny.LABELS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workdir of a training of both streams."""
    return tiny.written_run(tiny.config(), tmp_path_factory.mktemp("both"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{stream name: a .keras file of a network of three classes}."""
    folder = tmp_path_factory.mktemp("files")
    for name, model in tiny.networks(3, (RGB, FLOW)).items():
        model.save(folder / f"{name}.keras")
    return {name: str(folder / f"{name}.keras") for name in ("rgb", "flow")}


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("".join(f"{label}\n" for label in LABELS))
    return path


def assert_same_weights(model, other):
    for got, wanted in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted.numpy(), err_msg=got.path)


def test_a_workdir_gives_all_its_streams(run):
    found = load_networks([str(run)])
    assert found.class_names == LABELS
    assert found.data == tiny.config().data
    for name, model in tiny.networks(3, (RGB, FLOW)).items():
        assert_same_weights(found.models[name], model)


@pytest.mark.parametrize(
    "place", ["", "checkpoints", "checkpoints/ckpt-2", "checkpoints/ckpt-2.index"]
)
def test_a_workdir_and_its_checkpoints_are_weights(run, place):
    """Of several streams, the one that the network takes."""
    for stream in (FLOW, RGB):
        model = build_i3d(stream, 3, size=32, width=0.125, weights=run / place)
        assert_same_weights(model, tiny.networks(3, (RGB, FLOW))[stream.name])


def test_the_newest_checkpoint_is_taken_unless_another_is_named(tmp_path):
    config = tiny.config(flow=None)
    run = tiny.written_run(config, tmp_path)
    model = build_i3d(RGB, 3, size=32, width=0.125, seed=5)
    state = tf.train.Checkpoint(model=model, averages=[])
    tf.train.CheckpointManager(
        tf.train.Checkpoint(rgb=state), str(run / "checkpoints"), max_to_keep=None
    ).save(checkpoint_number=4)
    options = {"size": 32, "width": 0.125}
    assert_same_weights(build_i3d(RGB, weights=run, **options), model)
    earlier = build_i3d(RGB, weights=run / "checkpoints/ckpt-2", **options)
    assert_same_weights(earlier, tiny.networks(3, (RGB,))["rgb"])


def test_a_stream_that_a_training_lacks_is_refused(run):
    with pytest.raises(ValueError, match="it trained rgb and flow; none is 'ct'"):
        open_checkpoint(run, "ct")
    with pytest.raises(ValueError, match="it trained rgb and flow; name one"):
        open_checkpoint(run)


def test_files_are_joined_and_named(files, labels):
    data = Data("none", num_frames=9, size=32, smaller_side=40)
    sources = [f"flow={files['flow']}", files["rgb"]]
    found = load_networks(sources, labels=labels, data=data)
    assert list(found.models) == ["rgb", "flow"]
    assert (found.class_names, found.data) == (LABELS, data)
    for name, model in tiny.networks(3, (RGB, FLOW)).items():
        assert_same_weights(found.models[name], model)


def test_names_of_a_training_serve_a_file_beside_it(run, files, tmp_path):
    rgb = tiny.written_run(tiny.config(flow=None), tmp_path)
    found = load_networks([str(rgb), files["flow"]])
    assert found.class_names == LABELS and list(found.models) == ["rgb", "flow"]


@pytest.mark.parametrize(
    "sources, names, told",
    [
        (["{rgb}"], None, "has 3 classes without names; give them with --labels, a"),
        (["flow={rgb}"], "{labels}", "of 3 channels, so they belong to the stream rgb"),
        (["{rgb}", "rgb={rgb}"], "{labels}", "rgb.keras gives rgb already"),
        (["{rgb}"], "kinetics600", "has 3 classes, kinetics600 names 600"),
        (["depth={rgb}"], "{labels}", "expected rgb=WEIGHTS or flow=WEIGHTS"),
        (["rgb="], "{labels}", "expected rgb=WEIGHTS or flow=WEIGHTS"),
        ([], "{labels}", "no weights are given"),
        (["{run}", "{flow}"], None, "flow.keras: .* gives flow already"),
    ],
)
def test_sources_that_do_not_fit(run, files, labels, sources, names, told):
    places = {**files, "labels": labels, "run": run}
    names = names and names.format(**places)
    with pytest.raises(ValueError, match=told):
        load_networks([source.format(**places) for source in sources], labels=names)


def test_clips_of_another_size_are_refused(run, files):
    data = Data("none", num_frames=9, size=64, smaller_side=64)
    with pytest.raises(
        ValueError, match="on clips of 9 frames of 32x32 of 40 px, wanted are 9 frames"
    ):
        load_networks([str(run)], data=data)


@pytest.mark.parametrize(
    "content, told",
    [
        (b"a\n\nb\n", "line 2 is empty"),
        (b"a\nb\na\n", "line 3 repeats the class 'a'"),
        (b"\xff\xfe\x00", "it is not a text file in UTF-8"),
    ],
)
def test_files_of_labels_that_cannot_be_used(tmp_path, content, told):
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(ValueError, match=told):
        read_labels(tmp_path / "labels.txt")


def test_files_of_labels_that_can_be_used(tmp_path):
    """Also those of Windows, with a byte order mark, and without the last line end."""
    path = tmp_path / "labels.txt"
    for content in ("a b\nç\n", "a b\nç", "\ufeffa b\r\nç\r\n"):
        path.write_bytes(content.encode())
        assert read_labels(path) == ["a b", "ç"]
    assert len(read_labels("kinetics400")) == 400
    with pytest.raises(FileNotFoundError, match="or kinetics400 or kinetics600"):
        read_labels(tmp_path / "none.txt")


def test_flow_begins_with_weights_of_rgb_and_says_so(files, capsys):
    """The first kernel is the mean over RGB's channels in both channels of flow."""
    model = build_i3d(FLOW, 3, size=32, width=0.125, seed=1)
    set_initial_weights(model, FLOW, files["rgb"])
    assert capsys.readouterr().out == (
        f"flow: begins with {files['rgb']}, weights of 3 channels; its first kernel is "
        "their mean over the channels (cross-modality initialisation)\n"
    )
    first, *others = tiny.networks(3, (RGB,))["rgb"].weights
    got = model.weights[0].numpy()
    for channel in range(2):
        np.testing.assert_allclose(
            got[..., channel, :], first.numpy().mean(-2), rtol=1e-6
        )
    for variable, wanted in zip(model.weights[1:], others, strict=True):
        np.testing.assert_array_equal(variable.numpy(), wanted.numpy())


def test_rgb_does_not_begin_with_weights_of_flow(files):
    model = build_i3d(RGB, 3, size=32, width=0.125)
    with pytest.raises(ValueError, match="the checkpoint is of 2 channels, the model"):
        set_initial_weights(model, RGB, files["flow"])


def test_flow_that_cannot_be_downloaded_begins_with_rgb(files, monkeypatch, capsys):
    checkpoint = open_checkpoint(files["rgb"])

    def opened(source, stream=None):
        if source == "kinetics400-rgb":
            return checkpoint
        raise Unreachable(f"{source}: no network")

    monkeypatch.setattr("i3d_tf.weights.initial.open_checkpoint", opened)
    model = build_i3d(FLOW, 3, size=32, width=0.125)
    set_initial_weights(model, FLOW, "kinetics400-flow")
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "kinetics400-flow: no network" and len(told) == 2
    rgb = build_i3d(RGB, 3, size=32, width=0.125)
    with pytest.raises(Unreachable, match="kinetics400-rgb-imagenet: no network"):
        set_initial_weights(rgb, RGB, "kinetics400-rgb-imagenet")


@pytest.fixture
def published(run, monkeypatch, tmp_path):
    """Makes the name "tiny" that of a published two-stream model, in a new cache."""
    monkeypatch.setenv("I3D_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(named_models, "is_published", lambda name: name == "tiny")
    wanted = []

    def load(sources):
        wanted.append(sources)
        return load_networks([str(run)])

    monkeypatch.setattr(networks, "load_networks", load)
    return wanted


def test_a_published_model_is_made_once(published, tmp_path, capsys):
    model = ExportedModel("tiny")
    folder = pathlib.Path(model.model_dir)
    assert folder.is_relative_to(tmp_path / "cache" / "saved_models")
    assert model.labels == LABELS
    assert f"tiny: writing the SavedModel {folder}" in capsys.readouterr().err
    assert find_model("tiny") == folder
    assert published == [["tiny"]]
    assert capsys.readouterr().err == ""


def test_a_folder_is_taken_before_a_name(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("tiny")
    assert find_model("tiny") == "tiny"
    assert find_model(tmp_path / "x") == tmp_path / "x"


def test_unknown_models_are_told_with_the_closest_name():
    with pytest.raises(ValueError, match="closest name is kinetics400-rgb;") as error:
        ExportedModel("kinetics400_rgb")
    known = [*catalogue.TWO_STREAM_MODELS, *catalogue.NETWORKS]
    assert all(name in str(error.value) for name in known)


def test_a_workdir_is_told_how_it_becomes_a_model(run):
    with pytest.raises(ValueError, match="first run: python -m experiments.export --w"):
        ExportedModel(run)


def test_a_released_file_has_the_names_of_its_classes(data_dir):
    released = data_dir / "reference/kinetics400_rgb_scratch/model.ckpt"
    names = open_checkpoint(released).class_names
    assert len(names) == 400 and names[227] == "playing cricket"


def test_own_weights_replace_what_a_training_begins_with(run):
    """A classifier of another number of classes stays as it is."""
    model = build_i3d(RGB, 4, size=32, width=0.125, seed=1)
    head = model.weights[-1].numpy()
    load_released(model, run, new_head=True)
    wanted = tiny.networks(3, (RGB,))["rgb"]
    for variable, own in zip(model.weights[:-2], wanted.weights[:-2], strict=True):
        np.testing.assert_array_equal(variable.numpy(), own.numpy())
    np.testing.assert_array_equal(model.weights[-1].numpy(), head)
