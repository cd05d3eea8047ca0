"""Writes trained streams as a SavedModel.

    python -m experiments.export --workdir runs/demo --output models/demo

Streams that were trained apart are joined: --workdir runs/rgb --workdir runs/flow.
"""

from absl import flags

from experiments import command

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of a run; repeatable.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "SavedModel to write.", required=True)
_DTYPE = flags.DEFINE_enum(
    "dtype",
    "float32",
    ["float32", "mixed_bfloat16"],
    "Of the computation; bfloat16 is faster where the processor has AMX, or on GPUs.",
)


def main():
    from i3d_tf.checkpoints import load_workdirs
    from i3d_tf.export import export

    config, labels, models = load_workdirs(_WORKDIR.value, _DTYPE.value)
    export(models, labels, config.data, _OUTPUT.value)
    print(f"{_OUTPUT.value}: SavedModel, {'+'.join(models)}, {len(labels)} classes")


if __name__ == "__main__":
    command.run(main)
