"""A functional model once more, with other calls for some of its layers."""

import keras

from i3d_tf.inception import refuse_small_inputs


def with_calls(model, call):
    """The model with call(layer, inputs, **options) for layer(inputs, **options)."""
    view = keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )
    refuse_small_inputs(view)
    return view


def with_features(model, names):
    """The model with a list of outputs: its own, then those of these layers.

    Raises ValueError if it has no layer of such a name.
    """
    layers = {layer.name: layer for layer in model.layers}
    for name in names:
        if name not in layers:
            raise ValueError(f"{model.name}: has no layer {name!r} to take features of")
    features = [layers[name].output for name in names]
    return keras.Model(model.input, [model.output, *features], name=model.name)
