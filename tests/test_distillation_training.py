"""A student in the training loop: against the formula, and what stays as it is."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from i3d_tf import FLOW, RGB, pipeline, training
from i3d_tf.checkpoints import load_workdir, load_workdirs, saved_checkpoints
from i3d_tf.config import StreamTraining
from i3d_tf.datasets import open_dataset
from i3d_tf.distillation import lesson, recipes, report, spec, study
from i3d_tf.distillation.adapters import Adapter
from i3d_tf.distillation.losses import MeanSquaredError, Response
from i3d_tf.distillation.spec import Distillation, Pair
from i3d_tf.export import export
from i3d_tf.fine_tuning import HEAD
from i3d_tf.training import sample_clips
from i3d_tf.training.epochs import not_finite
from i3d_tf.training.evaluating import make_evaluation
from i3d_tf.training.preemption import Notice
from i3d_tf.training.progress import keep_config
from i3d_tf.training.results import NO_FIGURE, Figures
from i3d_tf.training.state import new_lesson, new_stream_state
from i3d_tf.training.strategies import distribute
from i3d_tf.training.updates import make_updates, passes_of
from i3d_tf.weights.networks import Networks

pytestmark = pytest.mark.usefixtures("shallow_network")

# Two replicas without a second device; possible only before TensorFlow's first use.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

LABELS = list(tiny.LABELS)
PLAIN = StreamTraining(steps=9, learning_rates=(0.1,), weight_decay=0.0, dropout=0.0)
TEACHER = tiny.config(steps=2)
RESPONSE = Distillation(
    inputs=("flow",),
    response="softmax",
    response_weight=0.9,
    label_weight=0.1,
    temperature=3.0,
)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("distillation")
    tiny.build(folder, write_video)
    return folder / "data"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Workdir of both streams, with weights as after a training."""
    return tiny.written_run(TEACHER, tmp_path_factory.mktemp("teacher"))


def student(teacher, distillation, **changes):
    """A config of RGB alone with this teacher."""
    distillation = dataclasses.replace(distillation, teacher=(str(teacher),))
    rgb = dataclasses.replace(PLAIN, distillation=distillation)
    return tiny.config(**{"rgb": rgb, "flow": None, **changes})


def noise(config, weights=None, seed=0):
    """A batch of clips of noise, of RGB and flow."""
    generator = np.random.default_rng(seed)
    shape = [config.batch_size, 9, 32, 32]
    inputs = {
        name: generator.uniform(-1, 1, [*shape, channels]).astype(np.float32)
        for name, channels in (("rgb", 3), ("flow", 2))
    }
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    return (inputs, labels) if weights is None else (inputs, labels, weights)


class Student:
    """A student's state, and updates of it."""

    def __init__(self, config, strategy=None):
        self.config = config
        self.strategy = strategy or training.make_strategy("one")
        with self.strategy.scope():
            self.state = new_stream_state(RGB, config, 3)
            self.lessons = {}
            if config.distillations:
                self.lessons["rgb"] = new_lesson(RGB, config, self.state, LABELS)
        self.updates = make_updates(
            self.strategy, config, {"rgb": self.state}, lessons=self.lessons
        )
        self.before = self.weights()

    def weights(self):
        return {v.path: v.numpy() for v in self.state.model.weights}

    def moved(self):
        """{path: what a weight has moved by}."""
        return {path: v - self.before[path] for path, v in self.weights().items()}

    def run(self, *batches):
        _, size = passes_of(self.config, self.strategy.num_replicas_in_sync)
        whole = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
        iterator = distribute(
            self.strategy,
            lambda: tf.data.Dataset.from_tensor_slices(whole).batch(
                size, drop_remainder=True
            ),
        )
        return self.updates(iterator, 0, len(batches), ("rgb",))


def teachers_answers(teacher, batch, endpoint=None):
    """What the flow network of a workdir makes of a batch."""
    _, _, models = load_workdir(teacher)
    model = models["flow"]
    output = model.get_layer(endpoint).output if endpoint else model.output
    return keras.Model(model.input, output)(batch[0]["flow"], training=False)


