"""Three splits: what is trained, what is used again, and the mean."""

import dataclasses
import json

import numpy as np
import pytest
import tiny

from i3d_tf import protocols
from i3d_tf.evaluation import Fusion, Scores, splits

# Of four videos each, three of the first class: right in rgb and flow of each split.
LABELS = np.array([0, 0, 0, 1])
RIGHT = {
    1: {"rgb": [1, 1, 1, 1], "flow": [1, 0, 0, 0]},
    2: {"rgb": [1, 0, 1, 0], "flow": [1, 1, 1, 1]},
    3: {"rgb": [0, 0, 0, 1], "flow": [1, 1, 0, 1]},
}
NAMES = ["jump", "run"]


def config(dataset="two_stream_ucf101/split_1", **changes):
    base = tiny.config(**changes)
    return dataclasses.replace(
        base, data=dataclasses.replace(base.data, dataset=dataset)
    )


@pytest.fixture
def work(monkeypatch):
    """What was done, in place of training and running networks."""
    done = []

    def train(config, workdir, data_dir, strategy=None):
        number = int(config.data.dataset[-1])
        assert workdir.name == f"split_{number}" and data_dir == "data"
        done.append(f"train {number}")
        workdir.mkdir(parents=True, exist_ok=True)
        figures = {"rgb_loss": 1 / (number + work.runs), "rgb_top1": 0.5}
        return [
            {
                "epoch": 1,
                "step": 4,
                "learning_rate": {"rgb": 0.1},
                "train": figures,
                "test": figures,
                "skipped": {"rgb": 0},
            }
        ]

    def evaluate_runs(workdirs, data_dir, make_protocol, *, batch_size, dtype):
        (workdir,) = workdirs
        number = int(workdir.name[-1])
        done.append(f"evaluate {number} by {batch_size}")
        logits = {
            name: np.float32([[2 * r - 1, 1 - 2 * r] for r in right])
            * np.where(LABELS, -1, 1)[:, None].astype(np.float32)
            * {"rgb": 1, "flow": 3}[name]
            for name, right in RIGHT[number].items()
        }
        protocol = make_protocol(9)
        about = {
            "dataset": f"two_stream_ucf101/split_{number}",
            "split": "test",
            "protocol": dataclasses.asdict(protocol),
            "protocol_text": protocols.describe(protocol),
            "dtype": dtype,
            "coverage": {
                "listed": 10,
                "present": 8,
                "used": 4 + number,
                "damaged": 0,
                "classes": 2,
                "unused_classes": [],
            },
        }
        return Scores([*"abcd"], LABELS, logits), NAMES, about

    def open_dataset(data_dir, name):
        if name not in work.built:
            raise ValueError(f"{data_dir}: no data set {name!r}")

    class Work:
        runs = 0
        built = [f"two_stream_ucf101/split_{number}" for number in (1, 2, 3)]

    work = Work()
    work.done = done
    monkeypatch.setattr(splits, "train", train)
    monkeypatch.setattr(splits, "evaluate_runs", evaluate_runs)
    monkeypatch.setattr(splits, "open_dataset", open_dataset)
    for module, name in (
        (splits.report.pictures, "confusion_matrix"),
        (splits.report.charts, "class_table"),
        (splits.report.charts, "reliability_diagram"),
    ):
        monkeypatch.setattr(module, name, lambda *_: None)
    return work


def run(workdir, make=protocols.center, **options):
    return splits.run_splits(config(), workdir, "data", make, **options)


ALL = [
    f"{what} {n}{by}"
    for n in (1, 2, 3)
    for what, by in (("train", ""), ("evaluate", " by 4"))
]


