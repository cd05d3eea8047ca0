"""What an evaluation leaves: results.json, scores.npz, tables and pictures."""

import csv
from typing import NamedTuple

import numpy as np

from flow.files import as_path, write_json, written_aside
from i3d_tf import pictures
from i3d_tf.datasets.coverage import describe
from i3d_tf.evaluation import charts, metrics, published
from i3d_tf.evaluation.score_files import save_scores
from i3d_tf.evaluation.scores import predictions

# Of each stream and of the fusion; shares in [0, 1].
MEASURES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class_accuracy": "mean class",
    "ece": "calibration error",
}


class ClassRow(NamedTuple):
    """What became of one class's videos.

    Attributes:
      name: of the class.
      videos: how many it has.
      accuracy: share of them that is right; NaN without any.
      taken_for: the class that they were most often taken for, None if for no other.
      times: how often.
    """

    name: str
    videos: int
    accuracy: float
    taken_for: str | None
    times: int


def class_rows(counts, class_names):
    """A ClassRow for each class.

    Args:
      counts: of `metrics.confusion_counts`.
    """
    wrong = counts - np.diag(np.diag(counts))
    accuracies = metrics.class_accuracies(counts)
    rows = []
    for index, name in enumerate(class_names):
        other = int(np.argmax(wrong[index]))
        times = int(wrong[index, other])
        rows.append(
            ClassRow(
                name,
                int(counts[index].sum()),
                float(accuracies[index]),
                class_names[other] if times else None,
                times,
            )
        )
    return rows


def write_report(output, scores, class_names, about, fusion):
    """Writes all that is to be known of Scores, each file whole or not at all.

    results.json, results.md, scores.npz, per_class.csv, calibration.png, and for each
    stream and the fusion confusion_<name>.png and per_class_<name>.png.

    Args:
      output: folder, here or in object storage.
      scores: `Scores`.
      class_names: [num_classes] str.
      about: of `runs.evaluate_runs` or of the file of scores.
      fusion: `Fusion`.

    Returns what is in results.json: about, and for each of "rgb", "flow" and "fused"
    the MEASURES.
    """
    output = as_path(output)
    labels, classes = scores.labels, len(class_names)
    weights = fusion.weights or dict.fromkeys(scores.logits, 1.0)
    measured, rows, reliabilities = {}, {}, {}
    for name, (values, probabilities) in predictions(scores, fusion).items():
        answers = metrics.answers(values, labels)
        counts = metrics.confusion_counts(labels, answers, classes)
        reliabilities[name] = metrics.reliability(probabilities, labels)
        measured[name] = {
            "top1": metrics.top_k(values, labels, 1),
            "top5": metrics.top_k(values, labels, 5),
            "mean_class_accuracy": metrics.mean_class_accuracy(counts),
            "ece": reliabilities[name].error,
        }
        rows[name] = class_rows(counts, class_names)
        title = f"{name}: top-1 {measured[name]['top1']:.1%} of {len(labels)} videos"
        pictures.confusion_matrix(
            labels, answers, class_names, output / f"confusion_{name}.png", title
        )
        charts.class_table(rows[name], output / f"per_class_{name}.png", title)
    charts.reliability_diagram(
        reliabilities, output / "calibration.png", f"Calibration, {len(labels)} videos"
    )
    results = {
        **about,
        "fusion": fusion.kind,
        "weights": {name: weights[name] for name in scores.logits},
        "videos": len(scores.ids),
        **measured,
    }
    _write_csv(output / "per_class.csv", rows)
    save_scores(output / "scores.npz", scores, class_names, about)
    _write_text(output / "results.md", _page(results, classes))
    write_json(output / "results.json", results)
    return results


def lines_of(results):
    """The results as lines to print."""
    lines = []
    for name, values in measured_of(results).items():
        figures = "  ".join(f"{MEASURES[key]} {values[key]:6.1%}" for key in MEASURES)
        lines.append(f"{name:6} {figures}")
    return [*lines, f"of {results['split']}: {coverage_line(results)}"]


def measured_of(results):
    """{"rgb": its MEASURES, ...} of what `write_report` returned."""
    return {name: results[name] for name in ("rgb", "flow", "fused") if name in results}


def coverage_line(results):
    totals = results["coverage"]
    return describe(totals) if totals else "coverage not recorded"


def table(heads, rows):
    """Markdown table of texts: a list of lines."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _page(results, classes):
    measured = measured_of(results)
    lines = [
        f"# {results['dataset']}, split {results['split']}",
        "",
        f"{results['videos']} videos; {results['protocol_text']}; {results['dtype']}. "
        f"Of the listed videos: {coverage_line(results)}.",
        "",
        *table(
            ["", *MEASURES.values()],
            [
                [name, *(f"{values[key]:.1%}" for key in MEASURES)]
                for name, values in measured.items()
            ],
        ),
        "",
    ]
    if "fused" in measured:
        weights = " : ".join(f"{value:g}" for value in results["weights"].values())
        names = " : ".join(results["weights"])
        lines += [f"Fused: mean of {results['fusion']}, {names} = {weights}.", ""]
    compared = published.comparison(
        results, classes, published.tested_on(results["dataset"], results["split"])
    )
    if compared:
        lines += [*compared, ""]
    best = list(measured)[-1]
    lines += [
        f"![Confusion matrix](confusion_{best}.png)",
        f"![Accuracy of the classes](per_class_{best}.png)",
        "![Calibration](calibration.png)",
    ]
    return "\n".join(lines) + "\n"


def _write_text(path, text):
    with written_aside(path) as aside:
        aside.write_text(text, "utf-8")


def _write_csv(path, rows):
    """One line for each class; accuracy and confusion of each stream side by side."""
    heads = ["class", "videos"]
    for name in rows:
        heads += [f"{name}_accuracy", f"{name}_taken_for", f"{name}_times"]
    with (
        written_aside(path) as aside,
        open(aside, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        for of_class in zip(*rows.values(), strict=True):
            line = [of_class[0].name, of_class[0].videos]
            for row in of_class:
                accuracy = f"{row.accuracy:.4f}" if row.videos else ""
                line += [accuracy, row.taken_for or "", row.times]
            writer.writerow(line)
