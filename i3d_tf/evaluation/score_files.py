"""Scores as files: what the networks said of each video, to be fused later."""

import json
import zipfile

import numpy as np

from flow.files import as_path, local_copy, written_aside
from i3d_tf.evaluation.scores import Scores
from i3d_tf.streams import STREAMS

# Fields of a file beside `<stream>_logits` and `<stream>_probabilities`.
_FIELDS = ("ids", "labels", "class_names", "about")
_LOGITS, _PROBABILITIES = "_logits", "_probabilities"


def save_scores(path, scores, class_names, about):
    """Writes an `.npz` of the Scores.

    It holds ids, labels, class_names, `<stream>_logits` [N, num_classes], of several
    Views `<stream>_probabilities`, and about as JSON.

    Args:
      class_names: [num_classes] str.
      about: dict that JSON can hold: data set, split, protocol, ...
    """
    arrays = {f"{name}{_LOGITS}": value for name, value in scores.logits.items()}
    for name, value in (scores.probabilities or {}).items():
        arrays[f"{name}{_PROBABILITIES}"] = value
    with written_aside(path) as aside:
        np.savez(
            aside,
            ids=np.array(scores.ids),
            labels=scores.labels,
            class_names=np.array(class_names),
            about=np.array(json.dumps(about)),
            **arrays,
        )


def load_scores(path):
    """Reads what `save_scores` wrote: (Scores, class names, about).

    Raises:
      ValueError: the file is no such one, or is damaged.
    """
    path = as_path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; evaluate leaves a scores.npz")
    try:
        # Opened here: of a damaged file numpy would leave it open.
        with local_copy(path) as local, open(local, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("a single array")
            arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: is no scores.npz of evaluate ({error})") from error
    missing = [name for name in _FIELDS if name not in arrays]
    logits = _of_streams(arrays, _LOGITS)
    if missing or not logits:
        raise ValueError(
            f"{path}: lacks {', '.join(missing) or 'logits'}; is it a scores.npz of "
            "evaluate? Those of older versions have to be made anew"
        )
    ids, labels, class_names, about = (arrays[name] for name in _FIELDS)
    shape = (len(ids), len(class_names))
    probabilities = _of_streams(arrays, _PROBABILITIES) or None
    for name, value in [*logits.items(), *(probabilities or {}).items()]:
        if value.shape != shape or labels.shape != shape[:1]:
            raise ValueError(
                f"{path}: {name} has shape {value.shape}, labels {labels.shape}; "
                f"expected {shape} for {shape[0]} ids and {shape[1]} class names"
            )
    if len(set(ids.tolist())) < len(ids):
        raise ValueError(f"{path}: names a video twice")
    return (
        Scores(ids.tolist(), labels, logits, probabilities),
        class_names.tolist(),
        json.loads(str(about)),
    )


def _of_streams(arrays, ending):
    return {
        name.removesuffix(ending): value
        for name, value in arrays.items()
        if name.endswith(ending)
    }


def join_scores(paths):
    """Reads files of different streams; matches their videos by id.

    Returns (Scores in the first file's order, class names, about of the first with the
    dtypes of all).

    Raises:
      ValueError: a file of another kind, or two differ in videos, labels, class names
        or protocol, or have a stream in common; the message tells which.
    """
    first, *others = [(path, *load_scores(path)) for path in paths]
    path, scores, class_names, about = first
    logits, probabilities = dict(scores.logits), dict(scores.probabilities or {})
    for other_path, other, other_names, other_about in others:
        where = f"{other_path} and {path}"
        twice = sorted(set(logits) & set(other.logits))
        if twice:
            raise ValueError(f"{where}: both have the stream {', '.join(twice)}")
        if other_names != class_names:
            raise ValueError(f"{where}: {_difference(other_names, class_names)}")
        order = _matching(scores, other, where)
        if other_about.get("protocol") != about.get("protocol"):
            raise ValueError(
                f"{where}: differ in protocol: {other_about.get('protocol')} and "
                f"{about.get('protocol')}; evaluate both alike"
            )
        if other_about["dtype"] not in about["dtype"].split(", "):
            about = {**about, "dtype": f"{about['dtype']}, {other_about['dtype']}"}
        for mine, more in (
            (logits, other.logits),
            (probabilities, other.probabilities or {}),
        ):
            mine.update({name: value[order] for name, value in more.items()})
    return (
        Scores(
            scores.ids, scores.labels, _ordered(logits), _ordered(probabilities) or None
        ),
        class_names,
        about,
    )


def _ordered(arrays):
    """As results list the streams, in whatever order the files were given."""
    listed = [stream.name for stream in STREAMS]
    return dict(sorted(arrays.items(), key=lambda item: listed.index(item[0])))


def _matching(scores, other, where):
    """Rows of `other` in the order of the videos of `scores`."""
    missing = sorted(set(scores.ids) - set(other.ids))
    more = sorted(set(other.ids) - set(scores.ids))
    if missing or more:
        example = f"{(missing or more)[0]!r} is only in the {_SIDES[bool(missing)]}"
        raise ValueError(
            f"{where}: differ in videos: {len(more)} only in the first, {len(missing)} "
            f"only in the second; {example}"
        )
    rows = {id_: row for row, id_ in enumerate(other.ids)}
    order = np.array([rows[id_] for id_ in scores.ids])
    wrong = np.flatnonzero(other.labels[order] != scores.labels)
    if len(wrong):
        raise ValueError(
            f"{where}: differ in the labels of {len(wrong)} videos, "
            f"{scores.ids[wrong[0]]!r} for one"
        )
    return order


_SIDES = {True: "second", False: "first"}


def _difference(names, others):
    if len(names) != len(others):
        return f"{len(names)} and {len(others)} class names"
    index = next(i for i in range(len(names)) if names[i] != others[i])
    return f"class {index} is {names[index]!r} and {others[index]!r}"
