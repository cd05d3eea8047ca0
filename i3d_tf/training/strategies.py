"""Devices: the `tf.distribute` strategies, and what each host of one feeds."""

import json
import os
from typing import NamedTuple

import tensorflow as tf

STRATEGIES = ("one", "mirrored", "multi_worker", "tpu")


def make_strategy(name, tpu=None):
    """The `tf.distribute` strategy of a name.

    Args:
      name: "one" device of this host; all of it "mirrored"; all of several hosts,
        "multi_worker", which the environment variable TF_CONFIG lists in each of
        them; or a "tpu" (written for it, and not run on one).
      tpu: name or address of the TPU; None for the one of this host.

    Raises:
      ValueError: for another name, if TF_CONFIG does not name the hosts, or if there is
        no such TPU.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy is {name!r}; known: {', '.join(STRATEGIES)}")
    if name == "tpu":
        return _tpu_strategy(tpu)
    if name == "multi_worker":
        _require_hosts()
        return tf.distribute.MultiWorkerMirroredStrategy()
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    if name == "one":
        return tf.distribute.OneDeviceStrategy(f"/{kind}:0")
    # Logical devices too, so that several replicas can be tried without GPUs.
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    return tf.distribute.MirroredStrategy(devices)


def _tpu_strategy(tpu):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or "local")
        if resolver.master():
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    # The last two where the client of Google's cloud is missing.
    except (tf.errors.OpError, OSError, ValueError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split()).partition(" used by ")[0]
        place = f"TPU {tpu!r} cannot be used" if tpu else "this host has no TPU"
        raise ValueError(
            f"strategy tpu: {place} ({reason}); run on a host with one, give its name "
            "with --tpu, or choose another strategy"
        ) from error


def _require_hosts():
    # Without it TensorFlow takes this host for the only one: each would train alone.
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        known = task["type"] == "worker" and 0 <= int(task["index"]) < len(workers)
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ValueError(
            f"TF_CONFIG is {text!r}; of multi_worker each host wants "
            '{"cluster": {"worker": ["host:port", ...]}, '
            '"task": {"type": "worker", "index": its place in the list}}'
        )


class Replicas(NamedTuple):
    """The replicas of a strategy, and those that this host feeds.

    Attributes:
      first, count: number of this host's first replica, and how many it has.
      total: of all hosts.
    """

    first: int
    count: int
    total: int

    @classmethod
    def of(cls, strategy):
        hosts, host = 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            hosts, host = resolver.cluster_spec().num_tasks("worker"), resolver.task_id
        total = strategy.num_replicas_in_sync
        return cls(host * (total // hosts), total // hosts, total)

    @property
    def is_chief(self):
        """Whether this host writes the run's files."""
        return self.first == 0

    @property
    def host(self):
        """(number of this host, how many there are)."""
        return self.first // self.count, self.total // self.count


def sum_over_replicas(strategy, value: int) -> int:
    """Returns the sum of what each replica's host gives as `value`."""

    @tf.function(autograph=False)
    def add_up():
        context = tf.distribute.get_replica_context()
        return context.all_reduce("SUM", tf.constant(value, tf.int64))

    return int(strategy.experimental_local_results(strategy.run(add_up))[0])


def distribute(strategy, make_dataset):
    """An iterator of the batches of this host's replicas.

    Args:
      make_dataset: makes the dataset, whose batches are for one replica each.
    """
    # A distributed iterator brings back the tuning thread that the pipeline turns off,
    # and with it up to 60 s of waiting at the end of an epoch: not for one replica.
    if strategy.num_replicas_in_sync == 1:
        return iter(make_dataset())
    return iter(strategy.distribute_datasets_from_function(lambda _: make_dataset()))
