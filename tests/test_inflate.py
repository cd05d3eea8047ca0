"""Inflation: a video of one repeated image is answered as the image."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.inception import build_i3d, build_inception_v1
from i3d_tf.streams import CT, FLOW, RGB
from i3d_tf.weights import inflate, untouched_steps

TRUNK = [
    "Conv3d_1a_7x7",
    "MaxPool3d_2a_3x3",
    "Conv3d_2b_1x1",
    "Conv3d_2c_3x3",
    "MaxPool3d_3a_3x3",
    "Mixed_3b",
    "Mixed_3c",
    "MaxPool3d_4a_3x3",
    "Mixed_4b",
    "Mixed_4c",
    "Mixed_4d",
    "Mixed_4e",
    "Mixed_4f",
    "MaxPool3d_5a_2x2",
    "Mixed_5b",
    "Mixed_5c",
]
HEAD = "Logits-Conv3d_0c_1x1"


def _in_2d(name):
    return name.replace("Conv3d", "Conv2d").replace("MaxPool3d", "MaxPool")


def _randomise(model):
    """Statistics, scales and biases as after training; returns the model."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(rng.uniform(0.4, 0.8, variable.shape))
        elif variable.name == "gamma":
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def _images(classes=5, **options):
    options = {"size": 32, "width": 0.125, "seed": 0, **options}
    return _randomise(build_inception_v1(classes, **options))


def _clips(stream=RGB, classes=5, **options):
    options = {"size": 32, "width": 0.125, "seed": 1, **options}
    return build_i3d(stream, classes, **options)


def _image(size=32, channels=3):
    rng = np.random.default_rng(3)
    return rng.uniform(-1, 1, (1, size, size, channels)).astype(np.float32)


def _boring(image, frames):
    return np.repeat(image[:, None], frames, axis=1)


def _outputs(model, names):
    return keras.Model(model.input, [model.get_layer(name).output for name in names])


def _deviations(got, want):
    """Of each time step of `got` `[1, T, ...]` from `want` `[1, ...]`, relative L2."""
    differences = np.array(got, np.float64)[0] - np.array(want, np.float64)
    norms = np.sqrt((differences**2).sum(axis=tuple(range(1, differences.ndim))))
    return norms / np.linalg.norm(want)


class _MaxPool(keras.layers.MaxPooling3D):
    """Max-pooling in float64, which TensorFlow lacks in 3D: space first, then time."""

    def call(self, x):
        (over_time, *window), (step, *strides) = self.pool_size, self.strides
        batch, frames, height, width, channels = x.shape
        x = tf.reshape(x, [-1, height, width, channels])
        x = tf.nn.max_pool2d(x, window, strides, "SAME")
        height, width = x.shape[1:3]
        x = tf.reshape(x, [batch, frames, height * width, channels])
        x = tf.nn.max_pool2d(x, [over_time, 1], [step, 1], "SAME")
        return tf.reshape(x, [batch, -1, height, width, channels])

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.compute_output_shape(x.shape), x.dtype)


def _with_pools_for_float64(model):
    def clone(layer):
        kind = type(layer)
        kind = _MaxPool if kind is keras.layers.MaxPooling3D else kind
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


@pytest.fixture(scope="module")
def images():
    return _images()


@pytest.fixture(scope="module")
def built():
    """An RGB network, and its weights when new."""
    model = _clips()
    return model, model.get_weights()


@pytest.fixture
def clips(built):
    """An RGB network with weights of its own."""
    model, fresh = built
    model.set_weights(fresh)
    return model


@pytest.fixture(scope="module")
def exact():
    """(outputs of the image network, of the inflated one) at TRUNK, in float64."""
    images, clips = _images(dtype="float64"), _clips(dtype="float64")
    inflate(images, clips)
    return (
        _outputs(images, [_in_2d(name) for name in TRUNK]),
        _with_pools_for_float64(_outputs(clips, TRUNK)),
    )


