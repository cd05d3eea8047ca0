"""HMDB51's official lists."""

import re

import pytest
from tiny_datasets import touch, write_lines

from i3d_tf.datasets.hmdb51.listing import list_hmdb51
from i3d_tf.datasets.listing import Listed

# Names as HMDB51 has them; its lines end in a space.
HAND = "#437_How_To_[2]_clap_u_cm_np1_fr_med_1.avi"


@pytest.fixture
def hmdb51(tmp_path):
    """(videos, lists) of two classes with splits 1 and 2."""
    videos, lists = tmp_path / "hmdb51", tmp_path / "testTrainMulti_7030_splits"
    touch(videos, f"clap/{HAND}", "clap/b.avi", "clap/C.avi", "brush_hair/a b.avi")
    touch(videos, "brush_hair/x.avi")
    for split, uses in ((1, "120"), (2, "201")):
        names = (HAND, "b.avi", "c.avi")
        lines = [f"{name} {use} " for name, use in zip(names, uses, strict=True)]
        write_lines(lists / f"clap_test_split{split}.txt", lines)
        path = lists / f"brush_hair_test_split{split}.txt"
        write_lines(path, ["a b.avi 1 ", "x.avi 2 "], "\r\n")
    return videos, lists


def test_the_numbers_are_the_splits(hmdb51):
    brush = [
        Listed("brush_hair/a b.avi", "brush_hair", "train"),
        Listed("brush_hair/x.avi", "brush_hair", "test"),
    ]
    first, second = (list_hmdb51(*hmdb51, split) for split in (1, 2))
    assert first.labels == second.labels == ["brush_hair", "clap"]
    assert first.videos == [
        *brush,
        Listed(f"clap/{HAND}", "clap", "train"),
        Listed("clap/b.avi", "clap", "test"),
    ]
    # As it is spelt in the folder.
    assert second.videos == [
        *brush,
        Listed(f"clap/{HAND}", "clap", "test"),
        Listed("clap/C.avi", "clap", "train"),
    ]


def test_what_is_not_there_is_listed(hmdb51):
    videos, lists = hmdb51
    (videos / "clap/b.avi").unlink()
    assert Listed("clap/b.avi", "clap", "test") in list_hmdb51(videos, lists, 1).videos


def test_no_lists_are_refused(hmdb51):
    videos, lists = hmdb51
    with pytest.raises(ValueError, match="splits: no lists <class>_test_split3.txt"):
        list_hmdb51(videos, lists, 3)
    with pytest.raises(ValueError, match="none: no lists"):
        list_hmdb51(videos, lists / "none", 1)


@pytest.mark.parametrize("line", ["b.avi 3", "b.avi", "2", "b.avi\t1"])
def test_wrong_lines_are_named(hmdb51, line):
    path = write_lines(hmdb51[1] / "clap_test_split1.txt", ["", f"{HAND} 1", line])
    message = f"{path}:3: is {line!r}; expected '<video> <0, 1 or 2>'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list_hmdb51(*hmdb51, 1)


def test_listed_twice_names_both_lines(hmdb51):
    path = hmdb51[1] / "clap_test_split1.txt"
    write_lines(path, [f"{HAND} 1", "b.avi 0", "b.avi 2", f"{HAND} 2"])
    message = f"{path}:4: clap/{HAND} is listed already at {path}:1 as split 'train'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list_hmdb51(*hmdb51, 1)


def test_a_class_that_is_never_trained_is_refused(hmdb51):
    write_lines(hmdb51[1] / "clap_test_split1.txt", [f"{HAND} 2", "b.avi 2"])
    with pytest.raises(ValueError, match="no training video of clap"):
        list_hmdb51(*hmdb51, 1)
