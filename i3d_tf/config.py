"""Configurations: frozen dataclasses, one file a recipe in experiments/configs.

How they are read from files and from the command line is in `config_file`.
"""

import dataclasses

from i3d_tf.distillation.pose import HEADS, RESNETS
from i3d_tf.distillation.spec import Distillation
from i3d_tf.fine_tuning import check_endpoint
from i3d_tf.inception import MIN_FRAMES, STRIDE
from i3d_tf.streams import ALL_STREAMS

DTYPES = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class Data:
    """What the networks see.

    Attributes:
      dataset: builder and config below the data folder, `two_stream_ucf101/split_1`.
      train_split, test_split: of the data set, or parts of them, as `train[:10%]`.
      unlabelled_split: examples whose labels are not used, or are not known. Nothing
        reads them but a distillation, whose student learns from its teacher there.
      num_frames: T of a clip, at 25 frames per second; 1 of pictures with poses.
      size: side of the square crop, px.
      smaller_side: of the frames that are cropped, px.
      mirror: whether half of the training clips are mirrored.
      light: how much contrast, brightness and colours of training clips vary, see
        `augmentation.random_light`; 0 leaves them as they are.
    """

    dataset: str
    train_split: str = "train"
    test_split: str = "test"
    unlabelled_split: str | None = None
    num_frames: int = 64
    size: int = 224
    smaller_side: int = 256
    mirror: bool = True
    light: float = 0.0

    def __post_init__(self):
        if self.num_frames != 1 and self.num_frames < MIN_FRAMES:
            raise ValueError(
                f"data.num_frames is {self.num_frames}; the network needs {MIN_FRAMES}"
            )
        if not STRIDE <= self.size <= self.smaller_side:
            raise ValueError(
                f"data.size is {self.size}; it must lie between {STRIDE} and "
                f"data.smaller_side, {self.smaller_side}"
            )
        if not 0 <= self.light <= 1:
            raise ValueError(f"data.light is {self.light}; it must lie in [0, 1]")


@dataclasses.dataclass(frozen=True)
class StreamTraining:
    """How one stream is trained.

    Attributes:
      steps: how many updates.
      learning_rates: one, or for the schedule "steps" one more than `boundaries`.
      boundaries: steps after which the next rate applies.
      schedule: "steps" goes through the rates at the boundaries; "cosine" falls from
        the rate to 0 along half a cosine; "plateau" multiplies the rate by
        `plateau_factor` whenever the test loss has not fallen for `plateau_patience`
        evaluations, as the paper (section 2.5) does on Kinetics.
      plateau_factor, plateau_patience: of the schedule "plateau".
      warmup_steps: in which the rate rises in a line to that of the schedule.
      momentum: of SGD.
      weight_decay: w of the penalty w / 2 * sum of squares of all kernels.
      clip_norm: the most that the norm of the whole gradient, weight decay included,
        may be; larger ones are scaled down to it. None for no bound.
      label_smoothing: share of the label that is spread over all classes.
      ema_decay: of the exponential moving average of the weights, which evaluation,
        export and prediction then use; None for none.
      dropout: share of the features before the logits that is dropped.
      initial_weights: what `load_released` takes: the name of a published network,
        such as "kinetics400-rgb", a file of weights, the workdir of another training or
        one of its checkpoints; None for random weights. Weights of images are inflated.
        A new classifier replaces one of another number of classes. Flow may begin with
        weights of RGB, see `weights.initial`.
      freeze_up_to: the last endpoint that keeps its initial_weights, with all before
        it, as "Mixed_4f"; "Mixed_5c" leaves the classifier alone to be trained; None
        trains all.
      distillation: what is learnt from a teacher beside the labels; None for nothing.
    """

    steps: int
    learning_rates: tuple[float, ...]
    boundaries: tuple[int, ...] = ()
    schedule: str = "steps"
    plateau_factor: float = 0.1
    plateau_patience: int = 3
    warmup_steps: int = 0
    momentum: float = 0.9
    weight_decay: float = 1e-7
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    ema_decay: float | None = None
    dropout: float = 0.5
    initial_weights: str | None = None
    freeze_up_to: str | None = None
    distillation: Distillation | None = None

    def __post_init__(self):
        _one_of("schedule", self.schedule, ("steps", "cosine", "plateau"))
        if self.schedule != "steps" and self.boundaries:
            raise ValueError(
                f"boundaries {self.boundaries} are for the schedule 'steps', this is "
                f"{self.schedule!r}"
            )
        if len(self.learning_rates) != len(self.boundaries) + 1:
            raise ValueError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} "
                f"learning_rates, {len(self.learning_rates)} are given"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError(f"boundaries {self.boundaries} must rise")
        _at_least("steps", self.steps, 1)
        _at_least("warmup_steps", self.warmup_steps, 0)
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}, of {self.steps} steps: the rate "
                "would never be the whole one"
            )
        _at_least("plateau_patience", self.plateau_patience, 1)
        _within("dropout", self.dropout)
        _within("label_smoothing", self.label_smoothing)
        _within("momentum", self.momentum)
        _within("plateau_factor", self.plateau_factor)
        if self.ema_decay is not None:
            _within("ema_decay", self.ema_decay)
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(f"clip_norm is {self.clip_norm}; it must be above 0")
        if self.freeze_up_to is not None:
            check_endpoint(self.freeze_up_to)


