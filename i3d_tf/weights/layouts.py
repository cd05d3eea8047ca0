"""Translates the names of published Inception-v1 weights into those of our networks.

All names are translated to (unit, leaf): the unit as DeepMind names it in 3D, as
`Mixed_3b/Branch_1/Conv3d_0b_3x3` also where it is 2D, and one of `LEAVES`.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

FIRST, HEAD = "Conv3d_1a_7x7", "Logits/Conv3d_0c_1x1"
# Ours have no "scale", and "bias" in the head alone: others' are folded in.
LEAVES = ("kernel", "bias", "beta", "moving_mean", "moving_variance", "scale")


class Layout(NamedTuple):
    """One way to name weights.

    Attributes:
      title: for messages.
      before: pattern of the text that may stand before a unit's name.
      leaves: {text that follows a unit's name: one of `LEAVES`}.
      unit: their name of a unit -> ours, or None for one that there is not.
      skipped: pattern of the names that are no weights of the network.
      kernel_axes: their axes in our order (time,) height, width, in, out; None if the
        orders are the same.
    """

    title: str
    before: str
    leaves: dict[str, str]
    unit: Callable[[str], str | None]
    skipped: str
    kernel_axes: tuple[int, ...] | None = None

    def translate(self, names):
        """Returns ({(unit, leaf): their name}, [names that are not understood]).

        Raises ValueError if two names mean the same: there are two networks.
        """
        leaves = "|".join(re.escape(leaf) for leaf in self.leaves)
        pattern = re.compile(f"(?:{self.before})(?P<unit>.+?)(?P<leaf>{leaves})")
        known, unknown = {}, []
        for name in names:
            match = pattern.fullmatch(name)
            unit = self.unit(match["unit"]) if match else None
            if unit is None:
                if not re.fullmatch(self.skipped, name):
                    unknown.append(name)
                continue
            key = unit, self.leaves[match["leaf"]]
            if key in known:
                raise ValueError(f"{known[key]} and {name} are weights of two networks")
            known[key] = name
        return known, unknown


def _as_3d(name):
    return name.replace("Conv2d_", "Conv3d_")


_MIXED_UNITS = (
    "Branch_0/Conv3d_0a_1x1",
    "Branch_1/Conv3d_0a_1x1",
    "Branch_1/Conv3d_0b_3x3",
    "Branch_2/Conv3d_0a_1x1",
    "Branch_2/Conv3d_0b_3x3",
    "Branch_3/Conv3d_0b_1x1",
)
_PIERGIAJ = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
# Branches are lists of layers; branch 3's first is its pool.
_HASSONY2 = (
    *("branch_0", "branch_1.0", "branch_1.1"),
    *("branch_2.0", "branch_2.1", "branch_3.1"),
)


def _port_unit(name, head, mixed_units):
    """A PyTorch port's unit, as `Mixed_5b.b2b`, or None."""
    if name == head:
        return HEAD
    module, dot, branch = name.partition(".")
    if not dot:
        return name
    unit = dict(zip(mixed_units, _MIXED_UNITS, strict=True)).get(branch)
    if (module, unit) == ("Mixed_5b", "Branch_2/Conv3d_0b_3x3"):
        # Named so in DeepMind's network alone.
        unit = "Branch_2/Conv3d_0a_3x3"
    return unit and f"{module}/{unit}"


def _piergiaj_unit(name):
    return _port_unit(name, "logits", _PIERGIAJ)


def _hassony2_unit(name):
    return _port_unit(name[:1].upper() + name[1:], "Conv3d_0c_1x1", _HASSONY2)


def _dlpbc_unit(name):
    """The unit of dlpbc's Keras port, as `Conv3d_3b_1b_3x3`, or None."""
    if name == "Conv3d_6a_1x1":
        return HEAD
    match = re.fullmatch(r"Conv3d_(\d\w)_(\d)(\w_\dx\d)", name)
    if not match:
        return name
    module, branch, unit = match.groups()
    if (module, branch, unit) == ("5b", "2", "b_3x3"):
        unit = "a_3x3"  # named so in DeepMind's network alone
    return f"Mixed_{module}/Branch_{branch}/Conv3d_0{unit}"


def _torch_leaves(norm):
    return {
        ".conv3d.weight": "kernel",
        ".conv3d.bias": "bias",
        f".{norm}.weight": "scale",
        f".{norm}.bias": "beta",
        f".{norm}.running_mean": "moving_mean",
        f".{norm}.running_var": "moving_variance",
    }


# What TensorFlow 1 keeps beside the weights: the step, optimisers' slots, averages.
_TF1_STATE = (
    "global_step|beta[12]_power|"
    ".*/(Momentum|RMSProp(_1)?|Adam(_1)?|ExponentialMovingAverage)"
)
# With nn.DataParallel all names begin with `module.`.
_TORCH = {
    "before": r"(module\.)?",
    "skipped": r".*\.num_batches_tracked",
    "kernel_axes": (2, 3, 4, 1, 0),
}

_PUBLISHED = (
    Layout(
        # Kinetics-400 and TF-Hub with the prefix, Kinetics-600 without. BatchNorm's
        # vectors are [C] or [1, 1, 1, 1, C].
        "DeepMind's (Conv3d_1a_7x7/conv_3d/w)",
        before="((RGB|Flow)/inception_i3d/)?",
        leaves={
            "/conv_3d/w": "kernel",
            "/conv_3d/b": "bias",
            "/batch_norm/beta": "beta",
            "/batch_norm/gamma": "scale",
            "/batch_norm/moving_mean": "moving_mean",
            "/batch_norm/moving_variance": "moving_variance",
        },
        unit=lambda name: name,
        skipped=_TF1_STATE,
    ),
    Layout(
        "piergiaj's (Conv3d_1a_7x7.conv3d.weight)",
        leaves=_torch_leaves("bn"),
        unit=_piergiaj_unit,
        **_TORCH,
    ),
    Layout(
        "hassony2's (conv3d_1a_7x7.conv3d.weight)",
        leaves=_torch_leaves("batch3d"),
        unit=_hassony2_unit,
        **_TORCH,
    ),
    Layout(
        "dlpbc's Keras port (Conv3d_1a_7x7_conv/kernel)",
        before="",
        leaves={
            "_conv/kernel": "kernel",
            "_conv/bias": "bias",
            "_bn/beta": "beta",
            "_bn/gamma": "scale",
            "_bn/moving_mean": "moving_mean",
            "_bn/moving_variance": "moving_variance",
            # Keras 1 and its converted files; the second is the variance too.
            "_bn/running_mean": "moving_mean",
            "_bn/running_std": "moving_variance",
        },
        unit=_dlpbc_unit,
        skipped="(?!)",
    ),
    Layout(
        "TF-Slim's 2D inception_v1 (InceptionV1/InceptionV1/Conv2d_1a_7x7/weights)",
        before="InceptionV1/(InceptionV1/)?",
        leaves={
            "/weights": "kernel",
            "/biases": "bias",
            "/BatchNorm/beta": "beta",
            "/BatchNorm/gamma": "scale",
            "/BatchNorm/moving_mean": "moving_mean",
            "/BatchNorm/moving_variance": "moving_variance",
        },
        unit=_as_3d,
        skipped=_TF1_STATE,
    ),
)
# Our own networks' names, which a .keras file has too.
KERAS = Layout(
    "Keras (Conv3d_1a_7x7-conv_3d/kernel)",
    before="",
    leaves={
        "-conv_3d/kernel": "kernel",
        "-conv_3d/bias": "bias",
        "-conv_2d/kernel": "kernel",
        "-conv_2d/bias": "bias",
        "-batch_norm/beta": "beta",
        "-batch_norm/gamma": "scale",
        "-batch_norm/moving_mean": "moving_mean",
        "-batch_norm/moving_variance": "moving_variance",
        # The head is one layer.
        "/kernel": "kernel",
        "/bias": "bias",
    },
    unit=lambda name: _as_3d(name.replace("-", "/")),
    skipped="(?!)",
)
LAYOUTS = (*_PUBLISHED, KERAS)


def recognise(names):
    """Returns (layout, {(unit, leaf): their name}, [names not understood]).

    The layout is the one that understands most of the names. Raises ValueError if
    none understands any.
    """
    names = sorted(names)
    readings = [(layout, *layout.translate(names)) for layout in LAYOUTS]
    layout, known, unknown = max(readings, key=lambda reading: len(reading[1]))
    if not known:
        raise ValueError(
            f"unknown layout: {len(names)} names, {names[:5]}; known layouts are "
            + ", ".join(layout.title for layout in LAYOUTS)
        )
    return layout, known, unknown
