"""How frames are stored in records: bytes, error, and the time to decode a clip's crop.

    python -m experiments.benchmarks.storage --videos videos

Every encoding holds the same frames of RGB and flow. Decoded are crops at random
places, as training decodes them in TensorFlow, on one core; the encodings take turns,
so that what else the machine does falls on all. Prints tables and leaves storage.json
in --output.
"""

import datetime
import pathlib
import platform

from absl import flags

from experiments import command

_VIDEOS = flags.DEFINE_string("videos", None, "Folder of videos.", required=True)
_COUNT = flags.DEFINE_integer("count", 8, "Videos, at most.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 64, "Frames of each.", lower_bound=16)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed runs of each.", lower_bound=1)
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)


def main():
    from experiments.benchmarks import encodings, machine, real_frames, storage_work
    from flow.files import write_json

    pairs = real_frames.read_pairs(
        _VIDEOS.value, videos=_COUNT.value, frames=_FRAMES.value
    )
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "python": platform.python_version(),
        "versions": storage_work.versions(),
        "videos": [list(rgb.shape) for rgb, _ in pairs],
        "crop": encodings.SIZE,
        "rounds": _ROUNDS.value,
    }
    print(f"{result['machine']}; one core; {result['versions']}")
    print(f"{len(pairs)} videos, {sum(len(rgb) for rgb, _ in pairs)} frames\n")
    for stream, frames in zip(("rgb", "flow"), zip(*pairs, strict=True), strict=True):
        result[stream] = storage_work.compare(stream, frames, _ROUNDS.value)
        _print_table(stream, result[stream])
    path = pathlib.Path(_OUTPUT.value) / "storage.json"
    write_json(path, result)
    print(f"{path}: the figures")


def _print_table(stream, rows):
    print(
        f"| {stream} | bytes a frame | encode ms | decode ms a clip of 64 | PSNR dB | "
        "values at most 1 off, worst video | largest error |\n"
        "|---|---|---|---|---|---|---|"
    )
    for row in rows:
        psnr = "lossless" if row["psnr"] is None else f"{row['psnr']:.1f}"
        print(
            f"| {row['name']} | {row['bytes']:.0f} | {row['encode_ms']:.2f} | "
            f"{row['decode_ms']:.1f} | {psnr} | {row['within_1']:.3%} | "
            f"{row['largest_error']} |"
        )
    print()


if __name__ == "__main__":
    command.run(main)
