"""What an evaluation leaves: its figures, tables and pictures."""

import csv
import json

import cv2
import numpy as np
import pytest
from known_answers import LABELS
from known_answers import SCORES as RGB

from i3d_tf.evaluation import Fusion, Scores, charts, metrics, report
from i3d_tf.evaluation.report import ClassRow
from i3d_tf.evaluation.score_files import load_scores

NAMES = ["jump", "run, fast", "Läufer", "none"]
# Right but for the fourth, and so sure that it decides the mean.
FLOW = 40 * np.eye(4, dtype=np.float32)[[0, 0, 0, 2, 1, 2]]
ABOUT = {
    "dataset": "two_stream_folder/tiny",
    "split": "test",
    "protocol": {"name": "center", "num_frames": 9, "clips": 1, "crops": 1},
    "protocol_text": "middle 9 frames, centre crop",
    "dtype": "float32",
    "coverage": None,
}
RGB_ROWS = [
    ClassRow("jump", 3, 2 / 3, "run, fast", 1),
    ClassRow("run, fast", 2, 1 / 2, "jump", 1),
    ClassRow("Läufer", 1, 0.0, "run, fast", 1),
]


def scores(**logits):
    ids = [f"v{i}" for i in range(6)]
    return Scores(ids, LABELS, logits or {"rgb": RGB, "flow": FLOW})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    results = report.write_report(folder, scores(), NAMES, ABOUT, Fusion())
    return folder, results


def test_class_rows():
    counts = metrics.confusion_counts(LABELS, metrics.answers(RGB, LABELS), 4)
    *rows, none = report.class_rows(counts, NAMES)
    assert rows == RGB_ROWS
    assert none[:2] == ("none", 0) and none[3:] == (None, 0)
    assert np.isnan(none.accuracy)


def test_results(written):
    folder, results = written
    assert json.loads((folder / "results.json").read_text("utf-8")) == results
    assert {key: results[key] for key in ABOUT} == ABOUT
    assert (results["videos"], results["fusion"]) == (6, "logits")
    assert results["weights"] == {"rgb": 1.0, "flow": 1.0}
    rgb = results["rgb"]
    assert (rgb["top1"], rgb["top5"]) == (1 / 2, 1.0)
    assert rgb["mean_class_accuracy"] == pytest.approx(7 / 18)
    # Sure of everything, and right in five of six.
    assert results["flow"] == {
        "top1": pytest.approx(5 / 6),
        "top5": 1.0,
        "mean_class_accuracy": pytest.approx((1 + 1 / 2 + 1) / 3),
        "ece": pytest.approx(1 / 6, abs=1e-9),
    }
    assert results["fused"]["top1"] == pytest.approx(5 / 6)
    confidence = metrics.softmax(RGB).max(1)
    right = np.array([1, 1, 0, 1, 0, 0])
    bins = np.ceil(confidence * 15)
    gaps = [abs((right - confidence)[bins == b].sum()) / 6 for b in range(1, 16)]
    assert rgb["ece"] == pytest.approx(sum(gaps), abs=1e-12)


def test_all_files_are_there(written):
    folder, _ = written
    pictures = [
        f"{what}_{name}.png"
        for what in ("confusion", "per_class")
        for name in ("rgb", "flow", "fused")
    ]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["results.json", "results.md", "scores.npz", "per_class.csv", "calibration.png"]
        + pictures
    )
    assert all(cv2.imread(str(folder / name)).std() > 5 for name in pictures)
    kept, names, about = load_scores(folder / "scores.npz")
    assert (kept.ids, names, about) == (scores().ids, NAMES, ABOUT)
    np.testing.assert_array_equal(kept.logits["flow"], FLOW)


def test_table_of_classes_as_csv(written):
    with open(written[0] / "per_class.csv", newline="", encoding="utf-8") as file:
        heads, *lines = csv.reader(file)
    assert heads[:5] == [
        "class",
        "videos",
        "rgb_accuracy",
        "rgb_taken_for",
        "rgb_times",
    ]
    assert heads[5::3] == ["flow_accuracy", "fused_accuracy"]
    assert [line[:6] for line in lines] == [
        ["jump", "3", "0.6667", "run, fast", "1", "1.0000"],
        ["run, fast", "2", "0.5000", "jump", "1", "0.5000"],
        ["Läufer", "1", "0.0000", "run, fast", "1", "1.0000"],
        ["none", "0", "", "", "0", ""],
    ]


def test_page(written):
    lines = (written[0] / "results.md").read_text("utf-8").splitlines()
    assert lines[0] == "# two_stream_folder/tiny, split test"
    assert lines[2] == (
        "6 videos; middle 9 frames, centre crop; float32. Of the listed videos: "
        "coverage not recorded."
    )
    assert lines[4] == "|  | top-1 | top-5 | mean class | calibration error |"
    assert lines[7] == "| flow | 83.3% | 100.0% | 83.3% | 16.7% |"
    assert "Fused: mean of logits, rgb : flow = 1 : 1." in lines
    assert not any("paper" in line for line in lines)


def test_lines_to_print(written):
    *_, flow, _, coverage = report.lines_of(written[1])
    assert flow == (
        "flow   top-1  83.3%  top-5 100.0%  mean class  83.3%  calibration error  16.7%"
    )
    assert coverage == "of test: coverage not recorded"