@dataclasses.dataclass(frozen=True)
class Linear:
    """The classifier alone, fitted to features that are computed once.

    Attributes:
      views: random Views of each training video, beside its centre.
      penalty: weight of the squared norm of the classifier's coefficients, which
        standardised features have.
    """

    views: int = 4
    penalty: float = 300.0

    def __post_init__(self):
        _at_least("linear.views", self.views, 0)
        if self.penalty <= 0:
            raise ValueError(f"linear.penalty is {self.penalty}; it must be above 0")


@dataclasses.dataclass(frozen=True)
class Pose:
    """Networks of pictures that tell where joints are, in place of those of clips.

    Attributes:
      resnet: layers of the ResNet, 18, 34 or 50.
      head: how its four fc layers are joined, see `distillation.pose`.
      features: of the fc layers before the last.
      unit: metres of an output of 1, in which errors are measured too.
      distance: metres, z of an output of 0, about the mean of a data set's.
    """

    resnet: int = 18
    head: str = "parallel"
    features: int = 512
    unit: float = 0.1
    distance: float = 1.0

    def __post_init__(self):
        _one_of("pose.resnet", self.resnet, tuple(RESNETS))
        _one_of("pose.head", self.head, HEADS)
        _at_least("pose.features", self.features, 1)
        if self.unit <= 0:
            raise ValueError(f"pose.unit is {self.unit} m; it must be above 0")


