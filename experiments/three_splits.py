r"""Trains and evaluates a recipe on all splits of UCF101 or HMDB51.

    python -m experiments.three_splits --config ucf101 \
        --workdir runs/ucf101 --data_dir data --protocol full \
        --set rgb.initial_weights=checkpoints/rgb_imagenet/model.ckpt \
        --set flow.initial_weights=checkpoints/flow_imagenet/model.ckpt

The data sets two_stream_ucf101/split_1, split_2 and split_3 have to be built. Leaves in
the workdir a run with its evaluation for each, split_<k>/, and their mean as mean.json
and mean.md, beside the paper's. Stopped and started again, it goes on where it was; at
SIGTERM it ends as train does.
"""

from absl import flags

from experiments import command, evaluation_flags
from experiments.recipes import recipe_path
from flow.unexpected import doing

_CONFIG = flags.DEFINE_string(
    "config", None, "Name of a recipe, as own_videos, or its file.", required=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_SET = flags.DEFINE_multi_string("set", [], "field=value of the config, as of train.")
_SPLITS = flags.DEFINE_list("splits", ["1", "2", "3"], "Which of them.")
_STRATEGY = flags.DEFINE_enum(
    "strategy", "one", ["one", "mirrored"], "One device, or all of this machine."
)
evaluation_flags.define_protocol()
evaluation_flags.define_fusion()
# What it was called before.
flags.DEFINE_alias("weights", "fusion_weights")
flags.adopt_module_key_flags(evaluation_flags)


def main():
    numbers, recipe = _numbers(_SPLITS.value), recipe_path(_CONFIG.value)
    fusion = evaluation_flags.fusion()
    make_protocol = evaluation_flags.make_protocol()

    from flow.files import as_path
    from i3d_tf import training
    from i3d_tf.config_file import load_config
    from i3d_tf.evaluation import splits

    config = load_config(recipe, _SET.value)
    with command.ended_by_sigterm(), doing(f"training and evaluating {_WORKDIR.value}"):
        splits.run_splits(
            config,
            _WORKDIR.value,
            _DATA_DIR.value,
            make_protocol,
            numbers=numbers,
            fusion=fusion,
            strategy=training.make_strategy(_STRATEGY.value),
            batch_size=flags.FLAGS.batch_size,
            dtype=flags.FLAGS.dtype,
        )
    workdir = as_path(_WORKDIR.value)
    print((workdir / "mean.md").read_text("utf-8"))
    print(f"{workdir}: mean of splits {', '.join(map(str, numbers))} in mean.json")


def _numbers(texts):
    if not texts or len(set(texts)) < len(texts) or set(texts) - {"1", "2", "3"}:
        raise ValueError(f"--splits {','.join(texts)}: expected some of 1,2,3")
    return [int(text) for text in texts]


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
