"""TensorFlow's errors of files, as OSErrors that name them."""

import contextlib
import errno
import os
import re

import tensorflow as tf

# What a caller did wrong says nothing about the storage.
_NOT_OF_STORAGE = (
    tf.errors.InvalidArgumentError,
    tf.errors.OutOfRangeError,
    tf.errors.UnimplementedError,
)
_NUMBERS = {
    tf.errors.NotFoundError: errno.ENOENT,
    tf.errors.PermissionDeniedError: errno.EACCES,
    tf.errors.ResourceExhaustedError: errno.ENOSPC,
}


@contextlib.contextmanager
def storage_errors(path: str | os.PathLike):
    """Turns TensorFlow's errors into OSErrors, while something is written.

    A full disk or a folder without permission raises a `tf.errors.OpError`, which is no
    OSError; TFDS makes a RuntimeError of it.

    Args:
      path: the file or folder that the error names.

    Raises:
      OSError: TensorFlow cannot write.
    """
    try:
        yield
    except Exception as error:
        cause = error
        while cause is not None and not isinstance(cause, tf.errors.OpError):
            cause = cause.__cause__
        if cause is None or isinstance(cause, _NOT_OF_STORAGE):
            raise
        number = _NUMBERS.get(type(cause), errno.EIO)
        raise OSError(number, text_of(cause), str(path)) from error


def text_of(error: tf.errors.OpError) -> str:
    """Returns an error's text in one line, without the name of the operation."""
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]( name:)?", "", error.message)
    return " ".join(text.split())
