"""Compares the released networks' answers to DeepMind's sample with the published ones.

    git clone https://github.com/google-deepmind/kinetics-i3d
    python -m experiments.check_released --checkpoints kinetics-i3d
    python -m experiments.check_released --checkpoints kinetics-i3d --networks scratch

Runs both streams and their sum on the 79 frames of v_CricketShot_g04_c01 that the
repository holds, and compares the norm of the logits and the largest of them with the
published classes, logits and probabilities. Ends with exit code 1 if any figure
differs.
"""

import pathlib

from absl import flags

from experiments import command
from experiments.released_answers import PUBLISHED

_CHECKPOINTS = flags.DEFINE_string(
    "checkpoints",
    None,
    "A clone of kinetics-i3d, its data or its data/checkpoints.",
    required=True,
)
_NETWORKS = flags.DEFINE_enum(
    "networks",
    "imagenet",
    list(PUBLISHED),
    "The networks that were pretrained on ImageNet, or those trained from scratch.",
)

# Absolute, of logits and their norm. The published files differ from each other by up
# to 5e-5; the nearest neighbours among the listed logits are 0.0027 apart, so within
# this tolerance no two can change places.
LOGITS = 1e-3
# Relative, of probabilities: exp(2 * LOGITS), as p = exp(logit - log of all).
PROBABILITIES = 2e-3
FRAMES, SIZE, CLASSES = 79, 224, 400


def main():
    check(_CHECKPOINTS.value, _NETWORKS.value)


def check(folder, networks="imagenet"):
    """Prints all figures of "imagenet" or "scratch" networks.

    Raises:
      ValueError: a figure differs from the published one, or something is missing.
    """
    data = find_data(folder, networks)
    labels = read_labels(data / "label_map.txt")
    differing = []
    for name, logits in answers(data, networks).items():
        rows = compare(logits, labels, PUBLISHED[networks][name])
        print_table(name, rows)
        differing += [f"{name} {what}" for what, *_, agrees in rows if not agrees]
    if differing:
        raise ValueError(
            f"{data}: {len(differing)} figures differ from the published ones: "
            f"{', '.join(differing[:3])}{' ...' * (len(differing) > 3)}"
        )
    print(f"{data}: all figures agree with the published ones")


def find_data(folder, networks="imagenet"):
    """Returns the repository's `data` below, at or above `folder`.

    Raises:
      ValueError: something that is needed is missing; the message names it.
    """
    folder = pathlib.Path(folder).resolve()
    places = [folder / "data", folder, folder.parent]
    if folder.name != "checkpoints":
        places.pop()
    data = next((place for place in places if (place / "checkpoints").is_dir()), None)
    if data is None:
        raise ValueError(
            f"{folder}: has no data/checkpoints; is it a clone of kinetics-i3d?"
        )
    needed = [
        f"checkpoints/{stream}_{networks}/model.ckpt.{part}"
        for stream in ("rgb", "flow")
        for part in ("index", "data-00000-of-00001")
    ]
    needed += [sample_name("rgb"), sample_name("flow"), "label_map.txt"]
    missing = [name for name in needed if not (data / name).is_file()]
    if missing:
        raise ValueError(f"{data}: has no {', '.join(missing)}")
    return data


def sample_name(stream):
    return f"v_CricketShot_g04_c01_{stream}.npy"


def read_labels(path):
    """The class names, line k for class k."""
    labels = path.read_text("utf-8").splitlines()
    if len(labels) != CLASSES:
        raise ValueError(f"{path}: {len(labels)} lines; it must have {CLASSES}")
    return labels


def read_sample(path, channels):
    """The clip `[1, 79, 224, 224, channels]`, float32 in [-1, 1]."""
    import numpy as np

    try:
        clip = np.load(path)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not an array file ({error})") from None
    wanted = (1, FRAMES, SIZE, SIZE, channels)
    if clip.shape != wanted or clip.dtype.kind != "f":
        raise ValueError(
            f"{path}: {clip.dtype} {list(clip.shape)}; it must be float {list(wanted)}"
        )
    # With room for rounding. Not NaN either.
    if not np.abs(clip).max() <= 1.001:
        raise ValueError(
            f"{path}: values from {clip.min():.6g} to {clip.max():.6g}; they must lie "
            "in [-1, 1]"
        )
    return clip.astype(np.float32)


def answers(data, networks="imagenet"):
    """Returns {"rgb", "flow", "both": logits [400]} on the networks' samples."""
    from i3d_tf import FLOW, RGB, build_i3d  # isort: skip, it chooses oneDNN

    import tensorflow as tf

    from i3d_tf.weights import load_released

    logits = {}
    for stream in (RGB, FLOW):
        clip = read_sample(data / sample_name(stream.name), stream.channels)
        model = build_i3d(stream, CLASSES, size=SIZE)
        load_released(model, data / f"checkpoints/{stream.name}_{networks}/model.ckpt")
        # In a graph, which lets go of the features that are no longer needed.
        forward = tf.function(lambda clip, model=model: model(clip, training=False))
        logits[stream.name] = forward(clip).numpy()[0]
    return {**logits, "both": logits["rgb"] + logits["flow"]}


def compare(logits, labels, published):
    """Compares the logits `[400]` of a network with a `released_answers.Answer`.

    Returns:
      A list of (what, got, published, difference, whether they agree): the norm, and
      for each rank the class, its logit and its probability. The difference of
      probabilities is relative, that of classes None.
    """
    import numpy as np

    logits = np.asarray(logits, np.float64)
    exponentials = np.exp(logits - logits.max())
    probabilities = exponentials / exponentials.sum()
    order = np.argsort(-logits, kind="stable")
    rows = [_close("norm", np.linalg.norm(logits), published.norm, LOGITS)]
    for rank, (name, logit, probability) in enumerate(published.top, 1):
        got = order[rank - 1]
        rows += [
            (f"class {rank}", labels[got], name, None, labels[got] == name),
            _close(f"logit {rank}", logits[got], logit, LOGITS),
        ]
        if probability is not None:
            what = f"probability {rank}"
            found = probabilities[got]
            rows.append(_close(what, found, probability, PROBABILITIES, relative=True))
    return rows


def _close(what, got, published, tolerance, relative=False):
    difference = float(got) - published
    if relative:
        difference /= published
    return what, float(got), published, difference, abs(difference) <= tolerance


def print_table(name, rows):
    """Prints what `compare` returned: what, got, published, difference."""
    print(f"{name:16}{'got':>34}{'published':>34}{'difference':>12}")
    for what, got, published, difference, agrees in rows:
        if difference is None:
            cells = f"{got:>34}{published:>34}{'':12}"
        else:
            cells = f"{got:>34.6g}{published:>34.6g}{difference:>12.1e}"
        print(f"{what:16}{cells}{'' if agrees else '  differs'}")


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
