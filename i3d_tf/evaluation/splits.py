"""UCF101 and HMDB51: a network for each of the three splits, and their mean."""

import dataclasses
import re

from flow.files import as_path, write_json, written_aside
from i3d_tf.checkpoints import evaluation_dtype
from i3d_tf.datasets import open_dataset
from i3d_tf.evaluation import published, report
from i3d_tf.evaluation.runs import evaluate_runs
from i3d_tf.evaluation.score_files import load_scores
from i3d_tf.evaluation.scores import Fusion, check_weights
from i3d_tf.training import make_strategy, train
from i3d_tf.training.precision import settle_dtype

SPLITS = (1, 2, 3)


def config_of_split(config, number):
    """The config on `<data set>/split_<number>`.

    Raises ValueError if its data set is none of numbered splits.
    """
    dataset, found = re.subn(r"/split_\d+$", f"/split_{number}", config.data.dataset)
    if not found:
        raise ValueError(
            f"data.dataset is {config.data.dataset!r}; expected one of numbered "
            "splits, as two_stream_ucf101/split_1"
        )
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, dataset=dataset)
    )


def run_splits(
    config,
    workdir,
    data_dir,
    make_protocol,
    *,
    numbers=SPLITS,
    fusion=None,
    strategy=None,
    batch_size=4,
    dtype="float32",
):
    """Trains and evaluates the config on each split, and writes their mean.

    Leaves in `workdir` split_<k>/, each a run with its evaluation/, mean.json and
    mean.md. What is trained goes on or is used again, and so are the scores of the
    networks as they are.

    Args:
      config: of any split.
      numbers: of the splits.
      make_protocol, batch_size, dtype: of `runs.evaluate_runs`.
      fusion: `Fusion`; None is 1:1 of logits.
      strategy: of `training.train`.

    Returns what is in mean.json: "dataset", "splits", "mean" (as a split's results, of
    "rgb", "flow" and "fused" the measures' means), and the results as "split_<k>".

    Raises:
      ValueError: a split's data set is missing, or what `train` and `evaluate_runs`
        refuse.
    """
    workdir, fusion = as_path(workdir), fusion or Fusion()
    configs = {number: config_of_split(config, number) for number in numbers}
    # Before days of training: whether the last split's data are there.
    for one in configs.values():
        open_dataset(data_dir, one.data.dataset)
    check_weights(fusion.weights, [stream.name for stream in config.streams])
    strategy = strategy or make_strategy("one")
    # One dtype for all, or their mean would be that of different computations.
    runs = [workdir / f"split_{number}" for number in SPLITS]
    dtype_of_runs = settle_dtype(config, runs, strategy).dtype
    results = {}
    for number, one in configs.items():
        one = dataclasses.replace(one, dtype=dtype_of_runs)
        run = workdir / f"split_{number}"
        print(f"{run}: {one.data.dataset}", flush=True)
        history = train(one, run, data_dir, strategy)
        scored = _scores(
            one, run, data_dir, make_protocol, history[-1], batch_size, dtype
        )
        results[number] = report.write_report(run / "evaluation", *scored, fusion)
        classes = len(scored[1])
    found = {
        "dataset": config.data.dataset.rpartition("/")[0],
        "splits": list(results),
        "mean": _mean(list(results.values())),
        **{f"split_{number}": one for number, one in results.items()},
    }
    with written_aside(workdir / "mean.md") as aside:
        aside.write_text("\n".join(lines_of(found, classes)) + "\n", "utf-8")
    write_json(workdir / "mean.json", found)
    return found


def _scores(config, run, data_dir, make_protocol, last_epoch, batch_size, dtype):
    """(Scores, class names, about) of a trained run, made only if they are not there.

    What tells them from those of other networks is the last epoch's entry of the
    history, with its losses.
    """
    dtype = evaluation_dtype([run], dtype)
    wanted = {
        "dataset": config.data.dataset,
        "split": config.data.test_split,
        "protocol": dataclasses.asdict(make_protocol(config.data.num_frames)),
        "dtype": dtype,
        "last_epoch": last_epoch,
    }
    path = run / "evaluation/scores.npz"
    if path.is_file():
        try:
            kept = load_scores(path)
        except ValueError:
            kept = None
        if kept and all(kept[2].get(key) == value for key, value in wanted.items()):
            print(f"{path}: used again", flush=True)
            return kept
    scores, class_names, about = evaluate_runs(
        [run], data_dir, make_protocol, batch_size=batch_size, dtype=dtype
    )
    return scores, class_names, {**about, "last_epoch": last_epoch}


def _mean(results):
    """One dict as that of a split, its measures the means over the splits."""
    coverages = [one["coverage"] for one in results]
    means = {
        name: {
            key: sum(one[name][key] for one in results) / len(results)
            for key in report.MEASURES
        }
        for name in report.measured_of(results[0])
    }
    return {
        **{
            key: results[0][key]
            for key in ("dataset", "protocol", "protocol_text", "fusion", "weights")
        },
        "coverage": None
        if None in coverages
        else {
            key: sum(one[key] for one in coverages)
            for key in ("listed", "present", "used")
        },
        **means,
    }


def lines_of(found, num_classes):
    """Markdown: the top-1 of each split and their mean, beside the paper's."""
    mean, numbers = found["mean"], found["splits"]
    names = list(report.measured_of(mean))
    which = "mean of 3 splits"
    if sorted(numbers) != list(SPLITS):
        which = f"mean of split{'s' if len(numbers) > 1 else ''} "
        which += ", ".join(map(str, numbers))
    rows = [
        [f"split {number}", *_cells(found[f"split_{number}"], names)]
        for number in numbers
    ]
    rows.append([f"**{which}**", *_cells(mean, names)])
    lines = [
        f"# {found['dataset']}: {which}",
        "",
        f"Top-1 and mean class accuracy in percent; {mean['protocol_text']}.",
        "",
        *report.table(["", *names], rows),
        "",
    ]
    if sorted(numbers) != list(SPLITS):
        lines += [f"Only {len(numbers)} of the 3 splits: no mean of the data set.", ""]
    return lines + published.comparison(mean, num_classes, which)


def _cells(results, names):
    return [
        f"{100 * results[name]['top1']:.1f} / "
        f"{100 * results[name]['mean_class_accuracy']:.1f}"
        for name in names
    ]
