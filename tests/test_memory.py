"""Frames and flow die with their last reference, without the garbage collector."""

import collections
import gc
import itertools
import pathlib
import shutil
import tracemalloc

import numpy as np
import pytest
import tiny
from tiny import moving_texture

from flow import side_by_side
from flow.ahead import frames_with_flow
from flow.chunks import grey_chunks
from flow.extract import extract_video
from flow.flow_video import describe_flow_video, read_flow_video
from flow.paired_frames import paired_frames
from flow.pool import Workers
from flow.settings import Settings
from flow.tvl1 import ENGINES, TVL1
from flow.video import VideoError, decode, read_video
from i3d_tf import inspection, webcam
from i3d_tf.config import Data
from i3d_tf.datasets.frames import encode_pair
from i3d_tf.export import export
from i3d_tf.exported import ExportedModel
from i3d_tf.feature_folder import extract_folder
from i3d_tf.features import FeatureExtractor, FeatureSettings
from i3d_tf.fvd import folder_features
from i3d_tf.prediction import Predictor
from i3d_tf.streams import FLOW, RGB
from i3d_tf.summary import picture

pytestmark = pytest.mark.usefixtures("shallow_network")

HEIGHT, WIDTH, FRAMES = 192, 256, 24
SMALL = 1000  # bytes: matplotlib has thousands of matrices, but no frame is so small
SETTINGS = Settings(smaller_side=48)
FEATURES = FeatureSettings("Mixed_5c", window=9)


def held():
    """Returns ({type: number} of PyAV's objects, bytes of NumPy's larger arrays)."""
    objects = collections.Counter(
        type(one).__name__
        for one in gc.get_objects()
        if str(type(one).__module__).startswith("av.")
    )
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
    return objects, sum(trace.size for trace in traces if trace.size >= SMALL)


def assert_nothing_is_kept(walk):
    """Walks twice; what is alive after the second time was so before."""
    walk()  # compiles, traces graphs and fills caches
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        objects, size = held()
        walk()
        objects_after, size_after = held()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert objects_after - objects == collections.Counter()
    assert size_after - size < 2 * SMALL


def drain(values):
    collections.deque(values, maxlen=0)


def begin(values, count=5):
    """Takes some values and gives up the rest, as a break in a loop does."""
    drain(itertools.islice(values, count))


