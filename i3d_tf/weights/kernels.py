"""Converts a unit's arrays for our networks.

Ours are units without bias and without BatchNorm scale, at epsilon 1e-3; the
functions here bring others to that form, exactly in inference.
"""

import numpy as np

EPSILON = 1e-3


def inflate_kernel(kernel, steps):
    """`[h, w, in, out]` -> `[steps, h, w, in, out]`, repeated and divided by `steps`.

    On a video of one repeated image the sum over time is then the 2D filter's
    answer (paper, section 2.2 "Bootstrapping 3D filters from 2D filters").
    """
    return np.repeat(np.asarray(kernel)[None], steps, axis=0) / steps


def adapt_channels(kernel, channels):
    """The first kernel, `[..., in, out]`, for inputs of another number of channels.

    For one channel the filters are summed: a grey image gives what the same image
    in all input channels gave. For any other number their mean is repeated, as the
    temporal segment networks do for flow (Wang et al., ECCV 2016, section 3.2).
    """
    kernel = np.asarray(kernel)
    if kernel.shape[-2] == channels:
        return kernel
    if channels == 1:
        return kernel.sum(-2, keepdims=True)
    return np.repeat(kernel.mean(-2, keepdims=True), channels, axis=-2)


def fold_scale(kernel, moving_mean, moving_variance, *, scale=1, bias=0, epsilon):
    """A unit with convolution bias, BatchNorm scale or epsilon, without them.

    scale * (conv + bias - mean) / sqrt(variance + epsilon) is computed by the
    returned arrays at our epsilon, bit for bit where there is nothing to fold.

    Args:
      kernel: `[..., in, out]`.
      moving_mean, moving_variance, scale, bias: `[out]`.

    Returns:
      (kernel, moving_mean, moving_variance).
    """
    mean = scale * (np.asarray(moving_mean) - bias)
    variance = np.asarray(moving_variance)
    if epsilon != EPSILON:
        variance = variance + (epsilon - EPSILON)
    return np.asarray(kernel) * scale, mean, variance
