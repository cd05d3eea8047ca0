"""What the distillation benchmark learns from: arms with depth, and moving sprites.

A sprite is a bright disc or square before a dark background, whose class is its motion
alone: along a line across, up and down, or a circle. Of any colour before any other a
narrow RGB network has not begun to see motion after 240 updates, even from all labels.
"""

import csv
import pathlib
import shutil

import av
import numpy as np
import tqdm

from experiments.sample_poses import render_samples
from flow.extract_folder import extract_folder
from flow.files import written_aside
from flow.flow_video import describe_flow_video, read_flow_video, write_flow_video
from flow.settings import Settings
from i3d_tf.datasets.folder.builder import TwoStreamFolder
from i3d_tf.datasets.poses.builder import TwoStreamPoses

POSES, SHUFFLED_POSES = "two_stream_poses/arms", "two_stream_poses/arms_shuffled"
SPRITES = "two_stream_folder/sprites"
SHUFFLED_SPRITES = "two_stream_folder/sprites_shuffled"
LEFT_OUT = "two_stream_folder/sprites_without_circle"
# Degrees whose cosine and sine are the amplitudes across, and up and down; blended
# ones lie within 15 of the middle of their third of 0 to 90.
MOTIONS = {"Across": 0, "Circle": 45, "UpDown": 90}
_THIRDS = {"Across": 15, "Circle": 45, "UpDown": 75}
SIDE, WIDTH = 56, 72  # px of the sprites' frames
FRAMES = 24


def make_poses(folder, train, unlabelled, test, size=64):
    """The rendered arms, and the same with each RGB picture beside another's depth.

    Of the second the teacher's inputs are wrong and all else is alike. What is there
    is used again.
    """
    folder = pathlib.Path(folder)
    arms, shuffled = folder / "arms", folder / "arms_shuffled"
    render_samples(
        arms, train=train, unlabelled=unlabelled, test=test, size=size, seed=0
    )
    if not shuffled.exists():
        aside = folder / "arms_shuffled.part"
        shutil.copytree(arms, aside, dirs_exist_ok=True)
        for split in ("train", "unlabelled"):
            paths = sorted((arms / "depth").glob(f"{split}_*.png"))
            for path, other in zip(paths, _deranged(paths), strict=True):
                shutil.copyfile(other, aside / "depth" / path.name)
        aside.rename(shuffled)
    for name, pictures in (("arms", arms), ("arms_shuffled", shuffled)):
        TwoStreamPoses.of(
            pictures, data_dir=folder / "data", name=name, smaller_side=size
        ).build()


def make_sprites(folder, train, pairs, test, blended=False):
    """Videos of sprites with their flow, as three data sets below `folder / "data"`.

    SPRITES has the splits train, pairs, which has no labels, and test. In
    SHUFFLED_SPRITES each video of the pairs has another's flow. LEFT_OUT has, of the
    same videos, transfer with all motions but the circle and train with the rest, whose
    labels are known, and the test's circles as left_out.

    Args:
      train, pairs, test: clips of each motion.
      blended: whether motions go over into each other by way of ellipses.
    """
    folder = pathlib.Path(folder)
    counts = {"train": train, "pairs": pairs, "test": test}
    listed = []
    for split, count in counts.items():
        for motion in MOTIONS:
            for number in range(count):
                listed.append((f"{split}/{motion}_{number:03}.avi", motion, split))
    for number, (path, motion, _) in enumerate(tqdm.tqdm(listed, "sprites")):
        if not (folder / "videos" / path).exists():
            rng = np.random.default_rng(number)
            degrees = MOTIONS[motion]
            if blended:
                degrees = _THIRDS[motion] + rng.uniform(-15, 15)
            _write_video(folder / "videos" / path, _sprite(rng, degrees))
    settings = Settings(smaller_side=SIDE)
    extract_folder(folder / "videos", folder / "flow", settings)
    _shuffle_flow(folder, [path for path, _, split in listed if split == "pairs"])
    sets = {
        "sprites": ("flow", [(p, "" if s == "pairs" else m, s) for p, m, s in listed]),
        "sprites_without_circle": ("flow", list(map(_without_circle, listed))),
    }
    sets["sprites_shuffled"] = ("flow_shuffled", sets["sprites"][1])
    for name, (flow, rows) in sets.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "label", "split"), *rows])
        TwoStreamFolder.of(
            folder / "videos",
            folder / flow,
            folder / f"{name}.csv",
            data_dir=folder / "data",
            name=name,
        ).build()


def _sprite(rng, degrees):
    """`[T, SIDE, WIDTH, 3]` uint8 RGB of a sprite that moves."""
    motion = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    motion /= motion.max()
    background, colour = rng.uniform(0, 60, 3), rng.uniform(120, 255, 3)
    radius, amplitude = rng.uniform(4, 8), rng.uniform(8, 13)
    size = np.array([WIDTH, SIDE])
    room = size / 2 - radius - amplitude - 1
    centre = size / 2 + rng.uniform(-room, room)
    angle = rng.uniform(0, 2 * np.pi)
    angles = angle + np.arange(FRAMES + 1) * rng.choice([-1, 1]) / rng.uniform(2.2, 3.8)
    places = centre + amplitude * np.stack([np.cos(angles), np.sin(angles)], 1) * motion
    is_disc = rng.integers(2)
    y, x = np.mgrid[:SIDE, :WIDTH]
    frames = np.empty((FRAMES + 1, SIDE, WIDTH, 3), np.uint8)
    for frame, (left, top) in zip(frames, places, strict=True):
        away = np.stack([x - left, y - top])
        away = np.hypot(*away) if is_disc else np.abs(away).max(0)
        cover = (radius - away + 0.5).clip(0, 1)[..., None]
        shown = background + cover * (colour - background)
        frame[:] = (shown + rng.normal(0, 3, shown.shape)).clip(0, 255)
    return frames


def _write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside, av.open(aside, "w", format="avi") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _without_circle(row):
    path, motion, split = row
    if split == "test":
        return path, motion, "left_out" if motion == "Circle" else "test"
    is_transfer = split == "pairs" and motion != "Circle"
    return path, motion, "transfer" if is_transfer else "train"


def _shuffle_flow(folder, pairs):
    """`flow_shuffled`: the flow of each of the pairs is another's."""
    shuffled = folder / "flow_shuffled"
    if shuffled.exists():
        return
    aside = folder / "flow_shuffled.part"
    shutil.copytree(folder / "flow", aside, dirs_exist_ok=True)
    paths = [pathlib.Path(path).with_suffix(".mkv") for path in pairs]
    for path, other in zip(paths, _deranged(paths), strict=True):
        # The tags stay, by which the builder knows whose flow it is.
        tags = describe_flow_video(folder / "flow" / path)
        codes = read_flow_video(folder / "flow" / other)
        write_flow_video(aside / path, codes, fps=tags["fps"], description=tags)
    aside.rename(shuffled)


def _deranged(items):
    """The items in a random order, none of them in its place."""
    order = np.random.default_rng(0).permutation(len(items))
    # Along the random circle each is followed by another.
    following = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return [items[following[number]] for number in range(len(items))]
