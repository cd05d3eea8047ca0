"""How right the networks are, in numpy.

A tie counts against the network everywhere, and so does NaN: one that says the same of
all classes is right in none.
"""

from typing import NamedTuple

import numpy as np

BINS = 15


class Reliability(NamedTuple):
    """How often the network is right where it is so sure, by bins of confidence.

    Attributes:
      edges: [bins + 1], equally spaced in [0, 1]; a bin holds its upper edge.
      videos: [bins] int.
      confidence: [bins] mean confidence, NaN without videos.
      accuracy: [bins] share of right answers, NaN without videos.
      error: the expected calibration error.
    """

    edges: np.ndarray
    videos: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


def ranks(scores, labels):
    """[N] int: how many other classes do not score below the labelled one.

    Args:
      scores: [N, num_classes], logits or probabilities.
      labels: [N] int.
    """
    own = np.take_along_axis(scores, labels[:, None], 1)
    return np.sum(~(scores < own), axis=1) - 1


def top_k(scores, labels, k):
    """Share of rows in which fewer than k classes score above the labelled one.

    Args and ties: as `ranks`.
    """
    return float(np.mean(ranks(scores, labels) < k))


def answers(scores, labels):
    """[N] int: the class that each row is taken for.

    It is the labelled one only where `top_k` of 1 counts it: in a tie it is another.
    """
    others = np.array(scores, np.float64)
    np.put_along_axis(others, labels[:, None], -np.inf, 1)
    # NaN is the largest for argmax.
    return np.where(ranks(scores, labels) < 1, labels, np.argmax(others, axis=1))


def confusion_counts(labels, predictions, num_classes):
    """[num_classes, num_classes] int: rows of a class (first) taken for one (second).

    Args:
      labels, predictions: [N] int in 0 ... num_classes - 1.
    """
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def class_accuracies(counts):
    """[num_classes]: share of each class's videos that are right; NaN without any.

    Args:
      counts: of `confusion_counts`.
    """
    videos = counts.sum(axis=1)
    return np.where(videos, np.diag(counts) / np.maximum(videos, 1), np.nan)


def mean_class_accuracy(counts):
    """Mean of `class_accuracies` over the classes that have videos."""
    return float(np.nanmean(class_accuracies(counts)))


def reliability(probabilities, labels, bins=BINS):
    """The Reliability of answers, as Guo et al. (ICML 2017, section 2) measure it.

    The confidence of a row is its largest probability. The expected calibration error
    is |accuracy - confidence|, the mean over the bins, by their videos. A row with NaN
    counts as wrong and fully confident.

    Args:
      probabilities: [N, num_classes] in [0, 1].
      labels: [N] int.
    """
    confidence = np.max(probabilities, axis=1).astype(np.float64)
    # Float sums may pass 1 by a rounding.
    confidence = np.minimum(np.where(np.isnan(confidence), 1.0, confidence), 1.0)
    correct = ranks(probabilities, labels) < 1
    edges = np.linspace(0, 1, bins + 1)
    # (lower, upper]; a confidence of 0 is in the first.
    index = np.maximum(np.digitize(confidence, edges, right=True) - 1, 0)
    videos = np.bincount(index, minlength=bins)
    some = np.maximum(videos, 1)
    means = [
        np.where(videos, np.bincount(index, values, bins) / some, np.nan)
        for values in (confidence, correct)
    ]
    gaps = np.nan_to_num(np.abs(means[1] - means[0]))
    return Reliability(edges, videos, *means, float(videos @ gaps / len(labels)))


def softmax(logits):
    """[..., num_classes] float64, of logits; a row with NaN is all NaN."""
    return np.exp(log_softmax(logits))


def log_softmax(logits):
    """Its logarithm, finite and in order also where `softmax` is 0."""
    logits = np.asarray(logits, np.float64)
    logits = logits - np.max(logits, axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
