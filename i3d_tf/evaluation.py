"""Scores of videos, their fusion and their accuracy."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tqdm


class Scores(NamedTuple):
    """What the networks say of N videos.

    Attributes:
      ids: [N] str.
      labels: [N] int.
      logits: {stream name: [N, num_classes] float32}.
    """

    ids: list[str]
    labels: np.ndarray
    logits: dict[str, np.ndarray]


def score(models, batches):
    """Runs the networks over `pipeline.eval_batches`; returns the Scores.

    Args:
      models: {stream name: network}.
      batches: dataset of (inputs, one-hot labels, ids).

    Raises:
      ValueError: no videos, or one without a label.
    """

    @tf.function(reduce_retracing=True)
    def forward(inputs):
        return {
            name: model(inputs[name], training=False) for name, model in models.items()
        }

    ids, labels, logits = [], [], {name: [] for name in models}
    for inputs, one_hot, batch_ids in tqdm.tqdm(batches, "evaluation", unit="batch"):
        # The one-hot row of no label has no one, and would pass as the first class.
        unlabelled = batch_ids.numpy()[~np.any(one_hot, -1)]
        if len(unlabelled):
            raise ValueError(
                f"{unlabelled[0].decode()}: has no label; the accuracy of a split "
                "whose labels are not published cannot be known"
            )
        for name, value in forward(inputs).items():
            logits[name].append(value.numpy())
        labels.append(np.argmax(one_hot, -1))
        ids.extend(id_.decode() for id_ in batch_ids.numpy())
    if not ids:
        raise ValueError("no videos to evaluate")
    return Scores(
        ids,
        np.concatenate(labels),
        {name: np.concatenate(values) for name, values in logits.items()},
    )


def fuse(logits):
    """Mean of the streams' logits, 1:1, `[..., num_classes]`.

    The paper (section 4) averages the two networks' predictions at test time;
    DeepMind's sample adds the logits, which ranks the classes as the mean does.

    Args:
      logits: a sequence of arrays or tensors of one shape.
    """
    return sum(logits) / len(logits)


def top_k(logits, labels, k):
    """Share of rows in which fewer than k classes score above the labelled one.

    A tie counts against the network, and so does NaN: one that says the same of all
    classes is right in none.

    Args:
      logits: [N, num_classes].
      labels: [N] int.
    """
    own = np.take_along_axis(logits, labels[:, None], 1)
    ahead = np.sum(~(logits < own), axis=1) - 1
    return float(np.mean(ahead < k))


def accuracies(scores):
    """{"rgb": {"top1": share, "top5": share}, "flow": ..., "fused": ...}."""
    return {
        name: {f"top{k}": top_k(value, scores.labels, k) for k in (1, 5)}
        for name, value in with_fused(scores.logits).items()
    }


def with_fused(logits):
    """`{stream name: logits}`, and of several streams "fused" too."""
    if len(logits) == 1:
        return dict(logits)
    return {**logits, "fused": fuse(list(logits.values()))}
