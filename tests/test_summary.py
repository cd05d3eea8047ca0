"""Several windows of a video together: their mean, their times, their pictures."""

import av
import numpy as np
import pytest

from i3d_tf import pictures
from i3d_tf.prediction import Prediction
from i3d_tf.summary import Summary, picture

pytestmark = pytest.mark.usefixtures("shallow_network")

LABELS = ["walk", "run", "swim"]


def window(begin, end, logits, grey=0, frames=16):
    """A window of 16 frames, its end in frames; logits `[2, 3]` in LABELS' order.

    Frames are of one grey. The stream's probabilities are those of the first step.
    """
    logits = np.asarray(logits, np.float32)
    powers = np.exp(logits.mean(0))
    scores = powers / powers.sum()
    first = np.exp(logits[0]) / np.exp(logits[0]).sum()
    order = np.argsort(-scores)
    return Prediction(
        [LABELS[index] for index in order],
        scores[order].tolist(),
        {"rgb": first[order].tolist()},
        np.broadcast_to(logits[:, None, None, order], (2, 2, 2, 3)),
        np.full((frames, 240, 320, 3), grey, np.uint8),
        None,
        begin / 25,
        end / 25,
        25,
        200,
    )


A, B = [[0, 1, 2], [3, 1, 0]], [[1, 1, 5], [2, 2, 0]]


def softmax(logits):
    powers = np.exp(np.asarray(logits, np.float64))
    return powers / powers.sum(-1, keepdims=True)


def test_the_mean_of_windows():
    summary = Summary()
    predictions = [window(1, 17, A), window(17, 33, B)]
    assert list(summary.watch(predictions)) == predictions
    assert summary.count == 2
    wanted = (softmax(np.mean(A, 0)) + softmax(np.mean(B, 0))) / 2
    found = dict(summary.best(3))
    np.testing.assert_allclose([found[label] for label in LABELS], wanted, atol=1e-6)
    assert [label for label, _ in summary.best(2)] == [
        LABELS[index] for index in np.argsort(-wanted)[:2]
    ]
    wanted = (softmax(A[0]) + softmax(B[0])) / 2
    found = dict(summary.best(3, "rgb"))
    np.testing.assert_allclose([found[label] for label in LABELS], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("begins", "end", "times", "rows"),
    [
        # Steps of 8 frames, in the middle of which the times are.
        ([1, 17], 33, [5, 13, 21, 29], [A[0], A[1], B[0], B[1]]),
        # Shifted back: B's first step lies before A's last one, and is not new.
        ([1, 5], 21, [5, 13, 17], [A[0], A[1], B[1]]),
        # Looped: of the second step two frames are the video's, or none.
        ([1], 11, [5, 10], [A[0], A[1]]),
        ([1], 9, [5], [A[0]]),
        ([1], 2, [1.5], [A[0]]),
    ],
)
def test_probabilities_over_time(begins, end, times, rows):
    summary = Summary()
    for begin, logits in zip(begins, (A, B), strict=False):
        last = min(begin + 16, end)
        (_,) = summary.watch([window(begin, last, logits)])
    found, probabilities = summary.over_time(["swim", "walk"])
    np.testing.assert_allclose(found * 25, times)
    wanted = softmax(rows)[:, [2, 0]]
    np.testing.assert_allclose(probabilities, wanted, atol=1e-6)


def shown(path):
    """Mean grey of the left part of each frame of a video."""
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return [frame[:240, :320].mean() for frame in frames]


def test_a_window_is_shown_until_the_next_one(tmp_path):
    predictions = [window(1, 17, A, 50), window(17, 33, B, 120), window(22, 38, A, 200)]
    summary = picture(iter(predictions), tmp_path)
    assert summary.count == 3
    wanted = [50] * 16 + [120] * 5 + [200] * 16
    np.testing.assert_allclose(shown(tmp_path / "annotated.mp4"), wanted, atol=3)
    assert (tmp_path / "over_time.png").is_file()
    assert len(list(tmp_path.iterdir())) == 2


def test_no_window_is_told(tmp_path):
    with pytest.raises(ValueError, match="x.mp4: a video needs at least one predict"):
        pictures.annotate_windows(tmp_path / "x.mp4", iter([]))
    assert not list(tmp_path.iterdir())
