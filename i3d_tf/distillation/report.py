"""What a study of distillation found: teacher, student alone, distilled student."""

import statistics
from urllib.parse import quote

from flow.files import write_json, written_aside
from i3d_tf.distillation.study import ALONE, TEACHER

_ABOUT = ("figure", "better", "split", "seeds")


def summary(results):
    """Mean and spread of each way to train, and how it compares with the student alone.

    Args:
      results: of `study.evaluate_study`.

    Returns {way: {"mean", "spread", "gain", "wins"}}: the spread is the standard
    deviation over seeds (0 of one seed); the gain is the mean of the differences to the
    student alone of the same seed, above 0 where the way is better, and wins counts
    the seeds in which it is; the student alone has neither.
    """
    sign = 1 if results["better"] == "higher" else -1
    found = {}
    for way, values in results.items():
        if way in (*_ABOUT, TEACHER):
            continue
        found[way] = {
            "mean": statistics.mean(values),
            "spread": statistics.stdev(values) if len(values) > 1 else 0.0,
        }
        if way != ALONE:
            gains = [
                sign * (value - before)
                for value, before in zip(values, results[ALONE], strict=True)
            ]
            found[way]["gain"] = statistics.mean(gains)
            found[way]["wins"] = sum(gain > 0 for gain in gains)
    return found


def table(results):
    """Lines of Markdown: a row for the teacher and one for each way to train."""
    seeds, shown = results["seeds"], _shown(results["figure"])
    teacher = results[TEACHER]
    what = "top-1" if results["figure"] == "top1" else "error"
    lines = [
        f"| | {what}, mean ± spread | of seeds {', '.join(map(str, seeds))} | gain | "
        "better in |",
        "|---|---|---|---|---|",
        f"| teacher | {'-' if teacher is None else shown(teacher)} | | | |",
    ]
    for way, of_way in summary(results).items():
        values = ", ".join(map(shown, results[way]))
        row = [way.replace("_", " ")]
        spread = f" ± {shown(of_way['spread'])}" if len(seeds) > 1 else ""
        row += [f"{shown(of_way['mean'])}{spread}", values]
        if "gain" in of_way:
            row += [shown(of_way["gain"], "+"), f"{of_way['wins']} of {len(seeds)}"]
        else:
            row += ["", ""]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def write_report(workdir, results, test_split):
    """Writes report.json and report.md, of another split than `test_split` beside them.

    Returns (path of the latter, its lines).
    """
    split = results["split"]
    lines = [f"Of the split {split}:", "", *table(results)]
    name = "report" if split == test_split else f"report_{quote(split, safe='')}"
    write_json(workdir / f"{name}.json", {**results, "summary": summary(results)})
    path = workdir / f"{name}.md"
    with written_aside(path) as aside:
        aside.write_text("\n".join(lines) + "\n", "utf-8")
    return path, lines


def _shown(figure):
    """A function that writes a value as people read it."""
    if figure == "top1":
        return lambda value, sign="": f"{100 * value:{sign}.1f} %"
    return lambda value, sign="": f"{1000 * value:{sign}.1f} mm"
