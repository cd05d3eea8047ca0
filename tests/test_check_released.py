"""The check against the published answers: it passes, and it fails, when it should."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import i3d_tf
from experiments import check_released
from experiments.released_answers import PUBLISHED, Answer
from i3d_tf.inception import build_i3d

LABELS = [f"class {k}" for k in range(400)]


def _save(path, model, prefix):
    """A checkpoint with the released names."""
    names = []
    for variable in model.weights:
        layer, leaf = variable.path.split("/")
        layer = layer.replace("-", "/")
        if layer.startswith("Logits"):
            layer += "/conv_3d"
        leaf = {"kernel": "w", "bias": "b"}.get(leaf, leaf)
        names.append(f"{prefix}/inception_i3d/{layer}/{leaf}")
    path.parent.mkdir(parents=True)
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(value) for value in model.get_weights()],
    )


def _clone(folder, width, frames, size):
    """A folder as a clone of kinetics-i3d, with networks of random weights."""
    data = folder / "kinetics-i3d/data"
    rng = np.random.default_rng(0)
    for stream, prefix in ((i3d_tf.RGB, "RGB"), (i3d_tf.FLOW, "Flow")):
        model = build_i3d(stream, width=width, seed=0)
        # Far enough apart that no two of the 400 change places for a rounding.
        head = model.get_layer("Logits-Conv3d_0c_1x1")
        head.bias.assign(rng.permutation(400) / 20)
        _save(data / f"checkpoints/{stream.name}_imagenet/model.ckpt", model, prefix)
        clip = rng.uniform(-1, 1, (1, frames, size, size, stream.channels))
        np.save(data / check_released.sample_name(stream.name), clip.astype("f4"))
    (data / "label_map.txt").write_text("\n".join(LABELS) + "\n")
    return data.parent


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A clone whose networks have an eighth of the filters, and small samples."""
    return _clone(tmp_path_factory.mktemp("narrow"), 1 / 8, 9, 32)


@pytest.fixture
def narrow_networks(monkeypatch):
    """Makes the command take what `narrow` has."""
    build = functools.partial(build_i3d, width=1 / 8)
    monkeypatch.setattr(i3d_tf, "build_i3d", build)
    monkeypatch.setattr(check_released, "FRAMES", 9)
    monkeypatch.setattr(check_released, "SIZE", 32)


def _answer_of(logits):
    """What the check would have to find, computed another way."""
    order = sorted(range(400), key=lambda k: -logits[k])[:20]
    total = sum(np.exp(float(value)) for value in logits)
    return Answer(
        float(np.sqrt(sum(float(value) ** 2 for value in logits))),
        tuple(
            (LABELS[k], float(logits[k]), float(np.exp(float(logits[k])) / total))
            for k in order
        ),
    )


def test_a_fake_clone_disagrees_with_the_published(narrow, narrow_networks, capsys):
    with pytest.raises(ValueError) as error:
        check_released.check(narrow)
    message = str(error.value)
    assert message.startswith(f"{narrow / 'data'}: ")
    assert " figures differ from the published ones: rgb norm, rgb class 1, " in message
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * (1 + 1 + 3 * 20)
    assert [line.split()[0] for line in lines[::62]] == ["rgb", "flow", "both"]
    assert lines[1].split()[0] == "norm" and lines[1].endswith("differs")


def test_a_fake_clone_agrees_with_its_own_answers(
    narrow, narrow_networks, capsys, monkeypatch
):
    logits = {}
    for stream in (i3d_tf.RGB, i3d_tf.FLOW):
        model = i3d_tf.build_i3d(stream, size=32)
        i3d_tf.weights.load_released(
            model, narrow / f"data/checkpoints/{stream.name}_imagenet/model.ckpt"
        )
        clip = np.load(narrow / f"data/v_CricketShot_g04_c01_{stream.name}.npy")
        logits[stream.name] = model(clip, training=False).numpy()[0]
    logits["both"] = logits["rgb"] + logits["flow"]
    published = {name: _answer_of(value) for name, value in logits.items()}
    monkeypatch.setitem(check_released.PUBLISHED, "imagenet", published)
    # Its parts are found as well.
    for place in (narrow, narrow / "data", narrow / "data/checkpoints"):
        assert check_released.find_data(place) == narrow / "data"
    check_released.check(narrow / "data/checkpoints")
    out = capsys.readouterr().out
    assert "differs" not in out
    assert out.endswith("/data: all figures agree with the published ones\n")
    # One probability of one stream.
    answer = published["flow"]
    name, logit, probability = answer.top[7]
    top = (*answer.top[:7], (name, logit, probability * 1.003), *answer.top[8:])
    monkeypatch.setitem(published, "flow", answer._replace(top=top))
    # They were computed above.
    monkeypatch.setattr(check_released, "answers", lambda *_: logits)
    with pytest.raises(ValueError, match="1 figures differ .*: flow probability 8$"):
        check_released.check(narrow)


@pytest.fixture
def logits():
    return np.random.default_rng(1).permutation(400) / 20


def _differing(logits, published):
    rows = check_released.compare(logits, LABELS, published)
    assert len(rows) == 61
    return [what for what, *_, agrees in rows if not agrees]


def test_compare_agrees(logits):
    assert _differing(logits, _answer_of(logits)) == []
    # To rounding, as on another machine.
    noise = np.random.default_rng(2).uniform(-2e-5, 2e-5, 400)
    assert _differing(logits + noise, _answer_of(logits)) == []


