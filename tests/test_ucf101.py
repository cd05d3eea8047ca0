"""UCF101's official lists."""

import re

import pytest
from tiny_datasets import touch, write_lines

from i3d_tf.datasets.listing import Listed
from i3d_tf.datasets.ucf101.listing import list_ucf101

# In UCF101's own order. Sorted folder names would swap the first two, and the last.
CLASSES = ["Hammering", "HammerThrow", "HandstandPushups", "JumpingJack", "JumpRope"]


def clip(label, group, spelling=None):
    return f"{label}/v_{spelling or label}_g{group:02}_c01.avi"


@pytest.fixture
def ucf101(tmp_path):
    """(videos, lists) of five classes; group 1 is for testing, 8 and 9 train."""
    videos, lists = tmp_path / "UCF-101", tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    for label in CLASSES:
        spelling = label.replace("HandstandP", "HandStandP")
        touch(videos, *(clip(label, group, spelling) for group in (1, 8, 9)))
    numbered = list(enumerate(CLASSES, 1))
    # As UCF101's own: CRLF, and an empty line at the end.
    classes = [f"{k} {label}" for k, label in numbered]
    write_lines(lists / "classInd.txt", [*classes, ""], "\r\n")
    train = [f"{clip(label, g)} {k}" for k, label in numbered for g in (8, 9)]
    test = [clip(label, 1) for label in CLASSES]
    write_lines(lists / "trainlist02.txt", [*train, ""], "\r\n")
    write_lines(lists / "testlist02.txt", [*test, ""], "\r\n")
    return videos, lists


def append(path, line):
    with open(path, "ab") as file:
        file.write(f"{line}\r\n".encode())


def test_labels_are_in_the_order_of_class_ind(ucf101):
    labels, videos = list_ucf101(*ucf101, 2)
    assert labels == CLASSES
    assert sorted(CLASSES) != CLASSES
    handstand = "HandstandPushups/v_HandStandPushups_g"
    assert videos == [
        Listed("Hammering/v_Hammering_g08_c01.avi", "Hammering", "train"),
        Listed("Hammering/v_Hammering_g09_c01.avi", "Hammering", "train"),
        Listed("HammerThrow/v_HammerThrow_g08_c01.avi", "HammerThrow", "train"),
        Listed("HammerThrow/v_HammerThrow_g09_c01.avi", "HammerThrow", "train"),
        Listed(f"{handstand}08_c01.avi", "HandstandPushups", "train"),
        Listed(f"{handstand}09_c01.avi", "HandstandPushups", "train"),
        Listed("JumpingJack/v_JumpingJack_g08_c01.avi", "JumpingJack", "train"),
        Listed("JumpingJack/v_JumpingJack_g09_c01.avi", "JumpingJack", "train"),
        Listed("JumpRope/v_JumpRope_g08_c01.avi", "JumpRope", "train"),
        Listed("JumpRope/v_JumpRope_g09_c01.avi", "JumpRope", "train"),
        Listed("Hammering/v_Hammering_g01_c01.avi", "Hammering", "test"),
        Listed("HammerThrow/v_HammerThrow_g01_c01.avi", "HammerThrow", "test"),
        Listed(f"{handstand}01_c01.avi", "HandstandPushups", "test"),
        Listed("JumpingJack/v_JumpingJack_g01_c01.avi", "JumpingJack", "test"),
        Listed("JumpRope/v_JumpRope_g01_c01.avi", "JumpRope", "test"),
    ]


def test_spelling_of_the_lists_is_found_in_other_folders(ucf101):
    videos, lists = ucf101
    (videos / "HandstandPushups").rename(videos / "HandStandPushups")
    listed = list_ucf101(videos, lists, 2).videos[4]
    assert listed == Listed(
        "HandStandPushups/v_HandStandPushups_g08_c01.avi", "HandstandPushups", "train"
    )


def test_lists_what_is_not_there(ucf101):
    # It ends in the coverage, as lost.
    videos, lists = ucf101
    (videos / clip("JumpRope", 8)).unlink()
    assert (
        Listed(clip("JumpRope", 8), "JumpRope", "train")
        in list_ucf101(videos, lists, 2).videos
    )


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("trainlist02.txt", "Diving/v_Diving_g08_c01.avi 6", "12: label 'Diving' is"),
        ("testlist02.txt", "Diving/v_Diving_g01_c01.avi", "7: label 'Diving' is not"),
        (
            "trainlist02.txt",
            "JumpRope/v_JumpRope_g10_c01.avi 4",
            "12: label 4 of JumpRope/v_JumpRope_g10_c01.avi; classInd.txt has 5 for "
            "JumpRope",
        ),
        ("classInd.txt", "7 Diving", "7: is '7 Diving'; expected '6 <label>'"),
        ("classInd.txt", "6 Two Words", "7: is '6 Two Words'; expected '6 <label>'"),
    ],
)
def test_wrong_lines_are_named(ucf101, file, line, message):
    append(ucf101[1] / file, line)
    with pytest.raises(ValueError, match=re.escape(f"{ucf101[1] / file}:{message}")):
        list_ucf101(*ucf101, 2)


@pytest.mark.parametrize(
    ("file", "line", "group", "other"),
    [
        ("trainlist02.txt", 12, 8, "trainlist02.txt:1"),
        ("testlist02.txt", 7, 8, "trainlist02.txt:1 as split 'train'"),
        ("testlist02.txt", 7, 1, "testlist02.txt:1"),
    ],
)
def test_listed_twice_names_both_lines(ucf101, file, line, group, other):
    lists = ucf101[1]
    append(lists / file, clip("Hammering", group))
    video = clip("Hammering", group)
    message = f"{lists / file}:{line}: {video} is listed already at {lists}/{other}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list_ucf101(*ucf101, 2)


@pytest.mark.parametrize("file", ["classInd.txt", "trainlist02.txt", "testlist02.txt"])
def test_missing_lists_are_named(ucf101, file):
    (ucf101[1] / file).unlink()
    with pytest.raises(ValueError, match=f"{file}: no such list"):
        list_ucf101(*ucf101, 2)


def test_an_empty_list_is_refused(ucf101):
    (ucf101[1] / "testlist02.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"splits \['train'\]; train and test"):
        list_ucf101(*ucf101, 2)