def gradients_of(config, batch, loss_of):
    """Gradients of loss_of(logits, pooled, Mixed_4f) by stock Keras, {path: [...]}."""
    model = new_stream_state(RGB, config, 3).model
    taps = [model.get_layer(name).output for name in ("AvgPool3d_6a_7x7", "Mixed_4f")]
    network = keras.Model(model.input, [model.output, *taps])
    variables = model.trainable_variables

    @tf.function
    def compute(clips):
        with tf.GradientTape() as tape:
            logits, pooled, mixed = network(clips, training=True)
            loss = loss_of(logits, tf.reduce_mean(pooled, [1, 2, 3]), mixed)
        return tape.gradient(loss, [v.value for v in variables])

    found = compute(batch[0]["rgb"])
    return {
        v.path: np.zeros(v.shape, np.float32) if g is None else g.numpy()
        for v, g in zip(variables, found, strict=True)
    }


def cross_entropy(logits, batch):
    losses = tf.nn.softmax_cross_entropy_with_logits(batch[1], logits)
    return tf.reduce_mean(losses)


def assert_sgd(moved, gradients, rate=0.1):
    """To the rounding of both ways to compute, which ReLUs and pools amplify: most
    weights must fit closely and the others well."""
    errors = []
    for path, gradient in gradients.items():
        size = rate * np.linalg.norm(gradient)
        error = np.linalg.norm(moved[path] + rate * gradient)
        if size > 1e-6:
            errors.append(error / size)
        else:
            assert error < 1e-5, path
    assert errors and np.median(errors) < 2e-3 and np.max(errors) < 5e-2, errors


def test_a_response_is_added_to_the_labels_loss(teacher):
    config = student(teacher, RESPONSE)
    batch = noise(config)
    taught = teachers_answers(teacher, batch)
    wanted = gradients_of(
        config,
        batch,
        lambda logits, *_: (
            0.1 * cross_entropy(logits, batch)
            + 0.9 * Response(3.0).compute_loss(taught, logits)
        ),
    )
    run = Student(config)
    figures = run.run(batch)
    assert_sgd(run.moved(), wanted)
    assert max(np.abs(gradient).max() for gradient in wanted.values()) > 1e-3
    distilled = figures.values["rgb_distillation"]
    assert distilled.shape == (1, 4) and np.ptp(distilled) == 0 < distilled[0, 0]


@pytest.mark.slow
def test_mars_compares_what_the_classifiers_get(teacher):
    config = student(teacher, recipes.MARS)
    batch = noise(config)
    taught = teachers_answers(teacher, batch, "AvgPool3d_6a_7x7")
    taught = tf.reduce_mean(taught, [1, 2, 3])
    wanted = gradients_of(
        config,
        batch,
        lambda logits, pooled, _: (
            cross_entropy(logits, batch)
            + 50 * tf.reduce_mean(tf.square(pooled - taught))
        ),
    )
    run = Student(config)
    run.run(batch)
    assert_sgd(run.moved(), wanted)


@pytest.mark.slow
def test_in_mers_labels_train_the_classifier_alone(teacher):
    """Without the features' loss nothing else moves, and the classifier does."""
    only_labels = dataclasses.replace(
        recipes.MERS,
        features=(dataclasses.replace(recipes.MERS.features[0], weight=0.0),),
    )
    config = student(teacher, only_labels)
    batch = noise(config)
    run = Student(config)
    run.run(batch)
    trained = {v.path for v in run.state.model.trainable_variables}
    for path, change in run.moved().items():
        if path in trained:
            assert np.any(change) == path.startswith(HEAD), path
    wanted = gradients_of(
        config, batch, lambda logits, *_: cross_entropy(logits, batch)
    )
    head = {path: g for path, g in wanted.items() if path.startswith(HEAD)}
    assert_sgd(run.moved(), head)


@pytest.mark.slow
def test_an_adapter_is_trained_beside_the_student(teacher):
    """To another grid and width; its weights are the checkpoint's, not the model's."""
    pair = Pair("Mixed_4f", "Mixed_5c", weight=2.0, adapter=True)
    config = student(teacher, Distillation(inputs=("flow",), features=(pair,)))
    batch = noise(config)
    taught = teachers_answers(teacher, batch, "Mixed_5c")
    adapter = Adapter(taught.shape[1:], seed=config.seed)
    wanted = gradients_of(
        config,
        batch,
        lambda logits, _, mixed: (
            cross_entropy(logits, batch)
            + 2 * MeanSquaredError().compute_loss(taught, adapter(mixed))
        ),
    )
    run = Student(config)
    (its,) = run.lessons["rgb"].adapters
    before = [variable.numpy() for variable in its.trainable_variables]
    assert len(before) == 2
    run.run(batch)
    assert_sgd(run.moved(), wanted)
    for variable, value in zip(its.trainable_variables, before, strict=True):
        assert np.abs(variable.numpy() - value).max() > 1e-6
    assert len(run.state.optimizer.variables) == len(run.state.variables) + 2


