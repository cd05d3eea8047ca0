"""Names of classes and files in any alphabet: carried unchanged, or refused."""

import json
import os
import re
import unicodedata

import pytest
import tensorflow_datasets as tfds
from tiny_datasets import touch, write_lines
from tiny_flow import QUICK, contents, noise, states

from flow.extract import flow_path
from flow.extract_folder import extract_folder
from i3d_tf.datasets import open_dataset
from i3d_tf.datasets.coverage import read_coverage
from i3d_tf.datasets.folder.builder import TwoStreamFolder
from i3d_tf.datasets.folder.listing import list_csv, list_folder
from i3d_tf.datasets.hmdb51.listing import list_hmdb51
from i3d_tf.datasets.kinetics.listing import list_kinetics
from i3d_tf.datasets.ucf101.listing import list_ucf101

APART = unicodedata.normalize("NFD", "Tür öffnen")
# {class folder: files}; the last of each is for testing.
NAMES = {
    "wave  both hands": ["a b.avi", " outer .avi"],
    unicodedata.normalize("NFC", "Äpfel schälen"): ["ä.avi", "ß ü.avi"],
    APART: [unicodedata.normalize("NFD", "é.avi"), "é.avi"],
    "手を振る": ["動画 1.avi", "視頻.avi"],
    "say \"hi\", 'you'": ['"quoted".avi', "it's, a.avi"],
    "100% %d %s": ["50%.avi", "a%03d.gif"],
    "--strict": ["-v.avi", "--help.avi"],
    "a:b #t=1,2 \\ ~ $HOME": ["12:30.avi", "file:x #t=0,1.avi"],
    "patterns": ["%d.avi", "a%03d.gif"],
    "😀": ["*?[a].avi", "😀.avi"],
}


def write_named(videos, write_video):
    for seed, (folder, files) in enumerate(NAMES.items()):
        for name in files:
            target = videos / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_video(videos / "written.avi", noise(4, seed=seed)).rename(target)


@pytest.mark.parametrize("here", [False, True])
def test_names_are_carried_unchanged(tmp_path, write_video, monkeypatch, here):
    videos, flow = tmp_path / "videos", tmp_path / "flow"
    write_named(videos, write_video)
    before = contents(videos)
    names = {f"{folder}/{name}" for folder, files in NAMES.items() for name in files}
    assert before.keys() == names
    if here:  # With relative paths, a name may come first.
        monkeypatch.chdir(videos)
        videos = "."
    report = extract_folder(videos, flow, QUICK, workers=1)
    assert states(report) == dict.fromkeys(names, "done")
    assert contents(flow).keys() == {
        "report.json",
        *(flow_path(name).as_posix() for name in names),
    }
    options = {"data_dir": tmp_path / "data", "name": "mine", "workers": 1}
    found = TwoStreamFolder.of(videos, flow, **options).build()
    labels = sorted(
        unicodedata.normalize("NFC", " ".join(folder.split())) for folder in NAMES
    )
    used = {"listed": 1, "present": 1, "used": 1, "lost": []}
    assert found == {split: dict.fromkeys(labels, used) for split in ("train", "test")}
    builder = open_dataset(tmp_path / "data", "two_stream_folder/mine")
    assert read_coverage(builder.data_dir) == found
    assert builder.info.features["label"].names == labels
    sources = {}
    for split in ("train", "test"):
        for record in tfds.as_numpy(builder.as_dataset(split)):
            assert record["id"] == record["source"]
            made = json.loads(record["flow_metadata"])
            assert made["video"] == record["source"].decode()
            sources[record["source"].decode()] = labels[record["label"]]
    assert sources == {
        f"{folder}/{name}": unicodedata.normalize("NFC", " ".join(folder.split()))
        for folder, files in NAMES.items()
        for name in files
    }
    # Nothing is written beside the flow and the data set.
    assert contents(tmp_path / "videos") == before
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside == {"videos", "flow", "data"}


