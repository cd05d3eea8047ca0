"""A distillation against the student alone: the same runs from several seeds.

A study's workdir has the teacher's run in `teacher/` and, for each way to train the
student, a run for each seed: `student_alone/seed_0/`, `distilled/seed_0/` ... A pair of
runs of one seed begins with the same weights and makes as many updates.
"""

import dataclasses

from i3d_tf.checkpoints import load_workdirs, require_trained
from i3d_tf.datasets import open_dataset
from i3d_tf.distillation.lesson import check_same_view
from i3d_tf.export import export
from i3d_tf.pipeline import check_fits
from i3d_tf.reading import damage_named
from i3d_tf.tasks import POSES, task_of
from i3d_tf.training import make_strategy, train
from i3d_tf.training.epochs import steps_per_epoch
from i3d_tf.training.evaluating import make_evaluation
from i3d_tf.training.precision import settle_dtype
from i3d_tf.training.preemption import Notice
from i3d_tf.training.strategies import Replicas

TEACHER, ALONE, DISTILLED = "teacher", "student_alone", "distilled"


def student_of(config):
    """Name of the one stream that has a teacher; raises ValueError for others."""
    names = list(config.distillations)
    if len(names) != 1 or len(config.streams) != 1:
        raise ValueError(
            f"streams {', '.join(s.name for s in config.streams)}, of which "
            f"{', '.join(names) or 'none'} has a distillation; a study has one "
            "student, the only stream of its config"
        )
    return names[0]


def check_teachers(config, teachers):
    """Raises ValueError if teachers' configs are not ones for the student's.

    All are tested on one split of a data set, or labels of the student's test could
    reach it by way of its teacher.
    """
    name = student_of(config)
    inputs = config.distillations[name].inputs
    trained = [stream.name for teacher in teachers for stream in teacher.streams]
    twice = {stream for stream in trained if trained.count(stream) > 1}
    if twice:
        raise ValueError(
            f"{', '.join(sorted(twice))}: trained by more than one of the teacher's "
            "runs; expected one run for each stream"
        )
    if not set(inputs) <= set(trained):
        raise ValueError(
            f"{name}.distillation.inputs is {', '.join(inputs)}; the teacher's config "
            f"trains {', '.join(trained)}"
        )
    for teacher in teachers:
        _check_teacher(config, teacher)


def check_data(configs, data_dir, strategy):
    """Raises ValueError if a config's splits cannot be trained on or tested.

    Before a teacher is trained for hours and its student cannot be.
    """
    for config in configs:
        builder = open_dataset(data_dir, config.data.dataset)
        check_fits(builder, config.data)
        steps_per_epoch(builder, config, Replicas.of(strategy))


def _check_teacher(config, teacher):
    for field in ("dataset", "test_split"):
        theirs, ours = getattr(teacher.data, field), getattr(config.data, field)
        if theirs != ours:
            raise ValueError(
                f"data.{field} is {theirs} of the teacher and {ours} of the student; "
                "change both (--set and --set_teacher)"
            )
    check_same_view(teacher, config)


def with_distillation(config, **changes):
    """The student's config with other fields of its distillation."""
    distillation = config.distillations[student_of(config)]
    return taught(config, dataclasses.replace(distillation, **changes))


def alone(config):
    """The student's config without its teacher: of labelled examples only."""
    return taught(config, None)


def taught(config, distillation):
    """The student's config with another distillation, or without one."""
    name = student_of(config)
    training = dataclasses.replace(getattr(config, name), distillation=distillation)
    return dataclasses.replace(config, **{name: training})


def seeds_of(workdir):
    """The seeds of which a study has distilled students, sorted."""
    runs = workdir / DISTILLED
    if not runs.is_dir():
        return []
    names = [run.name.removeprefix("seed_") for run in runs.iterdir()]
    return sorted(int(name) for name in names if name.isdecimal())