def test_mean_of_three_splits(work, tmp_path):
    found = run(tmp_path)
    assert work.done == ALL
    assert json.loads((tmp_path / "mean.json").read_text("utf-8")) == found
    assert (found["dataset"], found["splits"]) == ("two_stream_ucf101", [1, 2, 3])
    # Flow is surer, and so decides the fusion.
    assert found["mean"]["rgb"]["top1"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert found["mean"]["flow"]["top1"] == pytest.approx((1 / 4 + 1 + 3 / 4) / 3)
    assert found["mean"]["fused"]["top1"] == found["mean"]["flow"]["top1"]
    classes = (1 / 2 * 1 / 3, 1, 1 / 2 * (2 / 3 + 1))
    assert found["mean"]["flow"]["mean_class_accuracy"] == pytest.approx(
        sum(classes) / 3
    )
    assert found["mean"]["coverage"] == {"listed": 30, "present": 24, "used": 18}
    kept = json.loads((tmp_path / "split_2/evaluation/results.json").read_text())
    assert kept == found["split_2"]
    assert (tmp_path / "mean.md").read_text().splitlines() == [
        "# two_stream_ucf101: mean of 3 splits",
        "",
        "Top-1 and mean class accuracy in percent; middle 9 frames, centre crop.",
        "",
        "|  | rgb | flow | fused |",
        "| --- | --- | --- | --- |",
        "| split 1 | 100.0 / 100.0 | 25.0 / 16.7 | 25.0 / 16.7 |",
        "| split 2 | 50.0 / 33.3 | 100.0 / 100.0 | 100.0 / 100.0 |",
        "| split 3 | 25.0 / 50.0 | 75.0 / 83.3 | 75.0 / 83.3 |",
        "| **mean of 3 splits** | 58.3 / 61.1 | 66.7 / 66.7 | 66.7 / 66.7 |",
        "",
    ]


def test_scores_of_the_same_networks_are_used_again(work, tmp_path):
    first = run(tmp_path)
    work.done.clear()
    assert run(tmp_path) == first
    assert work.done == ["train 1", "train 2", "train 3"]
    # Another fusion needs no network either.
    weights = {"rgb": 4.0, "flow": 1.0}
    again = run(tmp_path, fusion=Fusion("logits", weights))
    assert again["mean"]["fused"]["top1"] == first["mean"]["rgb"]["top1"]
    assert work.done == 2 * ["train 1", "train 2", "train 3"]


def test_other_networks_protocols_and_types_are_evaluated_anew(work, tmp_path):
    run(tmp_path)
    for change, options in (
        ({}, {"make": lambda _: protocols.full(20)}),
        ({}, {"make": lambda _: protocols.full(20), "dtype": "mixed_bfloat16"}),
        (
            {"runs": 1},
            {"make": lambda _: protocols.full(20), "dtype": "mixed_bfloat16"},
        ),
    ):
        work.done.clear()
        vars(work).update(change)
        run(tmp_path, **options)
        assert work.done == ALL


def test_damaged_scores_are_made_anew(work, tmp_path):
    run(tmp_path)
    (tmp_path / "split_3/evaluation/scores.npz").write_bytes(b"half")
    work.done.clear()
    run(tmp_path, batch_size=2)
    assert work.done == ["train 1", "train 2", "train 3", "evaluate 3 by 2"]


def test_fewer_splits_are_no_mean_of_the_data_set(work, tmp_path):
    found = run(tmp_path, numbers=(1, 3))
    assert found["splits"] == [1, 3] and "split_2" not in found
    assert found["mean"]["rgb"]["top1"] == pytest.approx((1 + 1 / 4) / 2)
    lines = (tmp_path / "mean.md").read_text().splitlines()
    assert lines[0] == "# two_stream_ucf101: mean of splits 1, 3"
    assert "Only 2 of the 3 splits: no mean of the data set." in lines


def test_the_mean_stands_beside_the_papers(work, tmp_path):
    found = run(tmp_path)
    lines = splits.lines_of(found, 101)
    assert "| **this run** | mean of 3 splits | 58.3 | 66.7 | 66.7 |" in lines
    assert lines[-1] == "- Videos: 18 of 30 listed ones were used."
    found = run(tmp_path, numbers=(2,))
    assert splits.lines_of(found, 101)[-2:] == [
        "- Videos: mean of split 2 here, another split or mean in the paper.",
        "- Videos: 6 of 10 listed ones were used.",
    ]


def test_what_is_missing_is_noticed_before_the_training(work, tmp_path):
    work.built.remove("two_stream_ucf101/split_3")
    with pytest.raises(ValueError, match="no data set 'two_stream_ucf101/split_3'"):
        run(tmp_path)
    with pytest.raises(ValueError, match="weights are of rgb, the streams are rgb, f"):
        run(tmp_path, numbers=(1,), fusion=Fusion("logits", {"rgb": 1.0}))
    assert work.done == []


def test_the_config_is_put_on_the_split():
    for given in ("two_stream_hmdb51/split_1", "two_stream_hmdb51/split_3"):
        one = splits.config_of_split(config(given, steps=7), 2)
        assert one.data.dataset == "two_stream_hmdb51/split_2"
        assert one == config("two_stream_hmdb51/split_2", steps=7)


def test_a_data_set_without_splits_is_refused():
    with pytest.raises(ValueError, match="data.dataset is 'two_stream_folder/tiny'; e"):
        splits.config_of_split(tiny.config(), 1)
