"""The networks that DeepMind released with the paper, as data."""

import dataclasses
import difflib
import hashlib
import pathlib

from i3d_tf.streams import FLOW, RGB, Stream

REPOSITORY = "https://github.com/google-deepmind/kinetics-i3d"
_COMMIT = "0667e889a5904b4dc122e0ded4c332f49f8df42c"
FILES_ADDRESS = (
    f"https://raw.githubusercontent.com/google-deepmind/kinetics-i3d/{_COMMIT}"
)
LICENCE = "Apache-2.0"


@dataclasses.dataclass(frozen=True)
class ReleasedFile:
    """A file of DeepMind's repository.

    Attributes:
      path: path in the repository.
      size: number of bytes.
      blob_id: git's identifier of the content, the SHA-1 of `blob <size>\\0` and the
        bytes.
    """

    path: str
    size: int
    blob_id: str

    @property
    def address(self) -> str:
        """The address to download the file from."""
        return f"{FILES_ADDRESS}/{self.path}"

    def difference(self, path: pathlib.Path) -> str | None:
        """Returns how the file at `path` differs from this one, or None."""
        size = path.stat().st_size
        if size != self.size:
            return f"it has {size:,} bytes, the released file has {self.size:,}"
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 18):
                digest.update(chunk)
        if digest.hexdigest() != self.blob_id:
            return (
                f"its git blob id is {digest.hexdigest()}, that of the released file "
                f"{self.blob_id}"
            )
        return None


@dataclasses.dataclass(frozen=True)
class ReleasedNetwork:
    """A network with published weights.

    Attributes:
      name: name in this project.
      stream: the stream whose clips it takes.
      classes: name of the set of classes, "kinetics400" or "kinetics600"; see
        `class_names`.
      index, data: the two files of its TensorFlow checkpoint.
      label_map: the file of class names in DeepMind's repository.
      top1: published top-1 accuracy in per cent, of whole videos of the Kinetics
        validation or test split, or None.
      paper: the paper that describes it.
    """

    name: str
    stream: Stream
    classes: str
    index: ReleasedFile
    data: ReleasedFile
    label_map: ReleasedFile
    top1: float | None
    paper: str

    @property
    def files(self) -> tuple[ReleasedFile, ...]:
        """The files of the checkpoint."""
        return self.index, self.data


LABEL_MAPS = {
    "kinetics400": ReleasedFile(
        "data/label_map.txt", 5956, "cdaafcb1415eee46483561e78cb4747cce76a933"
    ),
    "kinetics600": ReleasedFile(
        "data/label_map_600.txt", 9209, "639e9c91fa8a941ea57942872fae55628d590b42"
    ),
}
# Someone plays cricket: 79 frames of 224x224 px of UCF101.
SAMPLE = ReleasedFile(
    "data/v_CricketShot_g04_c01_rgb.gif",
    2450717,
    "688ca2fe1a32cdb111f57b6bafc9068095dc3bbd",
)
_PAPERS = {
    "kinetics400": "Carreira & Zisserman, CVPR 2017, arXiv:1705.07750",
    "kinetics600": "Carreira et al., 2018, arXiv:1808.01340",
}


def _network(name, stream, folder, index, data, top1=None):
    prefix = f"data/checkpoints/{folder}/model.ckpt"
    classes = name.partition("-")[0]
    return ReleasedNetwork(
        name=name,
        stream=stream,
        classes=classes,
        index=ReleasedFile(f"{prefix}.index", *index),
        data=ReleasedFile(f"{prefix}.data-00000-of-00001", *data),
        label_map=LABEL_MAPS[classes],
        top1=top1,
        paper=_PAPERS[classes],
    )


