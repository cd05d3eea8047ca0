"""Trained networks from a workdir, and its checkpoints."""

import dataclasses
import re

import tensorflow as tf

from flow import files
from i3d_tf import config_file, dtypes
from i3d_tf.fine_tuning import freeze_up_to
from i3d_tf.tasks import task_of


def load_workdir(workdir, dtype="float32", *, checkpoint=None, streams=None):
    """Loads a run's networks, to compute in `dtype`.

    Their weights are the moving averages where the run keeps these.

    Args:
      workdir: folder of the run.
      dtype: a Keras dtype policy.
      checkpoint: prefix of one of its checkpoints; None is the newest whole one.
      streams: names of the streams to load; None loads all that were trained.

    Returns:
      (config, label names, {stream name: model}).

    Raises:
      ValueError: if there is no run or no whole checkpoint in `workdir`.
    """
    workdir = files.as_path(workdir)
    config, labels = read_config(workdir)
    models, states = {}, {}
    for stream in config.streams:
        if streams is not None and stream.name not in streams:
            continue
        model = task_of(config.data).build(stream, config, len(labels), dtype=dtype)
        training = getattr(config, stream.name)
        if training.freeze_up_to:
            # The averages are of the others alone.
            freeze_up_to(model, training.freeze_up_to)
        models[stream.name] = model
        states[stream.name] = tf.train.Checkpoint(
            model=model, averages=new_averages(model, training)
        )
    saved, what = tf.train.Checkpoint(**states), "+".join(models)
    if checkpoint is not None:
        restore_whole(saved, str(checkpoint), what)
    elif restore_newest(saved, workdir / "checkpoints", what) is None:
        raise ValueError(f"{workdir}: no checkpoint; train has not saved any yet")
    for name, model in models.items():
        averages = states[name].averages
        for variable, average in zip(model.trainable_variables, averages, strict=False):
            variable.assign(average)
        model.trainable = True
    return config, labels, models


def find_run(path):
    """Returns (workdir, prefix of the checkpoint or None) if `path` is of a run.

    Args:
      path: a workdir, its folder of checkpoints, or one of these by its prefix or a
        file.

    Returns:
      None if `path` is something else.
    """
    path = files.as_path(path)
    if (path / "config.json").is_file():
        return path, None
    if path.name == "checkpoints" and (path.parent / "config.json").is_file():
        return path.parent, None
    name = re.fullmatch(r"(ckpt-\d+)(\.index|\.data-\d{5}-of-\d{5})?", path.name)
    if name and (path.parent.parent / "config.json").is_file():
        return path.parent.parent, path.parent / name[1]
    return None


def read_config(workdir):
    """(config, label names) of a run; raises ValueError if there is none."""
    path = files.as_path(workdir) / "config.json"
    if not path.is_file():
        raise ValueError(f"{workdir}: no config.json, so nothing was trained there")
    kept = files.read_json(path)
    try:
        config, labels = config_file.from_dict(kept["config"]), kept["labels"]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: is not the config.json of a training") from error
    if config.dtype == dtypes.AUTO:  # The file has lost its dtype.
        config = dataclasses.replace(config, dtype=dtypes.FLOAT32)
    return config, labels


def evaluation_dtype(workdirs, dtype):
    """Returns the dtype in which runs are evaluated, and prints how it was chosen.

    Args:
      workdirs: folders of runs.
      dtype: "auto" is "mixed_bfloat16" if all of the runs were trained in it and it is
        fast on this machine, else "float32". Other values are returned as they are.

    Raises:
      ValueError: if there is no run in one of the workdirs.
    """
    if dtype == dtypes.AUTO:
        for workdir in workdirs:
            trained = read_config(workdir)[0].dtype
            if trained != dtypes.BFLOAT16:
                dtypes.print_once(
                    f"dtype: float32 ({workdir} was trained in {trained})"
                )
                return dtypes.FLOAT32
    return dtypes.choose(dtype)


def require_trained(workdir):
    """Raises ValueError unless a run is at its end: half of one tells nothing."""
    config, _ = read_config(workdir)
    saved = saved_checkpoints(files.as_path(workdir) / "checkpoints")
    step = int(saved[0].rsplit("-", 1)[1]) if saved else 0
    if step < config.steps:
        raise ValueError(
            f"{workdir}: is trained up to step {step} of {config.steps}; start its "
            "training once more, which goes on there"
        )


def new_averages(model, training):
    """Variables for the averages of a model's trained weights, or none.

    Which these are must be decided, as by `fine_tuning.freeze_up_to`.

    Args:
      training: `config.StreamTraining`, whose ema_decay says whether they are kept.
    """
    if training.ema_decay is None:
        return []
    return [tf.Variable(variable.value) for variable in model.trainable_variables]


def saved_checkpoints(folder):
    """Paths of the checkpoints in a folder, whole or not, the newest first."""
    folder = str(folder)
    if not tf.io.gfile.isdir(folder):
        return []
    names = (re.fullmatch(r"ckpt-(\d+)\.index", n) for n in tf.io.gfile.listdir(folder))
    steps = sorted((int(name[1]) for name in names if name), reverse=True)
    return [f"{folder}/ckpt-{step}" for step in steps]


def restore_newest(checkpoint, folder, what):
    """Restores the newest whole checkpoint of a folder; returns its path or None.

    Tells of those that are not whole. Raises ValueError if there are some and none is.
    """
    saved = saved_checkpoints(folder)
    for path in saved:
        try:
            restore_whole(checkpoint, path, what)
        except ValueError as error:
            if path == saved[-1]:
                raise
            print(f"{error} The one before it is taken.", flush=True)
        else:
            return path
    return None


def restore_whole(checkpoint, path, what):
    """Restores a `tf.train.Checkpoint` from `path`, which may hold more.

    Raises ValueError, naming `what` was wanted, if it does not hold all of it.
    """
    try:
        restored = checkpoint.restore(path)
        # Optimisers are in there too, and not always asked for.
        restored.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, IndexError, AssertionError) as error:
        raise ValueError(
            f"{path}: does not hold all of {what}; is it cut short?"
        ) from error


def load_workdirs(workdirs, dtype="float32"):
    """`load_workdir` of several runs, whose streams are put together.

    Returns:
      (config of the first, label names, {stream name: model}).

    Raises:
      ValueError: two have a stream in common, or differ in labels or data.
    """
    runs = [load_workdir(workdir, dtype) for workdir in workdirs]
    config, labels, models = runs[0]
    for workdir, (other, other_labels, more) in zip(
        workdirs[1:], runs[1:], strict=True
    ):
        if set(models) & set(more):
            raise ValueError(f"{workdir}: has a stream that {workdirs[0]} has too")
        if other_labels != labels:
            raise ValueError(
                f"{workdir}: {len(other_labels)} classes, {workdirs[0]} has "
                f"{len(labels)}, or other names"
            )
        if _as_tested(other.data) != _as_tested(config.data):
            raise ValueError(f"{workdir}: config.data differs from {workdirs[0]}'s")
        models = {**models, **more}
    return config, labels, models


def _as_tested(data):
    """Without what concerns the clips of training alone."""
    return dataclasses.replace(
        data, train_split="train", unlabelled_split=None, mirror=True, light=0.0
    )