def test_a_published_data_set_is_set_beside_the_paper(tmp_path, monkeypatch):
    for module, name in (
        (charts, "class_table"),
        (report.pictures, "confusion_matrix"),
    ):
        monkeypatch.setattr(module, name, lambda *_: None)
    logits = np.eye(51, dtype=np.float32)
    one = Scores([str(i) for i in range(51)], np.arange(51), {"flow": logits})
    about = {**ABOUT, "dataset": "two_stream_hmdb51/split_1"}
    names = [f"class {i}" for i in range(51)]
    report.write_report(tmp_path, one, names, about, Fusion("probabilities"))
    text = (tmp_path / "results.md").read_text()
    assert "| **this run** | split 1 |  | 100.0 |  |" in text
    assert "| mean of 3 splits | 74.8 | 77.1 | 80.7 |" in text
    assert "- Protocol: middle 9 frames, centre crop here, 250 frames" in text
    assert "Fus" not in text  # of one stream there is nothing to fuse


def test_weights_stand_in_the_order_of_the_streams(tmp_path):
    fusion = Fusion("probabilities", {"flow": 0.0, "rgb": 2.0})
    names = ["a", "b", "c", "d"]
    results = report.write_report(tmp_path, scores(), names, ABOUT, fusion)
    assert list(results["weights"].items()) == [("rgb", 2.0), ("flow", 0.0)]
    # Flow weighs nothing.
    assert results["fused"] == pytest.approx(results["rgb"])


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, to look into them."""
    saved = []
    monkeypatch.setattr(charts.figures, "save", lambda f, path: saved.append(f))
    return saved


def texts(axes):
    return [text.get_text() for text in axes.texts]


def bars(axes):
    """The blue bars' lengths, as shares of the grey ones."""
    widths = [patch.get_width() for patch in axes.patches]
    return [width / max(widths) for width in widths]


def test_the_worst_class_is_first_and_those_without_videos_are_last(drawn):
    nan = float("nan")
    rows = [
        ClassRow("good", 4, 1.0, None, 0),
        ClassRow("none", 0, nan, None, 0),
        ClassRow("bad", 8, 0.25, "good", 5),
        ClassRow("half", 2, 0.5, "bad", 1),
    ]
    charts.class_table(rows, "unused", "rgb: top-1")
    (axes,) = drawn[0].axes
    assert texts(axes) == [
        *("class", "accuracy", "videos", "most often taken for"),
        *("bad", "25%", "8", "good", "5 ×"),
        *("half", "50%", "2", "bad", "1 ×"),
        *("good", "100%", "4"),
        *("none", "no videos", "0"),
    ]
    np.testing.assert_allclose(bars(axes), [1, 0.25, 1, 0.5, 1, 1, 1])


@pytest.mark.parametrize(
    ("classes", "columns"),
    [(3, [3]), (60, [60]), (101, [51, 50]), (400, [100] * 4), (700, [175] * 4)],
)
def test_many_classes_stand_in_columns_of_one_height(drawn, classes, columns):
    rows = [ClassRow(f"class {i}", 5, i / classes, None, 0) for i in range(classes)]
    charts.class_table(rows, "unused", "title")
    assert [len(texts(axes)) - 4 for axes in drawn[0].axes] == [3 * n for n in columns]
    assert texts(drawn[0].axes[-1])[-3] == f"class {classes - 1}"
    # A row is as high as its letters, 9 points or 0.125 inches, need.
    height = drawn[0].get_size_inches()[1] * drawn[0].axes[0].get_position().height
    assert height / columns[0] == pytest.approx(0.2)


def test_long_names_keep_to_their_place(drawn):
    long = "playing a musical instrument with both hands and feet " * 2
    charts.class_table([ClassRow(long, 1, 0.0, long, 1)], "unused", "title")
    (axes,) = drawn[0].axes
    name, confused = (text for text in axes.texts if "playing" in text.get_text())
    renderer = drawn[0].canvas.get_renderer()
    left, right = 0, drawn[0].bbox.width
    assert left < name.get_window_extent(renderer).x0
    assert confused.get_window_extent(renderer).x1 < right
    assert name.get_text().endswith("…") and len(name.get_text()) > 20


def test_a_table_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no classes; expected a row for each"):
        charts.class_table([], "unused", "title")


def test_calibration_shows_the_bins_that_have_videos(drawn):
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8]])
    found = metrics.reliability(probabilities, np.array([0, 1, 0]), bins=5)
    charts.reliability_diagram({"flow": found}, "unused", "title")
    upper, lower = drawn[0].axes
    ideal, flow = upper.lines
    assert ideal.get_xydata().tolist() == [[0, 0], [1, 1]]
    # (0.4, 0.6] has the first; (0.6, 0.8] the third, wrong; (0.8, 1] the second.
    np.testing.assert_allclose(flow.get_xydata(), [[0.6, 1], [0.8, 0], [0.9, 1]])
    assert flow.get_label() == f"flow: error {(0.4 + 0.8 + 0.1) / 3:.1%}"
    stairs = lower.patches[0].get_data()
    np.testing.assert_array_equal(stairs.values, [0, 0, 1, 1, 1])
