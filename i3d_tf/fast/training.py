"""Views of networks for training steps."""

import keras

from i3d_tf.fast.batch_norm import FusedBatchNorm, SynchronisedBatchNorm
from i3d_tf.fast.dropout import SeededDropout
from i3d_tf.fast.pooling import for_gradients
from i3d_tf.fast.recomputation import recomputed
from i3d_tf.fast.views import with_calls


def for_training(model, *, synchronised=False, recompute=False):
    """A view of the model that shares all its variables: training it trains both.

    BatchNorm runs as TensorFlow's fused operation, moving statistics included, and
    max-pools axis by axis, with gradients that are right where values are equal. To
    be called in a `tf.function`; which layers are frozen is read as that is traced.
    Dropout takes the seeds of `dropout_seeds`, where there are any.

    Args:
      model: a network of clips, float32, mixed_bfloat16 or mixed_float16.
      synchronised: BatchNorm takes its statistics over the clips of all replicas of
        the strategy, and the gradients that are summed over the replicas are those of
        one device with the whole batch. The view is then called in `strategy.run`; a
        loop over several calls belongs around that and not into it, as strategies
        take no merge of replicas in a loop of one.
      recompute: activations between the paper's endpoints are not kept for the
        gradients but computed once more: less memory, about a third more time.
        Results and moving statistics are the same.

    Raises:
      ValueError: `recompute` for a model without the paper's endpoints; from a call,
        `synchronised` outside of `strategy.run`.
    """
    batch_norm = SynchronisedBatchNorm if synchronised else FusedBatchNorm

    def call(layer, inputs, **options):
        if isinstance(layer, keras.layers.BatchNormalization):
            return batch_norm(layer)(inputs)
        if isinstance(layer, keras.layers.Dropout):
            return SeededDropout(layer)(inputs)
        return for_gradients(layer)(inputs, **options)

    return recomputed(model, call) if recompute else with_calls(model, call)
