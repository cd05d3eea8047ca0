"""Flags that evaluate, fuse_scores and three_splits share, and what they mean."""

from absl import flags


def define_fusion():
    flags.DEFINE_enum(
        "fusion",
        "logits",
        ["logits", "probabilities"],
        "What is averaged over views and streams.",
    )
    flags.DEFINE_list(
        "fusion_weights",
        [],
        "Weights of the streams in the mean, such as rgb=1,flow=1.5; default: 1:1.",
    )


def fusion():
    """The `Fusion` of the flags; raises ValueError for weights it cannot use."""
    from i3d_tf.evaluation.scores import Fusion, parse_weights

    return Fusion(flags.FLAGS.fusion, parse_weights(flags.FLAGS.fusion_weights))


def define_protocol():
    flags.DEFINE_enum(
        "protocol",
        "center",
        ["center", "full", "views"],
        "center: the middle frames, as many as in training, centre crop. full: the "
        "paper's, --frames as one clip, centre crop. views: --clips x --crops clips as "
        "long as in training, their answers averaged.",
    )
    flags.DEFINE_string(
        "frames",
        None,
        "Of full: the first so many of a video (a shorter one is looped), or 'all', "
        "one video at a time. Default: 250. At 224 px 250 frames take 1 GB for each of "
        "--batch_size; of longer ones the networks take 2.2 GB, and each of up to five "
        "videos that are made ready 1 GB a thousand frames.",
    )
    flags.DEFINE_integer(
        "clips",
        None,
        "Of views: clips evenly over the video, the first and last at its ends; 1 is "
        "the middle. Default: 10.",
        lower_bound=1,
    )
    flags.DEFINE_enum(
        "crops",
        None,
        ["1", "3", "5", "10"],
        "Of views: 1 centre; 3 along the longer side; 5 corners and centre; 10 these "
        "and their mirror images. Default: 3.",
    )
    flags.DEFINE_integer("batch_size", 4, "Clips at a time.", lower_bound=1)
    flags.DEFINE_enum(
        "dtype",
        "auto",
        ["auto", "float32", "mixed_bfloat16"],
        "Dtype of the computation. auto: mixed_bfloat16 if the runs were trained in it "
        "and it is fast on this machine, else float32.",
    )


def make_protocol():
    """A function num_frames -> Protocol, of the flags.

    Raises ValueError for a flag that the protocol has no use for.
    """
    from i3d_tf import protocols

    values = flags.FLAGS
    for flag, owner in (("frames", "full"), ("clips", "views"), ("crops", "views")):
        if values[flag].value is not None and values.protocol != owner:
            raise ValueError(
                f"--{flag} is of --protocol {owner}; the protocol is {values.protocol}"
            )
    if values.protocol == "full":
        frames = _frames(values.frames)
        return lambda num_frames: protocols.full(frames)
    if values.protocol == "views":
        clips, crops = values.clips or 10, int(values.crops or 3)
        return lambda num_frames: protocols.views(num_frames, clips, crops)
    return protocols.center


def _frames(text):
    from i3d_tf.protocols import FULL_FRAMES

    if text is None:
        return FULL_FRAMES
    if text == "all":
        return None
    if not text.isdecimal():
        raise ValueError(f"--frames {text}: expected a number of frames, or all")
    return int(text)
