"""The studies of the distillation benchmark: their recipes, and what is compared."""

import dataclasses
import pathlib
from typing import NamedTuple

from experiments.benchmarks import distillation_data as made
from i3d_tf.config import Config, Data, StreamTraining
from i3d_tf.config_file import load_config
from i3d_tf.distillation import recipes, study
from i3d_tf.distillation.spec import Distillation, Pair
from i3d_tf.training import train


class Sizes(NamedTuple):
    """How much is made and learnt.

    Attributes:
      poses: pictures for the teacher's labels, pairs and testing.
      sprites: clips of each motion: labelled, pairs and testing.
      teacher_steps, steps: updates of teachers and students of clips.
      width: of narrow networks.
    """

    poses: tuple[int, int, int]
    sprites: tuple[int, int, int]
    teacher_steps: int
    steps: int
    width: float


SIZES = {
    "full": Sizes((2000, 2000, 500), (4, 80, 30), 200, 200, 0.25),
    "tiny": Sizes((64, 64, 32), (2, 4, 2), 2, 2, 0.125),
}
_RECIPE = pathlib.Path(__file__).parents[1] / "configs" / "depth_to_rgb.py"
# Updates of a teacher that has not learnt, at a rate of 0: BatchNorm gets statistics.
_UNTRAINED_STEPS = 20


def depth_to_rgb(folder, seeds, sizes, only):
    """Few labelled RGB pictures, many pairs of RGB and depth."""
    folder = folder / "depth_to_rgb"
    made.make_poses(folder, *sizes.poses)
    teacher = load_config(_RECIPE, name="TEACHER")
    student = load_config(_RECIPE)
    if sizes is SIZES["tiny"]:
        tiny = {"width": sizes.width, "batch_size": 8, "steps_at_once": 1}
        depth = dataclasses.replace(teacher.depth, steps=4, warmup_steps=0)
        teacher = dataclasses.replace(teacher, depth=depth, **tiny)
        rgb = dataclasses.replace(student.rgb, steps=2, warmup_steps=0)
        few = dataclasses.replace(student.data, train_split="train[:32]")
        student = dataclasses.replace(student, rgb=rgb, data=few, **tiny)
    ways = _with_controls(student, folder, made.SHUFFLED_POSES)
    # The specification's own: of the fc layers alone, on the labelled pictures alone.
    literal = recipes.depth_to_rgb(weight=0.1)
    ways["fc_layers_without_pairs"] = study.taught(
        _on(student, unlabelled_split=None), _by_teacher(literal, folder)
    )
    return _run(folder, teacher, student, ways, seeds, only)


def flow_to_rgb(folder, seeds, sizes, only):
    """Few labelled videos, many without label: MARS, and the teacher's answers."""
    folder = folder / "sprites"
    made.make_sprites(folder, *sizes.sprites)
    teacher = _of_sprites(made.SPRITES, sizes, sizes.teacher_steps, "flow")
    student = _of_sprites(made.SPRITES, sizes, sizes.steps, "rgb")
    student = dataclasses.replace(
        _on(student, unlabelled_split="pairs"),
        rgb=dataclasses.replace(
            student.rgb,
            # MARS's features, and what the teacher answers.
            distillation=dataclasses.replace(
                recipes.MARS, response="softmax", response_weight=1.0, temperature=2.0
            ),
        ),
    )
    ways = _with_controls(student, folder, made.SHUFFLED_SPRITES)
    ways["mars"] = study.taught(student, _by_teacher(recipes.MARS, folder))
    return _run(folder, teacher, student, ways, seeds, only)


def response(folder, seeds, sizes, only):
    """A motion that is not in the transfer set, learnt from soft answers.

    The figure is of test clips of that motion alone. Motions are blended: of those that
    differ by much the teacher is too sure for its answers to tell of a third.
    """
    sprites, folder = folder / "blended_sprites", folder / "response"
    made.make_sprites(sprites, *sizes.sprites, blended=True)
    teacher = _of_sprites(made.LEFT_OUT, sizes, sizes.teacher_steps, "flow")
    data = dataclasses.replace(
        teacher.data, train_split="train+transfer", test_split="left_out"
    )
    # No student's: one that began with its teacher's weights would learn more easily.
    teacher = dataclasses.replace(teacher, data=data, seed=1000)
    student = dataclasses.replace(
        teacher,
        data=dataclasses.replace(data, train_split="transfer"),
        flow=dataclasses.replace(
            teacher.flow,
            # After 200 updates a tenth of these clips is right, after 600 most.
            steps=3 * sizes.steps,
            distillation=Distillation(
                inputs=("flow",),
                response="softmax",
                temperature=4.0,
                label_weight=0.0,
            ),
        ),
    )
    ways = {
        study.ALONE: study.alone(student),
        study.DISTILLED: study.with_distillation(student, teacher=_teacher_of(folder)),
    }
    return _run(folder, teacher, student, ways, seeds, only, sprites / "data")


