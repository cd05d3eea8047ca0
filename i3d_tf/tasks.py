"""What networks are trained to answer: the action of a clip, or the pose in a picture.

All that the training loop does not share between the two is a field of `Task`.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from i3d_tf import fast
from i3d_tf.distillation.pose import build_pose_network
from i3d_tf.inception import build_i3d


@dataclasses.dataclass(frozen=True)
class Task:
    """A kind of answer.

    Attributes:
      build: (stream, config, number of answers) -> network, without the options that
        training alone has.
      names: builder.info of a data set -> names of the answers.
      target: (example, builder.info) -> what is right, from a record and its View.
      losses: (outputs, targets, label smoothing, config) -> `[B]`.
      figures: {name: (outputs, targets) -> `[B]`}, all at least 0.
      trained: which of them training tells of every clip.
      for_training, for_evaluation, for_inference: the views of `fast`, or what takes
        their place.
    """

    build: Callable
    names: Callable
    target: Callable
    losses: Callable
    figures: dict[str, Callable]
    trained: tuple[str, ...]
    for_training: Callable
    for_evaluation: Callable
    for_inference: Callable


def task_of(data):
    """The Task of a `config.Data`."""
    return POSES if data.num_frames == 1 else ACTIONS


def _build_action(stream, config, answers, **options):
    return build_i3d(
        stream, answers, size=config.data.size, width=config.width, **options
    )


def _one_hot(example, info):
    return tf.one_hot(example["label"], info.features["label"].num_classes)


def _cross_entropies(logits, labels, smoothing, config):
    del config
    smoothed = labels * (1 - smoothing) + smoothing / labels.shape[-1]
    return tf.nn.softmax_cross_entropy_with_logits(smoothed, logits)


def _within_top(k):
    def within(logits, labels):
        """1.0 where fewer than k classes are ahead; a tie counts as wrong."""
        truth = tf.argmax(labels, -1)
        own = tf.gather(logits, truth, axis=-1, batch_dims=1)[:, None]
        # As `evaluation.top_k`: NaN is not below anything.
        ahead = tf.reduce_sum(tf.cast(~(logits < own), tf.int32), -1) - 1
        return tf.cast(ahead < k, tf.float32)

    return within


ACTIONS = Task(
    build=_build_action,
    names=lambda info: info.features["label"].names,
    target=_one_hot,
    losses=_cross_entropies,
    figures={"top1": _within_top(1), "top5": _within_top(5)},
    trained=("top1",),
    for_training=fast.for_training,
    for_evaluation=fast.for_evaluation,
    for_inference=fast.for_inference,
)


def _build_pose(stream, config, joints, *, dropout=0.0, **options):
    if dropout:
        raise ValueError(f"{stream.name}.dropout is {dropout}; pose networks have none")
    pose = config.pose
    return build_pose_network(
        stream,
        joints,
        size=config.data.size,
        resnet=pose.resnet,
        head=pose.head,
        features=pose.features,
        unit=pose.unit,
        distance=pose.distance,
        width=config.width,
        **options,
    )


def _joints(example, info):
    """`[J, 3]` metres; in a mirrored picture right is left, and so may be a hand."""
    joints, order = example["joints"], info.metadata["mirrored"]
    # Where there is no such order, `pipeline.check_fits` lets nothing be mirrored.
    mirrored = tf.gather(joints, order or range(joints.shape[0])) * [-1.0, 1.0, 1.0]
    return tf.where(example["view"].mirrored, mirrored, joints)


def _squared_errors(joints, right, smoothing, config):
    """Mean over the coordinates, in units of `config.pose.unit`."""
    if smoothing:
        raise ValueError("label_smoothing is of classes; poses have none")
    return tf.reduce_mean(tf.square((joints - right) / config.pose.unit), [1, 2])


def _distances(joints, right):
    """Mean over the joints, metres."""
    return tf.reduce_mean(tf.norm(joints - right, axis=-1), -1)


def _itself(model, *, synchronised=False, recompute=False):
    for name, value in (
        ("synchronised_batch_norm", synchronised),
        ("recompute", recompute),
    ):
        if value:
            raise ValueError(f"{name} is for networks of clips; pose networks lack it")
    return model


POSES = Task(
    build=_build_pose,
    names=lambda info: list(info.metadata["names"]),
    target=_joints,
    losses=_squared_errors,
    figures={"error": _distances},
    trained=("error",),
    for_training=_itself,
    for_evaluation=_itself,
    for_inference=_itself,
)
