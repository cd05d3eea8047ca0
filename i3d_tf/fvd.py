"""Fréchet video distance: how far apart two sets of videos are to an I3D.

Unterthiner et al. 2018, "Towards Accurate Generative Models of Video"; figures are only
comparable with published ones if the network is Kinetics-400's RGB I3D, and clips have
as many frames.
"""

import itertools

import numpy as np
import tensorflow as tf
import tqdm

from flow import files
from flow.unexpected import doing
from flow.video import VideoError, decode, resample
from flow.video_files import find_videos

SIZE = 224  # px


def network_input(videos):
    """Videos as the reference gives them to its I3D.

    Frames are stretched to 224x224, whatever their aspect, by TensorFlow 1's bilinear
    resize, whose pixels begin at 0 and not at 1/2.

    Args:
      videos: `[B, T, H, W, 3]`, 0 to 255.

    Returns `[B, T, 224, 224, 3]` float32 in [-1, 1].
    """
    videos = tf.convert_to_tensor(videos)
    if videos.shape.rank != 5 or videos.shape[-1] != 3:
        raise ValueError(f"videos are {videos.shape}; expected [B, T, H, W, 3]")
    shape = tf.shape(videos)
    frames = tf.reshape(videos, tf.concat([[-1], shape[2:]], 0))
    frames = tf.compat.v1.image.resize_bilinear(frames, [SIZE, SIZE])
    frames = tf.reshape(frames, tf.concat([shape[:2], [SIZE, SIZE, 3]], 0))
    return frames * (2 / 255) - 1


def folder_features(model, folder, *, num_frames, fps=None):
    """RGB's logits of the first frames of each video of a folder, `[N, classes]`.

    Args:
      model: an `ExportedModel` of 224 px that has RGB.
      folder: of videos.
      num_frames: T of a clip, at least 9.
      fps: rate that videos are brought to; None: every stored frame.

    Raises:
      ValueError: the model is another, there are no videos, or one cannot be decoded or
        has fewer frames.
    """
    if not model.output_names("default") or model.made_for["size"] != SIZE:
        raise ValueError(
            f"{model.model_dir}: has streams {', '.join(model.made_for['streams'])} of "
            f"{model.made_for['size']} px; FVD wants RGB of {SIZE} px"
        )
    folder, found = files.as_path(folder), []
    videos = find_videos(folder)
    if len(videos) < 2:
        raise ValueError(f"{folder}: has one video; a distance needs 2 and more")
    for path in tqdm.tqdm(videos, desc=str(folder), unit=" videos"):
        with doing(f"computing features of {folder / path}"):
            found.append(_features(model, folder / path, num_frames, fps))
    return np.stack(found)


def _features(model, video, num_frames, fps):
    decoded = decode(video)
    images = resample(decoded, fps) if fps else (image for *_, image in decoded)
    frames = list(itertools.islice(images, num_frames))
    if len(frames) < num_frames:
        raise VideoError(f"{video}: {len(frames)} frames; needed are {num_frames}")
    clip = network_input(np.stack(frames)[None])
    return model("default", rgb_input=clip)["default"][0]


def frechet_distance(first, second):
    """Distance of the Gaussians that two sets of features have the moments of.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), with covariances of N - 1 (Heusel et
    al. 2017, equation 6). Of fewer videos than features the covariances are singular;
    the distance is defined all the same, and far too large: sets of 1,000 and more are
    usual.

    Args:
      first, second: `[N, D]`, N >= 2, a row a video; for FVD the 400 logits.

    Returns a float, 0 for equal moments.

    Raises:
      ValueError: other shapes, or values that are not finite.
    """
    first, second = (np.asarray(rows, np.float64) for rows in (first, second))
    for rows in (first, second):
        if rows.ndim != 2 or len(rows) < 2 or rows.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"features are {first.shape} and {second.shape}; expected [N, D] of "
                "one D, of at least 2 videos each"
            )
        if not np.isfinite(rows).all():
            raise ValueError("features have values that are not finite")
    means = [rows.mean(0) for rows in (first, second)]
    # Of few videos and many features the small side of the product is the number of
    # videos: C = A^T A, and C1 C2 has the singular values of A1 A2^T, squared.
    halves = [
        (rows - mean) / np.sqrt(len(rows) - 1)
        for rows, mean in zip((first, second), means, strict=True)
    ]
    traces = sum(np.sum(half**2) for half in halves)
    singular = np.linalg.svd(_small(halves[0]) @ _small(halves[1]).T, compute_uv=False)
    distance = np.sum((means[0] - means[1]) ** 2) + traces - 2 * singular.sum()
    # Rounding may leave equal sets slightly below.
    return max(float(distance), 0.0)


def _small(half):
    """`[at most D, D]` with the same half^T half."""
    if len(half) <= half.shape[1]:
        return half
    return np.linalg.qr(half, mode="r")
