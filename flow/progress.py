"""How far an extraction is, as a bar in frames."""

import threading

import tqdm

from flow.files import size_and_time


class Progress:
    """`with Progress(videos, found, todo) as progress:` frames/s and the time left.

    How many frames are to be done is known of the videos begun, from their metadata,
    and of those ended; the others are taken to have as many for each byte. So nothing
    has to be opened before the work begins. Thread safe.

    Attributes:
      left: how many of the videos `found` have not ended.
    """

    def __init__(self, videos, found, todo):
        """`found`, and `todo` of them without flow, are paths below `videos`."""
        self.left = self._count = len(found)
        self._bytes = {video: _size(videos / video) for video in todo}
        self._all_bytes = sum(self._bytes.values())
        self._known_bytes = self._known_frames = 0
        self._expected = {}  # frames of the videos begun and ended
        self._done = {}  # frames of the videos begun
        self._lock = threading.Lock()
        # A plain mean: frames come by the chunk and by the video.
        self._bar = tqdm.tqdm(desc="flow", unit=" frames", smoothing=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def is_todo(self, video):
        return video in self._bytes

    def expect(self, video, frames):
        """`video` has about `frames` frames; None if that is not known."""
        with self._lock:
            if frames is not None:
                self._expect(video, frames)

    def add(self, video, frames):
        """So many more `frames` of `video` are done."""
        with self._lock:
            self._done[video] = self._done.get(video, 0) + frames
            self._bar.update(frames)

    def end(self, video, entry):
        """`video` has ended with this entry of the report."""
        with self._lock:
            self.left -= 1
            self._bar.set_postfix_str(
                f"{self._count - self.left}/{self._count} videos", refresh=False
            )
            if video in self._bytes:
                done = self._done.pop(video, 0)
                all_done = entry["flow_frames"] if entry["state"] == "done" else done
                self._expect(video, all_done)
                self._bar.update(all_done - done)
        if entry["state"] == "failed":
            self._bar.write(f"failed: {entry['reason']}")

    def _expect(self, video, frames):
        if video not in self._expected:
            self._known_bytes += self._bytes[video]
        self._known_frames += frames - self._expected.get(video, 0)
        self._expected[video] = frames
        if self._known_bytes:
            share = self._all_bytes / self._known_bytes
            self._bar.total = round(self._known_frames * share)


def _size(path):
    try:
        return size_and_time(path)[0]
    except OSError:
        return 0  # a link that leads nowhere