@pytest.mark.parametrize("frames", [9, 16, 63, 64, 65, 79, 101, 128, 250])
def test_boring_video_is_exact_just_where_no_padding_reaches(exact, frames):
    image = _image()
    images, clips = exact
    wanted = [np.array(output) for output in images(image)]
    got = [np.array(output) for output in clips(_boring(image, frames))]
    for name, want, steps in zip(TRUNK, wanted, got, strict=True):
        assert want.dtype == steps.dtype == np.float64
        deviations = _deviations(steps, want)
        untouched = untouched_steps(name, frames)
        assert set(untouched) <= set(range(len(deviations)))
        inside = np.isin(np.arange(len(deviations)), untouched)
        assert (deviations[inside] < 1e-13).all(), name
        assert (deviations[~inside] > 1e-8).all(), name


def test_untouched_steps_of_64_frames():
    assert {name: untouched_steps(name, 64) for name in TRUNK} == {
        # 32 steps: 2 zeros before the first frame, 3 after the last.
        "Conv3d_1a_7x7": range(1, 30),
        "MaxPool3d_2a_3x3": range(1, 30),
        "Conv3d_2b_1x1": range(1, 30),
        "Conv3d_2c_3x3": range(2, 29),
        "MaxPool3d_3a_3x3": range(2, 29),
        "Mixed_3b": range(3, 28),
        "Mixed_3c": range(4, 27),
        # 16 steps, of which step i sees 2i, 2i + 1 and 2i + 2.
        "MaxPool3d_4a_3x3": range(2, 13),
        "Mixed_4b": range(3, 12),
        "Mixed_4c": range(4, 11),
        "Mixed_4d": range(5, 10),
        "Mixed_4e": range(6, 9),
        "Mixed_4f": range(7, 8),
        "MaxPool3d_5a_2x2": range(4, 4),
        "Mixed_5b": range(5, 5),
        "Mixed_5c": range(6, 6),
    }


def test_fewest_frames_with_an_untouched_step():
    def fewest(name):
        return next(frames for frames in range(9, 999) if untouched_steps(name, frames))

    assert [fewest(name) for name in ("Conv3d_1a_7x7", "Mixed_4f", "Mixed_5c")] == [
        9,
        64,
        101,
    ]
    assert all(untouched_steps("Mixed_5c", frames) for frames in range(101, 999))


def test_untouched_steps_of_no_endpoint():
    with pytest.raises(ValueError) as error:
        untouched_steps("Mixed_6a", 64)
    assert str(error.value) == "'Mixed_6a' is not an endpoint of the table"


def test_logits_of_untouched_steps(images, clips):
    inflate(images, clips)
    image = _image()
    per_step = _outputs(clips, [HEAD])(_boring(image, 128))
    deviations = _deviations(per_step[:, :, 0, 0], images(image))
    # A step of the last pool is two of Mixed_5c.
    features = untouched_steps("Mixed_5c", 128)
    assert features == range(6, 10)
    np.testing.assert_array_less(deviations[6:9], 1e-6)
    np.testing.assert_array_less(1e-6, np.delete(deviations, [6, 7, 8]))


def test_what_padding_does_at_the_ends():
    """The figures that `untouched_steps` states."""
    images = _images(10, size=64, width=0.25)
    clips = _clips(classes=10, size=64, width=0.25)
    images.get_layer(_in_2d(HEAD)).bias.assign(np.zeros(10))
    inflate(images, clips)
    image = _image(64)
    want = images(image)
    features = _outputs(images, ["Mixed_5c"])(image)
    model = keras.Model(clips.input, [clips.get_layer("Mixed_5c").output, clips.output])
    of_logits = {}
    for frames in (16, 64, 128, 250):
        steps, logits = model(_boring(image, frames))
        of_logits[frames] = _deviations(logits[:, None], want)[0]
        if frames == 64:
            got = _deviations(steps, features)[:4]
    np.testing.assert_allclose(got, [0.264, 0.046, 0.0115, 0.0036], rtol=0.05)
    figures = {16: 0.186, 64: 0.0184, 128: 0.0086, 250: 0.0050}
    np.testing.assert_allclose([*of_logits.values()], [*figures.values()], rtol=0.05)


