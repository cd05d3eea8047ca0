"""Which videos a data set lists: folders, CSV files, UCF101's official lists."""

import re

import pytest

from i3d_tf.datasets.listing import Listed, list_folder, list_ucf101

# In UCF101's own order. Sorted folder names would swap each of these pairs.
CLASSES = ["HandstandPushups", "HammerThrow", "Hammering", "JumpRope", "JumpingJack"]


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def clip(label, group, spelling=None):
    return f"{label}/v_{spelling or label}_g{group:02}_c01.avi"


@pytest.fixture
def ucf101(tmp_path):
    """(videos, lists) of five classes; group 1 is for testing, 8 and 9 train."""
    videos, lists = tmp_path / "UCF-101", tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    for label in CLASSES:
        spelling = "HandStandPushups" if label == CLASSES[0] else label
        touch(videos, *(clip(label, group, spelling) for group in (1, 8, 9)))
    numbered = list(enumerate(CLASSES, 1))
    write(lists / "classInd.txt", [f"{k} {label}" for k, label in numbered])
    train = [f"{clip(label, g)} {k}" for k, label in numbered for g in (8, 9)]
    write(lists / "trainlist02.txt", train)
    write(lists / "testlist02.txt", [clip(label, 1) for label in CLASSES])
    return videos, lists


def write(path, lines):
    """As UCF101's own: CRLF, and an empty line at the end."""
    path.write_bytes("".join(f"{line}\r\n" for line in [*lines, ""]).encode())


def append(path, line):
    with open(path, "ab") as file:
        file.write(f"{line}\r\n".encode())


def test_ucf101(ucf101):
    labels, videos = list_ucf101(*ucf101, 2)
    assert labels == CLASSES
    handstand = "HandstandPushups/v_HandStandPushups_g"
    assert videos == [
        Listed(f"{handstand}08_c01.avi", "HandstandPushups", "train"),
        Listed(f"{handstand}09_c01.avi", "HandstandPushups", "train"),
        *(
            Listed(clip(label, group), label, "train")
            for label in CLASSES[1:]
            for group in (8, 9)
        ),
        Listed(f"{handstand}01_c01.avi", "HandstandPushups", "test"),
        *(Listed(clip(label, 1), label, "test") for label in CLASSES[1:]),
    ]


def test_ucf101_spelling_of_the_lists_is_found_in_other_folders(ucf101):
    videos, lists = ucf101
    (videos / "HandstandPushups").rename(videos / "HandStandPushups")
    listed = list_ucf101(videos, lists, 2).videos[0]
    assert listed == Listed(
        "HandStandPushups/v_HandStandPushups_g08_c01.avi", "HandstandPushups", "train"
    )


def test_ucf101_lists_what_is_not_there(ucf101):
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
            "JumpRope/v_JumpRope_g10_c01.avi 5",
            "12: label 5 of JumpRope/v_JumpRope_g10_c01.avi; classInd.txt has 4 for "
            "JumpRope",
        ),
        ("classInd.txt", "7 Diving", "7: is '7 Diving'; expected '6 <label>'"),
        ("classInd.txt", "6 Two Words", "7: is '6 Two Words'; expected '6 <label>'"),
    ],
)
def test_ucf101_wrong_lines_are_named(ucf101, file, line, message):
    append(ucf101[1] / file, line)
    with pytest.raises(ValueError, match=re.escape(f"{ucf101[1] / file}:{message}")):
        list_ucf101(*ucf101, 2)


@pytest.mark.parametrize(
    ("file", "line", "group", "other"),
    [
        ("trainlist02.txt", 12, 8, "trainlist02.txt:5"),
        ("testlist02.txt", 7, 8, "trainlist02.txt:5"),
        ("testlist02.txt", 7, 1, "testlist02.txt:3"),
    ],
)
def test_ucf101_listed_twice_names_both_lines(ucf101, file, line, group, other):
    lists = ucf101[1]
    append(lists / file, clip("Hammering", group))
    video = clip("Hammering", group)
    message = f"{lists / file}:{line}: {video} is listed already at {lists / other}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list_ucf101(*ucf101, 2)


@pytest.mark.parametrize("file", ["classInd.txt", "trainlist02.txt", "testlist02.txt"])
def test_ucf101_missing_lists_are_named(ucf101, file):
    (ucf101[1] / file).unlink()
    with pytest.raises(ValueError, match=f"{file}: no such list"):
        list_ucf101(*ucf101, 2)


