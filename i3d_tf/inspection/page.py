"""An inspected data set as one HTML page that needs nothing but its pictures."""

import html
import pathlib
import statistics

from flow.code import BOUND
from flow.files import written_aside
from i3d_tf.datasets.coverage import COVERAGE, UNLABELLED
from i3d_tf.inspection.findings import left_out, notices
from i3d_tf.inspection.style import STYLE

FEW = 10  # entries of a list that stay in one column
MAX_LOST = 200  # rows of the table; all are in coverage.json
BAR_COLORS = ("#4c78a8", "#f2a65a", "#72b7b2", "#b279a2")


def write_page(inspection, path):
    """Writes the page; its pictures lie beside it already."""
    path = pathlib.Path(path)
    title = _text(inspection.name)
    parts = (
        _summary(inspection),
        _durations(inspection, path.parent),
        _counts(inspection),
        _lost(inspection),
        _samples(inspection, path.parent),
    )
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{"".join(parts)}
</body>
</html>
"""
    with written_aside(path) as aside:
        aside.write_text(text, "utf-8")


def _summary(inspection):
    data = inspection.data
    classes = sum(label != UNLABELLED for label in inspection.counts[inspection.split])
    lines = []
    for split, counts in inspection.counts.items():
        line = f"{split}: {sum(counts.values()):,} videos"
        if inspection.coverage is not None:
            listed = sum(n["listed"] for n in inspection.coverage[split].values())
            line += f" of {listed:,} listed"
        lines.append(line)
    lines += notices(inspection)
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"""
<p>{classes:,} classes. A clip has {data.num_frames} frames of {data.size} ×
{data.size} px, cut from frames whose smaller side is {data.smaller_side} px.</p>
<ul>{items}</ul>
<p><a href="#durations">Durations</a> · <a href="#counts">Videos of each class</a> ·
<a href="#lost">Lost videos</a> · <a href="#samples">Samples</a></p>"""


def _durations(inspection, folder):
    videos = inspection.videos
    seconds = sorted(video.seconds for video in videos)
    there = sum(inspection.counts[inspection.split].values())
    which = "All" if len(videos) == there else f"The first {len(videos):,} of"
    fps = ", ".join(f"{fps:g}" for fps in sorted({video.fps for video in videos}))
    sizes = sorted({(video.width, video.height) for video in videos})
    some = ", ".join(f"{width} × {height}" for width, height in sizes[:6])
    more = f" and {len(sizes) - 6:,} other sizes" if len(sizes) > 6 else ""
    return f"""
<h2 id="durations">Durations</h2>
<p>{which} {there:,} videos of {_text(inspection.split)}: {seconds[0]:.2f} s to
{seconds[-1]:.2f} s, median {statistics.median(seconds):.2f} s;
{fps} frames per second; {some}{more} px (width × height).</p>
{_image(folder, inspection.durations, "Histogram of the durations")}"""


def _counts(inspection):
    splits = inspection.counts
    first = splits[inspection.split]
    totals = {label: sum(n[label] for n in splits.values()) for label in first}
    labels = sorted(first, key=lambda label: (-first[label], -totals[label], label))
    largest = max(totals.values())
    colors = {split: BAR_COLORS[i % len(BAR_COLORS)] for i, split in enumerate(splits)}
    key = "".join(
        f'<i style="background:{color}"></i>{_text(split)}'
        for split, color in colors.items()
    )
    bars = []
    for label in labels:
        # Seven tenths of the room: the rest is for the numbers.
        pieces = "".join(
            f'<i style="width:{70 * splits[split][label] / largest:.2f}%;'
            f'background:{color}"></i>'
            for split, color in colors.items()
        )
        numbers = " + ".join(f"{counts[label]:,}" for counts in splits.values())
        name = _text(label)
        bars.append(
            f'<div class="count"><b title="{name}">{name}</b>'
            f'<div class="bar">{pieces}<span>{numbers}</span></div></div>'
        )
    return f"""
