r"""Distillation: a teacher, the student alone, and the student with the teacher.

    python -m experiments.distill --config ucf101_mars \
        --workdir runs/ucf101_mars --data_dir data --seeds 0,1,2,3,4

A recipe's file has a TEACHER beside its CONFIG, whose one stream has a distillation.
All stages are done one after the other, or those of --stages:

    train_teacher  leaves teacher/, a run as of experiments.train
    distil         student_alone/seed_<k>/ and distilled/seed_<k>/, for each of --seeds
    evaluate       report.json and report.md: the teacher, both students, their spread;
                   of another --split report_<split>.json and .md
    export         --output, a SavedModel of the distilled student of the first seed,
                   which holds nothing of the teacher and needs none of its inputs

A teacher that was trained elsewhere is named by --teacher; nothing trains it then.
Stopped and started again, it goes on where it was; at SIGTERM it saves and ends.
"""

from absl import flags

from experiments import command
from experiments.recipes import recipe_path
from flow.unexpected import doing

_STAGES = ("train_teacher", "distil", "evaluate", "export")

_CONFIG = flags.DEFINE_string(
    "config", None, "Name of a recipe, as own_videos, or its file.", required=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the study.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS folder.", required=True)
_STAGE_LIST = flags.DEFINE_list(
    "stages", list(_STAGES[:3]), f"What is to be done: some of {','.join(_STAGES)}."
)
_SEEDS = flags.DEFINE_list(
    "seeds",
    None,
    "Of the students; more of them tell more. Default: those that are trained, or 0.",
)
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "field=value of the student's CONFIG, as of train; repeatable. For training: "
    "evaluate and export take what the runs were trained with.",
)
_SET_TEACHER = flags.DEFINE_multi_string(
    "set_teacher", [], "The same of TEACHER; repeatable."
)
_TEACHER = flags.DEFINE_multi_string(
    "teacher",
    [],
    "Workdir of a trained teacher, in place of train_teacher, or the name of a "
    "published network, whose features alone can be compared; given once for each of "
    "its streams, if they were trained apart.",
)
_SPLIT = flags.DEFINE_string("split", None, "To evaluate; default: the test_split.")
_OUTPUT = flags.DEFINE_string("output", None, "SavedModel that export writes.")
_STRATEGY = flags.DEFINE_enum(
    "strategy", "one", ["one", "mirrored"], "One device, or all of this machine."
)


def main():
    stages, asked = _checked_stages(), _checked_seeds(_SEEDS.value)
    recipe = recipe_path(_CONFIG.value)

    from flow.files import as_path
    from i3d_tf import training
    from i3d_tf.checkpoints import read_config, require_trained
    from i3d_tf.config_file import load_config
    from i3d_tf.distillation import report, study
    from i3d_tf.weights.catalogue import is_published

    workdir = as_path(_WORKDIR.value)
    config = load_config(recipe, _SET.value)
    study.student_of(config)
    seeds = asked or study.seeds_of(workdir) or [0]
    teachers = tuple(_TEACHER.value) or (str(workdir / study.TEACHER),)
    if _TEACHER.value:
        # Published networks were not trained on this data set, and have no config.
        runs = [teacher for teacher in teachers if not is_published(teacher)]
        of_teachers = [read_config(teacher)[0] for teacher in runs]
    else:
        runs = teachers
        of_teachers = [load_config(recipe, _SET_TEACHER.value, "TEACHER")]
    if len(runs) == len(teachers):
        study.check_teachers(config, of_teachers)
    configs = {
        study.ALONE: study.alone(config),
        study.DISTILLED: study.with_distillation(config, teacher=teachers),
    }
    strategy = training.make_strategy(_STRATEGY.value)
    if {"train_teacher", "distil"} & set(stages):
        study.check_data([*configs.values(), *of_teachers], _DATA_DIR.value, strategy)
    done = workdir
    with command.ended_by_sigterm(), doing(f"training in {workdir}"):
        if "train_teacher" in stages:
            training.train(of_teachers[0], teachers[0], _DATA_DIR.value, strategy)
        if "distil" in stages:
            if not _TEACHER.value:
                require_trained(teachers[0])
            study.train_ways(configs, workdir, _DATA_DIR.value, seeds, strategy)
    if "evaluate" in stages:
        with doing(f"evaluating the runs in {workdir}"):
            results = study.evaluate_study(
                config,
                teachers if len(runs) == len(teachers) else None,
                workdir,
                _DATA_DIR.value,
                seeds,
                _SPLIT.value,
            )
        done, lines = report.write_report(workdir, results, config.data.test_split)
        print("\n".join(lines))
    if "export" in stages:
        with doing(f"writing the SavedModel {_OUTPUT.value}"):
            study.export_student(workdir, seeds[0], _OUTPUT.value)
        done = _OUTPUT.value
    print(f"{done}: {', '.join(stages)} done")


def _checked_stages():
    stages = _STAGE_LIST.value
    if not stages or set(stages) - set(_STAGES):
        raise ValueError(
            f"--stages {','.join(stages)}: expected some of {','.join(_STAGES)}"
        )
    if _TEACHER.value:
        stages = [stage for stage in stages if stage != "train_teacher"]
        if not stages:
            raise ValueError(
                "--stages train_teacher with --teacher: it is trained already, so "
                "there is nothing to do"
            )
    if ("export" in stages) != (_OUTPUT.value is not None):
        raise ValueError(
            "--output names what the stage export writes: give both or none"
        )
    return [stage for stage in _STAGES if stage in stages]


def _checked_seeds(texts):
    if texts is None:
        return []
    seeds = [int(text) for text in texts if text.isdecimal()]
    if not seeds or len(seeds) < len(texts) or len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds {','.join(texts)}: expected numbers, each once")
    return seeds


def cli():
    command.run(main)


if __name__ == "__main__":
    cli()