@pytest.fixture(scope="module")
def folder(write_video, tmp_path_factory):
    """Holds a whole video, a damaged one, and the flow video of the first."""
    folder = tmp_path_factory.mktemp("memory")
    frames = moving_texture(FRAMES, HEIGHT, WIDTH)
    whole = write_video(folder / "videos" / "whole.avi", frames)
    data = whole.read_bytes()
    (folder / "videos" / "damaged.avi").write_bytes(data[: len(data) * 6 // 10])
    videos = whole.parent
    entry = extract_video(videos, folder, SETTINGS, False, pathlib.Path("whole.avi"))
    assert entry["state"] == "done"
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    networks = tiny.networks(3, (RGB, FLOW))
    data = Data("x", num_frames=9, size=32, smaller_side=48)
    export(networks, ["a", "b", "c"], data, path, endpoints=["Mixed_5c"])
    return path


def failing(error, function):
    """Returns `function`, which has to end in `error`; its traceback is dropped."""

    def run():
        with pytest.raises(error):
            function()

    return run


READERS = {
    "decode": decode,
    "read_video": lambda path: read_video(path, smaller_side=48),
    "until_damage": lambda path: read_video(path, smaller_side=48, until_damage=True),
    "grey_chunks": lambda path: grey_chunks(path, SETTINGS),
}


@pytest.mark.parametrize("reader", READERS)
def test_frames_of_a_video(folder, reader):
    read = READERS[reader]
    whole, damaged = folder / "videos" / "whole.avi", folder / "videos" / "damaged.avi"
    assert_nothing_is_kept(lambda: drain(read(whole)))
    assert_nothing_is_kept(lambda: begin(read(whole), 1))
    if reader == "until_damage":
        assert_nothing_is_kept(lambda: drain(read(damaged)))
    else:
        assert_nothing_is_kept(failing(VideoError, lambda: drain(read(damaged))))


def test_frames_of_an_interlaced_video(data_dir):
    path = data_dir / "clips" / "odd_files" / "derived" / "interlaced_tff.mp4"
    assert_nothing_is_kept(lambda: drain(decode(path)))
    assert_nothing_is_kept(lambda: begin(decode(path)))


@pytest.mark.parametrize("engine", ENGINES)
def test_flow_that_is_computed_ahead(engine):
    video = moving_texture(12, HEIGHT, WIDTH)
    two_sizes = [*video[:9], *moving_texture(9, 40, 40)]

    def pairs(frames):
        return frames_with_flow(iter(frames), TVL1(engine, warps=1), threads=2)

    def damaged():
        yield from video
        raise VideoError("damaged")

    assert_nothing_is_kept(lambda: drain(pairs(video)))
    assert_nothing_is_kept(lambda: begin(pairs(video)))
    assert_nothing_is_kept(failing(VideoError, lambda: drain(pairs(damaged()))))
    assert_nothing_is_kept(failing(ValueError, lambda: drain(pairs(two_sizes))))


def refuse(frames):
    raise ValueError(f"{len(frames)} frames")


def test_arguments_of_a_call_that_fails_in_another_process():
    with Workers(1) as processes:

        def call():
            processes.call(refuse, np.zeros([9, HEIGHT, WIDTH], np.uint8))

        assert_nothing_is_kept(failing(ValueError, call))


@pytest.mark.parametrize("name", ["whole.avi", "damaged.avi"])
def test_extraction_of_flow(folder, tmp_path, name):
    def extract():
        videos, video = folder / "videos", pathlib.Path(name)
        entry = extract_video(videos, tmp_path, SETTINGS, False, video)
        assert entry["state"] == ("failed" if name == "damaged.avi" else "done")

    assert_nothing_is_kept(extract)


def test_pairs_of_frame_and_flow(folder):
    video, flow = folder / "videos" / "whole.avi", folder / "whole.mkv"
    damaged, made = folder / "videos" / "damaged.avi", describe_flow_video(flow)
    assert_nothing_is_kept(lambda: drain(read_flow_video(flow)))
    assert_nothing_is_kept(lambda: begin(read_flow_video(flow)))
    assert_nothing_is_kept(lambda: begin(paired_frames(video, flow, made)))
    assert_nothing_is_kept(
        failing(VideoError, lambda: drain(paired_frames(damaged, flow, made)))
    )
    assert_nothing_is_kept(lambda: encode_pair(video, flow))
    assert_nothing_is_kept(lambda: encode_pair(video, flow, start=0.2, end=0.4))


@pytest.mark.parametrize("suffix", side_by_side.VIDEO_SUFFIXES)
def test_a_video_beside_its_flow(folder, tmp_path, suffix):
    video, flow = folder / "videos" / "whole.avi", folder / "whole.mkv"
    output = tmp_path / f"both{suffix}"
    assert_nothing_is_kept(lambda: side_by_side.write_video(output, video, flow))


def test_predictions(folder, model, tmp_path):
    predictor = Predictor(model)
    video, damaged = folder / "videos" / "whole.avi", folder / "videos" / "damaged.avi"
    assert_nothing_is_kept(lambda: predictor(video))
    assert_nothing_is_kept(failing(VideoError, lambda: predictor(damaged)))
    assert_nothing_is_kept(lambda: drain(predictor.windows(video, 4)))
    assert_nothing_is_kept(lambda: begin(predictor.windows(video, 4), 2))
    assert_nothing_is_kept(lambda: picture(predictor.windows(video, 8), tmp_path))


@pytest.mark.parametrize("format", ["npz", "tfrecord"])
def test_features_of_a_folder(folder, model, tmp_path, format):
    extractor = FeatureExtractor(ExportedModel(model), FEATURES)

    def extract():
        report = extract_folder(
            folder / "videos", tmp_path, extractor, format=format, resume=False
        )
        assert [entry["state"] for entry in report] == ["failed", "done"]

    assert_nothing_is_kept(extract)


def test_videos_of_a_distance(folder, tmp_path):
    class Model:
        made_for = {"size": 224, "streams": ("rgb",)}

        def output_names(self, signature):
            return ("default",)

        def __call__(self, signature, rgb_input):
            return {"default": rgb_input[:, 0, 0, 0].numpy()}

    for name in ("first.avi", "second.avi"):
        shutil.copy(folder / "videos" / "whole.avi", tmp_path / name)
    assert_nothing_is_kept(lambda: folder_features(Model(), tmp_path, num_frames=9))
    assert_nothing_is_kept(
        failing(VideoError, lambda: folder_features(Model(), tmp_path, num_frames=99))
    )


def test_an_inspected_data_set(write_video, tmp_path):
    builder = tiny.build(tmp_path, write_video)
    data, page = tiny.config().data, tmp_path / "page"
    assert_nothing_is_kept(
        lambda: inspection.inspect_dataset(builder, data, page, seed=0)
    )


def test_a_camera(monkeypatch):
    class Camera:
        def __init__(self, index):
            self.shown = itertools.count()

        def read(self):
            number = next(self.shown)
            return number < 30, np.full([HEIGHT, WIDTH, 3], number, np.uint8)

        def release(self):
            pass

    monkeypatch.setattr(webcam.cv2, "VideoCapture", Camera)
    times = itertools.count()
    monkeypatch.setattr(webcam.time, "monotonic", lambda: next(times) / 25)
    assert_nothing_is_kept(lambda: drain(webcam.watch(0, 8, 25)))
    assert_nothing_is_kept(lambda: begin(webcam.watch(0, 8, 25), 1))
    assert_nothing_is_kept(failing(ValueError, lambda: drain(webcam.watch(0, 80, 25))))
