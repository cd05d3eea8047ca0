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
