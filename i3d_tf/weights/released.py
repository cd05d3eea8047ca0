"""DeepMind's released Kinetics-400 checkpoints into `build_i3d`'s networks.

Names there: `RGB/inception_i3d/<unit>/conv_3d/w` `[t, h, w, in, out]`,
`<unit>/batch_norm/{beta,moving_mean,moving_variance}` and, with bias,
`Logits/Conv3d_0c_1x1/conv_3d/{w,b}`; the flow network's begin with `Flow/`.
"""

import re

import numpy as np
import tensorflow as tf

_PREFIX = re.compile(r"^(RGB|Flow)/inception_i3d/")
_HEAD = "Logits/"
# Our variable's last level -> the released one's.
_LEAVES = {"kernel": "w", "bias": "b"}


def load_released(model, path, *, new_head=False):
    """Assigns the released checkpoint at `path` to `model`, every variable of both.

    Args:
      model: a network of `build_i3d` for the checkpoint's stream and classes.
      path: a TensorFlow checkpoint's prefix, as `.../model.ckpt`.
      new_head: if the classes differ in number, keep the model's own classifier
        and load all else; otherwise that is an error.

    Raises:
      ValueError: if there is no such checkpoint, a shape differs (another stream
        or number of classes), or any variable is left over on either side; then
        the model is unchanged.
    """
    try:
        reader = tf.train.load_checkpoint(str(path))
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(f"{path}: not a TensorFlow checkpoint ({error})") from None
    # Not `variables`: with dropout these have a random state too.
    ours = {_released_name(variable.path): variable for variable in model.weights}
    theirs = {_PREFIX.sub("", n): n for n in reader.get_variable_to_shape_map()}
    missing, unknown = sorted(ours.keys() - theirs), sorted(theirs.keys() - ours)
    if missing or unknown:
        raise ValueError(
            f"{path} does not fit {model.name}: "
            f"{len(missing)} variables are not in the checkpoint {missing[:5]}, "
            f"{len(unknown)} of the checkpoint are not in the model {unknown[:5]}"
        )
    values = {}
    for name, variable in ours.items():
        try:
            value = reader.get_tensor(theirs[name])
        except (tf.errors.OpError, IndexError) as error:
            # The index is there, the data file is missing or cut short.
            raise ValueError(f"{path}: cannot be read ({error})") from None
        if (
            new_head
            and name.startswith(_HEAD)
            and value.shape[-1] != variable.shape[-1]
        ):
            continue
        if value.shape != tuple(variable.shape):
            raise ValueError(
                f"{path}: {name} has shape {list(value.shape)}, the model "
                f"{model.name} needs {list(variable.shape)}{_hint(name, value)}"
            )
        values[name] = np.asarray(value, np.float32)
    for name, value in values.items():
        ours[name].assign(value)


def _released_name(path):
    """`Mixed_3b.Branch_0.Conv3d_0a_1x1.conv_3d/kernel` -> `Mixed_3b/.../conv_3d/w`."""
    layer, leaf = path.rsplit("/", 1)
    if layer.startswith("Logits."):
        layer += ".conv_3d"
    return f"{layer.replace('.', '/')}/{_LEAVES.get(leaf, leaf)}"


def _hint(name, value):
    if name.startswith(_HEAD):
        return f": the checkpoint has {value.shape[-1]} classes"
    if name.startswith("Conv3d_1a_7x7/"):
        return f": the checkpoint is of a stream with {value.shape[-2]} channels"
    return ""