def test_ucf101_an_empty_list_is_refused(ucf101):
    (ucf101[1] / "testlist02.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"splits \['train'\]; train and test"):
        list_ucf101(*ucf101, 2)


def test_folder_takes_every_fifth_for_testing(tmp_path):
    touch(tmp_path, *(f"wave/{k:02}.avi" for k in range(1, 12)))
    touch(tmp_path, "jump/b.mp4", "jump/sub/a.avi", "jump/notes.txt")
    labels, videos = list_folder(tmp_path)
    assert labels == ["jump", "wave"]
    # Of a class of two the second, so that it can be tested at all.
    assert videos[:2] == [
        Listed("jump/b.mp4", "jump", "train"),
        Listed("jump/sub/a.avi", "jump", "test"),
    ]
    assert [video.video for video in videos[2:]] == [
        f"wave/{k:02}.avi" for k in range(1, 12)
    ]
    assert {video.label for video in videos[2:]} == {"wave"}
    assert [video.video for video in videos[2:] if video.split == "test"] == [
        "wave/05.avi",
        "wave/10.avi",
    ]


def test_folder_with_test_glob(tmp_path):
    names = [f"A{a}/x_P{p}_{t}.avi" for a in (1, 2) for p in (1, 2) for t in (1, 2)]
    touch(tmp_path, *names)
    labels, videos = list_folder(tmp_path, test_glob="*_P2_*")
    assert labels == ["A1", "A2"]
    assert videos == [
        Listed(name, name[:2], "test" if "_P2_" in name else "train") for name in names
    ]


@pytest.mark.parametrize(
    ("glob", "splits"), [("*_P3_*", "['train']"), ("*", "['test']"), ("*_p2_*", None)]
)
def test_folder_with_a_glob_that_fits_none_or_all_is_refused(tmp_path, glob, splits):
    touch(tmp_path, "A/x_P1_1.avi", "A/x_P2_1.avi")
    message = f"test_glob {glob}: gives the splits {splits or ['train']}"
    with pytest.raises(ValueError, match=re.escape(message)):
        list_folder(tmp_path, test_glob=glob)


def test_a_class_without_training_videos_is_refused(tmp_path):
    touch(tmp_path, "A/x_P1.avi", "A/x_P2.avi", "B/y_P2.avi")
    with pytest.raises(ValueError, match=r"test_glob \*_P2\*: no training video of B"):
        list_folder(tmp_path, test_glob="*_P2*")


def test_hidden_files_and_folders_are_no_videos_and_no_classes(tmp_path):
    touch(tmp_path, "A/1.avi", "A/2.avi", "A/._1.avi", ".git/x.avi", "A/.t/3.avi")
    labels, videos = list_folder(tmp_path)
    assert labels == ["A"]
    assert [video.video for video in videos] == ["A/1.avi", "A/2.avi"]


def test_csv_and_glob_together_are_refused(tmp_path):
    with pytest.raises(ValueError, match="which says the splits, and test_glob"):
        list_folder(tmp_path, annotations=tmp_path / "a.csv", test_glob="*")


def test_folder_labels_that_begin_alike_are_kept_apart(tmp_path):
    touch(tmp_path, "run/1.avi", "run/2.avi", "run away/1.avi", "run away/2.avi")
    labels, videos = list_folder(tmp_path)
    assert labels == ["run", "run away"]
    assert [video.label for video in videos] == ["run"] * 2 + ["run away"] * 2


def test_folder_errors(tmp_path):
    touch(tmp_path, "wave/1.avi", "wave/2.avi")
    touch(tmp_path, "empty/notes.txt")
    with pytest.raises(ValueError, match="empty: class folder without videos"):
        list_folder(tmp_path)
    touch(tmp_path, "empty/1.avi", "beside.avi")
    with pytest.raises(ValueError, match="beside.avi: lies in no class folder"):
        list_folder(tmp_path)
    with pytest.raises(ValueError, match="none: no such folder"):
        list_folder(tmp_path / "none")
    touch(tmp_path, "nothing/notes.txt")
    with pytest.raises(ValueError, match="nothing: no videos found"):
        list_folder(tmp_path / "nothing")


def test_csv(tmp_path):
    path = tmp_path / "lists.csv"
    # As spreadsheets write it: with a byte-order mark, CRLF, quotes, more columns.
    path.write_bytes(
        b"\xef\xbb\xbfsplit,path,label,who\r\n"
        b'train,"b, 1.avi",wave,x\r\n'
        b"test,c/2.avi,jump,\r\n"
        b"train,c/1.avi,jump,\r\n"
        b"val,3.avi,wave,y\r\n"
    )
    labels, videos = list_folder(tmp_path / "videos", annotations=path)
    assert labels == ["jump", "wave"]
    assert videos == [
        Listed("b, 1.avi", "wave", "train"),
        Listed("c/2.avi", "jump", "test"),
        Listed("c/1.avi", "jump", "train"),
        Listed("3.avi", "wave", "val"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\na.avi,x\n", ": header is ['path', 'label']; needed are path"),
        ("", ": header is None; needed are path,label,split"),
        ("path,label,split\na.avi,x,train\nb.avi,,test\n", ":3: needs path, label and"),
        ("path,label,split\na.avi,x\n", ":2: needs path, label and split"),
        (
            "path,label,split\na.avi,x,train\nb.avi,x,test\na.avi,x,test\n",
            ":4: a.avi is listed already at {path}:2",
        ),
        ("path,label,split\na.avi,x,train\n", ": gives the splits ['train']; train"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "lists.csv"
    path.write_text(content)
    expected = f"{path}{message.format(path=path)}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        list_folder(tmp_path, annotations=path)