def test_a_teacher_of_two_streams_answers_with_their_mean(teacher):
    both = dataclasses.replace(RESPONSE, inputs=("rgb", "flow"))
    config = student(teacher, both)
    batch = noise(config)
    _, _, models = load_workdir(teacher)
    logits = [models[name](batch[0][name], training=False) for name in models]
    lesson = Student(config).lessons["rgb"]
    (taught,) = lesson.teach(batch[0])
    np.testing.assert_allclose(taught, (logits[0] + logits[1]) / 2, atol=1e-4)
    assert config.inputs == TEACHER.streams and config.streams == (RGB,)


@pytest.mark.slow
def test_weights_of_zero_are_plain_training_bit_for_bit(teacher, data_folder, tmp_path):
    """BatchNorm's statistics too: the student runs once in an update."""
    nothing = Distillation(
        inputs=("flow",),
        response="softmax",
        response_weight=0.0,
        features=(Pair("Mixed_4f", "Mixed_4f", "attention", weight=0.0),),
    )
    config = student(teacher, nothing)
    config = dataclasses.replace(config, rgb=dataclasses.replace(config.rgb, steps=3))
    training.train(config, tmp_path / "student", data_folder)
    training.train(study.alone(config), tmp_path / "plain", data_folder)
    _, _, with_teacher = load_workdir(tmp_path / "student")
    _, _, plain = load_workdir(tmp_path / "plain")
    for one, other in zip(
        with_teacher["rgb"].weights, plain["rgb"].weights, strict=True
    ):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


@pytest.mark.slow
def test_a_teacher_stays_as_it_is(teacher):
    config = student(teacher, RESPONSE)
    run = Student(config)
    ((network, _),) = run.lessons["rgb"]._teacher.values()
    before = [value.numpy() for value in network.weights]
    trained = {id(variable) for variable in run.state.variables}
    assert before and not trained & {id(variable) for variable in network.weights}
    run.run(noise(config), noise(config, seed=1))
    for variable, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    # In the optimiser are momenta of the student's weights, its step and rate.
    assert len(run.state.optimizer.variables) == len(run.state.variables) + 2


