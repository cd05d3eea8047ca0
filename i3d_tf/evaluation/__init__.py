"""Scores of videos, their fusion and their accuracy.

`scores` runs the networks and fuses them, `score_files` keeps what they said,
`metrics` measures it, `report` writes it down, `published` has the paper's figures, and
`runs` does all of it for a trained workdir. Which Views are shown is in
`i3d_tf.protocols`.
"""

from i3d_tf.evaluation.metrics import top_k
from i3d_tf.evaluation.scores import (
    Fusion,
    Scores,
    accuracies,
    fuse,
    score,
    with_fused,
)

__all__ = [
    "Fusion",
    "Scores",
    "accuracies",
    "fuse",
    "score",
    "top_k",
    "with_fused",
]
