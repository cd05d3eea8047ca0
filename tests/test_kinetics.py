"""Kinetics' CSV files and the names of its clips."""

import re

import pytest
from tiny_datasets import touch, write_lines

from i3d_tf.datasets.kinetics.listing import VERSIONS, list_kinetics
from i3d_tf.datasets.listing import Listed

HEADER = "label,youtube_id,time_start,time_end,split"
A, B, C, D = "-aaaa_aaaaa", "bbbbbbbbbbb", "BBBBBBBBBBB", "ddddddddddd"
CLIP = f"{A}_000005_000015"


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    return folder


def table(folder, *lines, name="train.csv", header=HEADER):
    return write_lines(folder.parent / "annotations" / name, [header, *lines])


@pytest.mark.parametrize(
    ("file", "start", "end"),
    [
        (f"{CLIP}.mp4", None, None),
        (f"{CLIP}.mkv", None, None),
        (f"waving_hand/{CLIP}.mp4", None, None),
        (f"train/waving hand/{CLIP}.mp4", None, None),
        (f"train_256/{CLIP}.mp4", None, None),
        # The whole video, of which a part is meant.
        (f"{A}.mp4", 5, 15),
        (f"waving_hand/{A}.webm", 5, 15),
    ],
)
def test_names_of_clips(videos, file, start, end):
    touch(videos, file, f"{A}_000005_000016.mp4", f"{A}_5_15.mp4", "aaaa_aaaaa.mp4")
    path = table(videos, f"waving hand,{A},5,15,train")
    assert list_kinetics(videos, path) == (
        ["waving hand"],
        [Listed(file, "waving hand", "train", start, end)],
    )


def test_a_cut_clip_goes_before_a_whole_video(videos):
    touch(videos, f"wave/{A}.mp4", f"other/{CLIP}.mp4")
    path = table(videos, f"wave,{A},5,15,train")
    (entry,) = list_kinetics(videos, path).videos
    assert entry == Listed(f"other/{CLIP}.mp4", "wave", "train")


def test_of_several_files_that_of_the_class_is_taken(videos):
    touch(videos, *(f"{folder}/{CLIP}.mp4" for folder in ("a", "wave_hand", "z")))
    (entry,) = list_kinetics(videos, table(videos, f"wave hand,{A},5,15,train")).videos
    assert entry.video == f"wave_hand/{CLIP}.mp4"
    (entry,) = list_kinetics(videos, table(videos, f"jump,{A},5,15,train")).videos
    assert entry.video == f"a/{CLIP}.mp4"


def test_missing_clips_are_listed(videos):
    # Names differ in the case of letters alone.
    touch(videos, f"{B}_000000_000010.mp4")
    path = table(videos, f"wave,{B},0,10,train", f"wave,{C},0,10,train")
    assert list_kinetics(videos, path).videos == [
        Listed(f"{B}_000000_000010.mp4", "wave", "train"),
        Listed(f"{C}_000000_000010.mp4", "wave", "train"),
    ]


def test_labels_are_sorted_over_all_splits(videos):
    touch(videos, "x.mp4")
    table(
        videos,
        f'"tying, knot (not on a tie)",{A},5,15,train',
        f"passing american football (not in game),{B},5,15,train",
        f"passing American football (in game),{C},5,15,train",
    )
    table(
        videos,
        f'"tying, knot (not on a tie)",{D},0,10,validate',
        name="validate.csv",
    )
    labels, entries = list_kinetics(videos, videos.parent / "annotations")
    assert labels == [
        "passing American football (in game)",
        "passing american football (not in game)",
        "tying, knot (not on a tie)",
    ]
    assert [(entry.label, entry.split) for entry in entries] == [
        (labels[2], "train"),
        (labels[1], "train"),
        (labels[0], "train"),
        (labels[2], "val"),
    ]


def test_published_labels_are_in_this_order(data_dir):
    # The numbers of the released weights' classes.
    for version in ("400", "600"):
        path = data_dir / f"reference/label_map_{version}.txt"
        labels = path.read_text().splitlines()
        assert labels == sorted(labels)
        assert len(labels) == VERSIONS[f"k{version}"]


def test_early_lists(videos):
    """Kinetics-400 as it came first: a column more, a test list without labels."""
    touch(videos, "x.mp4")
    header = f"{HEADER},is_cc"
    table(videos, f"wave,{A},5,15,train,0", header=header, name="kinetics_train.csv")
    table(videos, f"wave,{B},5,15,val,1", header=header, name="kinetics_val.csv")
    unlabelled = "youtube_id,time_start,time_end,split"
    table(videos, f"{C},5,15,test", header=unlabelled, name="kinetics_test.csv")
    labels, entries = list_kinetics(videos, videos.parent / "annotations")
    assert labels == ["wave"]
    # In the order of the files' names.
    assert [(entry.label, entry.split) for entry in entries] == [
        (None, "test"),
        ("wave", "train"),
        ("wave", "val"),
    ]


def test_without_a_column_the_file_says_the_split(videos):
    touch(videos, "x.mp4")
    header = HEADER.removesuffix(",split")
    table(videos, f"wave,{A},5,15", header=header, name="kinetics700_2020_train.csv")
    table(videos, f"wave,{B},5,15", header=header, name="val.csv")
    entries = list_kinetics(videos, videos.parent / "annotations").videos
    assert [entry.split for entry in entries] == ["train", "val"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"wave,{A},5,15,holdout", "3: split 'holdout'; known are train, val, valid"),
        ("wave,,5,15,train", "3: needs youtube_id, time_start and time_end"),
        (f"wave,{A},,,train", "3: needs youtube_id, time_start and time_end"),
        (f"wave,{A},5,x,train", "3: start and end are '5' and 'x'; needed are seconds"),
        (f"a, b,{A},5,15,train", "3: has 6 values for 5 columns"),
        (f"../x,../{A},5,15,train", f"3: path '../{CLIP}.mp4' leaves the folder"),
        (
            f"wave,{D},0,10,train",
            f"3: {D}_000000_000010.mp4 is listed already at {{}}:2 as label 'jump'",
        ),
    ],
)
def test_wrong_lines_are_named(videos, line, message):
    touch(videos, "x.mp4")
    path = table(videos, f"jump,{D},0,10,train", line)
    expected = f"{path}:{message.format(path)}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        list_kinetics(videos, path)


def test_a_clip_in_two_lists_names_both_lines(videos):
    touch(videos, f"{A}.mp4")
    one = table(videos, f"wave,{A},5,15,train")
    other = table(videos, f"wave,{A},14,24,validate", name="val.csv")
    message = (
        f"{other}:2: {A}.mp4#t=14,24 is listed already at {one}:2 as split 'train'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        list_kinetics(videos, videos.parent / "annotations")


def test_the_number_of_labels_is_that_of_the_version(videos):
    touch(videos, "x.mp4")
    path = table(videos, f"wave,{A},5,15,train")
    assert len(list_kinetics(videos, path, num_labels=1).labels) == 1
    with pytest.raises(ValueError, match="has 1 labels, this version of Kinetics has"):
        list_kinetics(videos, path, num_labels=VERSIONS["k700_2020"])


def test_no_lists_are_refused(videos):
    touch(videos, "x.mp4")
    with pytest.raises(ValueError, match=r"clips: no \*.csv in this folder"):
        list_kinetics(videos, videos)
    with pytest.raises(ValueError, match="none.csv: no such list"):
        list_kinetics(videos, videos / "none.csv")