@pytest.mark.slow
def test_an_evaluation_changes_nothing(teacher, data_folder):
    """Between updates: neither the student, nor its optimiser, nor its teacher."""
    config = student(teacher, RESPONSE)
    run = Student(config)
    run.run(noise(config))
    ((network, _),) = run.lessons["rgb"]._teacher.values()
    kept = [*run.state.model.weights, *run.state.optimizer.variables, *network.weights]
    before = [variable.numpy() for variable in kept]
    evaluate = make_evaluation(
        run.strategy,
        config,
        {"rgb": run.state.model},
        open_dataset(data_folder, config.data.dataset),
    )
    first, _ = evaluate(Notice())
    assert evaluate(Notice())[0] == first
    assert set(first) == {"rgb_loss", "rgb_top1", "rgb_top5"}
    for variable, value in zip(kept, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


@pytest.mark.slow
def test_examples_without_label_learn_from_the_teacher_alone(teacher):
    """Their target may be anything; the others weigh as if they were the batch."""
    config = student(teacher, RESPONSE)
    weights = np.float32([0, 2, 2, 0])
    inputs, labels, _ = batch = noise(config, weights)
    labels[[0, 3]] = np.nan
    taught = teachers_answers(teacher, batch)

    def loss(logits, *_):
        losses = tf.nn.softmax_cross_entropy_with_logits(labels[1:3], logits[1:3])
        response = Response(3.0).compute_loss(taught, logits)
        return 0.1 * tf.reduce_mean(losses) + 0.9 * response

    wanted = gradients_of(config, batch, loss)
    run = Student(config)
    figures = run.run(batch)
    assert_sgd(run.moved(), wanted)
    for name in ("rgb_loss", "rgb_top1"):
        has_none = figures.values[name][0] == NO_FIGURE
        np.testing.assert_array_equal(has_none, [True, False, False, True])
        assert figures.sums()[name][1] == 2
    assert figures.sums()["rgb_distillation"][1] == 4


@pytest.mark.slow
def test_a_batch_without_any_label(teacher):
    config = student(teacher, dataclasses.replace(RESPONSE, response_weight=0.0))
    run = Student(config)
    figures = run.run(noise(config, np.zeros(4, np.float32)))
    trained = {v.path for v in run.state.model.trainable_variables}
    assert not any(np.any(run.moved()[path]) for path in trained)
    assert figures.sums()["rgb_loss"] == (0.0, 0)


@pytest.mark.slow
def test_one_device_equals_two(teacher):
    """With clips_at_once the passes are the same, wherever they are made."""
    distillation = dataclasses.replace(recipes.MARS, response="softmax")
    config = student(teacher, distillation, clips_at_once=2)
    batches = noise(config, np.float32([0, 2, 2, 0])), noise(config, np.ones(4), seed=1)
    batches = tuple((*b[:2], np.float32(b[2])) for b in batches)
    one = Student(config)
    two = Student(config, training.make_strategy("mirrored"))
    assert two.strategy.num_replicas_in_sync == 2
    first, second = one.run(*batches), two.run(*batches)
    np.testing.assert_allclose(
        first.values["rgb_distillation"], second.values["rgb_distillation"], rtol=1e-4
    )
    for path, value in one.weights().items():
        atol = 1e-5 * np.abs(value).max() + 1e-6
        np.testing.assert_allclose(two.weights()[path], value, atol=atol, err_msg=path)


class Stopped(Exception):
    pass


@pytest.mark.slow
def test_a_student_goes_on_where_it_was_stopped(
    teacher, data_folder, tmp_path, monkeypatch
):
    """Adapter and its momenta included: the same bits as without a stop."""
    pair = Pair("Mixed_4f", "Mixed_5c", weight=0.01, adapter=True)
    config = student(
        teacher,
        Distillation(inputs=("flow",), features=(pair,)),
        checkpoint_steps=1,
    )
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data, train_split="train[:5]", unlabelled_split="train[5:]"
        ),
        rgb=dataclasses.replace(config.rgb, steps=4, learning_rates=(0.001,)),
    )
    training.train(config, tmp_path / "whole", data_folder)
    from i3d_tf.training import loop

    def stopping(*args, **options):
        update, calls = make_updates(*args, **options), []

        def run(*args):
            if len(calls) == 3:
                raise Stopped
            calls.append(args)
            return update(*args)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_updates", stopping)
        with pytest.raises(Stopped):
            training.train(config, tmp_path / "stopped", data_folder)
    training.train(config, tmp_path / "stopped", data_folder)
    (whole, *_), (stopped, *_) = (
        saved_checkpoints(tmp_path / name / "checkpoints")
        for name in ("whole", "stopped")
    )
    # The adapter's kernel, of 104 channels to 128, and its momentum.
    assert [shape for _, shape in tf.train.list_variables(whole)].count([104, 128]) == 2
    for name, _ in tf.train.list_variables(whole):
        if "save_counter" not in name and "OBJECT_GRAPH" not in name:
            np.testing.assert_array_equal(
                tf.train.load_variable(whole, name),
                tf.train.load_variable(stopped, name),
                err_msg=name,
            )
    one, other = ((tmp_path / n / "history.json") for n in ("whole", "stopped"))
    assert one.read_text() == other.read_text()


@pytest.mark.slow
def test_an_export_holds_no_teacher(teacher, data_folder, tmp_path):
    pair = Pair("Mixed_4f", "Mixed_5c", weight=0.01, adapter=True)
    config = student(teacher, Distillation(inputs=("flow",), features=(pair,)))
    config = dataclasses.replace(config, rgb=dataclasses.replace(config.rgb, steps=1))
    training.train(config, tmp_path / "student", data_folder)
    training.train(study.alone(config), tmp_path / "plain", data_folder)
    sizes = {}
    for name in ("student", "plain"):
        config_, labels, models = load_workdir(tmp_path / name)
        export(models, labels, config_.data, tmp_path / f"{name}_model")
        loaded = tf.saved_model.load(str(tmp_path / f"{name}_model"))
        sizes[name] = sum(np.size(v) for v in loaded.network_variables)
        serve = loaded.signatures["serving_default"]
        assert list(serve.structured_input_signature[1]) == ["rgb"]
        assert "flow" not in loaded.signatures
    assert sizes["student"] == sizes["plain"] > 5e4


