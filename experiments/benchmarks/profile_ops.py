"""Where the network's time goes: seconds of each TensorFlow operation in one run.

    python -m experiments.benchmarks.profile_ops --work "forward, folded"

The works are those of `network.py`. Operations that run side by side are each counted
in full, so the sum is larger than the time that passes.
"""

import collections
import pathlib
import tempfile

from absl import flags

from experiments import command

_WORK = flags.DEFINE_string("work", "training, fast", "As network.py names it.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "mixed_bfloat16"], "Its.")
_FRAMES = flags.DEFINE_integer("frames", 64, "T of a clip.", lower_bound=9)
_TOP = flags.DEFINE_integer("top", 15, "Operations to list.", lower_bound=1)


def main():
    from experiments.benchmarks import machine, network_work, turns

    prepared = network_work.prepare(_WORK.value, _DTYPE.value, _FRAMES.value, 1)
    prepared.run()
    seconds = turns.seconds(prepared.run)
    peak = machine.peak_gb()
    operations = _trace(prepared.run)
    print(f"{machine.describe()}; {prepared.version}")
    print(
        f"{_WORK.value}, {_DTYPE.value}, T {_FRAMES.value}: {seconds:.3f} s a run, "
        f"peak {peak:.2f} GB"
    )
    print("| s | times | operation |")
    print("|---|---|---|")
    for name, times in sorted(operations.items(), key=lambda item: -sum(item[1]))[
        : _TOP.value
    ]:
        print(f"| {sum(times):.3f} | {len(times)} | {name} |")


def _trace(run):
    """{operation: [seconds of each]} of one run."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    operations = collections.defaultdict(list)
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                # `node:Operation`
                _, colon, operation = names[event.metadata_id].rpartition(":")
                if colon and operation not in ("Process", "Run"):
                    operations[operation].append(event.duration_ps / 1e12)
    return operations


if __name__ == "__main__":
    command.run(main)
