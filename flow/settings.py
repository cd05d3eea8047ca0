"""How flow is computed, and whether flow that is there was computed so."""

import dataclasses

from flow.files import exists
from flow.flow_video import describe_flow_video
from flow.tvl1 import TVL1
from flow.video import FPS, SMALLER_SIDE

LOOKED_AT = 20  # results, for their settings, before a run begins


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is computed; kept in every flow video's tags.

    Attributes:
      engine: of `TVL1`.
      fps: frames per second at which the videos are sampled.
      smaller_side: of the frames, in px; flow is computed after the resize.
      parameters: of `TVL1` by name, where they are not its defaults.
      until_damage: whether a video that cannot be decoded to its end is used up to
        its last good frame. The tags then say why, as `damage`.
    """

    engine: str = TVL1.engine
    fps: int = FPS
    smaller_side: int = SMALLER_SIDE
    parameters: dict = dataclasses.field(default_factory=dict)
    until_damage: bool = False

    def tvl1(self):
        """The algorithm; each thread needs one of its own."""
        return TVL1(self.engine, **self.parameters)

    def description(self):
        """As it stands in the tags, with all parameters of the algorithm."""
        parameters = self.tvl1().parameters
        return {
            "fps": self.fps,
            "smaller_side": self.smaller_side,
            "engine": parameters.pop("engine"),
            "parameters": parameters,
        }


def refuse_other_settings(targets, wanted, describe=describe_flow_video):
    """Raises ValueError if results are there and all were made otherwise.

    Looks at the first `LOOKED_AT` of the paths `targets`. Where only some were made
    otherwise, each is a failure of its own. `wanted` is as of `made_otherwise`, whose
    `made` describe(target) is.
    """
    first = None
    for target in filter(exists, targets[:LOOKED_AT]):
        try:
            other = made_otherwise(target, describe(target), wanted)
        except ValueError:
            continue  # a failure of its own
        if other is None:
            return
        first = first or other
    if first:
        raise ValueError(first)


def made_otherwise(target, made, wanted):
    """What to tell of a result `target` if it was `made` otherwise than is `wanted`.

    None if it was not. `made` is a dict of how, of a flow video its tags; `wanted` is a
    dict of some of that.
    """
    other = ", ".join(_differences(made, wanted))
    if not other:
        return None
    return (
        f"{target}: was made with {other}; choose another output, or --noresume to "
        "make it again"
    )


def _differences(made, wanted):
    for name, value in wanted.items():
        if name != "parameters":
            if made.get(name) != value:
                yield f"{name} {made.get(name)} (now {value})"
        elif made.get("engine") == wanted["engine"]:  # Another has other parameters.
            theirs = made.get(name) or {}
            yield from _differences(theirs, {**dict.fromkeys(theirs), **value})