def train_ways(configs, workdir, data_dir, seeds, strategy=None):
    """Trains each way from each seed, pair by pair; what is trained is used again.

    Args:
      configs: {way to train: config}.
      workdir: the study's `pathlib`-like folder.
      seeds: numbers.
      data_dir, strategy: of `training.train`.

    Returns {way: [figures of the test at the end of a run, for each seed]}.
    """
    strategy = strategy or make_strategy("one")
    found = {way: [] for way in configs}
    # One dtype for all, or the pairs would differ in more than the teacher.
    runs = [
        workdir / way / f"seed_{seed}"
        for seed in [*seeds_of(workdir), *seeds]
        for way in configs
    ]
    configs = {
        way: settle_dtype(config, runs, strategy) for way, config in configs.items()
    }
    for seed in seeds:
        for way, config in configs.items():
            run = workdir / way / f"seed_{seed}"
            print(f"{run}", flush=True)
            one = dataclasses.replace(config, seed=seed)
            found[way].append(train(one, run, data_dir, strategy)[-1]["test"])
    return found


def evaluate(workdirs, data_dir, split=None):
    """{figure: value} of runs of different streams on a split, None for its test_split.

    The figures are those of an evaluation in training: `rgb_top1`, `depth_error` ...

    Raises ValueError if there is no run, or not what it was trained on.
    """
    config, names, models = load_workdirs(workdirs)
    workdir = workdirs[0]
    builder = open_dataset(data_dir, config.data.dataset)
    there = task_of(config.data).names(builder.info)
    if there != names:
        raise ValueError(
            f"{workdir}: answers {len(names)} classes or joints, "
            f"{builder.info.full_name} has {len(there)}, or other names"
        )
    if split:
        data = dataclasses.replace(config.data, test_split=split)
        config = dataclasses.replace(config, data=data)
    with damage_named(builder):
        figures, _ = make_evaluation(make_strategy("one"), config, models, builder)(
            Notice()
        )
    return figures


def evaluate_study(config, teachers, workdir, data_dir, seeds, split=None):
    """Evaluates the teacher and all runs of a study; returns as `results_of`.

    Args:
      config: the student's.
      teachers: workdirs of the teacher's streams; None if it is a published network,
        which names other classes.
      split: None for the config's test_split.

    Raises ValueError if a student is not trained to its end.
    """
    # One split for all, whatever their own configs say.
    split = split or config.data.test_split
    runs = {
        way: [workdir / way / f"seed_{seed}" for seed in seeds]
        for way in (ALONE, DISTILLED)
    }
    for of_way in runs.values():
        for run in of_way:
            require_trained(run)
    found = {
        way: [evaluate([run], data_dir, split) for run in of_way]
        for way, of_way in runs.items()
    }
    of_teacher = evaluate(teachers, data_dir, split) if teachers else None
    return results_of(config, of_teacher, found, seeds, split)


def results_of(config, of_teacher, found, seeds, split=None):
    """Of many figures of each run those that are compared.

    Args:
      config: the student's.
      of_teacher: the teacher's figures, or None.
      found: of `train_ways`.

    Returns {"figure", "better", "split", "seeds", "teacher": value, "<way>": [values]}:
    the figure is "top1", a share, or "error", the mean distance of joints in metres, of
    which the lower is "better".
    """
    name = student_of(config)
    is_pose = task_of(config.data) is POSES
    figure = "error" if is_pose else "top1"
    inputs = config.distillations[name].inputs
    teachers = "fused" if len(inputs) > 1 else inputs[0]
    return {
        "figure": figure,
        "better": "lower" if is_pose else "higher",
        "split": split or config.data.test_split,
        "seeds": list(seeds),
        TEACHER: of_teacher and of_teacher[f"{teachers}_{figure}"],
        **{
            way: [run[f"{name}_{figure}"] for run in runs]
            for way, runs in found.items()
        },
    }


def export_student(workdir, seed, output):
    """Writes the distilled student of a seed as a SavedModel.

    Raises ValueError if it is not trained, or `output` is there and is no SavedModel.
    """
    run = workdir / DISTILLED / f"seed_{seed}"
    require_trained(run)
    config, names, models = load_workdirs([run])
    export(models, names, config.data, output)
