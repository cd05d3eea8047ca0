"""Renders RGB-D pictures of an arm, in the layout `folder` of the data set `poses`.

    python -m experiments.sample_poses --output DIR
    python -m experiments.build_dataset --dataset poses --videos DIR --data_dir data

Where the elbow, the wrist and the tip of the arm are is known in all splits. That of
`unlabelled` says how it is meant to be used: as pairs of RGB and depth alone.

    DIR/rgb/<split>_<number>.png    uint8, RGB
    DIR/depth/<split>_<number>.png  uint16, mm, 0 where it is unknown
    DIR/poses.csv                   picture,split,elbow_x,elbow_y,elbow_z,...: m
    DIR/settings.json               numbers of pictures, size and seed
"""

import csv
import json
import pathlib

import cv2
import tqdm
from absl import flags

from experiments import command
from experiments.sample_arms import JOINTS, SPLITS, take_picture
from flow.files import written_aside

SIZES = (16, 1024)  # px


def render_samples(output, train=400, unlabelled=2000, test=500, size=64, seed=0):
    """Renders the data set into `output`, unless it is there.

    Args:
      output: folder.
      train, unlabelled, test: pictures of each split; train and test at least 1.
      size: side of the pictures, px.
      seed: non-negative int; a seed, split and number give one arm and colours, however
        many pictures there are.

    Returns the number of pictures. Raises ValueError for settings out of range, and for
    an `output` that has pictures of other settings.
    """
    counts = dict(zip(SPLITS, (train, unlabelled, test), strict=True))
    for split, count in counts.items():
        least = 0 if split == "unlabelled" else 1
        if count < least:
            raise ValueError(f"{split} is {count}; it has to be {least} or more")
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size is {size}; it has to be {SIZES[0]} to {SIZES[1]} px")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it has to be 0 or more")

    output = pathlib.Path(output)
    total = sum(counts.values())
    settings = json.dumps({**counts, "size": size, "seed": seed})
    record = output / "settings.json"
    if record.exists() and (found := record.read_text().strip()) != settings:
        raise ValueError(
            f"{output} holds pictures with {found}, asked for were {settings}; "
            "choose another output"
        )
    # The list is written last: whoever finds it finds all pictures too.
    if (output / "poses.csv").exists():
        if not record.exists():
            raise ValueError(
                f"{output}: has a poses.csv that was not rendered; choose another "
                "output"
            )
        return total
    for kind in ("rgb", "depth"):
        (output / kind).mkdir(parents=True, exist_ok=True)
    with written_aside(record) as aside:
        aside.write_text(f"{settings}\n")
    rows = []
    with tqdm.tqdm(total=total, unit="picture") as progress:
        for split, count in counts.items():
            for number in range(count):
                name = f"{split}_{number:06d}.png"
                rgb, depth, joints = take_picture(seed, split, number, size)
                _write_png(output / "rgb" / name, rgb[..., ::-1])
                _write_png(output / "depth" / name, depth)
                rows.append([name, split, *(f"{x:.6f}" for x in joints.ravel())])
                progress.update()
    with (
        written_aside(output / "poses.csv") as aside,
        open(aside, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        columns = [f"{joint}_{axis}" for joint in JOINTS for axis in "xyz"]
        table.writerows([["picture", "split", *columns], *rows])
    return total


def _write_png(path, image):
    if not cv2.imwrite(str(path), image):
        raise OSError(f"{path}: cannot be written")


def _define_flags():
    flags.DEFINE_string("output", None, "Folder of the data set.", required=True)
    flags.DEFINE_integer("train", 400, "Pictures for training.")
    flags.DEFINE_integer("unlabelled", 2000, "Pairs to learn from without their pose.")
    flags.DEFINE_integer("test", 500, "Pictures for testing.")
    flags.DEFINE_integer("size", 64, "Side of the pictures, px.")
    flags.DEFINE_integer("seed", 0, "The same seed gives the same pictures.")


def main():
    f = flags.FLAGS
    count = render_samples(f.output, f.train, f.unlabelled, f.test, f.size, f.seed)
    print(f"{f.output}: {count} RGB-D pictures")


def cli():
    # Not on import: absl's flags are global, and names like `seed` are others' too.
    _define_flags()
    command.run(main)


if __name__ == "__main__":
    cli()
