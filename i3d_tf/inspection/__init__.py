"""One page that shows what a built data set holds, and what of it is trained on."""

import collections
import pathlib

import tqdm

from i3d_tf import pipeline
from i3d_tf.config import Data
from i3d_tf.datasets.coverage import read_coverage
from i3d_tf.inception import STRIDE
from i3d_tf.inspection import findings, page, records, sheets

PICTURES = "pictures"  # folder beside the page


def usual_data(builder, dataset):
    """`config.Data` for a data set without a recipe: crops of 7/8 of the smaller side.

    As 224 px of 256 in the paper, and its 64 frames.
    """
    split = next(iter(builder.info.splits))
    first = next(iter(pipeline.read_examples(builder, split, ())))
    side = min(int(first["height"]), int(first["width"]))
    size = max(side * 7 // 8, STRIDE)  # the networks take no smaller ones
    return Data(dataset=dataset, size=size, smaller_side=side)


def inspect_dataset(
    builder,
    data,
    output,
    *,
    seed=0,
    split="train",
    per_class=2,
    classes=20,
    max_records=1000,
):
    """Writes index.html and its pictures; returns the `findings.Inspection`.

    Records are read until every shown class has its videos and `max_records` are
    counted. Nothing is decoded but the frames that are shown.

    Args:
      builder: a built data set, of `i3d_tf.datasets.open_dataset`.
      data: `config.Data`; says which clips and crops are shown.
      output: folder of the page.
      seed: of the config; decides the Views.
      split: that videos and durations are of.
      per_class: videos of each class.
      classes: how many classes to show; of more, some evenly over their order.
      max_records: videos whose durations are looked at.

    Raises:
      ValueError: the data set has no such split, or no classes.
    """
    output = pathlib.Path(output)
    if "label" not in builder.info.features:
        raise ValueError(
            f"{builder.info.full_name}: has pictures with joints; the page is of "
            "videos with classes"
        )
    found = records.read_videos(builder, split)
    coverage = read_coverage(builder.data_dir)
    counts = records.count_videos(builder, coverage)
    missing = {
        label: min(per_class, counts[split][label])
        for label in records.choose_labels(counts[split], classes)
    }
    numbers = {label: number for number, label in enumerate(counts[split])}
    samples = {label: [] for label in missing}
    videos = []
    with tqdm.tqdm(total=sum(missing.values()), desc="inspect", unit="video") as bar:
        for video, record in found:
            if len(videos) < max_records:
                videos.append(video)
            if missing.get(video.label):
                missing[video.label] -= 1
                shown = samples[video.label]
                name = f"{numbers[video.label]:03}_{len(shown)}.png"
                shown.append(_sample(record, video, data, seed, split, output, name))
                bar.update()
            if len(videos) == max_records and not any(missing.values()):
                break
    durations = f"{PICTURES}/durations.png"
    sheets.durations_plot(
        [video.seconds for video in videos],
        data.num_frames / _usual_fps(videos),
        output / durations,
    )
    inspection = findings.Inspection(
        name=builder.info.full_name,
        data=data,
        seed=seed,
        split=split,
        counts=counts,
        coverage=coverage,
        videos=videos,
        samples=samples,
        durations=durations,
    )
    page.write_page(inspection, output / "index.html")
    return inspection


def _sample(record, video, data, seed, split, output, name):
    """Draws a video's sheet and returns its `findings.Sample`."""
    views = records.views(record, data, seed, split)
    shown = [
        records.look(record, name, view, data.num_frames)
        for name, view in views.items()
    ]
    if not shown:
        return findings.Sample(video, [], None, None)
    picture = f"{PICTURES}/{name}"
    sheets.view_sheet(shown, video, data.num_frames, data.size, output / picture)
    words = [
        f"{sheets.heading(one, video, data.num_frames)}; {data.size} × {data.size} px "
        f"from left {one.view.left}, top {one.view.top}"
        for one in shown
    ]
    return findings.Sample(video, words, records.flow_shares(shown), picture)


def _usual_fps(videos):
    return collections.Counter(video.fps for video in videos).most_common(1)[0][0]