@dataclasses.dataclass(frozen=True)
class Config:
    """A recipe.

    Attributes:
      data: what the networks see.
      rgb, flow, depth: how each stream is trained; None leaves it out.
      linear: None for training by updates; or how the classifiers are fitted to the
        features of the initial weights, in place of them. Of the streams' fields
        `initial_weights` alone then has a meaning.
      pose: None for networks of clips, or what those of pictures with poses are.
      batch_size: clips of an update, of all replicas together.
      clips_at_once: clips that a replica takes at a time, of which BatchNorm takes its
        statistics. An update then has as many passes as its clips need on the replicas
        there are, and their gradients are added: a recipe means the same on every
        number of devices. None: all that fall to a replica.
      synchronised_batch_norm: to take BatchNorm's statistics over all replicas of a
        pass, where the released training took each replica's own.
      dtype: the computation's dtype. "auto" is "mixed_bfloat16" where the hardware has
        units for it and "float32" elsewhere; a run keeps the one that it began with.
        "mixed_float16" scales the loss so that small gradients do not vanish.
      recompute: to keep fewer intermediate results for the gradients and compute them
        again: less memory, more time.
      batch_norm_decay: of BatchNorm's moving statistics, once an update.
      width: multiplies the filter counts; 1 is the paper's network.
      seed: of weights, order, Views and dropout.
      not_finite: what a loss or gradient that is not finite does: "stop" ends the run,
        "skip" leaves the update out and counts it.
      steps_at_once: updates between two looks at the results; with more of them a fast
        accelerator waits less.
      own_files: of several hosts, to let each read files of its own, which are a part
        of the bytes. Else all read all records, decode their own part of each batch,
        and a run's batches are the same on every number of hosts.
      checkpoint_steps: updates between checkpoints within an epoch; one is written
        after every epoch too.
      evaluate_epochs: epochs between evaluations; 0 for none but the last.
    """

    data: Data
    rgb: StreamTraining | None = None
    flow: StreamTraining | None = None
    depth: StreamTraining | None = None
    linear: Linear | None = None
    pose: Pose | None = None
    batch_size: int = 6
    clips_at_once: int | None = None
    synchronised_batch_norm: bool = False
    dtype: str = "auto"
    recompute: bool = False
    batch_norm_decay: float = 0.999
    width: float = 1.0
    seed: int = 0
    not_finite: str = "stop"
    steps_at_once: int = 1
    own_files: bool = False
    checkpoint_steps: int = 1000
    evaluate_epochs: int = 1

    def __post_init__(self):
        if not self.streams:
            raise ValueError("none of rgb, flow and depth is to be trained")
        if (self.data.num_frames == 1) != (self.pose is not None):
            raise ValueError(
                f"data.num_frames is {self.data.num_frames} and pose {self.pose}; "
                "pictures have 1 frame and a pose, clips have more and none"
            )
        if self.pose and self.data.size != self.data.smaller_side:
            raise ValueError(
                f"data.size is {self.data.size}, data.smaller_side "
                f"{self.data.smaller_side}; of poses both must be the same, as joints "
                "lie elsewhere in a crop"
            )
        if self.own_files and len(self.train_splits) > 1:
            raise ValueError(
                "own_files: of an unlabelled split each host would weigh labels on its "
                "own; leave one of the two out"
            )
        seen = {stream.name for stream in self.inputs}
        if self.pose is None and "depth" in seen:
            raise ValueError("depth is a stream of pictures with poses; pose is None")
        if self.pose and "flow" in seen:
            raise ValueError("flow is a stream of clips; pictures with poses have none")
        for name, distillation in self.distillations.items():
            unknown = set(distillation.inputs) - {s.name for s in ALL_STREAMS}
            if unknown:
                raise ValueError(
                    f"{name}.distillation.inputs is {distillation.inputs}; known: "
                    f"{', '.join(stream.name for stream in ALL_STREAMS)}"
                )
            if self.pose and distillation.response == "softmax":
                raise ValueError(
                    f"{name}.distillation.response is 'softmax', which is of classes; "
                    "of poses it is squared_error"
                )
        if self.linear and (self.pose or self.distillations):
            raise ValueError(
                "linear fits classifiers of clips; it goes with neither pose nor a "
                "distillation"
            )
        _at_least("batch_size", self.batch_size, 1)
        if self.clips_at_once is not None:
            _at_least("clips_at_once", self.clips_at_once, 1)
            if self.batch_size % self.clips_at_once:
                raise ValueError(
                    f"batch_size {self.batch_size} does not divide into passes of "
                    f"{self.clips_at_once} clips_at_once"
                )
        _one_of("dtype", self.dtype, DTYPES)
        _one_of("not_finite", self.not_finite, ("stop", "skip"))
        _at_least("steps_at_once", self.steps_at_once, 1)
        _at_least("checkpoint_steps", self.checkpoint_steps, 1)
        for stream in self.streams:
            if getattr(self, stream.name).schedule == "plateau" and (
                self.evaluate_epochs < 1
            ):
                raise ValueError(
                    f"{stream.name}.schedule 'plateau' follows the test loss; "
                    f"evaluate_epochs is {self.evaluate_epochs}, it must be at least 1"
                )

    @property
    def streams(self):
        """The `Stream`s that are trained, in the order of results."""
        return tuple(
            stream for stream in ALL_STREAMS if getattr(self, stream.name) is not None
        )

    @property
    def inputs(self):
        """The `Stream`s of a training batch: those that are trained, and teachers'."""
        wanted = {stream.name for stream in self.streams}
        for distillation in self.distillations.values():
            wanted.update(distillation.inputs)
        return tuple(s for s in ALL_STREAMS if s.name in wanted)

    @property
    def distillations(self):
        """{name of a stream that has a teacher: its Distillation}."""
        trainings = {s.name: getattr(self, s.name) for s in self.streams}
        return {n: t.distillation for n, t in trainings.items() if t.distillation}

    @property
    def train_splits(self):
        """The splits that training reads: the labelled one, then the other if any."""
        if self.distillations and self.data.unlabelled_split:
            return (self.data.train_split, self.data.unlabelled_split)
        return (self.data.train_split,)

    @property
    def steps(self):
        """Updates until every stream is trained."""
        return max(getattr(self, stream.name).steps for stream in self.streams)


def _one_of(name, value, known):
    if value not in known:
        raise ValueError(f"{name} is {value!r}; known: {', '.join(map(str, known))}")


def _at_least(name, value, least):
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")


def _within(name, value):
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must lie in [0, 1)")
