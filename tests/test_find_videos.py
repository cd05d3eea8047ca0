"""Which files are videos, and how long they say they are."""

import errno
import os

import av
import numpy as np
import pytest

from flow.video import estimate_frames, read_video
from flow.video_files import find_others, find_videos


def ramp(count, height=24, width=32):
    """`[T, H, W, 3]` uint8: frame k is grey of value k."""
    grey = np.arange(count, dtype=np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (count, height, width, 3))


def test_find_videos(tmp_path):
    for name in ("b.mp4", "B/a.AVI", "B/c/x y ü.webm", "a.txt", "B/d.jpg", "e.mkv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.avi").mkdir()
    found = [path.as_posix() for path in find_videos(tmp_path)]
    assert found == ["B/a.AVI", "B/c/x y ü.webm", "b.mp4", "e.mkv"]


def test_find_others_is_the_rest_that_is_not_hidden(tmp_path):
    names = ["a.avi", "b/c.MP4", "b/notes.txt", "d.zip", "e", ".f.txt", ".g/h.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(map(str, find_others(tmp_path))) == ["b/notes.txt", "d.zip", "e"]
    assert list(map(str, find_videos(tmp_path))) == ["a.avi", "b/c.MP4"]


def test_find_videos_follows_links(tmp_path):
    videos, elsewhere = tmp_path / "videos", tmp_path / "elsewhere"
    (videos / "a").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "b.avi").touch()
    (videos / "a" / "link").symlink_to(elsewhere)
    (videos / "a" / "file.avi").symlink_to(elsewhere / "b.avi")
    # What is missing is not passed over; it fails when it is opened.
    (videos / "gone.avi").symlink_to(elsewhere / "gone.avi")
    # Links that lead back to where they lie, straight and by way of another.
    (videos / "a" / "up").symlink_to(videos)
    (videos / "out").symlink_to(tmp_path)
    (elsewhere / "back").symlink_to(videos / "a")
    expected = ["a/file.avi", "a/link/b.avi", "gone.avi"]
    assert list(map(str, find_videos(videos))) == expected


def test_find_videos_says_which_folder_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.avi").touch()
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):  # as for any user but root
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="closed"):
        find_videos(tmp_path)


@pytest.mark.parametrize(("suffix", "fps"), [(".avi", 25), (".mkv", 50), (".avi", 10)])
def test_estimate_is_the_count_of_a_sound_file(tmp_path, write_video, suffix, fps):
    path = write_video(tmp_path / f"a{suffix}", ramp(20), fps=fps)
    assert estimate_frames(path, 25) == len(list(read_video(path, smaller_side=24)))


def test_estimate_of_what_cannot_be_estimated(tmp_path):
    assert estimate_frames(tmp_path / "none.avi") == 0
    (tmp_path / "text.avi").write_text("no video")
    assert estimate_frames(tmp_path / "text.avi") == 0
    # As of streams that are written as they come: no duration at all.
    path = tmp_path / "live.mkv"
    with av.open(str(path), "w", options={"live": "1"}) as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for image in ramp(3):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert estimate_frames(path) is None
    assert len(list(read_video(path, smaller_side=24))) == 3


def test_find_videos_refuses_a_folder_without_any(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="no videos found.*[.]avi"):
        find_videos(tmp_path)
    with pytest.raises(ValueError, match="missing: no such folder"):
        find_videos(tmp_path / "missing")
    with pytest.raises(ValueError, match="a.txt: is no folder$"):
        find_videos(tmp_path / "a.txt")