NETWORKS = {
    network.name: network
    for network in (
        _network(
            "kinetics400-rgb-imagenet",
            RGB,
            "rgb_imagenet",
            (10953, "5ab1058b8f4f89a896c01f67c0a4c96a31548af7"),
            (50818176, "2958652e0c9c48a65010c0ebda5c9cfd4edc7c18"),
            71.1,
        ),
        _network(
            "kinetics400-flow-imagenet",
            FLOW,
            "flow_imagenet",
            (10968, "8217f9450d851d24782aaf1af01c5c3b35b81a35"),
            (50730368, "bf56831f663abc3de0d35f193030b73a3df7fb61"),
            63.4,
        ),
        _network(
            "kinetics400-rgb",
            RGB,
            "rgb_scratch",
            (10953, "84dd4518e982d9ca6ce1ff02e95fca2e8cbb1f73"),
            (50818176, "fa7df95674dbf3579e7fccd954e51e706b4734c1"),
            68.4,
        ),
        _network(
            "kinetics400-flow",
            FLOW,
            "flow_scratch",
            (10968, "193bc425100f3978c793da66bd9eb54baea8dc6a"),
            (50730368, "1d6a0b68f32544af11111342857e47e30d13afa9"),
            61.5,
        ),
        _network(
            "kinetics600-rgb",
            RGB,
            "rgb_scratch_kin600",
            (19632, "d378d8f01215fe92a29cd170f040c284070e9cd5"),
            (103218112, "6392a74c3180e706cabada39d8f40a50a48642e5"),
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class TwoStreamModel:
    """Two published networks whose logits are averaged.

    Attributes:
      name: name in this project.
      networks: the networks, RGB first.
      top1: published top-1 accuracy of both in per cent, of whole videos.
    """

    name: str
    networks: tuple[ReleasedNetwork, ...]
    top1: float


TWO_STREAM_MODELS = {
    name: TwoStreamModel(name, (NETWORKS[rgb], NETWORKS[flow]), top1)
    for name, rgb, flow, top1 in (
        ("kinetics400", "kinetics400-rgb-imagenet", "kinetics400-flow-imagenet", 74.2),
        ("kinetics400-scratch", "kinetics400-rgb", "kinetics400-flow", 71.6),
    )
}


PUBLISHED_NAMES = (*TWO_STREAM_MODELS, *NETWORKS)


def network_of(name: str) -> ReleasedNetwork:
    """Returns the published network of this name.

    Raises:
      ValueError: there is no network of this name.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    raise ValueError(unknown_name(name, NETWORKS))


def networks_of(name: str) -> tuple[ReleasedNetwork, ...]:
    """Returns the networks of a two-stream model, or the one of this name.

    Raises:
      ValueError: there is neither a network nor a two-stream model of this name.
    """
    if name in TWO_STREAM_MODELS:
        return TWO_STREAM_MODELS[name].networks
    if name in NETWORKS:
        return (NETWORKS[name],)
    raise ValueError(unknown_name(name, PUBLISHED_NAMES))


def network_at(prefix: str) -> ReleasedNetwork | None:
    """Returns the published network whose checkpoint has this prefix, or None."""
    data = pathlib.Path(f"{prefix}.data-00000-of-00001")
    for network in NETWORKS.values():
        if data.is_file() and data.stat().st_size == network.data.size:
            if network.data.difference(data) is None:
                return network
    return None


def is_published(name: str) -> bool:
    """Returns whether `name` is that of a published network or two-stream model."""
    return name in PUBLISHED_NAMES


def unknown_name(name: str, known) -> str:
    """Returns a message that names the closest of the known names, and all of them."""
    close = difflib.get_close_matches(name, known, 1, cutoff=0)[0]
    return (
        f"{name!r} is no published network; the closest name is {close}; there are "
        f"{', '.join(known)}"
    )


def class_names(classes: str) -> list[str]:
    """Returns the class names of "kinetics400" or "kinetics600", in order.

    They are those of DeepMind's label maps, which come with this package.
    """
    return label_map_path(classes).read_text("utf-8").splitlines()


def label_map_path(classes: str) -> pathlib.Path:
    """Returns the path of the label map of "kinetics400" or "kinetics600"."""
    return pathlib.Path(__file__).with_name("label_maps") / f"{classes}.txt"
