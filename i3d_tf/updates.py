"""One update of all streams from one batch, on every replica."""

import tensorflow as tf

from i3d_tf.clips import normalise
from i3d_tf.fast import for_training


def make_step(strategy, config, states, view=for_training):
    """Returns step(batch, active names) -> sums over the clips, as a dict of floats.

    A batch is what `pipeline.train_batches` gives, clips or codes: these are normalised
    here, on the device, which takes a quarter of the bytes to send.
    `view(model)` is what runs in place of each model and shares its variables.
    """
    replicas = strategy.num_replicas_in_sync
    streams = {stream.name: stream for stream in config.streams}
    with strategy.scope():
        networks = {name: view(state.model) for name, state in states.items()}

    def update(stream_name, clips, labels):
        state = states[stream_name]
        model, training = state.model, getattr(config, stream_name)
        with tf.GradientTape() as tape:
            logits = networks[stream_name](clips, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
            # Divided by the clips of all replicas: their gradients are summed.
            loss = tf.reduce_sum(losses) / config.batch_size
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        # The derivative of w / 2 * sum of squares, which need not be computed.
        decay = training.weight_decay / replicas
        gradients = [
            gradient + decay * variable.value
            if variable.path.endswith("/kernel")
            else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        state.optimizer.apply(gradients, variables)
        return logits, losses

    def replica_step(batch, active):
        inputs, labels = batch
        truth = tf.argmax(labels, -1)
        sums, all_logits = {"clips": tf.cast(tf.shape(labels)[0], tf.float32)}, []
        for name in active:
            clips = inputs[name]
            if clips.dtype == tf.uint8:
                clips = normalise(clips, streams[name])
            logits, losses = update(name, clips, labels)
            all_logits.append(logits)
            sums[f"{name}_loss"] = tf.reduce_sum(losses)
            sums[f"{name}_top1"] = _correct(logits, truth)
        if len(active) > 1:
            sums["fused_top1"] = _correct(tf.add_n(all_logits), truth)
        return sums

    @tf.function
    def step(batch, active):
        sums = strategy.run(replica_step, args=(batch, active))
        return {
            name: strategy.reduce("SUM", value, axis=None)
            for name, value in sums.items()
        }

    return lambda batch, active: {
        name: float(value) for name, value in step(batch, active).items()
    }


def _correct(logits, truth):
    return tf.reduce_sum(tf.cast(tf.argmax(logits, -1) == truth, tf.float32))


def average_statistics(strategy, states):
    """Gives all replicas the mean of their BatchNorms' moving statistics.

    Each replica has gathered its own, and what is saved or evaluated is the first's.
    Frozen layers are left out: the mean of three equal floats may be another one.

    Args:
      strategy: under which the states were built.
      states: {stream name: StreamState}.
    """
    statistics = [
        weight.value
        for state in states.values()
        for layer in state.model.layers
        if layer.trainable
        for weight in layer.non_trainable_weights
    ]
    if strategy.num_replicas_in_sync == 1 or not statistics:
        return

    @tf.function
    def average():
        context = tf.distribute.get_replica_context()
        means = context.all_reduce("MEAN", [tf.identity(v) for v in statistics])
        for variable, mean in zip(statistics, means, strict=True):
            variable.assign(mean)

    strategy.run(average)
