"""Max-pools of training: TensorFlow's maxima, and no gradient counted twice."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from i3d_tf.fast import for_training, pooling
from i3d_tf.trunk import INCEPTION_V1, POOL

POOLS = [row for kind, *row in INCEPTION_V1 if kind == POOL]
POOLS.append(["Mixed_3b-Branch_3-MaxPool3d_0a_3x3", (3, 3, 3), (1, 1, 1)])


@pytest.mark.parametrize("kind", [pooling.AxisPooling, pooling.MaximumPooling])
@pytest.mark.parametrize("row", POOLS, ids=lambda row: row[0])
@pytest.mark.parametrize("shape", [(16, 14, 14), (9, 7, 11), (1, 1, 2)])
def test_pools_give_the_layers_maxima(kind, row, shape):
    name, window, strides = row
    layer = keras.layers.MaxPooling3D(window, strides, padding="same", name=name)
    x = np.random.default_rng(0).normal(size=[2, *shape, 3]).astype("float32")
    np.testing.assert_array_equal(kind(layer)(x), layer(x))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_gradient_of_a_pool_of_a_pool_counts_no_value_twice(dtype):
    # One maximum that all windows of the first pool see: the second pool has to
    # choose between equal values, and the derivative of the whole is 1.
    x = np.zeros([1, 9, 32, 32, 1], np.float32)
    x[0, 4, 5, 6, 0] = 5
    inputs = y = keras.Input(x.shape[1:])
    for _ in range(2):
        y = keras.layers.MaxPooling3D(3, 1, padding="same", dtype=dtype)(y)
    view = for_training(keras.Model(inputs, y))

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = view(x)[0, 4, 5, 6, 0]
        return tape.gradient(y, x)

    np.testing.assert_array_equal(gradient(tf.constant(x)), np.where(x > 0, 1, 0))


def test_maximum_pooling_counts_no_value_twice():
    x = tf.reshape(tf.constant([0.0, 0.0, 5.0, 0.0, 0.0]), [1, 5, 1, 1, 1])
    pool = pooling.MaximumPooling(
        keras.layers.MaxPooling3D((3, 1, 1), 1, padding="same")
    )
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = pool(pool(x))[0, 2, 0, 0, 0]
    total = tf.squeeze(tape.gradient(y, x))
    np.testing.assert_array_equal(total, [0.0, 0.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_gradient_is_the_same_in_a_loop(dtype):
    # Without a graph of its own most traces count values twice and more.
    x = np.random.default_rng(0).integers(0, 3, [1, 3, 8, 8, 4]).astype(np.float32)
    layer = keras.layers.MaxPooling3D(3, 1, padding="same", dtype=dtype)
    pool = pooling.for_gradients(layer)

    def summed_gradient(in_loop):
        factors = [tf.Variable(tf.ones([4])) for _ in range(6)]
        total = tf.Variable(tf.zeros(x.shape))

        def add(clip):
            with tf.GradientTape() as tape:
                tape.watch(clip)
                y = clip
                for factor in factors:
                    y = tf.cast(pool(y), tf.float32) * factor
            total.assign_add(tape.gradient(y, clip))

        @tf.function
        def run(clip, times):
            if in_loop:
                for _ in tf.range(times):
                    add(clip)
            else:
                add(clip)

        run(tf.constant(x), tf.constant(1))
        return total.numpy()

    alone = summed_gradient(in_loop=False)
    assert alone.sum() == x.size
    for _ in range(6):
        np.testing.assert_array_equal(summed_gradient(in_loop=True), alone)


def test_without_onednn_training_takes_the_right_gradient():
    """In a process of its own: what the machine's TensorFlow does is decided early."""
    script = """
import os
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import json, keras, tensorflow as tf
from i3d_tf import fast
from i3d_tf.fast import pooling
import numpy as np
x = np.zeros([1, 9, 32, 32, 1], np.float32)
x[0, 4, 5, 6, 0] = 5
x = tf.constant(x)
inputs = y = keras.Input(x.shape[1:])
for _ in range(2):
    y = keras.layers.MaxPooling3D((3, 1, 1), 1, padding="same")(y)
model = keras.Model(inputs, y)
totals = []
for network in (model, fast.for_training(model)):
    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = network(x)[0, 4, 5, 6, 0]
        return tape.gradient(y, x)
    totals.append(float(tf.reduce_sum(gradient())))
print(json.dumps([pooling._gradient_counts_ties('float32'), *totals]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    counts_ties, keras_total, fast_total = json.loads(done.stdout)
    assert fast_total == 1.0
    # Should TensorFlow mend its kernel, there is nothing left to replace.
    assert counts_ties == (keras_total > 1.0)