def test_filters_are_repeated_and_divided(images, clips):
    inflate(images, clips)
    for unit, steps in [
        ("Conv3d_1a_7x7", 7),
        ("Conv3d_2c_3x3", 3),
        ("Mixed_5b-Branch_2-Conv3d_0a_3x3", 3),
        ("Mixed_5c-Branch_3-Conv3d_0b_1x1", 1),
    ]:
        source = images.get_layer(_in_2d(f"{unit}-conv_3d").replace("_3d", "_2d"))
        (kernel,) = clips.get_layer(f"{unit}-conv_3d").get_weights()
        want = source.get_weights()[0] / np.float32(steps)
        assert kernel.shape[0] == steps
        for step in kernel:
            np.testing.assert_array_equal(step, want)
        ours = clips.get_layer(f"{unit}-batch_norm").get_weights()
        theirs = images.get_layer(f"{_in_2d(unit)}-batch_norm").get_weights()
        for got, want in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(got, want)


def test_flow_gets_the_mean_over_the_colours(images):
    clips = _clips(FLOW)
    inflate(images, clips)
    (rgb,) = images.get_layer("Conv2d_1a_7x7-conv_2d").get_weights()
    (flow,) = clips.get_layer("Conv3d_1a_7x7-conv_3d").get_weights()
    assert flow.shape == (7, 7, 7, 2, 8)
    want = rgb.mean(2) / 7
    for step in range(7):
        for channel in range(2):
            np.testing.assert_allclose(flow[step, :, :, channel], want, atol=1e-8)
    (other,) = clips.get_layer("Conv3d_2b_1x1-conv_3d").get_weights()
    (want,) = images.get_layer("Conv2d_2b_1x1-conv_2d").get_weights()
    np.testing.assert_array_equal(other[0], want)


def test_one_channel_gets_the_sum(images, clips):
    grey = _clips(CT)
    inflate(images, clips)
    inflate(images, grey)
    clip = _boring(_image(channels=1), 16)
    np.testing.assert_allclose(
        grey(clip), clips(np.repeat(clip, 3, axis=-1)), atol=1e-5
    )


def _foreign(images, rename, *, bias=True, scale=True, centre=True, epsilon=1e-5):
    """A Keras model of the table in another's manner: names, biases, BatchNorm."""

    def clone(layer):
        config = {**layer.get_config(), "name": rename(layer.name)}
        if isinstance(layer, keras.layers.Conv2D):
            config["use_bias"] = bias
        if isinstance(layer, keras.layers.BatchNormalization):
            config.update(scale=scale, center=centre, epsilon=epsilon)
        return type(layer).from_config(config)

    return _randomise(keras.models.clone_model(images, clone_function=clone))


def _underscores(name):
    name = name.replace("-conv_2d", "_conv").replace("-batch_norm", "_bn")
    return name.replace("-", "_")


@pytest.mark.parametrize(
    "rename, options",
    [
        (_underscores, {}),
        (lambda name: "InceptionV1_InceptionV1_" + _underscores(name), {}),
        (lambda name: "InceptionV1." + name, {"bias": False}),
        (lambda name: name, {"scale": False, "centre": False, "epsilon": 0.1}),
    ],
)
def test_models_of_others(images, clips, rename, options):
    images = _foreign(images, rename, **options)
    inflate(images, clips)
    image = _image()
    per_step = _outputs(clips, [HEAD])(_boring(image, 128))
    want = np.array(images(image))
    assert np.abs(want).max() > 0.1
    deviations = _deviations(per_step[:, :, 0, 0], want)
    np.testing.assert_array_less(deviations[6:9], 1e-5)


