r"""When a teacher helps: paired seeds, with teachers that know nothing as controls.

    python -m experiments.benchmarks.distillation --folder distillation
    python -m experiments.benchmarks.distillation --folder distillation \
        --sections depth_to_rgb --seeds 0,1,2,3,4

depth_to_rgb: joints of a rendered arm, of few labelled RGB pictures and many pairs with
depth. flow_to_rgb: motions of sprites, of few labels and videos without. response: a
class that the student never sees, from soft answers. features: a narrow I3D beside the
full one. All of a seed begin with the same weights and make as many updates. Controls:
pairs whose teacher sees another example's input, and a teacher that was not trained.
Runs stay in --folder and are used again; prints tables and leaves distillation.json in
--output, in which the sections that were not asked for stay.
"""

import json
import pathlib

from absl import flags

from experiments import command

_FOLDER = flags.DEFINE_string("folder", None, "For data and runs.", required=True)
_SECTIONS = flags.DEFINE_list(
    "sections",
    ["depth_to_rgb", "flow_to_rgb", "response", "features"],
    "Those that are measured.",
)
_WAYS = flags.DEFINE_list(
    "ways", [], "To train students, beside student_alone; default: all of a section."
)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Of the students.")
_SIZES = flags.DEFINE_enum(
    "sizes", "full", ["full", "tiny"], "Tiny ones try the benchmark and tell nothing."
)
_OUTPUT = flags.DEFINE_string(
    "output", "experiments/benchmarks/results", "Folder of the JSON file."
)


def main():
    from experiments.benchmarks import distillation_studies, machine
    from flow.files import write_json
    from i3d_tf.distillation import report

    unknown = set(_SECTIONS.value) - set(distillation_studies.STUDIES)
    if unknown or not all(seed.isdecimal() for seed in _SEEDS.value):
        raise ValueError(
            f"--sections {','.join(_SECTIONS.value)} --seeds {','.join(_SEEDS.value)}: "
            f"expected some of {','.join(distillation_studies.STUDIES)}, and numbers"
        )
    path = pathlib.Path(_OUTPUT.value) / "distillation.json"
    found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for section in _SECTIONS.value:
        study = distillation_studies.STUDIES[section]
        results = study(
            pathlib.Path(_FOLDER.value),
            [int(seed) for seed in _SEEDS.value],
            distillation_studies.SIZES[_SIZES.value],
            _WAYS.value,
        )
        lines = report.table(results)
        print("\n".join(["", section, "", *lines]), flush=True)
        found[section] = {
            **results,
            "summary": report.summary(results),
            "machine": machine.describe(),
            "sizes": _SIZES.value,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
    print(f"{path}: {', '.join(_SECTIONS.value)}")


if __name__ == "__main__":
    command.run(main)