def test_teachers_that_do_not_fit(teacher, data_folder, tmp_path):
    config = student(teacher, RESPONSE)

    def refused(match, names=LABELS, **changes):
        changed = study.with_distillation(config, **changes)
        with pytest.raises((ValueError, OSError), match=match):
            new_lesson(RGB, changed, new_stream_state(RGB, config, 3), names)

    refused("teacher is empty", teacher=())
    refused("has neither a checkpoint nor the config.json", teacher=(str(tmp_path),))
    refused("answers 3 classes or joints, the data set has 4", names=[*"abcd"])
    refused("there is no such file; as a name, .* closest", teacher=("kinetic",))
    refused("no layer 'Mixed_6a'", features=(Pair("Mixed_4f", "Mixed_6a"),))
    refused(
        "pair Mixed_4f, Mixed_5c: .* an adapter can make them alike",
        features=(Pair("Mixed_4f", "Mixed_5c"),),
    )
    below = Pair("Mixed_4f", "Mixed_4f")
    refused(
        "no pair compares the student's Mixed_5c or AvgPool3d_6a_7x7: nothing would",
        response=None,
        features=(below,),
        labels_reach="classifier",
    )
    rgb_alone = tiny.written_run(tiny.config(steps=2, flow=None), tmp_path / "rgb")
    refused("has 'flow'; .* trained rgb", teacher=(str(rgb_alone),))
    wider = dataclasses.replace(TEACHER.data, smaller_side=64)
    other = tiny.written_run(
        dataclasses.replace(TEACHER, data=wider), tmp_path / "wider"
    )
    refused("data.smaller_side is 64 of the teacher", teacher=(str(other),))


def test_a_published_network_teaches_features_alone(monkeypatch):
    """It names other classes than the data set; nothing is downloaded here."""
    wanted = []

    def load(sources, *, data, dtype):
        wanted.append((sources, data, dtype))
        return Networks(tiny.networks(5, (FLOW,)), list("abcde"), data)

    monkeypatch.setattr("i3d_tf.distillation.lesson.load_networks", load)
    pair = Pair("Mixed_4f", "Mixed_4f")
    features = Distillation(inputs=("flow",), features=(pair,))
    config = student("kinetics400-flow", features)
    made = new_lesson(RGB, config, new_stream_state(RGB, config, 3), LABELS)
    assert wanted == [(("kinetics400-flow",), config.data, "float32")]
    answer, taught = made.teach({"flow": noise(config)[0]["flow"]})
    assert answer.shape[-1] == 5 and taught.shape[-1] == 832 // 8
    config = student("kinetics400-flow", RESPONSE)
    with pytest.raises(
        ValueError, match="the teacher answers 5 classes .* compare fea"
    ):
        new_lesson(RGB, config, new_stream_state(RGB, config, 3), LABELS)


def test_a_study_of_a_published_teacher_has_no_figure_of_it(teacher):
    config = student(teacher, RESPONSE)
    found = {way: [{"rgb_top1": 0.5}] for way in (study.ALONE, study.DISTILLED)}
    results = study.results_of(config, None, found, [0])
    assert results["teacher"] is None
    assert "| teacher | - | | | |" in report.table(results)


@pytest.mark.parametrize("loss", ["similarity", "probabilistic"])
def test_losses_of_pairs_want_more_than_one_clip(teacher, loss):
    pair = Pair("AvgPool3d_6a_7x7", "AvgPool3d_6a_7x7", loss)
    features = Distillation(inputs=("flow",), features=(pair,))
    with pytest.raises(ValueError, match=f"rgb.distillation: '{loss}' compares the"):
        Student(student(teacher, features, clips_at_once=1))


def test_a_study_goes_on_in_another_place(teacher, tmp_path):
    """Where its teacher lies is not what a run was begun with; its weights are."""
    config = student(teacher, RESPONSE)
    tiny.written_run(config, tmp_path)
    keep_config(study.with_distillation(config, teacher=("moved",)), tmp_path, LABELS)
    with pytest.raises(ValueError, match="begun with another config: rgb.distillation"):
        keep_config(
            study.with_distillation(config, response_weight=0.5), tmp_path, LABELS
        )


