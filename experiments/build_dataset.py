"""Pairs videos with their flow videos and writes them as a TFDS data set.

    python -m experiments.build_dataset --dataset folder --videos mine/videos \
        --flow mine/flow --data_dir mine/data --name mine

Leaves `<data_dir>/two_stream_<dataset>/<name or split>/<version>/` with the records
and coverage.json: what was listed, used, and lost for which reason.
"""

import pathlib
import re

from absl import flags

from experiments import command

_DATASET = flags.DEFINE_enum(
    "dataset", "folder", ["folder", "ucf101"], "Layout of the videos and lists."
)
_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.", required=True)
_FLOW = flags.DEFINE_string("flow", None, "Folder of flow videos.", required=True)
_ANNOTATIONS = flags.DEFINE_string(
    "annotations",
    None,
    "ucf101: folder of classInd.txt and the split lists. folder: optional CSV file "
    "with path,label,split.",
)
_SPLIT_NUMBER = flags.DEFINE_integer(
    "split_number", 1, "ucf101: official split.", lower_bound=1, upper_bound=3
)
_TEST_GLOB = flags.DEFINE_string(
    "test_glob",
    None,
    "folder: videos whose relative path fits are for testing, as '*_P2_*'; default: "
    "every fifth of a class.",
)
_NAME = flags.DEFINE_string(
    "name", None, "folder: name of the data set; default: the videos' folder's."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Processes; default: the processors at hand.", lower_bound=1
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Build again if it is there.")


def main():
    from i3d_tf.datasets.two_stream import TwoStreamFolder, TwoStreamUcf101

    for flag, dataset in (
        (_NAME, "folder"),
        (_TEST_GLOB, "folder"),
        (_SPLIT_NUMBER, "ucf101"),
    ):
        if flag.present and dataset != _DATASET.value:
            raise ValueError(f"--{flag.name} is for --dataset {dataset} alone")
    places = {"data_dir": _DATA_DIR.value, "workers": _WORKERS.value}
    if _DATASET.value == "ucf101":
        if _ANNOTATIONS.value is None:
            raise ValueError("--dataset ucf101 needs --annotations, the split lists")
        builder = TwoStreamUcf101.of(
            _VIDEOS.value,
            _FLOW.value,
            _ANNOTATIONS.value,
            _SPLIT_NUMBER.value,
            **places,
        )
    else:
        name = _NAME.value or pathlib.Path(_VIDEOS.value).resolve().name
        if not re.fullmatch(r"\w[\w-]*", name, re.ASCII):
            raise ValueError(
                f"name {name!r} of the data set: letters, digits, _ and - only; say "
                "--name"
            )
        builder = TwoStreamFolder.of(
            _VIDEOS.value,
            _FLOW.value,
            _ANNOTATIONS.value,
            name=name,
            test_glob=_TEST_GLOB.value,
            **places,
        )
    coverage = builder.build(overwrite=_OVERWRITE.value)
    if coverage is None:
        print(f"{builder.data_dir}: was there already (--overwrite builds it again)")
        return
    for split, labels in coverage.items():
        listed, used = (
            sum(counts[key] for counts in labels.values()) for key in ("listed", "used")
        )
        print(f"{split}: {used} of {listed} listed videos, {len(labels)} classes")
    print(f"{builder.data_dir}: data set {builder.name}/{builder.builder_config.name}")


if __name__ == "__main__":
    command.run(main)
