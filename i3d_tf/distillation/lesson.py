"""What a student's training gets from its teacher, as its specification says."""

import keras
from keras import ops

from i3d_tf.checkpoints import find_run, load_workdirs
from i3d_tf.distillation import losses
from i3d_tf.distillation.adapters import Adapter
from i3d_tf.fast.views import with_calls, with_features
from i3d_tf.fine_tuning import HEAD
from i3d_tf.tasks import task_of
from i3d_tf.trunk import AVERAGE_POOL
from i3d_tf.weights.networks import load_networks

_FEATURE_LOSSES = {
    "squared_error": losses.MeanSquaredError,
    "attention": losses.AttentionTransfer,
    "similarity": losses.SimilarityPreserving,
    "probabilistic": losses.ProbabilisticTransfer,
}


# Through which all of a trunk goes; the pool has no weights.
_LAST = ("Mixed_5c", AVERAGE_POOL)


class Lesson:
    """A student with its teacher and adapters; made under a strategy.

    The teacher runs in inference mode, on weights of its own that nothing changes.

    Attributes:
      student: the network, which also gives the features that are compared: a list,
        its answer first.
      adapters: the layers that are trained beside the student.
    """

    def __init__(self, stream, config, model, answers):
        """Reads the teacher of a stream's network from its workdirs.

        Args:
          stream: the student's `Stream`.
          config: `config.Config` with a distillation of that stream.
          model: the student.
          answers: names of what it answers.

        Raises:
          ValueError: there is no such teacher, it answers or sees something else, or
            its features do not fit the student's.
        """
        self.spec = spec = config.distillations[stream.name]
        networks = _read_teacher(stream, spec, config, answers)
        self.student = with_features(model, [pair.student for pair in spec.features])
        if spec.labels_reach == "classifier":
            self.student = _detached(self.student, spec)
        self._teacher, shapes = {}, {}
        for name, network in networks.items():
            pairs = [pair for pair in spec.features if _stream_of(pair, spec) == name]
            network = with_features(network, [pair.teacher for pair in pairs])
            shapes.update(zip(pairs, _shapes(network, config)[1:], strict=True))
            ready = task_of(config.data).for_inference(network)
            self._teacher[name] = ready, pairs
        self._response = _response(spec)
        self._pairs = [
            _Compared(pair, shape, shapes[pair], config.seed + number)
            for number, (pair, shape) in enumerate(
                zip(spec.features, _shapes(self.student, config)[1:], strict=True)
            )
        ]
        self.adapters = [pair.adapter for pair in self._pairs if pair.adapter]

    def teach(self, inputs):
        """What the teacher makes of a batch: its answer, then the pairs' features.

        Args:
          inputs: {stream name: [B, ...] in [-1, 1]}.
        """
        answers, features = [], {}
        for name, (network, pairs) in self._teacher.items():
            answer, *more = keras.tree.flatten(network(inputs[name], training=False))
            answers.append(answer)
            features.update(zip(pairs, more, strict=True))
        answer = sum(answers) / len(answers)
        return [answer, *(features[pair] for pair in self.spec.features)]

    def refuse_single_clips(self, name):
        """Raises ValueError if a loss compares clips, which of one alone is 0."""
        for pair in self.spec.features:
            if pair.loss in ("similarity", "probabilistic"):
                raise ValueError(
                    f"{name}.distillation: {pair.loss!r} compares the clips of a pass, "
                    "which has one; it needs larger clips_at_once or batch_size"
                )

    def loss(self, taught, learnt):
        """Scalar, the mean over the batch; of `teach` and of the student's outputs."""
        total = 0.0
        if self._response is not None:
            response = self._response.compute_loss(taught[0], learnt[0])
            total += self.spec.response_weight * response
        for pair, teacher, student in zip(
            self._pairs, taught[1:], learnt[1:], strict=True
        ):
            total += pair.loss(teacher, student)
        return total


