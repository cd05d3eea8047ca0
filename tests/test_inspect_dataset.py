"""The page of a data set: what it shows is what is there, and what is trained on."""

import dataclasses
import html.parser
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest

from flow import code
from flow.flow_video import write_flow_video
from i3d_tf import FLOW, RGB, inspection, pipeline
from i3d_tf.config import Data
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.coverage import COVERAGE, UNLABELLED, read_coverage
from i3d_tf.datasets.folder.builder import TwoStreamFolder
from i3d_tf.inspection import findings, page, records, sheets

# In the order of the labels, that of sorted names.
LABELS = ('<b>&"x"', "long_" * 30, "Übung größer", "腕を振る")
MARKUP, LONG, LOSING, STILL = LABELS
# Height and width of each video of a class, px, and frames of its source.
VIDEOS = {"v0": (40, 56, 12), "v1": (56, 40, 16), "v2": (40, 40, 21)}
DATA = Data(dataset="two_stream_folder/mine", num_frames=9, size=32, smaller_side=40)
SEED = 3


@pytest.fixture(scope="module")
def builder(tmp_path_factory, write_video):
    """Two training videos and a test video of each class, but for a lost one."""
    folder = tmp_path_factory.mktemp("inspected")
    rng = np.random.default_rng(0)
    for label in LABELS:
        for name, (height, width, frames) in VIDEOS.items():
            video = folder / "videos" / label / f"{name}.mkv"
            # Grey, so that the crop's colours need no neighbours. No View looks alike.
            grey = rng.integers(0, 256, (frames, height // 4, width // 4, 1), np.uint8)
            write_video(video, grey.repeat(4, 1).repeat(4, 2).repeat(3, 3), fps=25)
            if (label, name) == (LOSING, "v1"):
                continue
            speed = {STILL: 0, LONG: 100}.get(label, 10)
            flow = rng.uniform(-speed, speed, (frames - 1, height, width, 2))
            write_flow_video(
                folder / "flow" / label / f"{name}.mkv",
                code.encode(flow),
                fps=25,
                description={"smaller_side": 40},
            )
    TwoStreamFolder.of(
        folder / "videos",
        folder / "flow",
        data_dir=folder / "data",
        name="mine",
        workers=1,
    ).build()
    return open_dataset(folder / "data", "two_stream_folder/mine")


@pytest.fixture(scope="module")
def inspected(builder, tmp_path_factory):
    """(folder of the page of the training split, its Inspection)."""
    output = tmp_path_factory.mktemp("page")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as of a glyph that no font has
        return output, inspection.inspect_dataset(builder, DATA, output, seed=SEED)


class Page(html.parser.HTMLParser):
    """A page as a browser reads it: text of each element, sources of the images."""

    def __init__(self, folder, name="index.html"):
        super().__init__()
        self.words, self.tags, self.images, self.links = [], [], [], []
        self.feed((folder / name).read_text("utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "a":
            self.links.append(dict(attributes)["href"])

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, to look into them."""
    saved = []
    monkeypatch.setattr(sheets.figures, "save", lambda f, path: saved.append(f))
    return saved


def train_records(builder):
    return {video.id: (video, record) for video, record in all_videos(builder)}


def all_videos(builder, split="train"):
    return list(records.read_videos(builder, split))


@pytest.mark.parametrize("epoch", [0, 1])
def test_what_is_shown_is_what_training_sees(builder, epoch):
    by_id = train_records(builder)
    order = pipeline.read_examples(builder, "train", (), shuffle=(SEED, epoch))
    batches = pipeline.train_batches(
        builder, DATA, (RGB, FLOW), batch_size=1, seed=SEED, epoch=epoch
    )
    seen = set()
    for example, (clip, _) in zip(order, batches, strict=True):
        _, record = by_id[example["id"].numpy().decode()]
        name = f"epoch {epoch}"
        view = records.views(record, DATA, SEED, "train")[name]
        shown = records.look(record, name, view, DATA.num_frames)
        seen.add(view)
        rows = slice(view.top, view.top + DATA.size)
        columns = slice(view.left, view.left + DATA.size)
        rgb = shown.rgb[:, rows, columns] / 127.5 - 1
        flow = shown.flow[:, rows, columns] / 20
        if view.mirrored:
            rgb, flow = rgb[:, :, ::-1], flow[:, :, ::-1] * (-1, 1)
        steps = [0, DATA.num_frames // 2, DATA.num_frames - 1]
        trained = {key: value.numpy()[0, steps] for key, value in clip.items()}
        np.testing.assert_allclose(rgb, trained["rgb"], atol=1.1 / 127.5)
        np.testing.assert_allclose(flow, trained["flow"], atol=1e-6)
    assert len(seen) == len(by_id) == 7
    assert {view.mirrored for view in seen} == {True, False}


def test_a_split_for_testing_shows_the_centre(builder):
    for video, record in all_videos(builder, "test"):
        (name,), (view,) = zip(
            *records.views(record, DATA, SEED, "test").items(), strict=True
        )
        # 20 pairs hold 9 frames from 5 on; all test videos are 40x40 px.
        assert (name, view) == ("evaluation", (5, 4, 4, False))
        shown = records.look(record, name, view, DATA.num_frames)
        assert shown.indices.tolist() == [5, 9, 13]
        assert video.frames == 20


def test_boxes_are_drawn_where_the_views_are(builder, drawn):
    video, record = train_records(builder)[f"{MARKUP}/v1.mkv"]
    views = {
        "epoch 0": records.clips.View(2, 7, 3, False),
        "epoch 1": records.clips.View(5, 24, 8, True),
    }
    shown = [records.look(record, name, view, 9) for name, view in views.items()]
    sheets.view_sheet(shown, video, 9, 32, "unused")
    (figure,) = drawn
    frames = [axes for axes in figure.axes if axes.images][:-1]  # without the wheel
    assert len(frames) == 2 * 3 * 2
    for number, axes in enumerate(frames):
        view = list(views.values())[number // 6]
        (box,) = axes.patches
        assert box.get_xy() == (view.left - 0.5, view.top - 0.5)
        assert (box.get_width(), box.get_height()) == (32, 32)
        assert [text.get_text() for text in axes.texts] == ["↔"] * view.mirrored
        picture = axes.images[0].get_array()
        assert picture.shape == (56, 40, 3)
        # RGB above its flow, bright inside of the box.
        one, column = shown[number // 6], number % 6 // 2
        whole = one.rgb[column]
        if number % 2:
            max_flow = np.percentile(
                np.hypot(*np.moveaxis(np.stack([s.flow for s in shown]), -1, 0)), 99.9
            )
            whole = sheets.visualize.flow_to_color(one.flow[column], max_flow)
        inside = slice(view.top, view.top + 32), slice(view.left, view.left + 32)
        np.testing.assert_array_equal(picture[inside], whole[inside])
        expected = (whole[: view.top] * sheets.DIMMED).astype(np.uint8)
        np.testing.assert_array_equal(picture[: view.top], expected)
    titles = [axes.get_title() for axes in frames if axes.get_title()]
    assert titles[:3] == ["frame 2 · 0.08 s", "frame 6 · 0.24 s", "frame 10 · 0.40 s"]
    bars = [axes for axes in figure.axes if not axes.images]
    headings = [axes.texts[0].get_text() for axes in bars]
    assert headings == [
        "epoch 0: frames 2–10 of 15",
        "epoch 1: frames 5–13 of 15, mirrored",
    ]
    # The grey bar is the video, and the coloured one in it the clip.
    video_bar, clip_bar = bars[1].patches
    assert (video_bar.get_x(), video_bar.get_width()) == (0, 15)
    assert (clip_bar.get_x(), clip_bar.get_width()) == (5, 9)
    assert f"{max_flow:.1f} px the rim" in figure.axes[-1].texts[0].get_text()


def test_a_looped_clip_fills_its_bar_and_says_so(builder, drawn):
    video, record = train_records(builder)[f"{MARKUP}/v0.mkv"]
    view = records.clips.View(13, 0, 0, False)  # in the second loop of 11 frames
    shown = records.look(record, "epoch 0", view, 20)
    assert shown.indices.tolist() == [2, 0, 10]
    sheets.view_sheet([shown], video, 20, 32, "unused")
    bar = drawn[0].axes[0]
    assert bar.texts[0].get_text() == "epoch 0: 20 frames from 2 on, looped"
    covered = {
        frame
        for piece in bar.patches[1:]
        for frame in range(piece.get_x(), piece.get_x() + piece.get_width())
    }
    assert covered == set(range(11))


def test_every_class_and_every_sample_is_on_the_page(inspected):
    folder, found = inspected
    shown = Page(folder)
    assert list(found.samples) == list(LABELS)
    for number, label in enumerate(LABELS):
        used = 1 if label == LOSING else 2
        assert f"{label} class {number}; videos: {used} train, 1 test" in shown.text
        ids = {sample.video.id for sample in found.samples[label]}
        assert ids == {f"{label}/v{i}.mkv" for i in range(used)}
        for sample in found.samples[label]:
            height, width, frames = VIDEOS[sample.video.id[-6:-4]]
            assert (
                f"{sample.video.id} {frames - 1} frames · 25 fps · "
                f"{(frames - 1) / 25:.2f} s · {width} × {height} px"
            ) in shown.text
            assert len(sample.views) == 2
            for line in sample.views:
                assert line in shown.text
    assert "All 7 videos of train: 0.44 s to 0.60 s, median 0.44 s" in shown.text
    assert "40 × 56, 56 × 40 px" in shown.text


def test_views_are_told_in_words(builder, inspected):
    (sample, *_) = inspected[1].samples[LOSING]
    _, record = train_records(builder)[sample.video.id]
    for line, (name, view) in zip(
        sample.views, records.views(record, DATA, SEED, "train").items(), strict=True
    ):
        mirrored = ", mirrored" if view.mirrored else ""
        assert line == (
            f"{name}: frames {view.start}–{view.start + 8} of 11{mirrored}; 32 × 32 px "
            f"from left {view.left}, top {view.top}"
        )


def test_names_are_no_markup(inspected):
    folder, _ = inspected
    text = (folder / "index.html").read_text("utf-8")
    assert "<b>&" not in text and "&lt;b&gt;&amp;&quot;x&quot;" in text
    assert "<b>" not in text  # nothing of the page's own
    assert "src=" in text and "http" not in text


def test_the_pictures_are_there_and_have_their_sizes(inspected):
    folder, _ = inspected
    images = Page(folder).images
    assert len(images) == 7 + 1
    for image in images:
        picture = cv2.imread(str(folder / image["src"]))
        assert picture.shape[:2] == (int(image["height"]), int(image["width"]))
    written = {path.name for path in (folder / "pictures").iterdir()}
    assert written == {image["src"].split("/")[-1] for image in images}


def test_links_within_the_page_lead_somewhere(inspected):
    folder, _ = inspected
    text = (folder / "index.html").read_text("utf-8")
    inner = [link[1:] for link in Page(folder).links if link.startswith("#")]
    assert len(inner) == 4 + len(LABELS)
    assert all(f'id="{name}"' in text for name in inner)


def test_saturated_and_still_flow_are_told(inspected):
    _, found = inspected
    folder = inspected[0]
    still = [sample.flow_shares for sample in found.samples[STILL]]
    assert still == [(1.0, 0.0)] * 2
    for sample in found.samples[LONG]:
        # Of -100 ... 100 px a fifth is within 20, in u and in v.
        np.testing.assert_allclose(sample.flow_shares, (0, 0.96), atol=0.02)
    text = Page(folder).text
    assert text.count("flow of these frames: no motion at all") == 2
    assert "0% of the pixels still, 96" in text
    assert "none at the bound of ±20 px" in text


def test_lost_videos_and_their_reasons(inspected):
    text = Page(inspected[0]).text
    assert "train: 7 videos of 8 listed test: 4 videos of 4 listed" in text
    assert f"train {LOSING} {LOSING}/v1.mkv" in text
    assert f"flow/{LOSING}/v1.mkv: is missing" in text


def test_bars_are_sorted_and_as_long_as_the_counts(inspected):
    text = (inspected[0] / "index.html").read_text("utf-8")
    rows = text.split('<div class="count">')[1:]
    numbers = [row.split("<span>")[1].split("<")[0] for row in rows]
    assert numbers == ["2 + 1"] * 3 + ["1 + 1"]
    assert LOSING in rows[-1]
    widths = [
        [float(part.split("%")[0]) for part in row.split("width:")[1:]] for row in rows
    ]
    np.testing.assert_allclose(widths, [[140 / 3, 70 / 3]] * 3 + [[70 / 3] * 2], 0.001)


def test_without_coverage_the_records_are_counted(builder, inspected):
    folder, found = inspected
    assert records.count_videos(builder, None) == found.counts
    page.write_page(found._replace(coverage=None), folder / "other.html")
    text = Page(folder, "other.html").text
    assert f"Not known: there is no {COVERAGE}" in text
    assert "train: 7 videos test: 4 videos" in text


def test_classes_that_are_left_out_are_told(builder, tmp_path):
    found = inspection.inspect_dataset(
        builder, DATA, tmp_path, seed=SEED, per_class=1, classes=2
    )
    assert [*found.samples] == [MARKUP, STILL]
    assert [len(samples) for samples in found.samples.values()] == [1, 1]
    note = "2 of the 4 classes with videos in train are shown, evenly over their order"
    assert findings.left_out(found).startswith(note)
    text = Page(tmp_path).text
    assert f"{note}; --classes 4 shows all." in text
    assert "class 1;" not in text


def test_only_what_is_shown_is_decoded_and_no_more_read(builder, tmp_path, monkeypatch):
    decoded, read = [], []
    whole_frame, read_videos = records._whole_frame, records.read_videos

    def counted_frame(jpeg, stream):
        decoded.append(stream.name)
        return whole_frame(jpeg, stream)

    def counted_videos(*args):
        for entry in read_videos(*args):
            read.append(entry[0])
            yield entry

    monkeypatch.setattr(records, "_whole_frame", counted_frame)
    monkeypatch.setattr(records, "read_videos", counted_videos)
    found = inspection.inspect_dataset(
        builder, DATA, tmp_path, per_class=1, classes=1, max_records=2
    )
    # Two Views of three frames.
    assert sorted(decoded) == ["flow"] * 6 + ["rgb"] * 6
    first = [video.label for video in read].index(MARKUP)
    assert len(read) == max(first + 1, 2) < 7
    assert found.videos == read[:2]
    assert "The first 2 of 7 videos of train" in Page(tmp_path).text


def test_videos_smaller_than_the_crop_are_told(builder, tmp_path):
    data = dataclasses.replace(DATA, size=48, smaller_side=48)
    found = inspection.inspect_dataset(builder, data, tmp_path, classes=1)
    assert [sample.picture for sample in found.samples[MARKUP]] == [None, None]
    note = "7 of the 7 counted videos are smaller than the crop of 48 px"
    assert findings.notices(found)[0].startswith(note)
    assert Page(tmp_path).text.count("The crop does not fit into these frames.") == 2


def test_what_deserves_a_look(inspected):
    _, found = inspected
    assert findings.notices(found) == []
    data = dataclasses.replace(DATA, num_frames=15, smaller_side=45)
    counts = {
        "train": {**found.counts["train"], MARKUP: 0, UNLABELLED: 0},
        "test": {**dict.fromkeys(LABELS, 0), UNLABELLED: 4},
    }
    assert findings.notices(found._replace(data=data, counts=counts)) == [
        "7 of the 7 counted videos have another smaller side than 45 px.",
        "4 of the 7 counted videos are shorter than a clip of 15 frames, and looped.",
        f"Classes without a video in train: 1 ({MARKUP}).",
        "The videos of test have no labels.",
    ]


def test_videos_without_labels_are_counted(builder):
    coverage = read_coverage(builder.data_dir)
    coverage["test"] = {UNLABELLED: {"listed": 5, "used": 4, "lost": []}}
    counts = records.count_videos(builder, coverage)
    assert list(counts["test"]) == list(counts["train"]) == [*LABELS, UNLABELLED]
    assert counts["test"] == {**dict.fromkeys(LABELS, 0), UNLABELLED: 4}
    assert records._label_of({"label": -1}, LABELS) == UNLABELLED


@pytest.mark.parametrize(
    ("number", "expected"), [(1, "a"), (2, "ah"), (3, "aeh"), (9, "abdefgh")]
)
def test_labels_are_chosen_evenly_among_those_with_videos(number, expected):
    counts = dict.fromkeys("abcdefgh", 3) | {"c": 0}
    assert "".join(records.choose_labels(counts, number)) == expected


def test_durations_plot(drawn):
    seconds = [0.5] * 5 + [4.0] * 3 + [1000.0]
    sheets.durations_plot(seconds, 2.56, "unused")
    (axes,) = drawn[0].axes
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == 9 and len(heights) <= sheets.MAX_BINS
    assert heights[0] == 8 and heights[-1] == 1
    (line,) = axes.lines
    assert line.get_xdata() == [2.56, 2.56]
    assert axes.get_xlabel() == "duration in seconds"
    sheets.durations_plot([2.0], 2.56, "unused")
    assert sum(bar.get_height() for bar in drawn[1].axes[0].patches) == 1


def test_usual_data_is_the_papers_share_of_the_frame(builder):
    data = inspection.usual_data(builder, "two_stream_folder/mine")
    assert (data.size, data.smaller_side, data.num_frames) == (35, 40, 64)


def test_unknown_split_is_an_error(builder, tmp_path):
    with pytest.raises(ValueError, match="no split 'val'; there are .*train"):
        inspection.inspect_dataset(builder, DATA, tmp_path / "new", split="val")
    assert not (tmp_path / "new").exists()


def test_command_shows_the_clips_of_a_recipe(builder, inspected, tmp_path):
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from i3d_tf.config import Config, Data, StreamTraining\n"
        "stream = StreamTraining(steps=1, learning_rates=(0.1,))\n"
        f"CONFIG = Config(data={DATA!r}, rgb=stream, flow=None)\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.inspect_dataset"),
            *("--data_dir", builder.data_path.parent.parent.parent),
            *("--config", recipe, "--set", f"seed={SEED}"),
            *("--output", tmp_path / "page", "--classes", "1"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    note = "1 of the 4 classes with videos in train are shown, evenly over their order"
    assert done.stdout == (
        f"{tmp_path}/page/index.html: 2 videos; {note}; --classes 4 shows all\n"
    )
    assert "Warning" not in done.stderr
    text = Page(tmp_path / "page").text
    for sample in inspected[1].samples[MARKUP]:
        for line in sample.views:
            assert line in text
