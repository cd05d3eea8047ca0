"""What a student learns from a teacher: frozen, and a part of a recipe."""

import dataclasses

RESPONSES = ("softmax", "squared_error")
FEATURE_LOSSES = ("squared_error", "attention", "similarity", "probabilistic")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Features of the student and of the teacher that are compared.

    Attributes:
      student, teacher: layers' names, as "Mixed_4f"; "AvgPool3d_6a_7x7" is what the
        classifier gets.
      loss: "squared_error" (hints), "attention", "similarity" or "probabilistic", see
        `distillation.losses`.
      weight: of the loss.
      adapter: whether an `adapters.Adapter`, trained beside the student, brings its
        features into the teacher's shape.
      pooled: whether both are first averaged over time and space, to a vector.
      stream: which of the teacher's streams; None if it has one.
    """

    student: str
    teacher: str
    loss: str = "squared_error"
    weight: float = 1.0
    adapter: bool = False
    pooled: bool = False
    stream: str | None = None

    def __post_init__(self):
        if self.loss not in FEATURE_LOSSES:
            raise ValueError(
                f"loss of the pair {self.student}, {self.teacher} is {self.loss!r}; "
                f"known: {', '.join(FEATURE_LOSSES)}"
            )
        _at_least_0("weight", self.weight)


@dataclasses.dataclass(frozen=True)
class Distillation:
    """L = label_weight * labels + response_weight * response + sum of the features.

    Attributes:
      inputs: names of the streams that the teacher sees, as ("flow",). The student
        sees its own. Of several, the teacher's answer is the mean of theirs, 1:1.
      teacher: workdirs of the runs that trained the teacher's streams, or the names of
        published networks, such as "kinetics400-flow", whose features can be compared;
        in a recipe empty, as `experiments.distill` knows where they are.
      response: what compares answers: "softmax" (Hinton's, of logits),
        "squared_error", or None for nothing.
      response_weight: of it.
      temperature: T of "softmax".
      features: pairs of layers that are compared too.
      label_weight: of the loss that the labels give, which examples of
        `data.unlabelled_split` do not have.
      labels_reach: "all" of the student, or its "classifier" alone: the trunk then
        learns from the teacher only, as in MERS.
    """

    inputs: tuple[str, ...]
    teacher: tuple[str, ...] = ()
    response: str | None = None
    response_weight: float = 1.0
    temperature: float = 4.0
    features: tuple[Pair, ...] = ()
    label_weight: float = 1.0
    labels_reach: str = "all"

    def __post_init__(self):
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise ValueError(
                f"distillation.inputs is {self.inputs}; needed are the teacher's "
                "streams, each once"
            )
        if self.response not in (None, *RESPONSES):
            raise ValueError(
                f"distillation.response is {self.response!r}; known: "
                f"{', '.join(RESPONSES)}, None"
            )
        if self.response is None and not self.features:
            raise ValueError(
                "distillation has neither a response nor features: nothing would be "
                "learnt from the teacher"
            )
        _at_least_0("response_weight", self.response_weight)
        _at_least_0("label_weight", self.label_weight)
        if self.temperature <= 0:
            raise ValueError(
                f"distillation.temperature is {self.temperature}; it must be above 0"
            )
        if self.labels_reach not in ("all", "classifier"):
            raise ValueError(
                f"distillation.labels_reach is {self.labels_reach!r}; known: all, "
                "classifier"
            )
        if self.labels_reach == "classifier" and self.response is not None:
            raise ValueError(
                "distillation.labels_reach is 'classifier': a response would not reach "
                "the trunk either; compare features alone"
            )
        for pair in self.features:
            if (pair.stream or self.inputs[0]) not in self.inputs or (
                pair.stream is None and len(self.inputs) > 1
            ):
                raise ValueError(
                    f"the pair {pair.student}, {pair.teacher} is of the stream "
                    f"{pair.stream!r}; the teacher has {', '.join(self.inputs)}"
                )


def _at_least_0(name, value):
    if value < 0:
        raise ValueError(f"distillation: {name} is {value}; it must be at least 0")
