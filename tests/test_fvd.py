"""Fréchet distance against its closed forms, and the reference's preprocessing."""

import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
import tiny
from tiny import moving_texture

from i3d_tf.config import Data
from i3d_tf.export import export
from i3d_tf.exported import ExportedModel
from i3d_tf.fvd import folder_features, frechet_distance, network_input
from i3d_tf.streams import RGB

pytestmark = pytest.mark.usefixtures("shallow_network")


def with_moments(rng, count, mean, covariance):
    """`[count, D]` whose mean and covariance are exactly these."""
    rows = rng.standard_normal([count, len(mean)])
    rows -= rows.mean(0)
    own = rows.T @ rows / (count - 1)
    whiten = np.linalg.inv(np.linalg.cholesky(own)).T
    return rows @ whiten @ np.linalg.cholesky(covariance).T + mean


def closed_form(mean_1, covariance_1, mean_2, covariance_2):
    root = scipy.linalg.sqrtm(covariance_1 @ covariance_2).real
    return np.sum((mean_1 - mean_2) ** 2) + np.trace(
        covariance_1 + covariance_2 - 2 * root
    )


@pytest.mark.parametrize("counts", [(40, 40), (40, 25), (9, 40)])
def test_gaussians(counts):
    rng = np.random.default_rng(0)
    gaussians = []
    for _ in counts:
        factor = rng.standard_normal([7, 7])
        gaussians += [(rng.standard_normal(7), factor @ factor.T + 0.1 * np.eye(7))]
    sets = [
        with_moments(rng, count, *gaussian)
        for count, gaussian in zip(counts, gaussians, strict=True)
    ]
    wanted = closed_form(*gaussians[0], *gaussians[1])
    assert frechet_distance(*sets) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(*sets[::-1]) == pytest.approx(wanted, rel=1e-9)


def test_variances_of_one_dimension():
    """(m1 - m2)^2 + (s1 - s2)^2."""
    first, second = np.array([[1.0], [3.0]]), np.array([[10.0], [16.0]])
    wanted = 11.0**2 + (np.sqrt(2) - np.sqrt(18)) ** 2
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-12)


def test_fewer_videos_than_features():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal([2, 12, 400]) * [[[1]], [[2]]]
    covariances = [np.cov(rows.T) for rows in (first, second)]
    means = [rows.mean(0) for rows in (first, second)]
    # By eigenvalues: sqrtm of singular matrices is not exact.
    values = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)
    wanted = np.sum((means[0] - means[1]) ** 2) + sum(map(np.trace, covariances))
    wanted -= 2 * np.sqrt(values).sum()
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-5)


def test_equal_sets_have_none():
    rows = np.random.default_rng(0).standard_normal([300, 400])
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(rows, rows[::-1] + 1) == pytest.approx(400, rel=1e-6)


@pytest.mark.parametrize(
    "first, second, match",
    [
        (np.zeros([1, 4]), np.zeros([5, 4]), "at least 2 videos each"),
        (np.zeros([5, 4]), np.zeros([5, 3]), r"\(5, 4\) and \(5, 3\); expected"),
        (np.zeros([5]), np.zeros([5]), r"expected \[N, D\]"),
        (np.full([5, 4], np.nan), np.zeros([5, 4]), "not finite"),
    ],
)
def test_wrong_features_are_refused(first, second, match):
    with pytest.raises(ValueError, match=match):
        frechet_distance(first, second)


def legacy_resize(image, size):
    """TensorFlow 1's bilinear: out pixel k lies at k * in / out, the last one held."""

    def along(values, count):
        places = np.arange(count) * len(values) / count
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, len(values) - 1)
        share = (places - low).reshape(-1, *[1] * (values.ndim - 1))
        return values[low] * (1 - share) + values[high] * share

    return along(along(image, size).swapaxes(0, 1), size).swapaxes(0, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_preprocessing_is_the_references(dtype):
    videos = np.random.default_rng(0).integers(0, 256, (2, 3, 48, 80, 3)).astype(dtype)
    got = network_input(videos).numpy()
    assert got.shape == (2, 3, 224, 224, 3) and got.dtype == np.float32
    wanted = legacy_resize(videos[1, 2].astype(np.float64), 224) * 2 / 255 - 1
    # Places of pixels are float32.
    np.testing.assert_allclose(got[1, 2], wanted, atol=5e-5)
    black_and_white = (
        np.zeros((1, 1, 9, 9, 3), dtype),
        np.full((1, 1, 9, 9, 3), 255, dtype),
    )
    for video, value in zip(black_and_white, (-1, 1), strict=True):
        np.testing.assert_allclose(network_input(video), value, atol=1e-6)


def test_other_videos_are_refused():
    with pytest.raises(
        ValueError, match=r"\(3, 48, 80, 3\); expected \[B, T, H, W, 3\]"
    ):
        network_input(np.zeros((3, 48, 80, 3)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An RGB network of 224 px, an eighth as wide."""
    models = tiny.networks(7, (RGB,), size=224)
    labels = [str(number) for number in range(7)]
    path = tmp_path_factory.mktemp("fvd") / "model"
    data = Data("x", num_frames=9, size=224, smaller_side=256)
    export(models, labels, data, path, endpoints=())
    return path, models["rgb"]


def test_videos_of_folders(exported, write_video, tmp_path, monkeypatch, capsys):
    path, network = exported
    wanted = []
    for folder, seed in (("real", 0), ("made", 10)):
        logits = []
        for number in range(3):
            # Those of the second folder are dark.
            frames = moving_texture(13, 40, 30, seed + number) // (1 + seed)
            write_video(tmp_path / folder / f"{number}.avi", frames, fps=10)
            clip = network_input(frames[None, :10].astype(np.float32))
            logits.append(network(clip)[0].numpy())
        wanted.append(np.stack(logits))
    model = ExportedModel(path)
    found = [
        folder_features(model, tmp_path / folder, num_frames=10)
        for folder in ("real", "made")
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    distance = frechet_distance(*wanted)
    assert distance > 1e-3
    done = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.fvd", f"--model={path}"),
            *(f"--first={tmp_path / 'real'}", f"--second={tmp_path / 'made'}"),
            *("--frames=10", "--format=json"),
        ],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["videos"], record["frames"]) == ([3, 3], 10)
    np.testing.assert_allclose(record["fvd"], distance, rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="0.avi: 13 frames; needed are 14"):
        folder_features(model, tmp_path / "real", num_frames=14)
    # At 25 a second the frames of 10 are shown two or three times.
    assert len(folder_features(model, tmp_path / "real", num_frames=14, fps=25)) == 3


def test_a_model_of_another_size_is_told(tmp_path):
    models = tiny.networks(3, (RGB,))
    data = Data("x", num_frames=9, size=32, smaller_side=40)
    export(models, ["a", "b", "c"], data, tmp_path / "model", endpoints=())
    with pytest.raises(ValueError, match="streams rgb of 32 px; FVD wants RGB of 224"):
        folder_features(ExportedModel(tmp_path / "model"), tmp_path, num_frames=9)
