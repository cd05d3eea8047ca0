"""Renders a small, learnable video data set as files in UCF101's layout.

    python -m experiments.sample_videos --output DIR

A class is a motion times a colour (`SlideRed`). The three colours of a scene have
the very same luma, so optical flow, which is computed from grey, can tell the
motion but never the colour. The scenes are the same for all classes, so nothing
but the motion and the colour tells the class. Test scenes have other backgrounds,
and sizes, shapes and speeds between those of the training scenes.

    DIR/videos/<Class>/v_<Class>_gNN_cMM.avi    MPEG-4, 320x240 px, 25 frames/s
    DIR/annotations/{classInd,trainlist01,testlist01}.txt
    DIR/settings.json                           seconds and seed of the videos
"""

import json
import math
import pathlib

import tqdm
from absl import flags

from experiments import command
from experiments.sample_scenes import (
    CLASSES,
    COLOURS,
    FPS,
    MOTIONS,
    TEST_GROUPS,
    TRAIN_GROUPS,
    paint,
    render_clip,
    write_video,
)
from flow.files import written_aside


def _write_text(path, lines):
    with written_aside(path) as aside:
        aside.write_text("".join(f"{line}\n" for line in lines))


def _takes(groups, count):
    """`count` pairs (group, clip): one clip of every group comes first."""
    return [(groups[i % len(groups)], i // len(groups) + 1) for i in range(count)]


def render_samples(output, train_per_class=7, test_per_class=3, seconds=1.4, seed=0):
    """Renders the data set into `output`; videos that exist are kept.

    Args:
      output: folder; another run with more clips per class adds to it.
      train_per_class, test_per_class: clips of each class, at least 1.
      seconds: duration of a clip, at least 2 frames of 1/25 s.
      seed: non-negative int; the same seed gives the same videos.

    Returns the number of videos listed. Raises ValueError for settings out of
    range, and for an `output` whose videos have another length or seed.
    """
    for name, value in (("train", train_per_class), ("test", test_per_class)):
        if value < 1:
            raise ValueError(f"{name}_per_class is {value}; it has to be 1 or more")
    if not (math.isfinite(seconds) and round(seconds * FPS) >= 2):
        raise ValueError(
            f"seconds is {seconds}; 2 frames at {FPS} per second need {2 / FPS} or more"
        )
    if seed < 0:
        raise ValueError(f"seed is {seed}; it has to be 0 or more")

    output = pathlib.Path(output)
    frames = round(seconds * FPS)
    annotations = output / "annotations"
    annotations.mkdir(parents=True, exist_ok=True)
    # Kept videos would otherwise mix silently with those of other settings.
    settings = json.dumps({"seconds": frames / FPS, "seed": seed})
    record = output / "settings.json"
    if record.exists() and (found := record.read_text().strip()) != settings:
        raise ValueError(
            f"{output} holds videos with {found}, asked for were {settings}; "
            "choose another output"
        )
    _write_text(record, [settings])

    train = _takes(TRAIN_GROUPS, train_per_class)
    test = _takes(TEST_GROUPS, test_per_class)
    total = len(CLASSES) * len(train + test)
    with tqdm.tqdm(total=total, unit="video") as progress:
        for motion in MOTIONS:
            for group, number in train + test:
                clip = None
                for colour in COLOURS:
                    path = output / "videos" / _name(motion + colour, group, number)
                    if not path.exists():
                        clip = clip or render_clip(motion, group, number, frames, seed)
                        path.parent.mkdir(parents=True, exist_ok=True)
                        write_video(path, paint(clip, colour))
                    progress.update()

    # Last, so that whoever finds the lists finds all videos too.
    labels, train_lines, test_lines = [], [], []
    for i, label in enumerate(CLASSES, start=1):
        labels.append(f"{i} {label}")
        train_lines += [f"{_name(label, *take)} {i}" for take in train]
        test_lines += [_name(label, *take) for take in test]
    _write_text(annotations / "classInd.txt", labels)
    _write_text(annotations / "trainlist01.txt", train_lines)
    _write_text(annotations / "testlist01.txt", test_lines)
    return total


def _name(label, group, clip):
    return f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi"


def _define_flags():
    flags.DEFINE_string("output", None, "Folder of the data set.", required=True)
    flags.DEFINE_integer("train_per_class", 7, "Training clips of each class.")
    flags.DEFINE_integer("test_per_class", 3, "Test clips of each class.")
    flags.DEFINE_float("seconds", 1.4, "Duration of a clip.")
    flags.DEFINE_integer("seed", 0, "The same seed gives the same videos.")


def main():
    f = flags.FLAGS
    count = render_samples(
        f.output, f.train_per_class, f.test_per_class, f.seconds, f.seed
    )
    print(f"{f.output}: {count} videos of {len(CLASSES)} classes")


def cli():
    # Not on import: absl's flags are global, and names like `seed` are others' too.
    _define_flags()
    command.run(main)


if __name__ == "__main__":
    cli()