def test_links_are_followed_and_the_flow_is_inside(tmp_path, write_video):
    videos, flow = tmp_path / "videos", tmp_path / "flow"
    for seed in range(2):
        write_video(tmp_path / f"elsewhere/jump/{seed}.avi", noise(4, seed=seed))
    write_video(tmp_path / "elsewhere/a.avi", noise(4, seed=2))
    videos.mkdir()
    (videos / "jump").symlink_to(tmp_path / "elsewhere/jump")
    (videos / "wave").mkdir()
    (videos / "wave/a.avi").symlink_to("../../elsewhere/a.avi")
    (videos / "wave/b.avi").symlink_to("/nowhere/b.avi")
    before = contents(tmp_path / "elsewhere")
    extract_folder(videos, flow, QUICK, workers=1)
    names = {"jump/0.mkv", "jump/1.mkv", "wave/a.mkv", "report.json"}
    assert contents(flow).keys() == names
    assert contents(tmp_path / "elsewhere") == before
    options = {"data_dir": tmp_path / "data", "name": "mine", "workers": 1}
    found = TwoStreamFolder.of(videos, flow, **options).build()
    assert [found[split]["jump"]["used"] for split in ("train", "test")] == [1, 1]
    assert found["train"]["wave"]["used"] == 1
    (lost,) = found["test"]["wave"]["lost"]
    assert lost == {"video": "wave/b.avi", "reason": f"{videos}/wave/b.avi: is missing"}


# What none may list, and what is said of it.
LEAVES = "leaves the folder of videos"
REFUSED = {
    "../x.avi": LEAVES,
    "a/../../x.avi": LEAVES,
    "/etc/x.avi": LEAVES,
    "..": LEAVES,
    "a\0b.avi": r"holds '\x00'",
    "a\x1b[2Jb.avi": r"holds '\x1b'",
}


@pytest.mark.parametrize("path", REFUSED)
def test_lists_cannot_leave_the_folder(tmp_path, path):
    touch(tmp_path / "videos", "jump/a.avi")
    said = REFUSED[path]

    def refuses(lists, function, *args):
        with pytest.raises(ValueError) as error:
            function(*args)
        text = str(error.value)
        assert text.startswith(f"{lists}:2: path '") and said in text
        assert text.isprintable()

    lists = write_lines(tmp_path / "a.csv", ["path,label,split", f"{path},jump,train"])
    refuses(lists, list_csv, lists)
    # The number of seconds and the suffix are added to the id.
    lists = write_lines(
        tmp_path / "train.csv",
        ["youtube_id,time_start,time_end,label,split", f"{path}/x,1,2,jump,train"],
    )
    refuses(lists, list_kinetics, tmp_path / "videos", lists)
    folder = tmp_path / "lists"
    if not path.startswith("/"):  # UCF101's and HMDB51's begin with a class.
        write_lines(folder / "classInd.txt", ["1 jump"])
        lines = ["jump/a.avi 1", f"jump/../{path} 1"]
        lists = write_lines(folder / "trainlist01.txt", lines)
        refuses(lists, list_ucf101, tmp_path / "videos", folder, 1)
        lists = write_lines(
            folder / "jump_test_split1.txt", ["a.avi 1", f"../{path} 1"]
        )
        refuses(lists, list_hmdb51, tmp_path / "videos", folder, 1)


def test_a_line_break_in_a_csv_file_is_refused(tmp_path):
    lists = write_lines(
        tmp_path / "a.csv", ["path,label,split", '"a\nb.avi",jump,train']
    )
    message = rf"{lists}:3: path 'a\\nb.avi' holds '\\n'; paths are one line of UTF-8"
    with pytest.raises(ValueError, match=message):
        list_csv(lists)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb.avi", r"a\nb.avi"), (os.fsdecode(b"caf\xe9.avi"), r"caf\udce9.avi")],
)
def test_files_that_no_data_set_can_name(tmp_path, write_video, name, shown):
    """Their flow can be computed, but a data set of them is refused."""
    videos, flow = tmp_path / "videos", tmp_path / "flow"
    write_video(videos / "jump/a.avi", noise(4))
    write_video(videos / "b.avi", noise(4)).rename(videos / "jump" / name)
    report = extract_folder(videos, flow, QUICK, workers=1)
    assert {entry["state"] for entry in report} == {"done"}
    assert (flow / flow_path(f"jump/{name}")).exists()
    with pytest.raises(ValueError) as error:
        list_folder(videos)
    text = str(error.value)
    assert text.startswith(f"{videos}/jump/{shown}: path 'jump/")
    assert text.endswith("paths are one line of UTF-8, rename the file")
    assert "\n" not in text and text.encode()


def test_a_class_folder_needs_a_name(tmp_path):
    touch(tmp_path, " /a.avi", " /b.avi", "jump/a.avi", "jump/b.avi")
    message = re.escape(f"{tmp_path}: has a class folder ' '; name it")
    with pytest.raises(ValueError, match=f"^{message}$"):
        list_folder(tmp_path)