def _assert_refused(images, clips, message, **options):
    before = clips.get_weights()
    with pytest.raises(ValueError) as error:
        inflate(images, clips, **options)
    assert str(error.value) == message
    for now, then in zip(clips.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_other_classes_need_a_new_head(clips):
    images = _images(7)
    _assert_refused(
        images,
        clips,
        "inception_v1: Logits-Conv2d_0c_1x1 makes Logits-Conv3d_0c_1x1/kernel "
        "[1, 1, 1, 128, 7], the model i3d_rgb has [1, 1, 1, 128, 5]",
    )
    before = clips.get_layer(HEAD).get_weights()
    inflate(images, clips, new_head=True)
    for now, then in zip(clips.get_layer(HEAD).get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    (kernel,) = clips.get_layer("Mixed_5c-Branch_0-Conv3d_0a_1x1-conv_3d").get_weights()
    (want,) = images.get_layer("Mixed_5c-Branch_0-Conv2d_0a_1x1-conv_2d").get_weights()
    np.testing.assert_array_equal(kernel[0], want)


def test_a_head_that_fits_is_inflated(images, clips):
    inflate(images, clips, new_head=True)
    ours, theirs = (
        model.get_layer(name).get_weights()
        for model, name in [(clips, HEAD), (images, _in_2d(HEAD))]
    )
    np.testing.assert_array_equal(ours[0][0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])
    assert theirs[1].any()


def test_a_model_without_head_needs_a_new_one(images, clips):
    features = images.get_layer("Mixed_5c").output
    trunk = keras.Model(images.input, features, name="trunk")
    _assert_refused(
        trunk,
        clips,
        "trunk does not fit i3d_rgb: it has nothing for 1 of the model's layers "
        "['Logits-Conv3d_0c_1x1'], 0 of its own are not in the model []",
    )
    inflate(trunk, clips, new_head=True)
    (kernel,) = clips.get_layer("Conv3d_2b_1x1-conv_3d").get_weights()
    (want,) = images.get_layer("Conv2d_2b_1x1-conv_2d").get_weights()
    np.testing.assert_array_equal(kernel[0], want)


def test_layers_left_over_on_either_side(images, clips):
    def rename(name):
        if name.startswith("Mixed_5b-Branch_2-Conv2d_0a_3x3"):
            return name.replace("0a_3x3", "0b_3x3")
        # Of one unit there are two, of the other no BatchNorm.
        return {"Conv2d_2b_1x1-batch_norm": "Conv2d_2c_3x3.batch_norm_1"}.get(
            name, name
        )

    odd = _foreign(images, rename)
    for new_head in (False, True):
        _assert_refused(
            odd,
            clips,
            "inception_v1 does not fit i3d_rgb: it has nothing for 3 of the model's "
            "layers ['Conv3d_2b_1x1-batch_norm', "
            "'Mixed_5b-Branch_2-Conv3d_0a_3x3-conv_3d', "
            "'Mixed_5b-Branch_2-Conv3d_0a_3x3-batch_norm'], 3 of its own are not in "
            "the model ['Conv2d_2c_3x3-batch_norm', "
            "'Mixed_5b-Branch_2-Conv2d_0b_3x3-conv_2d', "
            "'Mixed_5b-Branch_2-Conv2d_0b_3x3-batch_norm']",
            new_head=new_head,
        )


def test_layers_of_another_kind_are_left_over(images, clips):
    x = keras.layers.Dense(5, name="Logits-Conv2d_0c_1x1.dense")(images.output)
    _assert_refused(
        keras.Model(images.input, x, name="dense"),
        clips,
        "dense does not fit i3d_rgb: it has nothing for 0 of the model's layers [], "
        "1 of its own are not in the model ['Logits-Conv2d_0c_1x1.dense']",
    )


def test_another_width(clips):
    _assert_refused(
        _images(width=0.25),
        clips,
        "inception_v1: Conv2d_1a_7x7-conv_2d makes Conv3d_1a_7x7-conv_3d/kernel "
        "[7, 7, 7, 3, 16], the model i3d_rgb has [7, 7, 7, 3, 8]",
    )
