"""What the networks say of videos: their scores, and the fusion of streams."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from i3d_tf.evaluation.metrics import log_softmax, softmax, top_k

FUSIONS = ("logits", "probabilities")


class Scores(NamedTuple):
    """What the networks say of N videos.

    Attributes:
      ids: [N] str.
      labels: [N] int.
      logits: {stream name: [N, num_classes] float32}, the mean over a video's Views.
      probabilities: {stream name: [N, num_classes] float64}, the mean over the Views
        of the softmax; None for one View, whose softmax it is.
    """

    ids: list[str]
    labels: np.ndarray
    logits: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray] | None = None


class Fusion(NamedTuple):
    """How answers are averaged.

    Attributes:
      kind: "logits", the mean of logits, or "probabilities", that of the softmax, over
        Views and streams.
      weights: {stream name: weight} of the streams; None is 1:1.
    """

    kind: str = FUSIONS[0]
    weights: dict[str, float] | None = None


def score(models, batches, views=1):
    """Runs the networks over `pipeline.eval_batches`; returns the Scores.

    Args:
      models: {stream name: network}.
      batches: dataset of (inputs, one-hot labels, ids).
      views: Views of each video, which follow each other.

    Raises:
      ValueError: no videos, or one without a label.
    """

    # One graph for all batches, the last and smaller one and whole videos included.
    @tf.function(input_signature=[batches.element_spec[0]])
    def forward(inputs):
        return {
            name: model(inputs[name], training=False) for name, model in models.items()
        }

    ids, labels = [], []
    means = {name: _ViewMeans(views) for name in models}
    for inputs, one_hot, batch_ids in tqdm.tqdm(batches, "evaluation", unit="batch"):
        # The one-hot row of no label has no one, and would pass as the first class.
        unlabelled = batch_ids.numpy()[~np.any(one_hot, -1)]
        if len(unlabelled):
            raise ValueError(
                f"{unlabelled[0].decode()}: has no label; the accuracy of a split "
                "whose labels are not published cannot be known"
            )
        for name, value in forward(inputs).items():
            means[name].add(value.numpy())
        labels.extend(np.argmax(one_hot, -1))
        ids.extend(id_.decode() for id_ in batch_ids.numpy())
    if not ids:
        raise ValueError("no videos to evaluate")
    return Scores(
        ids[::views],
        np.array(labels[::views]),
        {name: np.concatenate(mean.logits) for name, mean in means.items()},
        None
        if views == 1
        else {name: np.concatenate(mean.probabilities) for name, mean in means.items()},
    )


class _ViewMeans:
    """Means over each `views` rows, which batches may divide anywhere.

    The rows themselves are not kept: of Kinetics in 30 Views they are a gigabyte.
    """

    def __init__(self, views):
        self.views = views
        self.logits, self.probabilities = [], []
        self._rest = None

    def add(self, rows):
        if self._rest is not None:
            rows = np.concatenate([self._rest, rows])
        whole = len(rows) // self.views * self.views
        self._rest = rows[whole:]
        rows = rows[:whole].reshape(-1, self.views, rows.shape[1])
        # In float64, so that the mean of equal rows is the row.
        self.logits.append(rows.mean(1, np.float64).astype(rows.dtype))
        if self.views > 1:
            self.probabilities.append(softmax(rows).mean(1))


def fuse(logits, weights=None):
    """Mean of the streams' logits, `[..., num_classes]`, 1:1 or weighted.

    The paper (section 4) averages the two networks' predictions at test time;
    DeepMind's sample adds the logits, which ranks the classes as the mean does.

    Args:
      logits: a sequence of arrays or tensors of one shape.
      weights: one for each; None is 1:1.
    """
    if weights is None:
        return sum(logits) / len(logits)
    weighted = [weight * one for weight, one in zip(weights, logits, strict=True)]
    return sum(weighted) / sum(weights)


def with_fused(logits, weights=None):
    """`{stream name: logits}`, and of several streams "fused" too.

    Args:
      weights: {stream name: weight}; None is 1:1.

    Raises ValueError unless there is a weight for each stream.
    """
    check_weights(weights, logits)
    if len(logits) == 1:
        return dict(logits)
    of_streams = None if weights is None else [weights[name] for name in logits]
    return {**logits, "fused": fuse(list(logits.values()), of_streams)}


def check_weights(weights, streams):
    """Raises ValueError unless weights are None or one for each of the streams."""
    if weights is not None and set(weights) != set(streams):
        raise ValueError(
            f"weights are of {', '.join(weights) or 'none'}, the streams are "
            f"{', '.join(streams)}; give each of them one"
        )


def predictions(scores, fusion):
    """What each stream and the fusion answer.

    Returns:
      {"rgb": (values, probabilities), "flow": ..., "fused": ...}, both
      [N, num_classes]. The values rank the classes: logits, or the logarithms of the
      probabilities where these are what is averaged.
    """
    if fusion.kind == "logits":
        fused = with_fused(scores.logits, fusion.weights)
        return {name: (value, softmax(value)) for name, value in fused.items()}
    if scores.probabilities:
        with np.errstate(divide="ignore"):
            logs = {name: np.log(value) for name, value in scores.probabilities.items()}
    else:
        # Logarithms all the way: of far logits the probabilities are all 0, and ties.
        logs = {name: log_softmax(value) for name, value in scores.logits.items()}
    if len(logs) > 1:
        logs["fused"] = _log_mean(logs, fusion.weights)
    return {name: (value, np.exp(value)) for name, value in logs.items()}


def _log_mean(logs, weights):
    """Logarithm of the mean of the streams' probabilities, 1:1 or weighted."""
    shares = np.array([(weights or {}).get(name, 1.0) for name in logs], np.float64)
    with np.errstate(divide="ignore"):
        shares = np.log(shares / shares.sum())
    return np.logaddexp.reduce(np.stack(list(logs.values())) + shares[:, None, None])


def accuracies(scores):
    """{"rgb": {"top1": share, "top5": share}, "flow": ..., "fused": ...}."""
    return {
        name: {f"top{k}": top_k(value, scores.labels, k) for k in (1, 5)}
        for name, value in with_fused(scores.logits).items()
    }


def parse_weights(texts):
    """`["rgb=1", "flow=1.5"]` -> {"rgb": 1.0, "flow": 1.5}; of none None.

    Raises ValueError for another form, a weight that is negative or not finite, a name
    given twice, or if all are 0.
    """
    weights = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if name in weights or not 0 <= weight < float("inf"):
            raise ValueError(
                f"weights {','.join(texts)}: {text!r}: expected stream=weight, each "
                "stream once and its weight at least 0, as rgb=1,flow=1.5"
            )
        weights[name] = weight
    if weights and not any(weights.values()):
        raise ValueError(f"weights {','.join(texts)}: all are 0")
    return weights or None
