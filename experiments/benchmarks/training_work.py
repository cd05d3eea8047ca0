"""What the training benchmark measures; each work runs in a process of its own."""

import pathlib
import tempfile
import time
import unittest.mock

from experiments.benchmarks import machine, turns
from experiments.benchmarks.training_updates import (
    DATA_SET,
    NoNetwork,
    Size,
    bare_run,
    loop_runs,
    make_config,
    make_states,
)
from i3d_tf import FLOW, RGB, pipeline, training  # before TensorFlow: chooses oneDNN

import tensorflow as tf  # isort: skip

from i3d_tf.datasets import open_dataset
from i3d_tf.training.updates import make_updates, passes_of

NOTHING_RUNS = 4  # of updates without a network, for one of those with it


def make_records(videos, folder, count, length):
    """Records of real clips; returns the folder that `data_dir` names."""
    from experiments.benchmarks import pipeline_work

    made = pipeline_work.make(folder, videos, 2, length, count, shards=4)
    return {"data_dir": str(pathlib.Path(made["records"]).parents[1])}


def loop(size, rounds, data_dir):
    """Seconds of an update by the loop and of the bare one, in turns."""
    config = make_config(Size(*size), ("rgb", "flow"))
    strategy = training.make_strategy("one")
    states = make_states(config, strategy)
    builder = open_dataset(data_dir, DATA_SET)
    records = pipeline.train_batches(
        *(builder, config.data, (RGB, FLOW)),
        batch_size=config.batch_size,
        seed=0,
        epoch=0,
        as_codes=True,
    )
    waited = []
    same, of_records = loop_runs(config, strategy, states, records.repeat())
    runs = {
        "bare": bare_run(config, states),
        "loop": same,
        "loop, records": lambda: waited.append(of_records().waited),
    }
    averaged = make_config(
        Size(*size), ("rgb", "flow"), stream_options={"ema_decay": 0.999}
    )
    states_averaged = make_states(averaged, strategy)
    small = {
        "bare": bare_run(config, states, NoNetwork),
        "loop": loop_runs(config, strategy, states, view=NoNetwork)[0],
        "loop, averages": loop_runs(
            averaged, strategy, states_averaged, view=NoNetwork
        )[0],
    }
    return {
        "updates": _take_turns(runs, rounds),
        "without_network": _take_turns(small, NOTHING_RUNS * rounds),
        "waited": waited[1:],
        "peak_gb": machine.peak_gb(),
    }


def _take_turns(runs, rounds):
    """{name: seconds and processor seconds of each}; the first, that traces, is left
    out."""
    for run in runs.values():
        run()
    measured = {name: {"seconds": [], "processor": []} for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            processor = time.process_time()
            measured[name]["seconds"].append(turns.seconds(run))
            measured[name]["processor"].append(time.process_time() - processor)
    return measured


def whole_run(size, epochs, data_dir):
    """`training.train` on records: when each update began and ended, and its waits."""
    from i3d_tf.training import loop as the_loop

    size = Size(*size)
    videos = open_dataset(data_dir, DATA_SET).info.splits["train"].num_examples
    per_epoch = videos // size.batch_size
    steps = epochs * per_epoch
    config = make_config(size, ("rgb", "flow"), steps, evaluate_epochs=0)
    updates = []

    def make_timed(*args):
        update = make_updates(*args)

        def timed(*args):
            began = time.perf_counter()
            figures = update(*args)
            updates.append((began, time.perf_counter(), figures.waited))
            return figures

        return timed

    with tempfile.TemporaryDirectory() as workdir:
        with unittest.mock.patch.object(the_loop, "make_updates", make_timed):
            training.train(config, workdir, data_dir)
    return {"per_epoch": per_epoch, "updates": updates, "peak_gb": machine.peak_gb()}


def memory(size, options):
    """Most memory of two updates of one stream, and what was held before them."""
    config = make_config(Size(*size), **options)
    strategy = training.make_strategy("one")
    (run,) = loop_runs(config, strategy, make_states(config, strategy))
    before = machine.peak_gb()
    times = [turns.seconds(run) for _ in range(2)]
    return {"before_gb": before, "peak_gb": machine.peak_gb(), "seconds": times[-1]}


WORKS = {
    "records": make_records,
    "loop": loop,
    "whole_run": whole_run,
    "memory": memory,
}


def serve_replicas(size, strategy, devices, options):
    """The life of a process whose replicas compute updates when they are told to."""
    if devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, parts)
    strategy = training.make_strategy(strategy)
    config = make_config(Size(*size), **options)
    states = make_states(config, strategy)
    runs = {
        "update": loop_runs(config, strategy, states)[0],
        "nothing": loop_runs(config, strategy, states, view=NoNetwork)[0],
    }
    for run in runs.values():
        run()
    ready = {
        "replicas": strategy.num_replicas_in_sync,
        "passes": passes_of(config, strategy.num_replicas_in_sync)[0],
    }
    turns.serve(runs, ready, lambda: {"peak_gb": machine.peak_gb()})
