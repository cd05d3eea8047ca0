r"""Pairs videos with their flow videos and writes them as a TFDS data set.

CT volumes and RGB-D pictures, which need no flow, are written too.

    python -m experiments.build_dataset --dataset folder --videos mine/videos \
        --flow mine/flow --data_dir mine/data --name mine

Leaves `<data_dir>/two_stream_<dataset>/<name or split>/<version>/` with the records,
coverage.json (how many videos of each split and class are listed, present and used,
and for which reason the others are lost) and quarantine.csv (the lost as a table).
i3d_tf/datasets/<dataset>/README.md says what to download and how it has to lie.
With --beam_pipeline_options the workers of Apache Beam do it: experiments/cluster.md.
"""

import pathlib
import re

from absl import flags

from experiments import command
from flow.pool import LIMIT
from flow.unexpected import doing

_DATASET = flags.DEFINE_enum(
    "dataset",
    "folder",
    ["folder", "ucf101", "hmdb51", "kinetics", "volumes", "poses"],
    "Layout of the videos and lists.",
)
_VIDEOS = flags.DEFINE_string(
    "videos",
    None,
    "Folder of videos. volumes: folder of NIfTI files, or MedMNIST3D's .npz. poses: "
    "folder of RGB-D pictures.",
    required=True,
)
_FLOW = flags.DEFINE_string(
    "flow", None, "Folder of flow videos, which all but volumes and poses need."
)
_ANNOTATIONS = flags.DEFINE_string(
    "annotations",
    None,
    "ucf101, hmdb51: folder of the official lists. kinetics: a CSV file, or a folder "
    "of them. folder: optional CSV file with path,label,split[,start,end]. volumes: "
    "the same without times.",
)
_SPLIT_NUMBER = flags.DEFINE_integer(
    "split_number", 1, "ucf101, hmdb51: official split.", lower_bound=1, upper_bound=3
)
_TEST_GLOB = flags.DEFINE_string(
    "test_glob",
    None,
    "folder, volumes: what has a relative path that fits is for testing, as '*_P2_*'; "
    "default: every fifth of a class.",
)
_LAYOUT = flags.DEFINE_enum(
    "layout", "folder", ["folder", "nyu", "rhd", "biwi"], "poses: how pictures lie."
)
_SMALLER_SIDE = flags.DEFINE_integer(
    "smaller_side", 128, "poses: side of the stored squares, px.", lower_bound=1
)
_JOINTS = flags.DEFINE_list(
    "joints", None, "poses: indices of the joints to keep, as 0,3,5; default: all."
)
_VIEWS = flags.DEFINE_list("views", None, "nyu: cameras, of 1,2,3; default: 1.")
_TEST_SEQUENCES = flags.DEFINE_list(
    "test_sequences", None, "biwi: folders that are for testing, as 01,12."
)
_NAME = flags.DEFINE_string(
    "name",
    None,
    "Name of the data set. folder, volumes, poses: default is that of --videos. "
    "kinetics: k400, k600, k700 or k700_2020, or another name for a part of the "
    "classes.",
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Processes; default: the processors at hand.", lower_bound=1
)
_BEAM = flags.DEFINE_list(
    "beam_pipeline_options",
    None,
    "Encode by Apache Beam with these of its options, without their dashes.",
)
_LIMIT = flags.DEFINE_integer(
    "limit_seconds",
    LIMIT,
    "Without progress in a video, after which it is left out; 0: no limit. One worker, "
    "which is the command itself, has none.",
    lower_bound=0,
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Build again if it is there.")
_STRICT = flags.DEFINE_bool(
    "strict", False, "Make it an error if a listed video cannot be used."
)

# Those that only some data sets have, so that none is given in vain.
_ONLY = (
    (_NAME, ("folder", "kinetics", "volumes", "poses")),
    (_ANNOTATIONS, ("folder", "ucf101", "hmdb51", "kinetics", "volumes")),
    (_TEST_GLOB, ("folder", "volumes")),
    (_FLOW, ("folder", "ucf101", "hmdb51", "kinetics")),
    (_SPLIT_NUMBER, ("ucf101", "hmdb51")),
    (_LAYOUT, ("poses",)),
    (_SMALLER_SIDE, ("poses",)),
    (_JOINTS, ("poses",)),
    (_VIEWS, ("poses",)),
    (_TEST_SEQUENCES, ("poses",)),
)


def main():
    dataset = _DATASET.value
    for flag, datasets in _ONLY:
        if flag.present and dataset not in datasets:
            raise ValueError(
                f"--{flag.name} is for --dataset {' or '.join(datasets)} alone"
            )
    if _ANNOTATIONS.value is None and dataset not in ("folder", "volumes", "poses"):
        raise ValueError(f"--dataset {dataset} needs --annotations, the lists")
    if not _FLOW.value and dataset not in ("volumes", "poses"):
        raise ValueError(f"--dataset {dataset} needs --flow, of extract_flow")
    beam_options = None
    if _BEAM.value is not None:
        beam_options = command.beam_options(_BEAM.value, _WORKERS.value)
    builder = _BUILDERS[dataset](
        data_dir=_DATA_DIR.value,
        workers=_WORKERS.value,
        limit=_LIMIT.value,
        strict=_STRICT.value,
    )
    with doing(f"building the data set {builder.data_dir}"):
        coverage = builder.build(_OVERWRITE.value, beam_options)
    from i3d_tf.datasets.coverage import describe, read_coverage, total

    was_there = coverage is None
    if was_there:
        coverage = read_coverage(builder.data_dir) or {}
    for split, labels in coverage.items():
        print(f"{split}: {describe(total(labels))}")
    print(f"{builder.data_dir}: data set {builder.name}/{builder.builder_config.name}")
    if was_there:
        print("It was there already; --overwrite builds it again, as for other flow.")


# Flags are checked before these are called: to import TFDS takes seconds.


def _ucf101(**options):
    from i3d_tf.datasets.ucf101.builder import TwoStreamUcf101

    return TwoStreamUcf101.of(*_sources(), _SPLIT_NUMBER.value, **options)


def _hmdb51(**options):
    from i3d_tf.datasets.hmdb51.builder import TwoStreamHmdb51

    return TwoStreamHmdb51.of(*_sources(), _SPLIT_NUMBER.value, **options)


def _kinetics(**options):
    if _NAME.value is None:
        raise ValueError("--dataset kinetics needs --name, as k400")
    name = _checked_name(_NAME.value)

    from i3d_tf.datasets.kinetics.builder import TwoStreamKinetics

    return TwoStreamKinetics.of(*_sources(), name=name, **options)


def _folder(**options):
    name = _checked_name(_NAME.value or pathlib.Path(_VIDEOS.value).resolve().name)

    from i3d_tf.datasets.folder.builder import TwoStreamFolder

    return TwoStreamFolder.of(
        *_sources(), name=name, test_glob=_TEST_GLOB.value, **options
    )


def _volumes(**options):
    name = _checked_name(_NAME.value or pathlib.Path(_VIDEOS.value).resolve().stem)

    from i3d_tf.datasets.volumes.builder import TwoStreamVolumes

    return TwoStreamVolumes.of(
        _VIDEOS.value,
        _ANNOTATIONS.value,
        name=name,
        test_glob=_TEST_GLOB.value,
        **options,
    )


def _poses(**options):
    name = _checked_name(_NAME.value or pathlib.Path(_VIDEOS.value).resolve().name)
    joints, views = _numbers(_JOINTS), _numbers(_VIEWS)

    from i3d_tf.datasets.poses.builder import TwoStreamPoses

    return TwoStreamPoses.of(
        _VIDEOS.value,
        layout=_LAYOUT.value,
        name=name,
        smaller_side=_SMALLER_SIDE.value,
        joints=joints,
        views=views,
        test_sequences=_TEST_SEQUENCES.value,
        **options,
    )


def _numbers(flag):
    """The whole numbers of a list; None if it is not given."""
    if flag.value is None:
        return None
    try:
        return [int(text) for text in flag.value]
    except ValueError as error:
        raise ValueError(
            f"--{flag.name} {','.join(flag.value)}: numbers only"
        ) from error


def _sources():
    return _VIDEOS.value, _FLOW.value, _ANNOTATIONS.value


def _checked_name(name):
    if not re.fullmatch(r"\w[\w-]*", name, re.ASCII):
        raise ValueError(
            f"name {name!r} of the data set: letters, digits, _ and - only; say --name"
        )
    return name


_BUILDERS = {
    "ucf101": _ucf101,
    "hmdb51": _hmdb51,
    "kinetics": _kinetics,
    "folder": _folder,
    "volumes": _volumes,
    "poses": _poses,
}


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
