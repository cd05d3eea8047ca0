r"""Writes TFDS's own `ucf101` as videos and lists, for `extract_flow` to begin with.

    python -m experiments.ucf101_from_tfds --output ucf101
    python -m experiments.extract_flow --videos ucf101/videos --output ucf101/flow
    python -m experiments.build_dataset --dataset ucf101 --videos ucf101/videos \
        --flow ucf101/flow --annotations ucf101/ucfTrainTestlist --data_dir ucf101/data

TFDS has to have prepared it. Stopped at any moment and run again, it goes on.
"""

from absl import flags

from experiments import command

_CONFIG = flags.DEFINE_enum(
    "config",
    "ucf101_1",
    ["ucf101_1", "ucf101_2", "ucf101_3", "ucf101_1_256"],
    "The official split; the frames of ucf101_1_256 are squeezed into squares.",
)
_TFDS_DATA_DIR = flags.DEFINE_string(
    "tfds_data_dir", None, "Where TFDS has ucf101; default: ~/tensorflow_datasets."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)


def main():
    import tensorflow_datasets as tfds

    from i3d_tf.datasets.ucf101.from_tfds import write_videos

    builder = tfds.builder(f"ucf101/{_CONFIG.value}", data_dir=_TFDS_DATA_DIR.value)
    written = write_videos(builder, _OUTPUT.value)
    print(f"{_OUTPUT.value}: {written} videos, and their lists in ucfTrainTestlist")


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
