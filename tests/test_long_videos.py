"""Whole videos in parts: the answers are those of the network on the whole."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from i3d_tf import FLOW, long_videos
from i3d_tf.fast import for_inference
from i3d_tf.fine_tuning import HEAD
from i3d_tf.long_videos import for_long_clips, steps_of


@pytest.fixture(scope="module")
def model():
    return tiny.networks(3, (FLOW,))["flow"]


def clips(frames):
    """[2, frames, 32, 32, 2]: noise that grows, so that steps differ."""
    rng = np.random.default_rng(frames)
    noise = rng.uniform(-1, 1, (2, frames, 32, 32, 2)).astype(np.float32)
    return noise * np.linspace(0, 1, frames, dtype=np.float32)[:, None, None, None]


# All remainders by 8, with which the padding of each level changes.
LENGTHS = [9, 16, 17, 31, 64, 150, *range(200, 208)]


def test_parts_answer_as_the_whole(model):
    whole = tf.function(for_inference(model), reduce_retracing=True)
    parts = tf.function(for_long_clips(model, chunk=32), reduce_retracing=True)
    for frames in LENGTHS:
        clip = tf.constant(clips(frames))
        expected, found = whole(clip, training=False), parts(clip)
        assert found.shape == (2, 3)
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=f"{frames}")
    # Not the same for all steps: one left out would be seen.
    assert np.abs(whole(clip[:, :-8], training=False) - expected).max() > 1e-4


def test_less_margin_is_not_enough(model, monkeypatch):
    clip = tf.constant(clips(200))
    expected = for_inference(model)(clip, training=False)
    found = tf.function(for_long_clips(model, chunk=32))(clip)
    assert np.abs(found - expected).max() < 1e-6
    # What lies farthest away counts least: 16 frames less change 5e-6.
    steps = steps_of(HEAD)
    less = steps._replace(margin=steps.margin - 32)
    monkeypatch.setattr(long_videos, "steps_of", lambda _: less)
    found = tf.function(for_long_clips(model, chunk=32))(clip)
    assert np.abs(found - expected).max() > 1e-4


def test_no_part_is_longer_than_said(model, monkeypatch):
    seen = []

    def recorded(network):
        folded = for_inference(network)

        def steps(clip, training):
            # Runs as the graph does, and not only as it is traced.
            tf.py_function(lambda n: seen.append(int(n)), [tf.shape(clip)[1]], [])
            return folded(clip, training=training)

        return steps

    monkeypatch.setattr(long_videos, "for_inference", recorded)
    tf.function(for_long_clips(model, chunk=32))(tf.constant(clips(207)))
    # 25 steps, four at a time.
    assert len(seen) == 7
    assert max(seen) <= 32 + 2 * steps_of(HEAD).margin + 15


@pytest.mark.parametrize("chunk", [0, 12, -8])
def test_parts_of_other_lengths_are_refused(model, chunk):
    with pytest.raises(ValueError, match=f"^chunk is {chunk} frames; it must be a mul"):
        for_long_clips(model, chunk=chunk)
