"""Updates that the training benchmark times: the loop's, and what they rest on."""

from typing import NamedTuple

import i3d_tf  # noqa: F401  isort: skip, it chooses oneDNN

import numpy as np
import tensorflow as tf

from i3d_tf.clips import normalise
from i3d_tf.config import Config, Data, StreamTraining
from i3d_tf.fast import dropout_seeds, for_training
from i3d_tf.training.state import new_stream_state
from i3d_tf.training.strategies import distribute
from i3d_tf.training.updates import make_updates, passes_of

CLASSES = 10  # as the records have
DATA_SET = "records"


class Size(NamedTuple):
    """Of the clips of an update, and of the network."""

    frames: int
    size: int
    batch_size: int
    width: float = 1.0


def make_config(size, streams=("rgb",), steps=1, stream_options=None, **options):
    """A recipe of that size; `stream_options` are fields of each stream's training."""
    data = Data(DATA_SET, test_split="train", num_frames=size.frames, size=size.size)
    # A rate with which the same batch over and over stays finite.
    of_stream = StreamTraining(
        steps=steps, learning_rates=(1e-5,), **(stream_options or {})
    )
    return Config(
        data=data,
        rgb=of_stream if "rgb" in streams else None,
        flow=of_stream if "flow" in streams else None,
        batch_size=size.batch_size,
        width=size.width,
        **{"dtype": "float32", **options},
    )


def make_states(config, strategy):
    with strategy.scope():
        return {
            stream.name: new_stream_state(stream, config, CLASSES)
            for stream in config.streams
        }


def same_batch(config, clips):
    """The same batch of a replica again and again, as the pipeline hands it over."""
    data, rng = config.data, np.random.default_rng(0)
    shape = [clips, data.num_frames, data.size, data.size]
    batch = {
        stream.name: rng.integers(0, 256, [*shape, stream.channels], np.uint8)
        for stream in config.streams
    }
    labels = tf.one_hot(tf.zeros([clips], tf.int32), CLASSES)
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensors((batch, labels))
    return dataset.repeat().with_options(options)


class NoNetwork:
    """In a network's place: logits of all its weights, which take next to no time.

    What is left of an update is what the loop itself does with weights and gradients.
    """

    def __init__(self, model, **_):
        self._weights = model.trainable_variables

    def __call__(self, clips, training):
        total = tf.add_n([tf.reduce_sum(weight.value) for weight in self._weights])
        return tf.fill([clips.shape[0], CLASSES], total)


def loop_runs(config, strategy, states, *more, view=for_training):
    """Runs of one update by the loop: of the same batch, and of `more` datasets.

    All are one traced function. Datasets are of a replica's batches, as records give
    them.
    """
    _, clips = passes_of(config, strategy.num_replicas_in_sync)
    update = make_updates(strategy, config, states, view)
    names = tuple(stream.name for stream in config.streams)

    def run_of(dataset):
        iterator = distribute(strategy, lambda: dataset)

        def run():
            figures = update(iterator, 0, 1, names)
            if any(outcomes.any() for outcomes in figures.outcomes.values()):
                raise ValueError("an update was left out, which is no measure of one")
            return figures

        return run

    return [run_of(dataset) for dataset in (same_batch(config, clips), *more)]


def bare_run(config, states, view=for_training):
    """A run of forward, backward and SGD, and no more, of the same batch."""
    networks = {name: view(state.model) for name, state in states.items()}
    iterator = iter(same_batch(config, config.batch_size))
    seeds = tf.zeros([config.batch_size, 2], tf.int32)

    @tf.function(autograph=False)
    def update():
        batch, labels = next(iterator)
        losses = []
        for stream in config.streams:
            state = states[stream.name]
            clips = normalise(batch[stream.name], stream)
            variables = [v.value for v in state.model.trainable_variables]
            with tf.GradientTape() as tape:
                with dropout_seeds(seeds):
                    logits = networks[stream.name](clips, training=True)
                loss = tf.reduce_mean(
                    tf.nn.softmax_cross_entropy_with_logits(labels, logits)
                )
            gradients = tape.gradient(loss, variables)
            for gradient, variable in zip(gradients, variables, strict=True):
                state.optimizer.update_step(gradient, variable, tf.constant(1e-5))
            losses.append(loss)
        return losses

    return lambda: [loss.numpy() for loss in update()]
