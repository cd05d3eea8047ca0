"""A tiny two-stream data set, written in a second, and a config that fits it."""

import cv2
import numpy as np
import tensorflow as tf

from flow import code
from flow.flow_video import write_flow_video
from i3d_tf.config import Config, Data, StreamTraining
from i3d_tf.datasets.folder.builder import TwoStreamFolder
from i3d_tf.inception import build_two_stream
from i3d_tf.training.progress import keep_config

HEIGHT, WIDTH = 40, 56
LABELS = ("down", "right", "still")


def build(folder, write_video, videos_per_class=4, frames=12):
    """Builds `two_stream_folder/tiny` below `folder / "data"`; returns the builder.

    What the frames show is in `rgb_frames` and `flow_field`. The last video of each
    class is for testing.
    """
    for label in LABELS:
        for number in range(videos_per_class):
            path = folder / "videos" / label / f"v{number}.mkv"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, rgb_frames(number, frames), fps=25)
            write_flow_video(
                folder / "flow" / label / f"v{number}.mkv",
                [code.encode(flow_field(number, k)) for k in range(1, frames)],
                fps=25,
                description={"smaller_side": HEIGHT},
            )
    builder = TwoStreamFolder.of(
        folder / "videos",
        folder / "flow",
        data_dir=folder / "data",
        name="tiny",
        test_glob=f"*/v{videos_per_class - 1}.mkv",
        workers=1,
    )
    builder.build()
    return builder


def rgb_frames(number, frames):
    """[frames, HEIGHT, WIDTH, 3] uint8: x + 4 k + 8 i + 20 at column x of frame k."""
    x, k = np.arange(WIDTH), np.arange(frames)[:, None, None, None]
    grey = x[:, None] + 4 * k + 8 * number + 20
    return np.broadcast_to(grey, [frames, HEIGHT, WIDTH, 3]).astype(np.uint8)


def moving_texture(frames, height=60, width=90, seed=0):
    """`[frames, H, W, 3]` uint8: smooth noise that moves 2 px right, 1 down a frame."""
    size = (height + frames, width + 2 * frames, 3)
    noise = np.random.default_rng(seed).uniform(0, 255, size)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return np.stack(
        [
            smooth[frames - k :, 2 * (frames - k) :][:height, :width].astype(np.uint8)
            for k in range(frames)
        ]
    )


def flow_field(number, frame):
    """[HEIGHT, WIDTH, 2] px: u = +-(k + 1), minus in odd videos, v = x / 4 - 7."""
    flow = np.empty([HEIGHT, WIDTH, 2], np.float32)
    flow[..., 0] = (frame + 1) * (-1) ** number
    flow[..., 1] = np.arange(WIDTH) / 4 - 7
    return flow


def config(steps=4, **changes):
    """A recipe of a network an eighth as wide, 32x32 px, nine frames."""
    stream = StreamTraining(
        steps=steps, learning_rates=(0.02, 0.01), boundaries=(2,), weight_decay=1e-3
    )
    values = {
        "data": Data(
            dataset="two_stream_folder/tiny",
            num_frames=9,
            size=32,
            smaller_side=HEIGHT,
        ),
        "rgb": stream,
        "flow": stream,
        "batch_size": 4,
        "batch_norm_decay": 0.9,
        # "auto" would compute other things on other processors.
        "dtype": "float32",
        "width": 0.125,
        "checkpoint_steps": 2,
    }
    return Config(**{**values, **changes})


def raw_clips(batch=2, frames=10, seed=0):
    """Clips of 32 px as users hold them: RGB bytes, flow within 20 px."""
    rng = np.random.default_rng(seed)
    shape = (batch, frames, 32, 32)
    return {
        "rgb": rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
        "flow": rng.uniform(-20, 20, (*shape, 2)).astype(np.float32),
    }


def call(signature, **inputs):
    """What a signature of a SavedModel answers to arrays, as arrays."""
    found = signature(**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in found.items()}


def networks(num_classes, streams, size=32):
    """Networks an eighth as wide, with statistics as after training."""
    models = build_two_stream(num_classes, streams, size=size, width=0.125, seed=0)
    rng = np.random.default_rng(0)
    for model in models.values():
        for variable in model.variables:
            if variable.name in ("beta", "moving_mean", "bias"):
                variable.assign(rng.normal(0, 0.2, variable.shape))
            elif variable.name == "moving_variance":
                variable.assign(rng.uniform(0.4, 0.8, variable.shape))
    return models


def written_run(config, workdir, labels=LABELS):
    """Writes the workdir of a training of two steps, without training; returns it."""
    keep_config(config, workdir, list(labels))
    models = networks(len(labels), config.streams)
    states = {
        name: tf.train.Checkpoint(model=model, averages=[])
        for name, model in models.items()
    }
    tf.train.CheckpointManager(
        tf.train.Checkpoint(**states), str(workdir / "checkpoints"), max_to_keep=1
    ).save(checkpoint_number=2)
    return workdir
