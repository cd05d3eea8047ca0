"""A student's features made comparable with a teacher's of another shape."""

import keras
import numpy as np
from keras import ops


class Adapter(keras.layers.Layer):
    """Features `[B, ..., C]` of a student as ones of the teacher's shape.

    Another grid (time, height, width, whichever there are) is reached by the means over
    the cells of the wanted one, another number of channels by a learnt 1x1 convolution
    (FitNets' regressor, Romero et al. 2015). What is alike stays as it is. An adapter
    is trained with the student and is no part of it.

    Args:
      shape: of the teacher's features without the batch, all of it known.
      seed: of the convolution's weights; None draws one.

    Raises:
      ValueError: when it is built, for features of another rank.
    """

    def __init__(self, shape, seed=None, **options):
        super().__init__(**options)
        self.shape = tuple(shape)
        self.seed = seed
        self._convolution = None
        self._means = {}

    def build(self, input_shape):
        own = tuple(input_shape)[1:]
        if len(own) != len(self.shape) or None in own:
            raise ValueError(
                f"the student's features are {list(own)}, the teacher's "
                f"{list(self.shape)}; their sizes must be known, and as many"
            )
        # By axis of the batch's tensor.
        self._means = {
            axis: cell_means(size, wanted)
            for axis, (size, wanted) in enumerate(
                zip(own[:-1], self.shape[:-1], strict=True), start=1
            )
            if size != wanted
        }
        if own[-1] != self.shape[-1]:
            # On the last axis: a 1x1 convolution in any number of dimensions.
            self._convolution = keras.layers.Dense(
                self.shape[-1],
                kernel_initializer=keras.initializers.GlorotUniform(self.seed),
                dtype="float32",
            )
            self._convolution.build((None, *self.shape[:-1], own[-1]))

    def call(self, features):
        x = ops.cast(features, "float32")
        for axis, means in self._means.items():
            x = ops.moveaxis(ops.tensordot(x, means, [[axis], [1]]), -1, axis)
        return x if self._convolution is None else self._convolution(x)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.shape)


def cell_means(size, cells):
    """`[cells, size]` float32: means over equal parts of a line of `size` values.

    A value that two cells share counts in each by how much of it lies there; where
    there are more cells than values, a value is in several.
    """
    edges = np.arange(cells + 1) * (size / cells)
    values = np.arange(size)
    covered = np.minimum(edges[1:, None], values + 1) - np.maximum(
        edges[:-1, None], values
    )
    return (np.maximum(covered, 0) * (cells / size)).astype(np.float32)
