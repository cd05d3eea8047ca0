"""Small data sets in the layouts of the builders: videos, flow videos and lists."""

import numpy as np
import tensorflow as tf

from experiments.sample_poses import render_samples
from flow.flow_video import write_flow_video

HEIGHT, WIDTH = 24, 32


def source_frames(count, seed):
    """`[T, H, W, 3]` uint8: frame k is grey of 20 k + seed."""
    grey = (20 * np.arange(count) + seed).astype(np.uint8)[:, None, None, None]
    return np.broadcast_to(grey, (count, HEIGHT, WIDTH, 3))


def flow_codes(count, seed):
    """`[T - 1, H, W, 2]` uint8: noise, the hardest for JPEG, in both planes."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 256, (count - 1, HEIGHT, WIDTH, 2), np.uint8)


def write_flow(path, codes, *, fps=25, smaller_side=HEIGHT, **description):
    description = {"smaller_side": smaller_side, **description}
    write_flow_video(path, codes, fps=fps, description=description)
    return path


def write_pair(root, video, write_video, *, frames=4, seed=0, **tags):
    """`root/videos/<video>` and `root/flow/<video>.mkv`, of `frames` frames."""
    target = root / "videos" / video
    # FFV1 in MP4 is not possible: what the file is named is of no matter to FFmpeg.
    written = write_video(target.with_suffix(".avi"), source_frames(frames, seed))
    written.rename(target)
    path = (root / "flow" / video).with_suffix(".mkv")
    write_flow(path, flow_codes(frames, seed), **tags)
    return target


def cut_inside(video, number):
    """Cuts an AVI file in the middle of a frame."""
    # The first two parts are the file's header, which names the stream too.
    *before, last = video.read_bytes().split(b"00dc", number + 3)[: number + 3]
    data = b"00dc".join([*before, last])
    video.write_bytes(data[: -len(last) // 2])


def write_lines(path, lines, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode())
    return path


def ucf101(root, write_video):
    """Split 3 of two classes, two videos each; sorted names would swap the classes.

    Returns the lists' folder, as the other data sets do.
    """
    lists = root / "ucfTrainTestlist"
    classes = ["Hammering", "HammerThrow"]
    train, test = (
        [f"{label}/v_{label}_{group}_c01.avi" for label in classes]
        for group in ("g08", "g01")
    )
    for seed, video in enumerate(train + test):
        write_pair(root, video, write_video, seed=seed)
    write_lines(lists / "classInd.txt", ["1 Hammering", "2 HammerThrow"], "\r\n")
    numbered = [f"{video} {number}" for number, video in enumerate(train, 1)]
    write_lines(lists / "trainlist03.txt", numbered, "\r\n")
    write_lines(lists / "testlist03.txt", test, "\r\n")
    return lists


def hmdb51(root, write_video):
    """Split 2 of two classes: two videos train, one tests, one is left out."""
    lists = root / "testTrainMulti_7030_splits"
    videos = ["brush_hair/a_#1.avi", "wave/b.avi", "wave/c.avi", "wave/d.avi"]
    for seed, video in enumerate(videos):
        write_pair(root, video, write_video, seed=seed)
    write_lines(lists / "brush_hair_test_split2.txt", ["a_#1.avi 1 "])
    write_lines(lists / "wave_test_split2.txt", ["b.avi 1 ", "c.avi 2 ", "d.avi 0 "])
    return lists


def kinetics(root, write_video):
    """Two classes: two videos train, one validates, two test and have no label.

    The names are that of a clip, of one in a class's folder, and bare ids: of a clip
    that is cut already, and of two whole videos.
    """
    lists = root / "annotations"
    header = "label,youtube_id,time_start,time_end,split"
    write_lines(
        lists / "train.csv",
        [header, "waving hand,-aaaaaaaaaa,5,15,train", '"a, b",bbbbbbbbbbb,7,17,train'],
    )
    write_lines(lists / "val.csv", [header, "waving hand,ccccccccccc,30,40,validate"])
    write_lines(
        lists / "test.csv",
        [
            "youtube_id,time_start,time_end,split",
            "ddddddddddd,0,1,test",
            "eeeeeeeeeee,1,2,test",
        ],
    )
    videos = [
        ("-aaaaaaaaaa_000005_000015.mp4", 4),
        ("a,_b/bbbbbbbbbbb_000007_000017.mp4", 5),
        ("val/ccccccccccc.mp4", 250),
        ("ddddddddddd.mp4", 30),
        ("eeeeeeeeeee.mp4", 40),
    ]
    for seed, (video, frames) in enumerate(videos):
        write_pair(root, video, write_video, seed=seed, frames=frames)
    return lists


def folder(root, write_video):
    """Two classes of two videos; the second of each is for testing."""
    for seed, name in enumerate(["jump/a", "jump/b", "wave/a", "wave/b"]):
        write_pair(root, f"{name}.avi", write_video, frames=4 + seed, seed=seed)


def volumes(root, _):
    """A file as MedMNIST3D's: two volumes train, one validates, one tests."""
    arrays = {}
    for seed, (split, labels) in enumerate(
        [("train", [0, 1]), ("val", [1]), ("test", [0])]
    ):
        rng = np.random.default_rng(seed)
        arrays[f"{split}_images"] = rng.integers(
            0, 256, (len(labels), 4, 6, 5), np.uint8
        )
        arrays[f"{split}_labels"] = np.array(labels, np.uint8)[:, None]
    np.savez(root / "organ.npz", **arrays)
    return root / "organ.npz"


def poses(root, _):
    """RGB-D pictures: two to learn from, one without its pose, one tests."""
    render_samples(root / "arm", train=2, unlabelled=1, test=1, size=16)
    return root / "arm"


def touch(folder, *names):
    """Makes empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def decode_frames(images):
    """JPEG bytes -> `[T, H, W, C]` int."""
    # The default, INTEGER_FAST, is several codes off.
    accurate = {"dct_method": "INTEGER_ACCURATE"}
    return np.stack([tf.io.decode_jpeg(i, **accurate) for i in images]).astype(int)
