r"""Fréchet video distance of two folders of videos.

    python -m experiments.fvd --model models/kinetics400 --first real --second generated

Of each video the first --frames frames are stretched to 224x224 px and given to RGB's
network, and the distance is that of the Gaussians of its logits (Unterthiner et al.
2018). It is comparable with published distances if the model is Kinetics-400's released
RGB I3D, and the number of frames and of videos is theirs; the fewer videos, the larger
it is. Prints a line, or JSON. A video that cannot be read ends it: a distance of fewer
videos would be another one.
"""

import json
import sys

from absl import flags

from experiments import command

_MODEL = flags.DEFINE_string("model", None, command.MODEL, required=True)
_FIRST = flags.DEFINE_string("first", None, "Folder of videos.", required=True)
_SECOND = flags.DEFINE_string("second", None, "Folder of videos.", required=True)
_FRAMES = flags.DEFINE_integer("frames", 16, "Frames of each video.", lower_bound=9)
_FPS = flags.DEFINE_integer(
    "fps", None, "Rate that videos are brought to; default: every stored frame.", 1
)
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "Of what is printed.")


def main():
    from i3d_tf.exported import ExportedModel
    from i3d_tf.fvd import folder_features, frechet_distance

    model = ExportedModel(_MODEL.value)
    features = [
        folder_features(model, folder, num_frames=_FRAMES.value, fps=_FPS.value)
        for folder in (_FIRST.value, _SECOND.value)
    ]
    distance = frechet_distance(*features)
    counts = [len(rows) for rows in features]
    if _FORMAT.value == "json":
        record = {"fvd": distance, "videos": counts, "frames": _FRAMES.value}
        print(json.dumps(record))
    else:
        print(f"FVD {distance:.4g}  ({counts[0]} and {counts[1]} videos)")
    classes = features[0].shape[1]
    if min(counts) <= classes:
        print(
            f"note: so few videos have no covariance of {classes} logits; the distance "
            "is good for nothing but sets of as many",
            file=sys.stderr,
        )


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