class _Compared:
    """A `spec.Pair` with its loss and its adapter."""

    def __init__(self, pair, student_shape, teacher_shape, seed):
        self._pair = pair
        self._loss = _FEATURE_LOSSES[pair.loss]()
        self.adapter = None
        shapes = (student_shape, teacher_shape)
        if pair.pooled:
            shapes = [(shape[0], shape[-1]) for shape in shapes]
        try:
            if pair.adapter:
                self.adapter = Adapter(shapes[1][1:], seed=seed)
                self.adapter.build(shapes[0])
                shapes = shapes[1], shapes[1]
            # Shapes that do not fit raise here, before the first step.
            self._loss.compute_loss(*(ops.zeros(shape) for shape in shapes[::-1]))
        except ValueError as error:
            raise ValueError(
                f"the pair {pair.student}, {pair.teacher}: {error}"
            ) from error

    def loss(self, teacher, student):
        if self._pair.pooled:
            teacher, student = _pooled(teacher), _pooled(student)
        if self.adapter is not None:
            student = self.adapter(student)
        return self._pair.weight * self._loss.compute_loss(teacher, student)


def _read_teacher(stream, spec, config, answers):
    """{stream name: network} of what the teacher sees."""
    where = f"{stream.name}.distillation"
    if not spec.teacher:
        raise ValueError(
            f"{where}.teacher is empty; needed are the workdirs of the runs that "
            "trained it, which experiments.distill sets, or names of published networks"
        )
    its_answers, networks = _load(spec.teacher, config)
    missing = [name for name in spec.inputs if name not in networks]
    if missing:
        raise ValueError(
            f"{where}.inputs has {missing[0]!r}; {', '.join(spec.teacher)} "
            f"trained {', '.join(networks)}"
        )
    # Features can be compared whatever the answers are.
    if its_answers != answers and spec.response is not None:
        raise ValueError(
            f"{where}: the teacher answers {len(its_answers)} classes or joints, the "
            f"data set has {len(answers)}, or others; compare features alone "
            "(response=None), or train the teacher on this data set"
        )
    return {name: networks[name] for name in spec.inputs}


def _load(teacher, config):
    """Returns (names of the answers, {stream name: network}) of a teacher."""
    if all(find_run(source) for source in teacher):
        of_teacher, answers, networks = load_workdirs(teacher, config.dtype)
        check_same_view(of_teacher, config)
        return answers, networks
    # Published networks: they see what the student does.
    networks, answers, _ = load_networks(teacher, data=config.data, dtype=config.dtype)
    return answers, networks


def check_same_view(of_teacher, config):
    """Raises ValueError unless teacher and student see and tell the world alike.

    Args:
      of_teacher, config: `config.Config`s.
    """
    for name, theirs, ours in (
        ("data.size", of_teacher.data.size, config.data.size),
        ("data.smaller_side", of_teacher.data.smaller_side, config.data.smaller_side),
        *(
            (f"pose.{field}", getattr(of_teacher.pose, field, None), value)
            for field, value in _told(config.pose).items()
        ),
    ):
        if theirs != ours:
            raise ValueError(
                f"{name} is {theirs} of the teacher and {ours} of the student; both "
                "see the same crop, and what they make of it is compared"
            )


def _told(pose):
    """Of a `config.Pose` what gives places their numbers."""
    return {} if pose is None else {"unit": pose.unit, "distance": pose.distance}


def _stream_of(pair, spec):
    return pair.stream or spec.inputs[0]


def _response(spec):
    if spec.response is None:
        return None
    if spec.response == "softmax":
        return losses.Response(spec.temperature)
    return losses.MeanSquaredError()


def _detached(model, spec):
    """The model, whose answer passes no gradient below the classifier."""
    if HEAD not in [layer.name for layer in model.layers]:
        raise ValueError(
            f"{model.name}: has no layer {HEAD!r}, so labels_reach cannot be the "
            "classifier alone"
        )
    if not {pair.student for pair in spec.features} & set(_LAST):
        raise ValueError(
            "labels_reach is 'classifier', and no pair compares the student's "
            f"{' or '.join(_LAST)}: nothing would train the layers before them"
        )

    def call(layer, inputs, **options):
        if layer.name == HEAD:
            inputs = ops.stop_gradient(inputs)
        return layer(inputs, **options)

    return with_calls(model, call)


def _shapes(network, config):
    """Of all outputs, for one example of the recipe's size."""
    data = config.data
    frames = () if data.num_frames == 1 else (data.num_frames,)
    channels = network.input.shape[-1]
    clip = keras.KerasTensor((1, *frames, data.size, data.size, channels))
    outputs = keras.tree.flatten(network.compute_output_spec(clip))
    return [output.shape for output in outputs]


def _pooled(features):
    return ops.mean(ops.cast(features, "float32"), tuple(range(1, features.ndim - 1)))
