"""Activations that are computed twice and not kept in between."""

import itertools

import keras
import tensorflow as tf

from i3d_tf.fast.batch_norm import statistics_kept
from i3d_tf.fast.views import with_calls
from i3d_tf.inception import refuse_small_inputs
from i3d_tf.trunk import INCEPTION_V1, MIXED, POOL


def recomputed(model, call):
    """`with_calls(model, call)` that keeps only what passes between segments.

    Raises:
      ValueError: the model has none of the paper's endpoints.
    """
    outputs = {}

    def remembered(layer, inputs, **options):
        outputs[layer.name] = call(layer, inputs, **options)
        return outputs[layer.name]

    view = with_calls(model, remembered)
    ends = [outputs[name] for name in _segment_ends() if name in outputs]
    if not ends:
        raise ValueError(
            f"{model.name}: no activations can be recomputed, as it has none of the "
            f"endpoints {', '.join(_segment_ends())}"
        )
    clip = keras.Input(view.input.shape[1:], name=view.input.name)
    x, kept = clip, {}
    for begin, end in itertools.pairwise([view.input, *ends]):
        kept[id(end)] = x = _Segment(keras.Model(begin, end))(x)
    wanted = view.outputs
    later = [output for output in wanted if id(output) not in kept]
    if later:
        try:
            values = keras.Model(ends[-1], later)(x)
        except ValueError as error:
            raise ValueError(
                f"{model.name}: of what is recomputed no features can be taken but of "
                f"{', '.join(_segment_ends())} and later layers"
            ) from error
        kept.update(zip(map(id, later), values, strict=True))
    outputs = [kept[id(output)] for output in wanted]
    outputs = outputs if isinstance(view.output, list) else outputs[0]
    result = keras.Model(clip, outputs, name=view.name)
    refuse_small_inputs(result)
    return result


def _segment_ends():
    """Endpoints after which activations are kept.

    Each Mixed and the convolutions before each pool; a pool belongs to what is before
    it, as its output is the smaller one.
    """
    rows = [(kind, name) for kind, name, *_ in INCEPTION_V1]
    return [
        name
        for (kind, name), (following, _) in itertools.pairwise([*rows, (None, None)])
        if kind == POOL or (kind == MIXED and following != POOL)
    ]


class _Segment(keras.layers.Layer):
    """A part of a network whose activations are computed again for the gradients."""

    def __init__(self, network):
        # Of float32, so that variables are read as they are stored; the layers cast.
        super().__init__(dtype="float32", autocast=False)
        self.network = network

    def call(self, x, training=None):
        if not training:
            return self.network(x, training=False)
        variables = self.network.variables
        trained = {id(v) for v in self.network.trainable_variables}
        statistics = {}
        # In the order of `variables`: those that the forward pass has changed.
        changed = []

        def forward(x, values):
            """The output, and {index: value} of the variables it would change.

            The variables are arguments and nothing is assigned: so a pass can be
            repeated, on each replica with its own copies.
            """
            state = list(zip(variables, values, strict=True))
            with (
                keras.StatelessScope(state, initialize_variables=False) as scope,
                statistics_kept(statistics),
            ):
                y = self.network(x, training=True)
            news = [scope.get_current_value(variable) for variable in variables]
            return y, {
                index: new
                for index, (new, old) in enumerate(zip(news, values, strict=True))
                if new is not old
            }

        @tf.custom_gradient
        def segment(x, *values):
            y, updates = forward(x, values)
            changed[:] = updates

            def gradient(dy, *_):
                # Of the gradient's value only that it is there is used: without
                # this, TensorFlow and XLA would see the same operations on the same
                # inputs twice and compute them once, at the first place.
                first = tf.reshape(dy, [-1])[0]
                after = tf.cast(tf.math.is_nan(first), x.dtype)
                again = x + after
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    watched = [
                        value
                        for variable, value in zip(variables, values, strict=True)
                        if id(variable) in trained
                    ]
                    tape.watch([again, *watched])
                    y, _ = forward(again, values)
                dx, *gradients = tape.gradient(y, [again, *watched], dy)
                gradients = iter(gradients)
                return dx, *(
                    next(gradients) if id(variable) in trained else None
                    for variable in variables
                )

            return (y, *updates.values()), gradient

        values = [tf.convert_to_tensor(variable.value) for variable in variables]
        y, *news = segment(x, *values)
        for index, new in zip(changed, news, strict=True):
            variables[index].assign(new)
        return y
