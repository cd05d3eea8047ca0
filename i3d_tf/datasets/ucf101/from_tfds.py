"""TFDS's own `ucf101` as the source of videos: written as files, with their lists.

Flow is computed from files, and aligned with them. TFDS keeps a video as JPEG frames
without its name and rate; here these JPEGs become a Motion-JPEG video as they are.
"""

import pathlib

import av
import tensorflow_datasets as tfds
import tqdm

from flow.files import written_aside

FPS = 25  # of all UCF101 (Soomro et al., 2012, section 2)


def write_videos(builder, output):
    """Writes the videos and lists in UCF101's layout; what is there is kept.

    Leaves `output/videos/<Class>/v_<Class>_<config>_<split><number>.avi`, and for the
    split k of the builder's config `output/ucfTrainTestlist/` with classInd.txt (TFDS
    has its order), trainlist0k.txt and testlist0k.txt.

    Args:
      builder: `tfds.builder("ucf101/ucf101_1", data_dir=...)`, prepared.
      output: a folder.

    Returns:
      How many videos there are.

    Raises:
      ValueError: if TFDS has not prepared the data set.
    """
    output = pathlib.Path(output)
    if not builder.data_path.exists():
        raise ValueError(
            f"{builder.data_path}: is not there; tfds.builder("
            f"'{builder.name}/{builder.builder_config.name}').download_and_prepare() "
            "makes it"
        )
    labels = builder.info.features["label"].names
    classes = [f"{number} {label}" for number, label in enumerate(labels, 1)]
    # Of configs named ucf101_1, ..._2, ..._3 and ucf101_1_256.
    config = builder.builder_config.name
    split_number = int(config.split("_")[1])
    written = 0
    for split in ("train", "test"):
        lines = []
        for number, (jpegs, label) in enumerate(_read(builder, split)):
            # With the config, as others number other videos alike.
            file = f"v_{labels[label]}_{config}_{split}{number:05d}.avi"
            name = f"{labels[label]}/{file}"
            target = output / "videos" / name
            if not target.exists():
                _write_motion_jpeg(target, jpegs)
            lines.append(f"{name} {label + 1}" if split == "train" else name)
        path = output / f"ucfTrainTestlist/{split}list{split_number:02}.txt"
        _write_lines(path, lines)
        written += len(lines)
    _write_lines(output / "ucfTrainTestlist/classInd.txt", classes)
    return written


def _read(builder, split):
    """Yields (JPEGs of the frames, label) in the order of TFDS's files."""
    examples = builder.as_dataset(
        split=split, decoders={"video": tfds.decode.SkipDecoding()}
    )
    for example in tqdm.tqdm(tfds.as_numpy(examples), split, unit="video"):
        yield list(example["video"]), int(example["label"])


def _write_motion_jpeg(path, jpegs):
    decoder = av.CodecContext.create("mjpeg", "r")
    (frame, *_) = [*decoder.decode(av.Packet(jpegs[0])), *decoder.decode(None)]
    with (
        written_aside(path) as aside,
        av.open(str(aside), "w", format="avi") as container,
    ):
        stream = container.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height = frame.width, frame.height
        stream.pix_fmt = frame.format.name
        for number, jpeg in enumerate(jpegs):
            packet = av.Packet(jpeg)
            packet.pts = packet.dts = number
            packet.time_base = 1 / stream.average_rate
            packet.stream, packet.is_keyframe = stream, True
            container.mux(packet)


def _write_lines(path, lines):
    with written_aside(path) as aside:
        aside.write_text("".join(f"{line}\n" for line in lines), "utf-8")
