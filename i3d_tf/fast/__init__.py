"""The same networks in TensorFlow's operations: faster, and right where ties occur.

The `for_...` functions return a second view of a model, for use in this process: what
is saved as `.keras` is the model itself, which stays stock layers. Figures are in
experiments/benchmarks/README.md.
"""

from i3d_tf.fast.dropout import dropout_seeds
from i3d_tf.fast.inference import for_evaluation, for_inference
from i3d_tf.fast.training import for_training

__all__ = ["dropout_seeds", "for_evaluation", "for_inference", "for_training"]
