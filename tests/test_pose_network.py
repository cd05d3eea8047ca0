"""The network of poses, and why pictures with depth are 2D."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.distillation.pose import build_pose_network, taps
from i3d_tf.distillation.recipes import depth_to_rgb
from i3d_tf.streams import DEPTH, RGB


def small(stream=DEPTH, **options):
    options = {"size": 32, "width": 0.0625, "features": 64, "seed": 0, **options}
    return build_pose_network(stream, 2, **options)


@pytest.mark.parametrize(
    "resnet, weights", [(18, 11_176_512), (34, 21_284_672), (50, 23_508_032)]
)
def test_it_is_a_resnet(resnet, weights):
    """As many trained weights as the published ones have before their classifier."""
    model = build_pose_network(RGB, resnet=resnet, size=64)
    heads = [model.get_layer(name) for name in taps("parallel")]
    of_heads = sum(np.prod(v.shape) for head in heads for v in head.trainable_weights)
    trained = sum(np.prod(v.shape) for v in model.trainable_weights)
    assert trained - of_heads == weights


@pytest.mark.parametrize("head", ["parallel", "series"])
def test_four_taps_lead_to_the_places(head):
    """Each output leads to the next, and the last are the places in decimetres."""
    model = small(head=head, unit=0.1, distance=0.8)
    tapped = [model.get_layer(name).output for name in taps(head)]
    assert len(tapped) == 4
    pictures = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 1))
    places, *outputs = keras.Model(model.input, [model.output, *tapped])(pictures)
    assert places.shape == (3, 2, 3)
    if head == "parallel":
        shared, *axes = (output.numpy() for output in outputs)
        wanted = np.stack(axes, -1)
        for name, output in zip(taps(head)[1:], axes, strict=True):
            kernel, bias = (v.numpy() for v in model.get_layer(name).weights)
            np.testing.assert_allclose(
                output, np.maximum(shared, 0) @ kernel + bias, atol=1e-5
            )
    else:
        for name, before, output in zip(
            taps(head)[1:], outputs[:-1], outputs[1:], strict=True
        ):
            kernel, bias = (v.numpy() for v in model.get_layer(name).weights)
            before = np.maximum(before.numpy(), 0)
            np.testing.assert_allclose(output, before @ kernel + bias, atol=1e-5)
        wanted = outputs[-1].numpy().reshape(3, 2, 3)
    np.testing.assert_allclose(places, 0.1 * wanted + [0, 0, 0.8], atol=1e-6)


@pytest.mark.parametrize("head", ["parallel", "series"])
def test_teacher_and_student_can_be_compared_tap_by_tap(head):
    teacher, student = small(DEPTH, head=head), small(RGB, head=head)
    for pair in depth_to_rgb(head).features:
        one, other = teacher.get_layer(pair.teacher), student.get_layer(pair.student)
        assert one.output.shape == other.output.shape
    assert teacher.input.shape[-1] == 1 and student.input.shape[-1] == 3


def test_equal_seeds_give_equal_networks():
    one, other, another = small(), small(), small(seed=1)
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [m.get_layer("conv1-conv").kernel.numpy() for m in (one, another)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01


@pytest.mark.parametrize(
    "options, match",
    [
        ({"head": "tree"}, "head is 'tree'; known: parallel, series"),
        ({"resnet": 19}, "resnet is 19; known: 18, 34, 50"),
        ({"size": 16}, "size is 16 px, joints 2; at least 32 px"),
    ],
)
def test_networks_that_cannot_be(options, match):
    with pytest.raises(ValueError, match=match):
        small(**options)


def test_over_an_axis_of_one_a_3d_convolution_is_a_2d_one():
    """Depth is a value of each pixel, so RGB-D is 2D with a channel more.

    As a clip of one step every kernel slice but the middle one meets padding alone:
    three times the work, and the middle slice's answer.
    """
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(2, 9, 8, 4)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 4, 5)).astype(np.float32)
    as_clip = tf.nn.conv3d(picture[:, None], kernel, [1] * 5, "SAME")
    as_picture = tf.nn.conv2d(picture, kernel[1], 1, "SAME")
    np.testing.assert_allclose(as_clip[:, 0], as_picture, atol=1e-5)
    others = kernel.copy()
    others[[0, 2]] += 9
    again = tf.nn.conv3d(picture[:, None], others, [1] * 5, "SAME")
    np.testing.assert_array_equal(again, as_clip)
    # Of slices, which are samples of an axis, they do count.
    volume = np.repeat(picture[:, None], 3, 1)
    changed = tf.nn.conv3d(volume, others, [1] * 5, "SAME")
    unchanged = tf.nn.conv3d(volume, kernel, [1] * 5, "SAME")
    assert np.abs(changed - unchanged).max() > 1