<h2 id="counts">Videos of each class</h2>
<p class="key">Most videos of {_text(inspection.split)} first: {key}</p>
<div class="counts{_many(bars)}">{"".join(bars)}</div>"""


def _lost(inspection):
    heading = '\n<h2 id="lost">Lost videos</h2>\n'
    if inspection.coverage is None:
        return f"{heading}<p>Not known: there is no {COVERAGE}.</p>"
    rows = [
        (split, label, lost["video"], lost["reason"])
        for split, labels in inspection.coverage.items()
        for label, counts in labels.items()
        for lost in counts["lost"]
    ]
    if not rows:
        return f"{heading}<p>None: all listed videos are used.</p>"
    cells = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>"
        for row in rows[:MAX_LOST]
    )
    note = f"Could not be used: {len(rows):,}"
    if len(rows) > MAX_LOST:
        note += f", of which {MAX_LOST} are here and all in {COVERAGE}"
    return f"""{heading}<p>{note}.</p>
<table><thead><tr><th>split<th>class<th>video<th>reason</tr></thead>
<tbody>{cells}</tbody></table>"""


def _samples(inspection, folder):
    numbers = {label: i for i, label in enumerate(inspection.counts[inspection.split])}
    links = [
        f'<a href="#class-{numbers[label]}">{_text(label)}</a>'
        for label in inspection.samples
    ]
    sections = "".join(
        _class(inspection, label, numbers[label], folder)
        for label in inspection.samples
    )
    note = left_out(inspection)
    drawn = f"as training cuts it with seed {inspection.seed}"
    if inspection.split != inspection.data.train_split:
        drawn = "as evaluation cuts it"
    return f"""
<h2 id="samples">Samples of {_text(inspection.split)}</h2>
{f"<p><b>{_text(note)}.</b></p>" if note else ""}
<p>A row shows the first, the middle and the last frame of a clip with its crop box,
{drawn}, and below them their flow. The bar above is the whole video, its coloured part
the clip. ↔ marks clips that are mirrored after the crop. Frames count from 0 as in the
records, which leave out a video's first frame, as it has no flow.</p>
<nav class="{_many(links)}">{"".join(links)}</nav>
{sections}"""


def _many(items):
    """The class of lists that fill columns: few would stand far apart."""
    return " many" if len(items) > FEW else ""


def _class(inspection, label, number, folder):
    counts = ", ".join(
        f"{counts[label]:,} {_text(split)}"
        for split, counts in inspection.counts.items()
    )
    figures = "".join(_figure(sample, folder) for sample in inspection.samples[label])
    return f"""
<h3 id="class-{number}">{_text(label)}</h3>
<p class="facts">class {number}; videos: {counts}</p>
<div class="videos">{figures}</div>"""


def _figure(sample, folder):
    video = sample.video
    facts = (
        f"{video.frames:,} frames · {video.fps:g} fps · {video.seconds:.2f} s · "
        f"{video.width} × {video.height} px"
    )
    if sample.picture is None:
        picture, words = "", ["The crop does not fit into these frames."]
    else:
        picture = _image(folder, sample.picture, f"Frames and flow of {video.id}")
        words = [*sample.views, _flow_words(*sample.flow_shares)]
    items = "".join(f"<li>{_text(line)}</li>" for line in words)
    return f"""
<figure><figcaption>{_text(video.id)}<br><span class="facts">{facts}</span></figcaption>
{picture}<figcaption><ul>{items}</ul></figcaption></figure>"""


def _flow_words(still, cut):
    if still == 1:
        return "flow of these frames: no motion at all"
    at_bound = f"{cut:.1%}" if cut else "none"
    return (
        f"flow of these frames: {still:.0%} of the pixels still, {at_bound} at the "
        f"bound of ±{BOUND:g} px"
    )


def _image(folder, picture, alt):
    """The picture with its size, so that the page does not jump while it loads."""
    with open(folder / picture, "rb") as file:
        header = file.read(24)
    width, height = (int.from_bytes(header[i : i + 4]) for i in (16, 20))
    return (
        f'<a href="{picture}"><img src="{picture}" alt="{_text(alt)}" loading="lazy" '
        f'width="{width}" height="{height}"></a>'
    )


def _text(value):
    return html.escape(str(value))
