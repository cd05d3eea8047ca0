"""Writes trained streams as a SavedModel.

    python -m experiments.export --workdir runs/demo --output models/demo

Streams that were trained apart are joined: --workdir runs/rgb --workdir runs/flow.
`i3d_tf.export.export` says which signatures there are, of clips, raw frames, encoded
videos and features; saved_model_cli shows them:

    saved_model_cli show --dir models/demo --tag_set serve --all
"""

from absl import flags

from experiments import command
from flow.unexpected import doing

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of a run; repeatable.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "SavedModel to write.", required=True)
_DTYPE = flags.DEFINE_enum(
    "dtype",
    "float32",
    ["auto", "float32", "mixed_bfloat16"],
    "Dtype of the computation. float32 is fast on every machine. mixed_bfloat16 is "
    "faster on TPUs, GPUs of compute capability 8.0 and processors with AVX512-BF16 or "
    "AMX, and takes many times as long on others. auto: mixed_bfloat16 if the runs "
    "were trained in it and it is fast on this machine, else float32.",
)
_ENDPOINTS = flags.DEFINE_list(
    "endpoints",
    None,
    "Layers whose features are served; these instead of Mixed_4f, Mixed_5c, "
    "AvgPool3d_6a_7x7 and Logits-Conv3d_0c_1x1.",
)


def main():
    from i3d_tf.checkpoints import evaluation_dtype, load_workdirs
    from i3d_tf.dtypes import BFLOAT16
    from i3d_tf.export import ENDPOINTS, export

    with doing(f"reading the run {' and '.join(_WORKDIR.value)}"):
        dtype = evaluation_dtype(_WORKDIR.value, _DTYPE.value)
        config, labels, models = load_workdirs(_WORKDIR.value, dtype)
    endpoints = ENDPOINTS if _ENDPOINTS.value is None else tuple(_ENDPOINTS.value)
    with doing(f"writing the SavedModel {_OUTPUT.value}"):
        export(models, labels, config.data, _OUTPUT.value, endpoints)
    if dtype == BFLOAT16:
        print(
            f"{_OUTPUT.value}: computes in bfloat16, which is slow on processors "
            "without AVX512-BF16 or AMX and on GPUs below compute capability 8.0; "
            "--dtype float32 is fast everywhere"
        )
    print(
        f"{_OUTPUT.value}: SavedModel, {'+'.join(models)}, {len(labels)} classes; "
        "where TensorFlow alone loads it, set TF_ENABLE_ONEDNN_OPTS=1 (2 to 4 times as "
        "fast on processors without AVX-512)"
    )


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
