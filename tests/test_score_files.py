"""Saved scores: what comes back, how two files are matched, and what is refused."""

import numpy as np
import pytest

from i3d_tf.evaluation import Scores
from i3d_tf.evaluation.score_files import join_scores, load_scores, save_scores

NAMES = ["jump", "Läufer", "跑"]
IDS = ["jump/a.avi", "跑/b c.avi", "Läufer/ü.avi", "jump/d.avi"]
LABELS = np.array([0, 2, 1, 0])
ABOUT = {
    "dataset": "two_stream_folder/tiny",
    "split": "test",
    "protocol": {"name": "center", "num_frames": 9, "clips": 1, "crops": 1},
    "dtype": "float32",
}
RGB = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
FLOW = -RGB * 3


def save(path, stream, logits, order=(0, 1, 2, 3), *, views=False, **changes):
    """The scores of a stream, its videos in some order."""
    order = list(order)
    probabilities = {stream: (logits / 10)[order].astype(np.float64)} if views else None
    fields = {
        "scores": Scores(
            [IDS[i] for i in order],
            LABELS[order],
            {stream: logits[order]},
            probabilities,
        ),
        "class_names": NAMES,
        "about": ABOUT,
        **changes,
    }
    save_scores(path, **fields)
    return path


@pytest.mark.parametrize("views", [False, True])
def test_what_is_saved_comes_back(tmp_path, views):
    path = save(tmp_path / "scores.npz", "rgb", RGB, views=views)
    scores, names, about = load_scores(path)
    assert (scores.ids, names, about) == (IDS, NAMES, ABOUT)
    np.testing.assert_array_equal(scores.labels, LABELS, strict=True)
    np.testing.assert_array_equal(scores.logits["rgb"], RGB, strict=True)
    assert list(scores.logits) == ["rgb"]
    if views:
        expected = (RGB / 10).astype(np.float64)
        np.testing.assert_array_equal(scores.probabilities["rgb"], expected)
    else:
        assert scores.probabilities is None
    assert [p.name for p in tmp_path.iterdir()] == ["scores.npz"]


@pytest.mark.parametrize("views", [False, True])
def test_videos_are_matched_by_their_ids(tmp_path, views):
    # In the order of results, whatever comes first.
    flow = save(tmp_path / "flow.npz", "flow", FLOW, (2, 0, 3, 1), views=views)
    rgb = save(tmp_path / "rgb.npz", "rgb", RGB, views=views)
    scores, names, about = join_scores([flow, rgb])
    assert (names, about) == (NAMES, ABOUT)
    assert list(scores.logits) == ["rgb", "flow"]
    rows = [IDS.index(id_) for id_ in scores.ids]
    assert rows == [2, 0, 3, 1]
    np.testing.assert_array_equal(scores.labels, LABELS[rows])
    np.testing.assert_array_equal(scores.logits["rgb"], RGB[rows])
    np.testing.assert_array_equal(scores.logits["flow"], FLOW[rows])
    if views:
        assert list(scores.probabilities) == ["rgb", "flow"]
        np.testing.assert_allclose(scores.probabilities["rgb"], RGB[rows] / 10)


def test_one_file_is_enough(tmp_path):
    scores, *_ = join_scores([save(tmp_path / "a.npz", "rgb", RGB)])
    np.testing.assert_array_equal(scores.logits["rgb"], RGB)


def test_types_of_the_computation_are_both_told(tmp_path):
    rgb = save(tmp_path / "rgb.npz", "rgb", RGB)
    about = {**ABOUT, "dtype": "mixed_bfloat16"}
    flow = save(tmp_path / "flow.npz", "flow", FLOW, about=about)
    assert join_scores([rgb, flow])[2]["dtype"] == "float32, mixed_bfloat16"


def changed(**changes):
    fields = {"ids": IDS, "labels": LABELS, "logits": {"flow": FLOW}, **changes}
    return {"scores": Scores(**fields)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (changed(logits={"rgb": RGB}), "both have the stream rgb"),
        ({"class_names": ["jump", "x", "跑"]}, "class 1 is 'x' and 'Läufer'"),
        (
            {
                "class_names": NAMES[:2],
                "scores": Scores(IDS, LABELS % 2, {"flow": FLOW[:, :2]}),
            },
            "2 and 3 class names",
        ),
        (
            changed(ids=[*IDS[:3], "e"]),
            "differ in videos: 1 only in the first, 1 only in the second; "
            "'jump/d.avi' is only in the second",
        ),
        (
            changed(
                ids=[*IDS, "e"],
                labels=np.array([*LABELS, 0]),
                logits={"flow": np.zeros([5, 3], np.float32)},
            ),
            "differ in videos: 1 only in the first, 0 only in the second; 'e' is only "
            "in the first",
        ),
        (
            changed(labels=np.array([0, 2, 2, 1])),
            "differ in the labels of 2 videos, 'Läufer/ü.avi' for one",
        ),
        (
            {"about": {**ABOUT, "protocol": {"name": "full"}}},
            r"differ in protocol: {'name': 'full'} and {'name': 'center', ",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, changes, message):
    rgb = save(tmp_path / "rgb.npz", "rgb", RGB)
    flow = save(tmp_path / "flow.npz", "flow", FLOW, **changes)
    with pytest.raises(ValueError, match=f"^{flow} and {rgb}: {message}"):
        join_scores([rgb, flow])


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "scores.npz"
    with pytest.raises(ValueError, match=f"^{path}: no such file; evaluate leaves"):
        load_scores(path)
    for content in (b"", b"text", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{path}: (is no|lacks)"):
            load_scores(path)
    np.savez(path, ids=np.array([{}], object), labels=[0])
    with pytest.raises(ValueError, match=f"^{path}: is no scores.npz"):
        load_scores(path)
    np.savez(path, ids=["a"], labels=[0], rgb_logits=[[1.0]])
    with pytest.raises(
        ValueError, match=f"^{path}: lacks class_names, about; .* anew$"
    ):
        load_scores(path)
    np.save(tmp_path / "one", np.zeros(3))
    with pytest.raises(ValueError, match="one.npy: is no scores.npz"):
        load_scores(tmp_path / "one.npy")


def test_cut_files_are_refused(tmp_path):
    path = save(tmp_path / "scores.npz", "rgb", RGB)
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=f"^{path}: "):
            load_scores(path)


def test_files_at_odds_with_themselves_are_refused(tmp_path):
    path = tmp_path / "scores.npz"
    save(path, "rgb", RGB[:, :2])
    with pytest.raises(
        ValueError, match=r"rgb has shape \(4, 2\), .*expected \(4, 3\)"
    ):
        load_scores(path)
    save(path, "rgb", RGB, **changed(ids=["a", "b", "a", "c"]))
    with pytest.raises(ValueError, match=f"^{path}: names a video twice$"):
        load_scores(path)
