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
    """
    replicas = Replicas.of(strategy)
    if config.dtype != dtypes.AUTO:
        if replicas.is_chief:
            dtypes.warn_if_slow(
                config.dtype, "set dtype=auto or dtype=float32 in a new workdir"
            )
        return config
    begun = [
        workdir
        for workdir in map(files.as_path, workdirs)
        if saved_checkpoints(workdir / "checkpoints")
        and (workdir / "config.json").is_file()
    ]
    if begun:
        dtype = read_config(begun[0])[0].dtype
        if replicas.is_chief:
            dtypes.print_once(f"dtype: {dtype} (that of {begun[0]})")
            dtypes.warn_if_slow(
                dtype, "resume where the run began, or use a new workdir for float32"
            )
    else:
        dtype = _choose(replicas, strategy)
    return dataclasses.replace(config, dtype=dtype)


def _choose(replicas, strategy):
    _, hosts = replicas.host
    if hosts == 1:
        return dtypes.choose(dtypes.AUTO)
    fast = dtypes.fast_bfloat16()
    of_all = sum_over_replicas(strategy, int(fast is not None)) == replicas.total
    dtype = dtypes.BFLOAT16 if of_all else dtypes.FLOAT32
    if replicas.is_chief:
        reason = f"{fast} on all hosts" if of_all else "a host is slow at bfloat16"
        dtypes.print_once(f"dtype: {dtype} ({reason})")
    return dtype
