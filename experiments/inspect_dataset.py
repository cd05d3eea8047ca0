r"""What a built data set holds, in one page of pictures.

    python -m experiments.inspect_dataset --data_dir mine/data \
        --dataset two_stream_folder/mine --output mine/inspection

Leaves index.html, which any browser opens without a network, and its pictures in
--output: videos of every class with the crops of the first two epochs and their flow
in colours, durations, how many videos the classes have, and which were lost.
"""

import dataclasses

from absl import flags

from experiments import command
from experiments.recipes import recipe_path
from flow.unexpected import doing

_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_DATASET = flags.DEFINE_string(
    "dataset", None, "As two_stream_folder/mine; default: that of --config."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the page.", required=True)
_SPLIT = flags.DEFINE_string(
    "split", None, "Of the videos shown; default: the training split."
)
_PER_CLASS = flags.DEFINE_integer(
    "per_class", 2, "Videos shown of each class.", lower_bound=1
)
_CLASSES = flags.DEFINE_integer("classes", 20, "Classes shown at most.", lower_bound=1)
_MAX_RECORDS = flags.DEFINE_integer(
    "max_records", 1000, "Videos whose durations are looked at.", lower_bound=1
)
_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "The recipe whose clips are shown; default: 64 frames, crops of 7/8 of the smaller "
    "side, seed 0.",
)
_SET = flags.DEFINE_multi_string(
    "set", [], "field=value of the recipe, as for training; repeatable."
)


def main():
    from flow.files import make_folder
    from i3d_tf import pipeline
    from i3d_tf.config_file import load_config
    from i3d_tf.datasets import open_dataset
    from i3d_tf.inspection import findings, inspect_dataset, usual_data
    from i3d_tf.reading import damage_named

    if _CONFIG.value is None:
        if _SET.value:
            raise ValueError("--set changes a recipe; give it by --config")
        if _DATASET.value is None:
            raise ValueError("give --dataset, or a --config that names one")
        builder = open_dataset(_DATA_DIR.value, _DATASET.value)
        data, seed = usual_data(builder, _DATASET.value), 0
    else:
        config = load_config(recipe_path(_CONFIG.value), _SET.value)
        dataset = _DATASET.value or config.data.dataset
        data, seed = dataclasses.replace(config.data, dataset=dataset), config.seed
        builder = open_dataset(_DATA_DIR.value, dataset)
        # A page can be made of a split without labels, so no other split is asked for.
        pipeline.check_fits(
            builder, dataclasses.replace(data, test_split=data.train_split)
        )
    make_folder(_OUTPUT.value)  # what is wrong with it shows at once
    with damage_named(builder), doing(f"showing {builder.data_dir}"):
        inspection = inspect_dataset(
            builder,
            data,
            _OUTPUT.value,
            seed=seed,
            split=_SPLIT.value or data.train_split,
            per_class=_PER_CLASS.value,
            classes=_CLASSES.value,
            max_records=_MAX_RECORDS.value,
        )
    for note in findings.notices(inspection):
        print(note)
    videos = sum(map(len, inspection.samples.values()))
    shown = findings.left_out(inspection) or f"{len(inspection.samples)} classes"
    print(f"{_OUTPUT.value}/index.html: {videos} videos; {shown}")


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
