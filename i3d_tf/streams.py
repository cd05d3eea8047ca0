"""What a stream is: a value, so that nothing else has to branch on RGB or flow.

All that differs between the two networks of a two-stream I3D, from stored bytes
to the network's input, is a field of `Stream`. CT volumes and depth pictures are
further values of it.
"""

import dataclasses

from flow import code


@dataclasses.dataclass(frozen=True)
class Stream:
    """One input modality of the network.

    Attributes:
      name: key of the stream in batches, records, checkpoints and signatures.
      channels: channels C of a clip `[T, H, W, C]`.
      planes: a stored frame is one picture, `planes` pictures above each other,
        each with `channels // planes` channels: flow is stored as u above v.
      zero: the stored code that means 0.
      scale: codes per unit: a clip is `(codes - zero) / scale`, cut to [-1, 1].
      mirror_signs: factor of each channel when a clip is mirrored left-right.
      motion: whether values are motion between frames, 0 where a video stands still.
      lit: whether values are brightness, which other light changes.
      raw_dtype: of the values as users hold them, and exported models take them:
        RGB bytes, flow in px, CT in Hounsfield units.
      raw_zero, raw_scale: as `zero` and `scale`, for these.
      code_dtype: of stored codes: "uint8", in JPEGs, or "uint16", in PNGs.
    """

    name: str
    channels: int
    planes: int
    zero: float
    scale: float
    mirror_signs: tuple[float, ...]
    motion: bool
    lit: bool
    raw_dtype: str
    raw_zero: float
    raw_scale: float
    code_dtype: str = "uint8"

    def __post_init__(self):
        if self.channels % self.planes:
            raise ValueError(
                f"stream {self.name!r}: {self.channels} channels do not divide into "
                f"{self.planes} planes"
            )
        if len(self.mirror_signs) != self.channels:
            raise ValueError(
                f"stream {self.name!r}: {len(self.mirror_signs)} mirror_signs for "
                f"{self.channels} channels; give one for each"
            )


# Bytes 0..255 become [-1, 1] as in the released models (kinetics-i3d README).
RGB = Stream(
    "rgb",
    3,
    planes=1,
    zero=127.5,
    scale=127.5,
    mirror_signs=(1, 1, 1),
    motion=False,
    lit=True,
    raw_dtype="uint8",
    raw_zero=127.5,
    raw_scale=127.5,
)

# Codes 1..255 become [-1, 1], which is -20..20 px. In a mirror what moved right
# moves left, so u changes its sign and v does not.
FLOW = Stream(
    "flow",
    2,
    planes=2,
    zero=code.ZERO,
    scale=code.STEPS,
    mirror_signs=(-1, 1),
    motion=True,
    lit=False,
    raw_dtype="float32",
    raw_zero=0.0,
    raw_scale=code.BOUND,
)

# A volume `[T, H, W, 1]`, its slices as time. The window -1000..1000 HU, from air to
# dense bone, becomes [-1, 1], water 0; stored bytes divide the same window.
CT = Stream(
    "ct",
    1,
    planes=1,
    zero=127.5,
    scale=127.5,
    mirror_signs=(1,),
    motion=False,
    lit=False,
    raw_dtype="float32",
    raw_zero=0.0,
    raw_scale=1000.0,
)

# A picture `[H, W, 1]` of distances from the camera, mm, as 0 where none was measured.
# 0..2000 mm become [-1, 1], what is farther 1.
DEPTH = Stream(
    "depth",
    1,
    planes=1,
    zero=1000.0,
    scale=1000.0,
    mirror_signs=(1,),
    motion=False,
    lit=False,
    raw_dtype="uint16",
    raw_zero=1000.0,
    raw_scale=1000.0,
    code_dtype="uint16",
)

# The two of a two-stream network, in the order in which results are listed.
STREAMS = (RGB, FLOW)

# All that networks can be trained on.
ALL_STREAMS = (*STREAMS, DEPTH)