@pytest.mark.parametrize(
    "rank, change, found",
    [
        (1, {"logit": 1.2e-3}, ["logit 1"]),
        (20, {"logit": -1.2e-3}, ["logit 20"]),
        (3, {"probability": 2.5e-3}, ["probability 3"]),
        (20, {"name": "class x"}, ["class 20"]),
    ],
)
def test_one_figure_that_differs_is_found(logits, rank, change, found):
    answer = _answer_of(logits)
    name, logit, probability = answer.top[rank - 1]
    changed = (
        change.get("name", name),
        logit + change.get("logit", 0),
        probability * (1 + change.get("probability", 0)),
    )
    top = (*answer.top[: rank - 1], changed, *answer.top[rank:])
    assert _differing(logits, answer._replace(top=top)) == found


def test_the_norm_is_of_all_logits(logits):
    answer = _answer_of(logits)
    last = np.argmin(np.abs(logits - 10))
    logits[last] += 0.04
    assert "norm" in _differing(logits, answer)


def test_classes_that_change_places_are_found(logits):
    order = np.argsort(-logits)
    answer = _answer_of(logits)
    logits[order[[4, 5]]] = logits[order[[5, 4]]]
    assert _differing(logits, answer) == ["class 5", "class 6"]


def test_not_a_number_does_not_agree(logits):
    answer = _answer_of(logits)
    assert "norm" in _differing(np.full(400, np.nan), answer)


def test_what_was_published_is_what_softmax_makes_of_it():
    """Slips of copying: probabilities follow from logits, which fall."""
    for answers in PUBLISHED.values():
        assert set(answers) == {"rgb", "flow", "both"}
    for answer in PUBLISHED["imagenet"].values():
        names, logits, probabilities = zip(*answer.top, strict=True)
        assert names[0] == "playing cricket" and len(set(names)) == 20
        ratios = np.exp(np.subtract(logits, logits[0]))
        np.testing.assert_allclose(
            np.divide(probabilities, probabilities[0]), ratios, rtol=2e-4
        )
        # Twice the tolerance: within it no two may change places.
        assert np.diff(logits).max() < -2 * check_released.LOGITS
        assert answer.norm > np.linalg.norm(logits)


def test_published_classes_are_kinetics(data_dir):
    labels = check_released.read_labels(data_dir / "reference/label_map_400.txt")
    every = [answer for answers in PUBLISHED.values() for answer in answers.values()]
    for answer in every:
        assert {name for name, *_ in answer.top} <= set(labels)


def test_no_clone(tmp_path):
    with pytest.raises(ValueError) as error:
        check_released.find_data(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: has no data/checkpoints; is it a clone of kinetics-i3d?"
    )


@pytest.mark.parametrize(
    "names",
    [
        ["label_map.txt"],
        ["v_CricketShot_g04_c01_rgb.npy", "v_CricketShot_g04_c01_flow.npy"],
        ["checkpoints/flow_imagenet/model.ckpt.data-00000-of-00001"],
    ],
)
def test_missing_files_are_named(tmp_path, names):
    for stream in ("rgb", "flow"):
        folder = tmp_path / f"checkpoints/{stream}_imagenet"
        folder.mkdir(parents=True)
        (folder / "model.ckpt.index").touch()
        (folder / "model.ckpt.data-00000-of-00001").touch()
        (tmp_path / check_released.sample_name(stream)).touch()
    (tmp_path / "label_map.txt").touch()
    assert check_released.find_data(tmp_path) == tmp_path
    for name in names:
        (tmp_path / name).unlink()
    with pytest.raises(ValueError) as error:
        check_released.find_data(tmp_path)
    assert str(error.value) == f"{tmp_path}: has no {', '.join(names)}"


def test_a_label_map_of_600(tmp_path):
    (tmp_path / "label_map.txt").write_text("a\n" * 600)
    with pytest.raises(ValueError, match="label_map.txt: 600 lines; it must have 400"):
        check_released.read_labels(tmp_path / "label_map.txt")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda c: c[:, :78], r"float32 \[1, 78, 224, 224, 2\]; it must be float \[1"),
        (lambda c: c.astype(np.uint8), r"uint8 \[1, 79, 224, 224, 2\]; it must be"),
        (lambda c: c - 1.25, r"values from -1.25 to -1.25; they must lie in \[-1, 1\]"),
        (lambda c: c * np.nan, r"values from nan to nan; they must lie"),
        (lambda c: None, "not an array file"),
    ],
)
def test_samples_that_are_not_the_repositorys(tmp_path, make, message):
    path = tmp_path / "sample.npy"
    array = make(np.zeros((1, 79, 224, 224, 2), np.float32))
    if array is None:
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    else:
        np.save(path, array)
    with pytest.raises(ValueError, match=f"sample.npy: .*{message}"):
        check_released.read_sample(path, 2)


@pytest.mark.slow
def test_the_command_at_full_size(tmp_path):
    clone = _clone(tmp_path, 1, 79, 224)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.check_released", "--checkpoints", clone],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3 * 62
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {clone / 'data'}: ") and "figures differ" in last


def test_networks_trained_from_scratch_have_answers_of_their_own(
    narrow, narrow_networks, tmp_path
):
    """Of few figures, without probabilities but one."""
    logits = np.zeros(400)
    logits[[227, 5]] = 19.4886, 12.6938
    labels = [f"class {k}" for k in range(400)]
    labels[227], labels[5] = "playing cricket", "robot dancing"
    rows = check_released.compare(logits, labels, PUBLISHED["scratch"]["rgb"])
    agreeing = {what for what, *_, agrees in rows if agrees}
    assert {"class 1", "logit 1", "class 2", "logit 2"} <= agreeing
    assert [what for what, *_ in rows if "probability" in what] == ["probability 1"]
    with pytest.raises(ValueError, match="has no checkpoints/rgb_scratch/model.ckpt."):
        check_released.check(narrow, "scratch")
