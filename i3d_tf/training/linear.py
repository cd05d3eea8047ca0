"""Fits the classifiers of networks whose other weights stay as they are.

The features of a few Views of each training video are computed once. A ridge regression
on them, in closed form, gives the classifier: minutes on a processor for videos that
would take hours of training.
"""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tqdm

from i3d_tf import pipeline
from i3d_tf.clips import normalise
from i3d_tf.evaluation.metrics import log_softmax
from i3d_tf.fast.inference import for_inference
from i3d_tf.fast.views import with_features
from i3d_tf.fine_tuning import HEAD
from i3d_tf.reading import count_examples
from i3d_tf.trunk import AVERAGE_POOL

# Factors of the logits that are tried, see `fit_ridge`.
_SCALES = np.geomspace(0.5, 50, 41)


def fit_classifiers(config, states, builder):
    """Replaces the classifiers of all streams; returns {figure: value} of training.

    Args:
      config: `config.Config` with a `linear`.
      states: {stream name: `StreamState`}, whose models are changed.
      builder: the data set.

    Returns:
      `<stream>_top1` of each stream: the share of the training videos that are right
      when their own Views are left out of the fit.
    """
    figures = {}
    for stream in config.streams:
        model = states[stream.name].model
        found = view_features(config, model, stream, builder)
        classes = model.output.shape[-1]
        fit = fit_ridge(found.values, found.labels, classes, config.linear.penalty)
        head = model.get_layer(HEAD)
        head.kernel.assign(fit.kernel.reshape(head.kernel.shape))
        head.bias.assign(fit.bias)
        figures[f"{stream.name}_top1"] = fit.top1
    return figures


class Features(NamedTuple):
    """Features of the Views of N videos.

    Attributes:
      ids: [N] str, sorted.
      values: `[N, V, D]` float32; the last View is the centre, as in the test.
      labels: `[N]` int.
    """

    ids: list[str]
    values: np.ndarray
    labels: np.ndarray


def view_features(config, model, stream, builder) -> Features:
    """Computes the features of some Views of each training video.

    They depend on the weights, the seed and the video, and on no other video.

    Args:
      config: `config.Config` with a `linear`.
      model: network of `build_i3d`.
      stream: its `Stream`.
      builder: the data set.
    """
    network = for_inference(with_features(model, [AVERAGE_POOL]))

    @tf.function
    def of_clips(clips):
        features = keras.tree.flatten(network(clips, training=False))[1]
        # The logits are a mean over time of something linear in these.
        return tf.reduce_mean(tf.cast(features, tf.float32), [1, 2, 3])

    videos = count_examples(builder, config.data.train_split)
    found = {}
    with tqdm.tqdm(
        total=videos * (config.linear.views + 1),
        desc=f"features of {stream.name}",
        unit="clip",
        disable=None,
    ) as bar:
        for epoch in range(config.linear.views):
            batches = pipeline.train_batches(
                builder,
                config.data,
                [stream],
                batch_size=1,
                seed=config.seed,
                epoch=epoch,
                as_codes=True,
            )
            ids = pipeline.train_ids(builder, config.data, config.seed, epoch)
            for id_, (inputs, _) in zip(ids, batches, strict=True):
                clips = normalise(inputs[stream.name], stream)
                found.setdefault(id_, []).append(of_clips(clips).numpy()[0])
                bar.update()
        labels = {}
        for inputs, targets, ids in pipeline.eval_batches(
            builder, config.data, [stream], split=config.data.train_split, batch_size=1
        ):
            id_ = ids.numpy()[0].decode()
            found.setdefault(id_, []).append(of_clips(inputs[stream.name]).numpy()[0])
            labels[id_] = int(np.argmax(targets))
            bar.update()
    # In a fixed order, so that the sums below are the same in every run.
    ids = sorted(labels)
    values = np.stack([found[id_] for id_ in ids])
    return Features(ids, values, np.array([labels[id_] for id_ in ids]))


@dataclasses.dataclass(frozen=True)
class Ridge:
    """A linear classifier.

    Attributes:
      kernel: `[D, classes]` float32.
      bias: `[classes]` float32.
      top1: share of the videos that are right when they are left out of the fit.
    """

    kernel: np.ndarray
    bias: np.ndarray
    top1: float


def fit_ridge(
    features: np.ndarray, labels: np.ndarray, classes: int, penalty: float
) -> Ridge:
    """Returns the ridge regression of one-hot labels on standardised features.

    Its answers rank classes and are no logits, for they lie about 0 and 1. They are
    multiplied by the factor whose softmax is the likeliest for videos that are left out
    of the fit, so that probabilities mean something and two streams can be averaged.

    Args:
      features: `[N, V, D]` of V Views of each of N videos.
      labels: `[N]` int, from 0 to `classes - 1`.
      classes: number of classes.
      penalty: weight of the squared norm of the coefficients, above 0.

    Raises:
      ValueError: all videos have one label.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError("the training videos have one label; two and more are needed")
    videos, views, size = features.shape
    rows = features.reshape(-1, size).astype(np.float64)
    mean, deviation = rows.mean(0), rows.std(0)
    # A feature that does not vary says nothing, and stays out.
    scale = np.where(deviation > 1e-6 * (np.abs(mean) + 1e-6), deviation, np.inf)
    rows = (rows - mean) / scale
    targets = np.eye(classes)[np.repeat(labels, views)]
    prior = targets.mean(0)
    inverse = np.linalg.solve(rows.T @ rows + penalty * np.eye(size), rows.T)
    kernel = inverse @ (targets - prior)
    residuals = targets - prior - rows @ kernel
    # Of a video that is left out the residuals are (1 - H)^-1 times those of the fit,
    # where H is its block of the matrix from targets to answers. The 1 / n in it is
    # the bias, which is fitted too: without it, the mean that is subtracted from the
    # rows would tell the answer to the one that is left out.
    left_out = np.empty([videos, classes])
    for video in range(videos):
        block = slice(video * views, (video + 1) * views)
        hat = rows[block] @ inverse[:, block] + 1 / len(rows)
        without = np.linalg.solve(np.eye(views) - hat, residuals[block])
        # The last View is the one that the test sees.
        left_out[video] = (targets[block] - without)[-1]
    losses = [
        -log_softmax(factor * left_out)[np.arange(videos), labels].mean()
        for factor in _SCALES
    ]
    factor = _SCALES[np.argmin(losses)]
    kernel = kernel / scale[:, None]
    bias = prior - mean @ kernel
    return Ridge(
        (factor * kernel).astype(np.float32),
        (factor * bias).astype(np.float32),
        float((left_out.argmax(1) == labels).mean()),
    )
