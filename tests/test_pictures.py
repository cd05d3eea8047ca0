"""Pictures as their readers see them: decoded again, and measured."""

import cv2
import numpy as np
import pytest
from matplotlib import colormaps, colors
from matplotlib.figure import Figure

from flow import visualize
from i3d_tf import curves, pictures

BLUES = colormaps["Blues"](np.arange(256), bytes=True)[:, :3]
EMPTY_ROW = [216, 216, 216]


def open_picture(path):
    """The picture `[H, W, 3]` uint8, RGB."""
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def near(picture, color, tolerance=0):
    return (np.abs(picture.astype(int) - color) <= tolerance).all(axis=-1)


def areas(picture, color, smallest, tolerance=0):
    """Connected areas of a colour: left, top, width, height of each, by left."""
    mask = near(picture, color, tolerance).astype(np.uint8)
    boxes = cv2.connectedComponentsWithStats(mask, connectivity=4)[2][1:]
    return sorted(tuple(map(int, b[:4])) for b in boxes if b[4] >= smallest)


def entry(epoch, streams=("rgb", "flow"), test=True, **more):
    train = {f"{name}_loss": 2 / epoch for name in streams}
    top1 = {f"{name}_top1": 1 - 1 / epoch for name in streams}
    if len(streams) == 2:
        top1["fused_top1"] = 1 - 0.5 / epoch
    rates = {name: 0.1 / epoch for name in streams}
    return {
        "epoch": epoch,
        "step": 12 * epoch,
        "learning_rate": rates,
        "train": train | top1,
        "test": top1 if test else None,
        "seconds": 1.0,
    } | more


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, to look into them."""
    saved = []
    monkeypatch.setattr(pictures.figures, "save", lambda f, path: saved.append(f))
    return saved


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_curves_show_what_was_measured(drawn):
    history = [entry(1, test=False), entry(2), entry(3, test=False)]
    pictures.training_curves(history, "unused")
    loss, top1, rate = drawn[0].axes
    assert lines(loss) == {
        f"{name}, train": [[1, 2], [2, 1], [3, 2 / 3]] for name in ("rgb", "flow")
    }
    assert set(lines(top1)) == {
        f"{name}, {split}"
        for name in ("rgb", "flow", "fused")
        for split in ("train", "test")
    }
    assert lines(top1)["fused, test"] == [[2, 0.75]]
    assert top1.lines[1].get_linestyle() == "-" != top1.lines[0].get_linestyle()
    assert lines(rate)["flow"] == [[1, 0.1], [2, 0.05], [3, 0.1 / 3]]


def test_class_curves(drawn):
    times, probabilities = [0.2, 0.5], [[0.25, 0.75], [0.5, 0.5]]
    pictures.class_curves(times, probabilities, ["$run", "swim"], "unused")
    (axes,) = drawn[0].axes
    assert lines(axes) == {
        "$run": [[0.2, 0.25], [0.5, 0.5]],
        "swim": [[0.2, 0.75], [0.5, 0.5]],
    }
    assert axes.get_ylim()[0] <= 0 and axes.get_ylim()[1] >= 1
    with pytest.raises(ValueError, match=r"shape \(2, 2\) for 3 times and 2 classes"):
        pictures.class_curves([1, 2, 3], probabilities, ["a", "b"], "unused")


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_curves_of_one_stream(drawn, stream):
    pictures.training_curves([entry(1, (stream,))], "unused")
    labels = {f"{stream}, train", f"{stream}, test"}
    assert set(lines(drawn[0].axes[1])) == labels
    # A single epoch is a point: without a marker it would not be seen.
    assert all(line.get_marker() == "o" for a in drawn[0].axes for line in a.lines)


def test_curves_have_the_test_loss(drawn):
    tested = {"rgb_loss": 1.5, "rgb_top1": 0.25, "rgb_top5": 0.75}
    pictures.training_curves([entry(1, ("rgb",)) | {"test": tested}], "unused")
    loss, top1, _ = drawn[0].axes
    assert lines(loss) == {"rgb, train": [[1, 2]], "rgb, test": [[1, 1.5]]}
    assert lines(top1) == {"rgb, train": [[1, 0]], "rgb, test": [[1, 0.25]]}


@pytest.mark.parametrize(
    "rates, limits",
    [
        ([0.1, 0.01, 0.0], (0.01 / 1.5, 0.15)),
        # What is far below the highest would leave no room for the others.
        ([0.1, 2e-5, 1e-12], (2e-5 / 1.5, 0.15)),
        ([0.02, 0.02, 0.02], (0.02 / 1.5, 0.03)),
    ],
)
def test_rates_have_a_logarithmic_axis(drawn, tmp_path, rates, limits):
    history = [
        entry(k + 1, ("rgb",)) | {"learning_rate": {"rgb": rate}}
        for k, rate in enumerate(rates)
    ]
    pictures.training_curves(history, "unused")
    axes = drawn[0].axes[2]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim() == pytest.approx(limits)
    drawn[0].savefig(tmp_path / "a.png")


def test_rates_of_zero_alone_have_a_plain_axis(drawn, tmp_path):
    nothing = {"learning_rate": {"rgb": 0.0}}
    pictures.training_curves([entry(1, ("rgb",)) | nothing], "unused")
    assert drawn[0].axes[2].get_yscale() == "linear"
    drawn[0].savefig(tmp_path / "a.png")


@pytest.mark.parametrize("first, scale", [(60.0, "log"), (20.0, "linear")])
def test_a_loss_far_off_flattens_no_others(drawn, first, scale):
    history = [entry(k, ("rgb",), test=False) for k in (1, 2, 3, 4)]
    history[0]["test"] = {"rgb_loss": first}
    pictures.training_curves(history, "unused")  # the median is 1
    assert drawn[0].axes[0].get_yscale() == scale


def test_updates_left_out_are_drawn_where_there_are_some(drawn):
    history = [entry(k, skipped={"rgb": k - 1, "flow": 0}) for k in (1, 2, 3)]
    pictures.training_curves(history[:1], "unused")
    assert len(drawn[0].axes) == 3
    pictures.training_curves(history, "unused")
    assert lines(drawn[1].axes[3]) == {
        "rgb": [[1, 0], [2, 1], [3, 2]],
        "flow": [[1, 0], [2, 0], [3, 0]],
    }


def test_curves_are_a_picture(tmp_path):
    path = tmp_path / "curves.png"
    pictures.training_curves([entry(1), entry(2), entry(3)], path)
    picture = open_picture(path)
    for stream in ("rgb", "flow", "fused"):
        color = curves.COLORS[stream]
        ink = np.rint(255 * np.array(colors.to_rgb(color)))
        assert near(picture, ink).sum() > 500
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_wrong_history_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="history is empty"):
        pictures.training_curves([], tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"history\[1\] lacks \['test'\]"):
        pictures.training_curves(
            [entry(1), {k: v for k, v in entry(2).items() if k != "test"}],
            tmp_path / "x.png",
        )


def test_perfect_classifier_has_a_dark_diagonal(tmp_path):
    path = tmp_path / "matrix.png"
    labels = np.array([0, 1, 1, 2, 2, 2])
    pictures.confusion_matrix(labels, labels, ["a", "b", "c"], path, "title")
    picture = open_picture(path)
    cells = areas(picture, BLUES[-1], smallest=3000)
    assert len(cells) == 3
    left, top, width, height = cells[0]
    assert abs(width - height) <= 2
    for row, cell in enumerate(cells):
        expected = left + row * width, top + row * height, width, height
        np.testing.assert_allclose(cell, expected, atol=3)
        for column in range(3):
            # A quarter into the cell, where its count is not.
            y = top + (4 * row + 1) * height // 4
            x = left + (4 * column + 1) * width // 4
            expected = BLUES[-1 if row == column else 0]
            assert picture[y, x].tolist() == expected.tolist()


def test_rows_are_the_true_classes_and_shares_of_them(tmp_path):
    path = tmp_path / "matrix.png"
    labels, predictions = np.array([0, 0, 0, 0, 2]), np.array([1, 1, 1, 1, 0])
    pictures.confusion_matrix(labels, predictions, ["a", "b", "c"], path, "title")
    picture = open_picture(path)
    (empty,) = areas(picture, EMPTY_ROW, smallest=3000)
    below, above = areas(picture, BLUES[-1], smallest=3000)
    # One video or four: the colour is the share. The class without one is grey.
    size = empty[3]
    np.testing.assert_allclose(empty[2], 3 * size, atol=3)
    np.testing.assert_allclose(below[:2], (empty[0], empty[1] + size), atol=3)
    np.testing.assert_allclose(above[:2], (empty[0] + size, empty[1] - size), atol=3)


@pytest.mark.parametrize(
    ("classes", "names", "counts"),
    [(20, True, True), (21, True, False), (60, True, False), (101, False, False)],
)
def test_what_is_written_depends_on_the_number_of_classes(
    drawn, classes, names, counts
):
    labels = np.arange(classes)
    written = [f"Übung ${index}$" for index in labels]
    pictures.confusion_matrix(labels, labels, written, "unused", "title")
    axes = drawn[0].axes[0]
    ticks = [text.get_text() for text in axes.get_yticklabels()]
    assert (ticks == written) == names
    assert [text.get_text() for text in axes.texts] == ["1"] * classes * counts


def test_matrix_of_400_classes_shows_its_diagonal(tmp_path):
    path = tmp_path / "matrix.png"
    labels = np.arange(400)
    pictures.confusion_matrix(labels, labels, [f"c{i}" for i in labels], path, "title")
    # Two pixels or more to each cell, or some would be lost.
    assert near(open_picture(path), BLUES[-1]).sum() >= 4 * 400


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([], [], r"shape \(0,\)"),
        ([0, 1], [0], r"shape \(2,\), predictions \(1,\)"),
        ([0, 2], [0, 1], r"labels are in 0..2; expected 0..1 for 2 class names"),
        ([0, 1], [-1, 1], r"predictions are in -1..1"),
        ([0, 1], [0.5, 1], "predictions have dtype float64; expected integers"),
    ],
)
def test_wrong_labels_are_an_error(tmp_path, labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        pictures.confusion_matrix(labels, predictions, "ab", tmp_path / "x.png", "t")
    assert not list(tmp_path.iterdir())


def test_sheet_shows_six_frames_and_their_flow(tmp_path):
    path = tmp_path / "sheet.png"
    rgb = np.zeros((11, 60, 80, 3), np.uint8)
    flow = np.zeros((11, 60, 80, 2), np.float32)
    for frame in range(11):
        rgb[frame], flow[frame, ..., 0] = 10 * frame + 5, frame + 1
    pictures.sample_sheet([("a clip", rgb, flow)], path)
    picture = open_picture(path)
    frames = [areas(picture, [10 * f + 5] * 3, smallest=20000) for f in range(11)]
    assert [len(found) for found in frames] == [1, 0] * 5 + [1]
    boxes = [found[0] for found in frames if found]
    assert boxes == sorted(boxes) and len({box[1] for box in boxes}) == 1
    for step, (left, top, width, height) in zip(range(0, 11, 2), boxes, strict=True):
        expected = visualize.flow_to_color(flow[step], 11.0)[0, 0]
        # The flow of a frame is straight below it, as large.
        below = picture[top + height * 3 // 2, left + width // 2]
        np.testing.assert_allclose(below, expected, atol=2)


def test_clips_of_a_sheet_share_the_scale(tmp_path):
    path = tmp_path / "sheet.png"
    gray = np.full((1, 60, 80, 3), 99, np.uint8)
    fast, slow = np.zeros((2, 1, 60, 80, 2), np.float32)
    fast[..., 0], slow[..., 0] = 8, 2
    pictures.sample_sheet([("fast", gray, fast), ("slow", gray, slow)], path)
    picture = open_picture(path)
    assert len(areas(picture, [255, 0, 0], smallest=20000, tolerance=1)) == 1
    assert len(areas(picture, [255, 191, 191], smallest=20000, tolerance=1)) == 1


def test_a_sheet_without_flow_is_frames_alone(tmp_path):
    gray = np.full((1, 60, 80, 3), 99, np.uint8)
    path, flow = tmp_path / "sheet.png", np.ones((1, 60, 80, 2), np.float32)
    pictures.sample_sheet([("a", gray, None), ("b", gray, flow)], path)
    first, second = areas(open_picture(path), [99] * 3, smallest=20000)
    whole = len(open_picture(path))
    pictures.sample_sheet([("a", gray, None)], path)
    picture = open_picture(path)
    (box,) = areas(picture, [99] * 3, smallest=20000)
    # The second clip begins where the first one's frames end, and no legend follows.
    assert np.allclose(box, first, atol=2) and second[1] - first[1] < 1.8 * first[3]
    assert len(picture) < first[1] + 1.3 * first[3] < whole / 2


def test_wrong_clips_are_an_error(tmp_path):
    rgb = np.zeros((5, 60, 80, 3), np.uint8)
    flow = np.zeros((5, 60, 80, 2), np.float32)
    path = tmp_path / "x.png"
    with pytest.raises(ValueError, match="clips is empty"):
        pictures.sample_sheet([], path)
    with pytest.raises(ValueError, match=r"'a': rgb has shape \(60, 80, 3\); expected"):
        pictures.sample_sheet([("a", rgb[0], flow)], path)
    with pytest.raises(ValueError, match="'a': rgb has dtype float64; expected uint8"):
        pictures.sample_sheet([("a", rgb / 255, flow)], path)
    with pytest.raises(ValueError, match=r"flow has shape \(4, 60, 80, 2\); expected"):
        pictures.sample_sheet([("a", rgb, flow[1:])], path)


def test_picture_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fail(figure, path, **options):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="no space left"):
        pictures.training_curves([entry(1)], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())