def test_students_of_few_labels_join_runs_of_all(tmp_path):
    few = dataclasses.replace(
        TEACHER.data, train_split="train[:3]", unlabelled_split="train[3:]"
    )
    rgb = tiny.written_run(tiny.config(flow=None, data=few), tmp_path / "rgb")
    flow = tiny.written_run(tiny.config(rgb=None), tmp_path / "flow")
    _, _, models = load_workdirs([rgb, flow])
    assert list(models) == ["rgb", "flow"]


@pytest.mark.parametrize("what, told", [("loss", "loss"), ("distillation", "distill")])
def test_it_is_told_which_loss_is_not_finite(what, told):
    values = {name: np.ones([2, 4]) for name in ("rgb_loss", "rgb_distillation")}
    assert _not_finite_of(values) == ("gradient", [0, 1, 2, 3])
    values[f"rgb_{what}"][1, 2] = np.inf
    name, places = _not_finite_of(values)
    assert name.startswith(told) and places == [2]


def _not_finite_of(values):
    figures = Figures(values, {"rgb": np.array([0, 2])}, 0.0, False, 0.0, False)
    name, places = not_finite(figures, "rgb", 1)
    return name, places.tolist()


def test_the_film_shows_what_is_trained_on(data_folder):
    """Of two videos with labels and seven without, in the order of training."""
    data = dataclasses.replace(
        tiny.config().data, train_split="train[:1]", unlabelled_split="train[1:]"
    )
    config = student("teacher", RESPONSE, data=data)
    builder = open_dataset(data_folder, data.dataset)
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sample_clips,
            "draw_clips",
            lambda codes, names: shown.append((codes, names)) or np.zeros([1, 8, 8, 3]),
        )
        patch.setattr(sample_clips.film, "gif_bytes", lambda pages, fps: b"")
        sample_clips.film_of_epoch(builder, config, 0)
    ((codes, names),) = shown
    ((trained, labels, weights),) = pipeline.train_batches(
        builder, data, (RGB,), batch_size=3, seed=0, epoch=0, as_codes=True, update=4
    ).take(1)
    np.testing.assert_array_equal(codes["rgb"], trained["rgb"])
    wanted = [
        LABELS[int(np.argmax(label))] if weight else "without label"
        for label, weight in zip(labels.numpy(), weights.numpy(), strict=True)
    ]
    assert names == wanted and "without label" in names


def test_every_loss_that_can_be_named_is_there():
    assert tuple(lesson._FEATURE_LOSSES) == spec.FEATURE_LOSSES


def test_specifications_that_make_no_sense():
    def refused(match, **changes):
        with pytest.raises(ValueError, match=match):
            dataclasses.replace(RESPONSE, **changes)

    refused("needed are the teacher's streams", inputs=())
    refused("response is 'soft'; known: softmax, squared_error, None", response="soft")
    refused("neither a response nor features", response=None)
    refused("temperature is 0", temperature=0.0)
    refused("label_weight is -1", label_weight=-1.0)
    refused("labels_reach is 'head'", labels_reach="head")
    refused("compare features alone", labels_reach="classifier")
    refused("the teacher has rgb, flow", inputs=("rgb", "flow"), features=MIXED)
    with pytest.raises(ValueError, match="loss of the pair a, b is 'mse'"):
        Pair("a", "b", "mse")


MIXED = (Pair("Mixed_4f", "Mixed_4f"),)


def test_unlabelled_examples_are_spread_evenly(data_folder):
    """Of 9 videos 3 have labels: one or two of an update of 4, of mean weight 1."""
    builder = open_dataset(data_folder, "two_stream_folder/tiny")
    data = dataclasses.replace(
        tiny.config().data, train_split="train[:3]", unlabelled_split="train[3:]"
    )
    batches = pipeline.train_batches(
        builder, data, (RGB,), batch_size=4, seed=0, epoch=0, update=4
    )
    found = [weights.numpy() for _, _, weights in batches]
    assert len(found) == 2
    for weights in found:
        assert weights.mean() == 1 and 1 <= np.count_nonzero(weights) <= 2
    ids = [
        pipeline.train_id(builder, data, 0, 0, number, update=4) for number in range(9)
    ]
    assert len(set(ids)) == 9
    labelled = {e["id"].numpy().decode() for e in _read(builder, "train[:3]")}
    weights = np.concatenate(found)
    assert [id_ in labelled for id_ in ids[:8]] == list(weights > 0)


def _read(builder, split):
    from i3d_tf.reading import read_examples

    return read_examples(builder, split, ())
