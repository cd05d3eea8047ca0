"""The TFDS builder `two_stream_poses`."""

import dataclasses
import functools
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from i3d_tf.datasets.listed_builder import ListedBuilder, ListedConfig
from i3d_tf.datasets.outcomes import Outcome, outcome_of
from i3d_tf.datasets.poses import biwi, folder, nyu, rhd
from i3d_tf.datasets.poses.pictures import make_example

# How pictures and joints lie: modules with list_pictures, files and read.
LAYOUTS = {"folder": folder, "nyu": nyu, "rhd": rhd, "biwi": biwi}
SIDES = (8, 2048)  # px


@dataclasses.dataclass
class PosesConfig(ListedConfig):
    """Where RGB-D pictures come from, and what is kept of them.

    Attributes:
      pictures: their folder.
      layout: name in LAYOUTS.
      smaller_side: side of the stored squares, px.
      joints: indices of those that are kept.
      names: of these.
    """

    pictures: pathlib.Path | None = None
    layout: str = "folder"
    smaller_side: int = 128
    joints: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


class TwoStreamPoses(ListedBuilder):
    """RGB-D pictures and where joints are: streams `rgb` and `depth`, one frame each.

    Joints are in metres in the camera's coordinates: x to the right, y down, z away
    from the camera. The stored pictures are squares around the middle of the camera's,
    which is taken for where its axis meets them. So a picture mirrored left-right is
    that of joints with -x in the place of x; of two hands each is then the other.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "RGB as JPEG, depth as PNG in mm, joints in m."}

    @classmethod
    def of(
        cls,
        pictures,
        *,
        layout="folder",
        data_dir,
        name,
        smaller_side=128,
        joints=None,
        views=None,
        test_sequences=None,
        **options,
    ):
        """Builder of `two_stream_poses/<name>` below `data_dir`.

        Args:
          pictures: folder of them.
          layout: "folder", "nyu", "rhd" or "biwi".
          data_dir, name: where, and under which name.
          smaller_side: side of the stored squares, px.
          joints: indices of those to keep, in this order; None keeps all.
          views: of `nyu.list_pictures`; None is camera 1.
          test_sequences: of `biwi.list_pictures`, which needs them.
          options: of `ListedConfig`.

        Raises ValueError for a layout, side or joints that there cannot be, an option
        of another layout, and what the layout's `list_pictures` refuses.
        """
        if layout not in LAYOUTS:
            raise ValueError(f"layout {layout!r}; there are {', '.join(LAYOUTS)}")
        if not SIDES[0] <= smaller_side <= SIDES[1]:
            raise ValueError(
                f"smaller_side is {smaller_side}; it has to be {SIDES[0]} to "
                f"{SIDES[1]} px"
            )
        of_layout = {}
        for owner, option, value in (
            ("nyu", "views", views),
            ("biwi", "test_sequences", test_sequences),
        ):
            if value is not None:
                if layout != owner:
                    raise ValueError(f"{option} is for layout {owner} alone")
                of_layout[option] = value
        if layout == "biwi" and test_sequences is None:
            raise ValueError("layout biwi needs test_sequences, as 01 and 12")
        pictures = pathlib.Path(pictures)
        listing, names = LAYOUTS[layout].list_pictures(pictures, **of_layout)
        joints = _checked_joints(joints, len(names))
        config = PosesConfig(
            name=name,
            listing=listing,
            pictures=pictures,
            layout=layout,
            smaller_side=smaller_side,
            joints=joints,
            names=tuple(names[joint] for joint in joints),
            **options,
        )
        return cls(config=config, data_dir=data_dir)

    def _info(self):
        config = self.builder_config
        rgb = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        depth = tfds.features.Image(
            shape=(None, None, 1), dtype=np.uint16, encoding_format="png"
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="RGB-D pictures with the places of joints.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(doc="path of the RGB picture"),
                    "rgb": tfds.features.Sequence(rgb, length=1),
                    "depth": tfds.features.Sequence(
                        depth, length=1, doc="mm; 0 is unknown"
                    ),
                    "height": tfds.features.Scalar(np.int32, doc="of both, px"),
                    "width": tfds.features.Scalar(np.int32, doc="of both, px"),
                    "joints": tfds.features.Tensor(
                        shape=(len(config.joints), 3),
                        dtype=np.float32,
                        doc="m: x to the right, y down, z away from the camera",
                    ),
                    "source": tfds.features.Text(doc="path of the RGB picture"),
                }
            ),
            metadata=tfds.core.MetadataDict(self._kept()),
        )

    def _kept(self):
        """What is kept of the pictures, as the built data set tells it."""
        config = self.builder_config
        return {
            "smaller_side": config.smaller_side,
            "joints": list(config.joints),
            "names": list(config.names),
            "mirrored": _mirrored(config),
        }

    def _refuse_other_listing(self):
        super()._refuse_other_listing()
        built = dict(self.info.metadata)
        if built != self._kept():
            raise ValueError(
                f"{self.data_dir}: was built with {built}, now it is {self._kept()}; "
                "--overwrite builds it again, another --name beside it"
            )

    def _encoder(self):
        config = self.builder_config
        return functools.partial(
            _encode_listed,
            config.pictures,
            config.layout,
            config.smaller_side,
            config.joints,
        )

    def _gap_finder(self):
        config = self.builder_config
        return functools.partial(_find_gap, config.pictures, config.layout)

    @staticmethod
    def _features(outcome):
        """Without a label: joints are in its place."""
        entry = outcome.listed
        return {"id": entry.id, "source": entry.video, **outcome.example}


def _checked_joints(joints, count):
    joints = tuple(range(count) if joints is None else joints)
    if (
        not joints
        or len(set(joints)) < len(joints)
        or not set(joints) <= set(range(count))
    ):
        raise ValueError(
            f"joints are {list(joints)}; needed are different ones of 0 to {count - 1}"
        )
    return joints


def _mirrored(config):
    """Which of the kept joints each is in a mirror; None if one is not kept."""
    mirrored = getattr(LAYOUTS[config.layout], "MIRRORED", None)
    if mirrored is None:
        return list(range(len(config.joints)))
    wanted = [mirrored[joint] for joint in config.joints]
    if not set(wanted) <= set(config.joints):
        return None
    return [config.joints.index(joint) for joint in wanted]


def _find_gap(pictures, layout, entry):
    for file in LAYOUTS[layout].files(entry.video):
        if not (pictures / file).is_file():
            return Outcome(entry, False, None, f"{pictures / file}: is missing")
    return None


def _encode_listed(pictures, layout, side, joints, entry):
    return outcome_of(entry, _encode, pictures, layout, side, joints, entry.video)


def _encode(pictures, layout, side, joints, picture):
    rgb, depth, places = LAYOUTS[layout].read(pictures, picture)
    try:
        return make_example(rgb, depth, places[list(joints)], side)
    except ValueError as error:
        raise ValueError(f"{pictures / picture}: {error}") from error
