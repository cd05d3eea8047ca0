"""The dtype of a run: chosen when it begins, kept when it is resumed."""

import dataclasses

from flow import files
from i3d_tf import dtypes
from i3d_tf.checkpoints import read_config, saved_checkpoints
from i3d_tf.training.strategies import Replicas, sum_over_replicas


def settle_dtype(config, workdirs, strategy):
    """Returns the config with a dtype that Keras knows in place of "auto".

    A run that has begun keeps its dtype, wherever it is resumed. Otherwise the hardware
    decides, of all hosts: one that is slow at bfloat16 would hold up the others.

    Args:
      config: `config.Config`.
      workdirs: folders of runs that are to share a dtype. The first that has begun
        decides.
      strategy: a `tf.distribute` strategy.

    Raises:
      ValueError: only some of the hosts see a run that has begun.
    """
    replicas = Replicas.of(strategy)
    dtype = config.dtype
    if dtype == dtypes.AUTO:
        begun = _begun_run(workdirs, replicas, strategy)
        if begun is None:
            return dataclasses.replace(config, dtype=_choose(replicas, strategy))
        dtype = read_config(begun)[0].dtype
        if replicas.is_chief:
            dtypes.print_once(f"dtype: {dtype} (that of {begun})")
    if replicas.is_chief:
        dtypes.warn_if_slow(dtype, "train with dtype=float32 in a new workdir")
    return dataclasses.replace(config, dtype=dtype)


def _begun_run(workdirs, replicas, strategy):
    """Returns the first workdir with a checkpoint, or None; the hosts must agree."""
    begun = [
        workdir
        for workdir in map(files.as_path, workdirs)
        if saved_checkpoints(workdir / "checkpoints")
        and (workdir / "config.json").is_file()
    ]
    # A host that sees no checkpoint would go on to choose a dtype with the others.
    if _hosts_with(bool(begun), replicas, strategy) == "some":
        raise ValueError(
            f"{workdirs[0]}: only some of the hosts find checkpoints there; all hosts "
            "must see the same workdir"
        )
    return begun[0] if begun else None


def _choose(replicas, strategy):
    """Returns the dtype that is fast on all hosts, and prints why it was chosen."""
    if replicas.host[1] == 1:
        return dtypes.choose(dtypes.AUTO)
    fast = dtypes.fast_bfloat16()
    of_all = _hosts_with(fast is not None, replicas, strategy) == "all"
    dtype = dtypes.BFLOAT16 if of_all else dtypes.FLOAT32
    if replicas.is_chief:
        reason = f"{fast} on all hosts" if of_all else "a host is slow at bfloat16"
        dtypes.print_once(f"dtype: {dtype} ({reason})")
    return dtype


def _hosts_with(condition, replicas, strategy):
    """Returns whether a condition holds on "all", "some" or "none" of the hosts.

    Every host of several must call this: it waits for the others.
    """
    if replicas.host[1] == 1:
        return "all" if condition else "none"
    total = sum_over_replicas(strategy, int(condition))
    return {0: "none", replicas.total: "all"}.get(total, "some")
