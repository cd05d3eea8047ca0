"""Published accuracies of Two-Stream I3D, to set results beside.

Carreira & Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, arXiv:1705.07750v3.
All are of whole videos of 250 frames, centre crop, both streams 1:1.
"""

from typing import NamedTuple

# What a data set has to be to be compared: builder, number of classes.
_DATASETS = {
    ("two_stream_kinetics", 400): "kinetics400",
    ("two_stream_ucf101", 101): "ucf101",
    ("two_stream_hmdb51", 51): "hmdb51",
}


class Published(NamedTuple):
    """One published result, in percent; None where none is given.

    Attributes:
      training: how the networks were trained.
      tested_on: "mean of 3 splits", "split 1" or "Kinetics-400".
      rgb, flow, fused: top-1, a number or a range as text.
      top5: {"rgb": ..., "flow": ..., "fused": ...}.
    """

    training: str
    tested_on: str
    rgb: float | str | None
    flow: float | str | None
    fused: float | None
    top5: dict[str, float] | None = None


MEAN, SPLIT_1, KINETICS = "mean of 3 splits", "split 1", "Kinetics-400"

PUBLISHED = {
    "kinetics400": (
        Published(
            "ImageNet + Kinetics",
            KINETICS,
            71.1,
            63.4,
            74.2,
            {"rgb": 89.3, "flow": 84.9, "fused": 91.3},
        ),
        Published(
            "Kinetics from scratch",
            KINETICS,
            68.4,
            61.5,
            71.6,
            {"rgb": 88.0, "flow": 83.4, "fused": 90.0},
        ),
    ),
    "ucf101": (
        Published("ImageNet + Kinetics, fine-tuned", MEAN, 95.6, 96.7, 98.0),
        Published("ImageNet + Kinetics, fine-tuned", SPLIT_1, None, None, 98.0),
        Published(
            "ImageNet + Kinetics, only the classifier", SPLIT_1, None, None, 97.7
        ),
        Published("from scratch", SPLIT_1, "50-60", "about 80", 88.8),
    ),
    "hmdb51": (Published("ImageNet + Kinetics, fine-tuned", MEAN, 74.8, 77.1, 80.7),),
}


def published_for(dataset, num_classes):
    """The published results for a data set, () if there are none.

    Args:
      dataset: as `config.data.dataset`, `two_stream_ucf101/split_1`. Another number of
        classes than the published one means other videos under that name.
    """
    builder = dataset.partition("/")[0]
    return PUBLISHED.get(_DATASETS.get((builder, num_classes)), ())


def tested_on(dataset, split):
    """What the videos of a data set's split are, as `Published.tested_on`."""
    builder, _, config = dataset.partition("/")
    videos = KINETICS if "kinetics" in builder else config.replace("_", " ")
    return f"{videos}, training videos" if split == "train" else videos


def comparison(results, num_classes, of_videos):
    """Markdown: results beside the published ones and what differs in how they arose.

    Args:
      results: as in results.json.
      of_videos: what the results are of, as `Published.tested_on`.

    Returns a list of lines, [] where nothing is published.
    """
    rows = published_for(results["dataset"], num_classes)
    if not rows:
        return []
    top5 = any(row.top5 for row in rows)
    names = ("rgb", "flow", "fused")
    ours = [
        _cell(
            100 * results[name]["top1"] if name in results else None,
            100 * results[name]["top5"] if name in results and top5 else None,
        )
        for name in names
    ]
    lines = [
        "## Beside the published results",
        "",
        f"{'Top-1 / top-5' if top5 else 'Top-1'} in percent. Published: Carreira & "
        "Zisserman, CVPR 2017 (arXiv:1705.07750).",
        "",
        "| | tested on | RGB | flow | both |",
        "|---|---|---|---|---|",
        f"| **this run** | {of_videos} | {' | '.join(ours)} |",
    ]
    for row in rows:
        cells = [
            _cell(getattr(row, name), row.top5[name] if row.top5 else None)
            for name in names
        ]
        lines.append(
            f"| paper, {row.training} | {row.tested_on} | {' | '.join(cells)} |"
        )
    differing = differences(results, of_videos)
    if differing:
        lines += [
            "",
            "Not made alike, which may be why figures differ:",
            "",
        ]
        lines += [f"- {line}" for line in differing]
    return lines


def differences(results, of_videos):
    """In what the way to these results differs from the paper's, a line each."""
    lines = []
    protocol = results["protocol"]
    if protocol["name"] != "full":
        lines.append(
            f"Protocol: {results['protocol_text']} here, 250 frames in the paper, "
            "convolutional in time (`--protocol full`); 64 frames cost accuracy."
        )
    elif protocol["num_frames"] != 250:
        lines.append(
            f"Protocol: {results['protocol_text']} here, 250 frames in the paper."
        )
    if "fused" in results and (
        results["fusion"] != "logits" or len(set(results["weights"].values())) > 1
    ):
        weights = ", ".join(f"{k} {v:g}" for k, v in results["weights"].items())
        lines.append(
            f"Fusion: mean of {results['fusion']} with weights {weights} here, 1:1 of "
            "logits in the paper."
        )
    if of_videos not in (MEAN, SPLIT_1, KINETICS):
        lines.append(f"Videos: {of_videos} here, another split or mean in the paper.")
    coverage = results["coverage"]
    if coverage is None:
        lines.append("Videos: how many of the listed ones there were is not recorded.")
    elif coverage["used"] < coverage["listed"]:
        lines.append(
            f"Videos: {coverage['used']} of {coverage['listed']} listed ones were used."
        )
    return lines


def _cell(top1, top5):
    if top1 is None:
        return ""
    first = top1 if isinstance(top1, str) else f"{top1:.1f}"
    return first if top5 is None else f"{first} / {top5:.1f}"
