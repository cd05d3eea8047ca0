"""What the pipeline benchmark reads: videos of given lengths, and records of them."""

import itertools
import pathlib

import av
import numpy as np
import tensorflow_datasets as tfds
import tqdm

from experiments.benchmarks.video_clips import Source
from flow.flow_video import write_flow_video
from i3d_tf.datasets.frames import encode_pair

FPS = 25


def write_videos(pairs, folder, length):
    """Writes videos of `length` frames with their flow: `[Source]`, one of each pair.

    H.264 at x264's defaults (a key frame every 250 frames, or where the scene changes),
    and our flow videos. Frames run forwards and backwards until there are enough.

    Args:
      pairs: of `real_frames.read_pairs`.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for number, (rgb, codes) in enumerate(pairs):
        # Half as many samples of colour, as H.264 has, want even numbers.
        height, width = (side // 2 * 2 for side in rgb.shape[1:3])
        rgb, codes = rgb[:, :height, :width], codes[:, :height, :width]
        source = Source(
            *(str(folder / f"{number}{ending}") for ending in (".mp4", ".flow.mkv"))
        )
        order = _there_and_back(len(rgb), length)
        _write_h264(source.video, rgb[order])
        write_flow_video(
            # The first frame has no flow.
            *(source.flow, codes[order[1:]]),
            fps=FPS,
            description={"smaller_side": min(height, width)},
        )
        sources.append(source)
    return sources


def _there_and_back(frames, length):
    """Indices 0 1 2 ... 2 1 0 1 ...: neighbours stay neighbours."""
    period = [*range(frames), *range(frames - 2, 0, -1)]
    return list(itertools.islice(itertools.cycle(period), length))


def _write_h264(path, frames):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))


class Records(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Records of the same few videos over and over, encoded as data sets are."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, examples, count, **options):
        self._examples, self._count = examples, count
        super().__init__(**options)

    def _info(self):
        features = {
            "id": tfds.features.Text(),
            "height": np.int32,
            "width": np.int32,
            "fps": np.float32,
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        for stream, channels in (("rgb", 3), ("flow", 1)):
            image = tfds.features.Image(
                shape=(None, None, channels), encoding_format="jpeg"
            )
            features[stream] = tfds.features.Sequence(image)
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(self._count):
            example = self._examples[number % len(self._examples)]
            name = f"video {number}"
            yield name, {**example, "id": name, "label": number % 10}


def write_records(sources, folder, *, count, shards):
    """Builds a data set of `count` records and returns its builder."""
    examples = []
    for source in tqdm.tqdm(sources, desc="encoding"):
        pair = encode_pair(source.video, source.flow)
        examples.append(
            {key: pair[key] for key in ("rgb", "flow", "height", "width", "fps")}
        )
    builder = Records(examples, count, data_dir=folder)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            num_shards=shards, try_download_gcs=False
        )
    )
    return tfds.builder_from_directory(builder.data_dir)
