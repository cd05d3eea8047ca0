"""Class folders and CSV files."""

import re
import unicodedata

import pytest
from tiny_datasets import touch, write_lines

from i3d_tf.datasets.folder.listing import list_csv, list_folder
from i3d_tf.datasets.listing import Listed


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
        (
            "path,label\na.avi,x\n",
            ": header is path,label; needed are path,label,split",
        ),
        ("", ": header is missing; needed are path,label,split"),
        ("path,label,split\na.avi,x\n", ":2: needs path and split, has 'a.avi' and ''"),
        (
            "path,label,split\n,x,train\n",
            ":2: needs path and split, has '' and 'train'",
        ),
        (
            "path,label,split\na.avi,x,train\nb.avi,x,test\na.avi,x,test\n",
            ":4: a.avi is listed already at {path}:2 as split 'train'",
        ),
        (
            "path,label,split\na.avi,x,train\nb.avi,y,train\n./a.avi,y,train\n",
            ":4: a.avi is listed already at {path}:2 as label 'x'",
        ),
        ("path,label,split\na.avi,x,train\n", ": gives the splits ['train']; train"),
        (
            "path,label,split\na.avi,x, y,train\n",
            ":2: has 4 values for 3 columns; one with a comma needs double quotes",
        ),
        ('path,label,split\na.avi,"x,train\n', ":2: unexpected end of data"),
        (
            "path,label,split\n../a.avi,x,train\n",
            ":2: path '../a.avi' leaves the folder of videos",
        ),
        ("path,label,split\n/a.avi,x,train\n", ":2: path '/a.avi' leaves the folder"),
        (
            "path,label,split\nb/../../a.avi,x,train\n",
            ":2: path 'b/../../a.avi' leaves",
        ),
        ("path,label,split\na.avi,x,a b\n", ":2: a split cannot be named 'a b'"),
        ("path,label,split\na.avi,x,all\n", ":2: a split cannot be named 'all'"),
        (
            "path,label,split,start,end\na.avi,x,train,5,5\n",
            ":2: start and end are '5' and '5'; needed are seconds, 0 <= start < end",
        ),
        ("path,label,split,start,end\na.avi,x,train,1,\n", ":2: start and end are '1'"),
        (
            "path,label,split,start\na.avi,x,train,1\n",
            ":2: start and end are '1' and ''",
        ),
        ("path,label,split,start,end\na.avi,x,train,-1,2\n", ":2: start and end are"),
        ("path,label,split,start,end\na.avi,x,train,0,inf\n", ":2: start and end are"),
        ("path,label,split,start,end\na.avi,x,train,0,1s\n", ":2: start and end are"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "lists.csv"
    path.write_text(content)
    expected = f"{path}{message.format(path=path)}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        list_folder(tmp_path, annotations=path)


def test_csv_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "lists.csv"
    path.write_bytes("path,label,split\na.avi,Tür,train\n".encode("latin-1"))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: is not UTF-8 text"):
        list_csv(path)


def test_csv_with_quoted_labels_and_other_alphabets(tmp_path):
    lines = [
        "path,label,split",
        'ä ö/1.avi,"jump, high",train',
        '"say ""hi"", 2.avi",手を振る,train',
        "3.avi, run  away ,train",
        "4.avi,run away,test",
    ]
    path = write_lines(tmp_path / "lists.csv", lines, "\r\n")
    labels, videos = list_csv(path)
    assert labels == ["jump, high", "run away", "手を振る"]
    assert videos == [
        Listed("ä ö/1.avi", "jump, high", "train"),
        Listed('say "hi", 2.avi', "手を振る", "train"),
        Listed("3.avi", "run away", "train"),
        Listed("4.avi", "run away", "test"),
    ]


def test_csv_with_times(tmp_path):
    lines = [
        "path,label,split,start,end",
        "a.avi,x,train,0,2.5",
        # Behind, half a frame later, and beside another class and split.
        "a.avi,y,train,2.5,4",
        "a.avi,x,test,4,5",
        "b.avi,x,test,,",
        # Overlapping parts of one class and split are parts of their own.
        "c.avi,x,train,0,2",
        "c.avi,x,train,1,3",
    ]
    videos = list_csv(write_lines(tmp_path / "lists.csv", lines)).videos
    assert videos == [
        Listed("a.avi", "x", "train", 0.0, 2.5),
        Listed("a.avi", "y", "train", 2.5, 4.0),
        Listed("a.avi", "x", "test", 4.0, 5.0),
        Listed("b.avi", "x", "test"),
        Listed("c.avi", "x", "train", 0.0, 2.0),
        Listed("c.avi", "x", "train", 1.0, 3.0),
    ]
    assert [video.id for video in videos[:4]] == [
        "a.avi#t=0,2.5",
        "a.avi#t=2.5,4",
        "a.avi#t=4,5",
        "b.avi",
    ]


@pytest.mark.parametrize(
    ("line", "id_", "differs"),
    [
        ("a.avi,x,train,1,2", "a.avi#t=1,2", ""),
        ("a.avi,x,test,1.9,9", "a.avi#t=1.9,9", " as split 'train'"),
        ("a.avi,y,train,0,1.1", "a.avi#t=0,1.1", " as label 'x'"),
        ("a.avi,y,test,,", "a.avi", " as split 'train', as label 'x'"),
    ],
)
def test_parts_that_overlap_are_not_two_things(tmp_path, line, id_, differs):
    lines = ["path,label,split,start,end", "a.avi,x,train,1,2", "b.avi,y,train,,", line]
    path = write_lines(tmp_path / "lists.csv", lines)
    message = f"{path}:4: {id_} is listed already at {path}:2{differs}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list_csv(path)


def test_csv_of_a_test_split_without_labels(tmp_path):
    lines = ["path,label,split", "a.avi,x,train", "b.avi,,test", "c.avi,,test"]
    labels, videos = list_csv(write_lines(tmp_path / "lists.csv", lines))
    assert labels == ["x"]
    assert videos[1:] == [Listed("b.avi", None, "test"), Listed("c.avi", None, "test")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a.avi,x,train", "b.avi,,test", "c.avi,x,test"],
            "4: has a label, unlike {}:3",
        ),
        (
            ["a.avi,x,train", "b.avi,x,test", "c.avi,,test"],
            "4: has no label, unlike {}:3",
        ),
        (["a.avi,,train", "b.avi,x,test"], "2: a training video needs a label"),
    ],
)
def test_labels_of_a_split_are_all_there_or_none(tmp_path, lines, message):
    path = write_lines(tmp_path / "lists.csv", ["path,label,split", *lines])
    expected = f"{path}:{message.format(path)}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        list_csv(path)


def test_folders_in_other_alphabets(tmp_path):
    # macOS's folder names have accents as characters of their own.
    apart = unicodedata.normalize("NFD", "Tür")
    touch(tmp_path, f"{apart}/1.avi", f"{apart}/2.avi", "手 を/1.avi", "手 を/ä.avi")
    labels, videos = list_folder(tmp_path)
    assert labels == ["Tür", "手 を"]
    assert videos[0] == Listed(f"{apart}/1.avi", "Tür", "train")
    assert videos[2:] == [
        Listed("手 を/1.avi", "手 を", "train"),
        Listed("手 を/ä.avi", "手 を", "test"),
    ]
    touch(tmp_path, "Tür/3.avi")
    with pytest.raises(ValueError, match="means the same label as .*; move the videos"):
        list_folder(tmp_path)
