r"""Writes networks as a SavedModel: trained streams, or weights from elsewhere.

    python -m experiments.export --workdir runs/demo --output models/demo
    python -m experiments.export --weights kinetics400 --output models/kinetics400
    python -m experiments.export --weights rgb=rgb_imagenet/model.ckpt \
        --weights flow=flow.pt --labels kinetics400 --output models/both

Streams that were trained apart are joined: --workdir runs/rgb --workdir runs/flow.
Weights are the name of a published network (`python -m experiments.weights` lists
them), a checkpoint, a PyTorch or .keras file, or the workdir of a training.
`i3d_tf.export.export` says which signatures there are: of clips, raw frames, encoded
videos and features. saved_model_cli shows them:

    saved_model_cli show --dir models/demo --tag_set serve --all
"""

from absl import flags

from experiments import command
from flow.unexpected import doing

_WORKDIR = flags.DEFINE_multi_string("workdir", [], "Folder of a training; repeatable.")
_WEIGHTS = flags.DEFINE_multi_string(
    "weights",
    [],
    "In place of --workdir: rgb=WEIGHTS or flow=WEIGHTS, or the weights alone, whose "
    "input channels tell the stream; repeatable.",
)
_LABELS = flags.DEFINE_string(
    "labels",
    None,
    "For --weights: a file with the name of a class in each line, or kinetics400 or "
    "kinetics600. Published networks and trainings have names already.",
)
_FRAMES = flags.DEFINE_integer(
    "num_frames", 64, "For --weights: frames of a clip.", lower_bound=9
)
_SIZE = flags.DEFINE_integer(
    "size", 224, "For --weights: side of the crop in px.", lower_bound=32
)
_SMALLER_SIDE = flags.DEFINE_integer(
    "smaller_side",
    256,
    "For --weights: smaller side of the frames that are cropped, in px.",
    lower_bound=32,
)
_OUTPUT = flags.DEFINE_string("output", None, "SavedModel to write.", required=True)
_DTYPE = flags.DEFINE_enum(
    "dtype",
    "float32",
    ["auto", "float32", "mixed_bfloat16"],
    "Dtype of the computation. float32 is fast on every machine. mixed_bfloat16 is "
    "faster on TPUs, GPUs of compute capability 8.0 and processors with AVX512-BF16 or "
    "AMX, and takes many times as long on others. auto: mixed_bfloat16 if it is fast "
    "on this machine and every --workdir was trained in it, else float32.",
)
_ENDPOINTS = flags.DEFINE_list(
    "endpoints",
    None,
    "Layers whose features are served; these instead of Mixed_4f, Mixed_5c, "
    "AvgPool3d_6a_7x7 and Logits-Conv3d_0c_1x1.",
)


_OF_WEIGHTS = ("labels", "num_frames", "size", "smaller_side")


def main():
    if bool(_WORKDIR.value) == bool(_WEIGHTS.value):
        raise ValueError("pass either --workdir or --weights")
    for name in _OF_WEIGHTS:
        if _WORKDIR.value and flags.FLAGS[name].present:
            raise ValueError(f"--{name} is for --weights; a training has its own")

    from i3d_tf.dtypes import BFLOAT16
    from i3d_tf.export import ENDPOINTS, export

    models, labels, data, dtype = _trained() if _WORKDIR.value else _from_weights()
    endpoints = ENDPOINTS if _ENDPOINTS.value is None else tuple(_ENDPOINTS.value)
    with doing(f"writing the SavedModel {_OUTPUT.value}"):
        export(models, labels, data, _OUTPUT.value, endpoints)
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


def _trained():
    from i3d_tf.checkpoints import evaluation_dtype, load_workdirs

    with doing(f"reading the run {' and '.join(_WORKDIR.value)}"):
        dtype = evaluation_dtype(_WORKDIR.value, _DTYPE.value)
        config, labels, models = load_workdirs(_WORKDIR.value, dtype)
    return models, labels, config.data, dtype


def _from_weights():
    from i3d_tf import dtypes
    from i3d_tf.config import Data
    from i3d_tf.weights.networks import load_networks

    dtype = dtypes.choose(_DTYPE.value)
    given = any(flags.FLAGS[name].present for name in _OF_WEIGHTS[1:])
    data = Data(
        "none",
        num_frames=_FRAMES.value,
        size=_SIZE.value,
        smaller_side=_SMALLER_SIDE.value,
    )
    with doing(f"reading the weights {' and '.join(_WEIGHTS.value)}"):
        networks = load_networks(
            _WEIGHTS.value,
            labels=_LABELS.value,
            data=data if given else None,
            dtype=dtype,
        )
    return *networks, dtype


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