def features(folder, seeds, sizes, only):
    """A narrow RGB network with few labels beside the full one that had them all.

    By each of the losses of features, and by soft answers.
    """
    sprites, folder = folder / "sprites", folder / "features"
    made.make_sprites(sprites, *sizes.sprites)
    teacher = _of_sprites(made.LEFT_OUT, sizes, sizes.teacher_steps, "rgb")
    teacher = _on(
        dataclasses.replace(teacher, width=4 * sizes.width),
        train_split="train+transfer",
        test_split="test+left_out",
    )
    student = _on(
        _of_sprites(made.SPRITES, sizes, sizes.steps, "rgb"), unlabelled_split="pairs"
    )
    losses = {
        # Weights as the field has them, of means.
        "hint": ("squared_error", 100.0, True),
        "attention_transfer": ("attention", 1000.0, False),
        "similarity_preserving": ("similarity", 3000.0, False),
        "probabilistic": ("probabilistic", 30000.0, False),
    }
    distillations = {"soft_answers": Distillation(inputs=("rgb",), response="softmax")}
    for way, (loss, weight, adapter) in losses.items():
        pair = Pair("Mixed_4f", "Mixed_4f", loss, weight, adapter)
        distillations[way] = Distillation(inputs=("rgb",), features=(pair,))
    ways = {}
    for way, distillation in distillations.items():
        rgb = dataclasses.replace(
            student.rgb, distillation=_by_teacher(distillation, folder)
        )
        ways[way] = dataclasses.replace(student, rgb=rgb)
    ways[study.ALONE] = study.alone(ways["hint"])
    return _run(folder, teacher, ways["hint"], ways, seeds, only, sprites / "data")


STUDIES = {
    "depth_to_rgb": depth_to_rgb,
    "flow_to_rgb": flow_to_rgb,
    "response": response,
    "features": features,
}


def _of_sprites(dataset, sizes, steps, stream):
    training = StreamTraining(
        steps=steps,
        learning_rates=(0.01,),
        schedule="cosine",
        warmup_steps=steps // 10,
        clip_norm=5.0,
        dropout=0.2,
    )
    data = Data(dataset=dataset, num_frames=16, size=48, smaller_side=made.SIDE)
    return Config(
        data=data,
        **{stream: training},
        batch_size=12 if sizes.sprites[0] * 3 >= 12 else 6,
        dtype="float32",
        width=sizes.width,
        batch_norm_decay=0.9,
        evaluate_epochs=0,
        steps_at_once=20,
    )


def _with_controls(student, folder, shuffled):
    """{way: config}: alone, distilled, and with teachers that cannot know.

    Args:
      shuffled: data set whose teacher sees other examples' inputs.
    """
    untrained = (str(folder / "untrained_teacher"),)
    return {
        study.ALONE: study.alone(student),
        study.DISTILLED: study.with_distillation(student, teacher=_teacher_of(folder)),
        "shuffled_pairs": study.with_distillation(
            _on(student, dataset=shuffled), teacher=_teacher_of(folder)
        ),
        "untrained_teacher": study.with_distillation(student, teacher=untrained),
    }


def _on(config, **data):
    """The config with other fields of its data."""
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **data))


def _teacher_of(folder):
    return (str(folder / study.TEACHER),)


def _by_teacher(distillation, folder):
    return dataclasses.replace(distillation, teacher=_teacher_of(folder))


def _run(folder, teacher, student, ways, seeds, only, data=None):
    """Trains teacher, controls and all ways; returns as `study.evaluate_study`."""
    data = data or folder / "data"
    of_teacher = train(teacher, folder / study.TEACHER, data)[-1]["test"]
    if "untrained_teacher" in ways:
        (name,) = (stream.name for stream in teacher.streams)
        training = dataclasses.replace(
            getattr(teacher, name),
            steps=_UNTRAINED_STEPS,
            learning_rates=(0.0,),
            warmup_steps=0,
        )
        untrained = dataclasses.replace(teacher, **{name: training})
        train(untrained, folder / "untrained_teacher", data)
    if only:
        if not set(only) <= set(ways):
            raise ValueError(
                f"--ways {','.join(only)}: expected some of {','.join(ways)}"
            )
        kept = {study.ALONE, *only}
        ways = {way: config for way, config in ways.items() if way in kept}
    # Students first: a run that ends early has what matters most.
    order = sorted(ways, key=lambda way: way not in (study.ALONE, study.DISTILLED))
    found = {}
    for part in (order[:2], order[2:]):
        some = {way: ways[way] for way in part}
        found |= study.train_ways(some, folder / "runs", data, seeds)
    return study.results_of(student, of_teacher, found, seeds)
