"""The paper's figures, and what is said beside them."""

import pytest

from i3d_tf.evaluation import published

RESULTS = {
    "dataset": "two_stream_ucf101/split_1",
    "protocol": {"name": "full", "num_frames": 250, "clips": 1, "crops": 1},
    "protocol_text": "first 250 frames, centre crop",
    "fusion": "logits",
    "weights": {"rgb": 1.0, "flow": 1.0},
    "coverage": {"listed": 3783, "used": 3783},
    "rgb": {"top1": 0.951, "top5": 0.99},
    "flow": {"top1": 0.96789, "top5": 0.99},
    "fused": {"top1": 0.98, "top5": 0.999},
}
NOT_ALIKE = "Not made alike, which may be why figures differ:"


def compare(of_videos="split 1", num_classes=101, **changes):
    return published.comparison({**RESULTS, **changes}, num_classes, of_videos)


def test_results_stand_beside_the_papers():
    lines = compare()
    assert lines[4:] == [
        "| | tested on | RGB | flow | both |",
        "|---|---|---|---|---|",
        "| **this run** | split 1 | 95.1 | 96.8 | 98.0 |",
        "| paper, ImageNet + Kinetics, fine-tuned | mean of 3 splits | 95.6 | 96.7 "
        "| 98.0 |",
        "| paper, ImageNet + Kinetics, fine-tuned | split 1 |  |  | 98.0 |",
        "| paper, ImageNet + Kinetics, only the classifier | split 1 |  |  | 97.7 |",
        "| paper, from scratch | split 1 | 50-60 | about 80 | 88.8 |",
    ]
    assert "arXiv:1705.07750" in lines[2]


def test_kinetics_has_top_5_too():
    lines = compare("Kinetics-400", 400, dataset="two_stream_kinetics/k400")
    assert (
        "| **this run** | Kinetics-400 | 95.1 / 99.0 | 96.8 / 99.0 | 98.0 / 99.9 |"
        in (lines)
    )
    assert lines[-2:] == [
        "| paper, ImageNet + Kinetics | Kinetics-400 | 71.1 / 89.3 | 63.4 / 84.9 "
        "| 74.2 / 91.3 |",
        "| paper, Kinetics from scratch | Kinetics-400 | 68.4 / 88.0 | 61.5 / 83.4 "
        "| 71.6 / 90.0 |",
    ]


def test_hmdb51_and_a_single_stream():
    results = {key: value for key, value in RESULTS.items() if key != "fused"}
    del results["flow"]
    results["dataset"] = "two_stream_hmdb51/split_2"
    lines = published.comparison(results, 51, "split 2")
    assert lines[6:8] == [
        "| **this run** | split 2 | 95.1 |  |  |",
        "| paper, ImageNet + Kinetics, fine-tuned | mean of 3 splits | 74.8 | 77.1 "
        "| 80.7 |",
    ]
    assert lines[8:] == [
        "",
        NOT_ALIKE,
        "",
        "- Videos: split 2 here, another split or mean in the paper.",
    ]


@pytest.mark.parametrize(
    ("dataset", "num_classes"),
    [
        ("two_stream_folder/mine", 101),
        ("two_stream_ucf101/split_1", 9),  # the demo
        ("two_stream_kinetics/k600", 600),
        ("two_stream_kinetics/part", 101),
    ],
)
def test_other_data_sets_are_not_compared(dataset, num_classes):
    assert compare(dataset=dataset, num_classes=num_classes) == []


CENTER = {"name": "center", "num_frames": 64, "clips": 1, "crops": 1}
LONGER = {"name": "full", "num_frames": None, "clips": 1, "crops": 1}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"protocol": CENTER, "protocol_text": "middle 64 frames, centre crop"},
            "Protocol: middle 64 frames, centre crop here, 250 frames in the paper, "
            "convolutional in time (`--protocol full`); 64 frames cost accuracy.",
        ),
        (
            {"protocol": LONGER, "protocol_text": "all frames, centre crop"},
            "Protocol: all frames, centre crop here, 250 frames in the paper.",
        ),
        (
            {"fusion": "probabilities"},
            "Fusion: mean of probabilities with weights rgb 1, flow 1 here, 1:1 of "
            "logits in the paper.",
        ),
        (
            {"weights": {"rgb": 1.0, "flow": 1.5}},
            "Fusion: mean of logits with weights rgb 1, flow 1.5 here, 1:1 of logits "
            "in the paper.",
        ),
        (
            {"coverage": {"listed": 3783, "used": 3700}},
            "Videos: 3700 of 3783 listed ones were used.",
        ),
        (
            {"coverage": None},
            "Videos: how many of the listed ones there were is not recorded.",
        ),
        (
            {"of_videos": "split 1, training videos"},
            "Videos: split 1, training videos here, another split or mean in the "
            "paper.",
        ),
    ],
)
def test_what_is_not_alike_is_said(changes, line):
    assert compare(**changes)[-3:] == [NOT_ALIKE, "", f"- {line}"]


def test_equal_weights_are_the_papers_whatever_they_are():
    assert NOT_ALIKE not in compare(weights={"rgb": 0.5, "flow": 0.5})


@pytest.mark.parametrize(
    ("dataset", "split", "text"),
    [
        ("two_stream_ucf101/split_3", "test", "split 3"),
        ("two_stream_hmdb51/split_1", "train", "split 1, training videos"),
        ("two_stream_kinetics/k400", "val", "Kinetics-400"),
    ],
)
def test_what_results_are_of(dataset, split, text):
    assert published.tested_on(dataset, split) == text
