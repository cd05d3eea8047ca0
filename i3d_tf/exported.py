"""A SavedModel of `export.export`, read once, with what it was made for."""

import functools

import numpy as np
import tensorflow as tf

from flow.files import as_path, read_json
from flow.unexpected import short
from i3d_tf import dtypes
from i3d_tf.named_models import find_model

# Files among the SavedModel's assets.
LABELS = "labels.txt"
PREPROCESSING = "preprocessing.json"
_NEEDED = {"streams", "smaller_side", "size", "num_frames"}


def read_assets(model_dir):
    """(class names, preprocessing dict) of an exported model.

    Raises ValueError if `model_dir` is not one of `export`.
    """
    assets = as_path(model_dir) / "assets"
    try:
        # Not splitlines(): a class name may hold a Unicode line separator.
        labels = (assets / LABELS).read_text("utf-8").split("\n")[:-1]
        made_for = read_json(assets / PREPROCESSING)
    except OSError as error:
        from i3d_tf.checkpoints import find_run  # imports Keras, otherwise not needed

        remedy = ""
        if find_run(model_dir):
            remedy = (
                "; it is of a training, so first run: python -m experiments.export "
                f"--workdir {model_dir} --output MODEL"
            )
        raise ValueError(
            f"{model_dir}: not a SavedModel of experiments.export ({error.strerror}: "
            f"{error.filename}){remedy}"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{assets / LABELS}: is damaged ({error}); export the model again"
        ) from error
    if not isinstance(made_for, dict) or not _NEEDED <= made_for.keys():
        raise ValueError(
            f"{assets / PREPROCESSING}: is damaged; it must hold "
            f"{', '.join(sorted(_NEEDED))}; export the model again"
        )
    return labels, made_for


class ExportedModel:
    """An exported model of clips.

    Attributes:
      model_dir: folder of the SavedModel.
      labels: class names.
      made_for: the preprocessing: "streams", "fps", "smaller_side", "size",
        "num_frames" and "dtype".
    """

    def __init__(self, model_dir):
        """Loads the model.

        Args:
          model_dir: folder of a SavedModel of `export.export`, or the name of a
            published model, such as "kinetics400"; see `named_models.find_model`.

        Raises:
          ValueError: there is no such model, or it is damaged or one of pictures.
          OSError: a published model cannot be downloaded.
        """
        self.model_dir = model_dir = find_model(model_dir)
        self.labels, self.made_for = read_assets(model_dir)
        if self.made_for["num_frames"] == 1:
            raise ValueError(
                f"{model_dir}: tells where joints are in a picture; videos are for "
                "models of actions"
            )
        if "dtype" in self.made_for:  # Models of earlier versions do not tell.
            dtypes.warn_if_slow(
                self.made_for["dtype"], "export the run again with --dtype float32"
            )
        # Kept, as its functions live as long as it does.
        try:
            self._model = tf.saved_model.load(str(model_dir))
        # Of a damaged file it depends on the place what TensorFlow trips over.
        except Exception as error:
            raise ValueError(
                f"{model_dir}: cannot be loaded, so a file of this SavedModel is "
                f"damaged or missing; export it again ({short(error)})"
            ) from error
        self._check_labels()

    def _check_labels(self):
        signature = self._model.signatures["serving_default"]
        answers = signature.structured_outputs["logits"].shape[-1]
        if answers not in (None, len(self.labels)):
            raise ValueError(
                f"{self.model_dir}: has {answers} classes and assets/{LABELS} "
                f"{len(self.labels)}; export the model again"
            )

    @functools.cached_property
    def fingerprint(self):
        """What tells the model from others, also of the same network, as a string."""
        found = tf.saved_model.experimental.read_fingerprint(str(self.model_dir))
        return f"{found.saved_model_checksum:x}-{found.checkpoint_hash:x}"

    def output_names(self, signature):
        """Names of what a signature answers; none if the model does not have it."""
        if signature not in self._model.signatures:
            return ()
        return tuple(self._model.signatures[signature].structured_outputs)

    def __call__(self, signature, **clips):
        """Calls a signature with arrays; returns {name: array}."""
        inputs = {name: tf.constant(clip) for name, clip in clips.items()}
        answers = self._model.signatures[signature](**inputs)
        return {name: np.asarray(value) for name, value in answers.items()}
