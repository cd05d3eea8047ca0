"""What training on Kinetics-400 would take: an estimate on paper.

    python -m experiments.benchmarks.training_estimate --utilisation 0.05,0.1
    python -m experiments.benchmarks.training_estimate --machines '2 x L4:2:121:0.7:24'

The recipe is `experiments/configs/kinetics400.py`: 384 clips an update, 115,000
updates of RGB and 155,000 of flow, each on its own. A machine trains as fast as its
devices compute or as its cores decode, whichever is less; what is read a second is
only told. Left out: evaluations (3 % of the operations, one an epoch), sums over
devices, starts, storage.
"""

from typing import NamedTuple

from absl import flags

from experiments import command

_MACHINES = flags.DEFINE_list(
    "machines",
    [
        "1 x A100:1:312:3.7:12",
        "8 x A100:8:312:3.7:96",
        "1 x H100:1:989:7:26",
        "8 x H100:8:989:7:208",
        "TPU v3-32:16:123:2:384",
        "TPU v4-64:32:275:3.2:1920",
    ],
    "name:devices:bfloat16 TFLOP/s of one:dollars an hour of one:cores of all hosts.",
)
_UTILISATION = flags.DEFINE_list(
    "utilisation",
    # The first is what `network_jax` measured on an H200.
    ["0.08", "0.2"],
    "Shares of the peak that are reached.",
)
_CPU_MS = flags.DEFINE_float(
    "cpu_ms", 24, "Of a core, to read and decode one stream's clip.", lower_bound=0.1
)
_MB = flags.DEFINE_float(
    "mb", 7.3, "Read for a clip: the record of 250 frames.", lower_bound=0
)

CLIPS_OF_UPDATE = 384
# Of a training step of one clip of 64 frames, 224 px: three times the forward pass less
# one of the first convolution, which has no gradient of its input. Forward 222.3, of
# which 52.9 are RGB's first convolution; flow has two channels where RGB has three.
RGB_GFLOP = 3 * 222.3 - 52.9
FLOW_GFLOP = 3 * (222.3 - 52.9 / 3) - 52.9 * 2 / 3
STREAMS = {"rgb": (115_000, RGB_GFLOP), "flow": (155_000, FLOW_GFLOP)}


class Machine(NamedTuple):
    """What trains; `dollars` are of one device and hour, `cores` of all hosts."""

    name: str
    devices: int
    teraflops: float
    dollars: float
    cores: float


class Estimate(NamedTuple):
    """Of one stream's training.

    Attributes:
      clips_s: that the devices could compute, and those that the cores could decode.
      hours: at the lesser of both.
      cores: that would be busy if the devices never waited.
    """

    clips_s: float
    decoded_s: float
    hours: float
    dollars: float
    cores: float


def estimate(machine, updates, gflop, utilisation, cpu_ms):
    """The `Estimate` of so many updates of CLIPS_OF_UPDATE clips.

    Args:
      gflop: of a training step of one clip.
      utilisation: share of the devices' peak, above 0.
      cpu_ms: of a core, for one clip.
    """
    clips_s = machine.devices * machine.teraflops * 1e3 * utilisation / gflop
    decoded_s = machine.cores / cpu_ms * 1e3
    hours = updates * CLIPS_OF_UPDATE / min(clips_s, decoded_s) / 3600
    return Estimate(
        clips_s=clips_s,
        decoded_s=decoded_s,
        hours=hours,
        dollars=hours * machine.devices * machine.dollars,
        cores=clips_s * cpu_ms / 1e3,
    )


def parse_machine(text):
    """A `Machine` of the flag's form. Raises ValueError for another."""
    try:
        name, devices, *others = text.split(":")
        machine = Machine(name, int(devices), *map(float, others))
        if min(machine[1:]) <= 0:
            raise ValueError
        return machine
    except (ValueError, TypeError):
        raise ValueError(
            f"--machines: {text!r} is not name:devices:TFLOP/s:dollars:cores with "
            "numbers above 0"
        ) from None


def main():
    utilisations = [float(share) for share in _UTILISATION.value]
    if not all(0 < share <= 1 for share in utilisations):
        raise ValueError(f"--utilisation {_UTILISATION.value}: wants shares in (0, 1]")
    print(
        f"Estimate, not measured: RGB {RGB_GFLOP:.0f}, flow {FLOW_GFLOP:.0f} GFLOP a "
        f"clip, {_CPU_MS.value:g} ms of a core, {_MB.value:g} MB read\n"
    )
    print(
        "| machine | of the peak | RGB clips/s | cores that feed it | there are | "
        "GB/s read | RGB days | flow days | both, dollars |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for machine in map(parse_machine, _MACHINES.value):
        for share in utilisations:
            rgb, flow = (
                estimate(machine, *recipe, share, _CPU_MS.value)
                for recipe in STREAMS.values()
            )
            clips_s = min(rgb.clips_s, rgb.decoded_s)
            limited = " (input)" if rgb.decoded_s < rgb.clips_s else ""
            print(
                f"| {machine.name} | {share:.0%} | {clips_s:.0f}{limited} | "
                f"{rgb.cores:.0f} | {machine.cores:.0f} | "
                f"{clips_s * _MB.value / 1e3:.1f} | {rgb.hours / 24:.1f} | "
                f"{flow.hours / 24:.1f} | {rgb.dollars + flow.dollars:,.0f} |"
            )


if __name__ == "__main__":
    command.run(main)
