"""A network for another task: a new classifier, and units that are not trained."""

import difflib

import keras

from i3d_tf.inception import refuse_small_inputs
from i3d_tf.trunk import INCEPTION_V1

HEAD = "Logits-Conv3d_0c_1x1"
# Units and pools of the trunk, in the order in which a clip passes them.
ENDPOINTS = tuple(name for _, name, *_ in INCEPTION_V1)


def replace_head(model, num_classes, seed=None):
    """Returns a copy of a network with a new classifier of `num_classes`.

    All other weights, options and the trainable state are the network's, which
    stays as it is; the two share no weights.

    Args:
      model: of `build_i3d`, or one that was read from a `.keras` file.
      num_classes: at least 1.
      seed: of the classifier's weights; None draws one.

    Raises:
      ValueError: for fewer classes, or another network.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; it must be at least 1")
    _require_head(model)
    config = model.get_config()
    names = [layer["config"]["name"] for layer in config["layers"]]
    head = config["layers"][names.index(HEAD)]["config"]
    head["filters"] = num_classes
    head["kernel_initializer"]["config"]["seed"] = seed
    copy = keras.Model.from_config(config)
    for layer in model.layers:
        if layer.name != HEAD:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    refuse_small_inputs(copy)
    return copy


def freeze_up_to(model, endpoint):
    """Freezes all units up to and including `endpoint`; all others are trained.

    A frozen unit keeps its weights, and its BatchNorm uses and keeps the moving
    statistics in training too. An optimiser takes the variables that are left, so it
    is built afterwards.

    Args:
      model: of `build_i3d`, or one that was read from a `.keras` file.
      endpoint: a name of the paper's table, as "Conv3d_2c_3x3" or "Mixed_4f".

    Raises:
      ValueError: for another name, or another network.
    """
    check_endpoint(endpoint)
    _require_head(model)
    frozen = ENDPOINTS[: ENDPOINTS.index(endpoint) + 1]
    for layer in model.layers:
        layer.trainable = layer.name.split("-")[0] not in frozen


def freeze_all_but_head(model):
    """Trains the classifier alone: "Fixed" in the paper's table of UCF101."""
    freeze_up_to(model, ENDPOINTS[-1])


def check_endpoint(name):
    """Raises ValueError, with all endpoints and the closest, if `name` is none."""
    if name not in ENDPOINTS:
        close = difflib.get_close_matches(str(name), ENDPOINTS, 1, cutoff=0)[0]
        raise ValueError(
            f"no endpoint {name!r}; the closest is {close!r} of {', '.join(ENDPOINTS)}"
        )


def _require_head(model):
    if HEAD not in [layer.name for layer in model.layers]:
        raise ValueError(f"{model.name}: has no layer {HEAD!r}; is it an I3D?")
