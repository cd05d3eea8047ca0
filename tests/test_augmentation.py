import numpy as np
import pytest
import tensorflow as tf

from i3d_tf import RGB, augmentation, clips


def lights(count, *, epoch=0, seed=0, strength=0.5, channels=3):
    """(gains, offsets) [count, channels] as `Dataset.map` draws them."""

    def draw(number):
        return augmentation.random_light(
            seed,
            epoch,
            tf.strings.as_string(number),
            channels=channels,
            strength=strength,
        )

    drawn = list(tf.data.Dataset.range(count).map(draw).as_numpy_iterator())
    return tuple(np.stack(part) for part in zip(*drawn, strict=True))


def test_lights_are_the_same_whenever_drawn():
    gains, offsets = lights(20)
    eager = augmentation.random_light(0, 0, tf.constant("3"), channels=3, strength=0.5)
    np.testing.assert_array_equal(eager.gain, gains[3])
    np.testing.assert_array_equal(eager.offset, offsets[3])
    assert len(set(offsets[:, 0].tolist())) == 20
    for other in (lights(20, epoch=1), lights(20, seed=1)):
        assert not np.any(other[0] == gains) and not np.any(other[1] == offsets)


def test_what_lights_reach():
    gains, offsets = lights(4000, strength=0.4)
    for values in (np.log(gains), offsets):
        # A part for all channels in [-0.4, 0.4], and one of each in [-0.2, 0.2].
        assert -0.6 <= values.min() < -0.57 and 0.57 < values.max() <= 0.6
        # Variances of uniform numbers: width ** 2 / 12.
        np.testing.assert_allclose(values.var(0), (0.8**2 + 0.4**2) / 12, rtol=0.05)
        between = np.cov(values.T)[0, 1]
        np.testing.assert_allclose(between, 0.8**2 / 12, rtol=0.07)
    assert abs(np.corrcoef(gains[:, 0], offsets[:, 0])[0, 1]) < 0.05


def test_the_view_is_what_it_was_before_there_was_light():
    drawn = clips.random_view(
        0, 0, tf.constant("3"), (100, 40, 60), num_frames=64, size=32, mirror=True
    )
    assert tuple(value.numpy() for value in drawn) == (32, 3, 11, True)


@pytest.mark.parametrize("in_graph", [False, True])
def test_relight_exact(in_graph):
    codes = tf.constant([0, 64, 127, 128, 192, 255], tf.uint8)
    clip = tf.reshape(tf.stack([codes] * 3, -1), [1, 2, 3, 3])
    light = augmentation.Light(
        tf.constant([1.0, 2.0, 0.5]), tf.constant([0.2, 0.0, -1.0])
    )
    relight = tf.function(augmentation.relight) if in_graph else augmentation.relight
    lit = relight(clip, RGB, light)
    assert lit.dtype == tf.uint8 and lit.shape == clip.shape
    lit = tf.reshape(lit, [-1, 3]).numpy()
    assert lit[:, 0].tolist() == [26, 90, 153, 154, 218, 255]  # + 25.5
    assert lit[:, 1].tolist() == [0, 1, 127, 129, 255, 255]  # 2 c - 127.5
    assert lit[:, 2].tolist() == [0, 0, 0, 0, 32, 64]  # (c - 127.5) / 2


def test_no_strength_changes_nothing():
    codes = tf.reshape(tf.range(256), [1, 16, 16, 1])
    codes = tf.cast(tf.tile(codes, [1, 1, 1, 3]), tf.uint8)
    light = augmentation.random_light(0, 0, tf.constant("a"), channels=3, strength=0.0)
    np.testing.assert_array_equal(augmentation.relight(codes, RGB, light), codes)


def test_a_relit_clip_is_gain_and_offset_of_the_network_s_input():
    codes = np.random.default_rng(0).integers(0, 256, [2, 4, 5, 3], np.uint8)
    light = augmentation.random_light(1, 2, tf.constant("b"), channels=3, strength=0.5)
    clip = clips.normalise(tf.constant(codes), RGB)
    lit = clips.normalise(augmentation.relight(codes, RGB, light), RGB)
    expected = np.clip(clip * light.gain + light.offset, -1, 1)
    np.testing.assert_allclose(lit, expected, atol=0.51 / 127.5)
