"""The rendered data set: its lists, its files and what they show."""

import pathlib
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

from experiments import sample_scenes, sample_videos

FRAMES = 30
SECONDS = FRAMES / 25
GROUPS = {"train": ("g08", "g09"), "test": ("g01",)}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A data set of 2 training clips and 1 test clip of each class, 1.2 s each."""
    output = tmp_path_factory.mktemp("samples")
    assert sample_videos.render_samples(output, 2, 1, SECONDS, seed=0) == 27
    return output


def _decode(path):
    """A video's frames `[T, H, W, 3]` uint8, RGB."""
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode()]
    return np.stack(frames)


def _grey(frames):
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def _object(frames, colour):
    """Where the chroma is a colour's: `[T, H, W]` bool."""
    chroma = [cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)[..., :0:-1] for frame in frames]
    want = np.array(sample_scenes.colour_chroma(colour))
    # OpenCV's 8-bit Cb and Cr are full-range around 128.
    return ((np.stack(chroma) - 128.0) @ want) > want @ want / 2


def _files(output):
    return {path.relative_to(output).as_posix() for path in output.rglob("*.*")}


def _lines(output, name):
    return (output / "annotations" / name).read_text().splitlines()


def _spans(mask):
    """How far the centre of a mask `[T, H, W]` travels in x and y, in px."""
    centres = np.array([np.argwhere(frame).mean(axis=0)[::-1] for frame in mask])
    return np.ptp(centres, axis=0), np.linalg.norm(np.diff(centres, axis=0), axis=-1)


def test_lists_are_as_in_ucf101(samples):
    names = [
        *("SlideRed", "SlideGreen", "SlideBlue"),
        *("BounceRed", "BounceGreen", "BounceBlue"),
        *("CircleRed", "CircleGreen", "CircleBlue"),
    ]
    labels = list(enumerate(names, start=1))
    assert names != sorted(names)
    assert _lines(samples, "classInd.txt") == [f"{i} {name}" for i, name in labels]
    assert _lines(samples, "trainlist01.txt") == [
        f"{name}/v_{name}_{group}_c01.avi {i}"
        for i, name in labels
        for group in GROUPS["train"]
    ]
    assert _lines(samples, "testlist01.txt") == [
        f"{name}/v_{name}_g01_c01.avi" for name in names
    ]


def test_files_are_exactly_those_listed(samples):
    listed = _lines(samples, "trainlist01.txt") + _lines(samples, "testlist01.txt")
    videos = {f"videos/{line.split()[0]}" for line in listed}
    assert len(videos) == len(listed) == 27
    assert _files(samples) == videos | {
        "annotations/classInd.txt",
        "annotations/trainlist01.txt",
        "annotations/testlist01.txt",
        "settings.json",
    }


def test_groups_come_first_and_never_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_videos, "render_clip", lambda *_: object())
    monkeypatch.setattr(sample_videos, "paint", lambda *_: None)
    monkeypatch.setattr(sample_videos, "write_video", lambda path, _: path.touch())
    sample_videos.render_samples(tmp_path, train_per_class=20, test_per_class=9)

    clips = {"train": [], "test": []}
    for split, found in clips.items():
        for line in _lines(tmp_path, f"{split}list01.txt"):
            if line.startswith("CircleBlue/"):
                found.append(line.split()[0][-11:-4])
    assert clips["test"] == [f"g{i:02}_c01" for i in range(1, 8)] + [
        "g01_c02",
        "g02_c02",
    ]
    assert clips["train"] == [f"g{i:02}_c01" for i in range(8, 26)] + [
        "g08_c02",
        "g09_c02",
    ]


def test_videos_are_encoded_as_in_ucf101(samples):
    for path in samples.glob("videos/*/*.avi"):
        with av.open(path) as container:
            stream = container.streams.video[0]
            assert container.format.name == "avi"
            assert stream.codec_context.name == "mpeg4"
            assert stream.codec_context.codec_tag == "XVID"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert (stream.width, stream.height) == (320, 240)
            assert stream.average_rate == 25
            assert sum(1 for _ in container.decode(stream)) == FRAMES


@pytest.mark.parametrize("colour", sample_scenes.COLOURS)
def test_colour_has_no_luma_and_no_clipping(colour):
    cb, cr = sample_scenes.colour_chroma(colour)
    hue = np.array([1.402 * cr, -0.344136 * cb - 0.714136 * cr, 1.772 * cb])
    assert hue @ (0.299, 0.587, 0.114) == pytest.approx(0, abs=1e-3)
    rgb = np.add.outer(sample_scenes.OBJECT_GREY, hue)
    assert rgb.min() >= 8 - 1e-3 and rgb.max() <= 247 + 1e-3
    # Saturated: at one end the headroom is used up.
    assert min(rgb.min() - 8, 247 - rgb.max()) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("motion", sample_scenes.MOTIONS)
@pytest.mark.parametrize("group", ["g01", "g08"])
def test_colours_of_a_scene_differ_in_chroma_only(samples, motion, group):
    clips = [
        _decode(samples / f"videos/{motion}{c}/v_{motion}{c}_{group}_c01.avi")
        for c in sample_scenes.COLOURS
    ]
    greys = [_grey(clip).astype(float) for clip in clips]
    masks = [_object(c, n) for c, n in zip(clips, sample_scenes.COLOURS, strict=True)]
    inside = np.logical_and.reduce(masks)
    for channel, (clip, grey) in enumerate(zip(clips, greys, strict=True)):
        assert abs(grey - greys[0]).mean() < 0.1
        assert abs(grey - greys[0])[inside].mean() < 0.2
        # The named channel stands out by at least 80 of 255 levels.
        means = clip[inside].mean(axis=0)
        assert means[channel] > np.delete(means, channel).max() + 80
    # Neither is grey trivially equal: object and background are textured.
    assert greys[0][inside].std() > 10 and greys[0][~inside].std() > 20


@pytest.mark.parametrize("motion", sample_scenes.MOTIONS)
@pytest.mark.parametrize("group", ["g01", "g08", "g09"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_motion_is_the_named_one(samples, motion, group, mirrored):
    name = f"{motion}Red"
    clip = _decode(samples / f"videos/{name}/v_{name}_{group}_c01.avi")
    if mirrored:
        clip = clip[:, :, ::-1].copy()
    mask = _object(clip, "Red")
    (x, y), steps = _spans(mask)
    # Amplitudes of 30-38 px, and 30 frames are at least 0.7 of a period.
    assert 45 < x < 78 if motion in ("Slide", "Circle") else x < 2
    assert 45 < y < 78 if motion in ("Bounce", "Circle") else y < 2
    assert 3 < steps.max() < 10
    # The central 75 %, to half a chroma sample.
    assert mask[:, 29:-29, 39:-39].sum() == mask.sum()


def test_scenes_are_shared_by_motions_and_differ_by_group_and_clip():
    slide, bounce, other_clip, other_group, other_seed = (
        sample_scenes.render_clip(motion, group, clip, frames=2, seed=seed)
        for motion, group, clip, seed in (
            ("Slide", 8, 1, 0),
            ("Bounce", 8, 1, 0),
            ("Slide", 8, 2, 0),
            ("Slide", 9, 1, 0),
            ("Slide", 8, 1, 1),
        )
    )
    apart = np.repeat(np.repeat(slide.mask + bounce.mask, 2, axis=1), 2, axis=2) == 0
    np.testing.assert_array_equal(slide.luma[apart], bounce.luma[apart])
    np.testing.assert_array_equal(slide.chroma, bounce.chroma)
    assert abs(other_clip.path - slide.path).max() > 1
    # Independent backgrounds of this contrast differ by some 30 levels.
    for other in (other_group, other_seed):
        assert abs(other.luma.astype(float) - slide.luma).mean() > 15


@pytest.mark.parametrize("name", ["DIAMETERS", "PERIODS", "EXPONENTS"])
def test_test_scenes_lie_between_training_scenes(name):
    (low, high), ranges = getattr(sample_scenes, name).values()
    assert low[1] < ranges[0][0] < ranges[0][1] < high[0]


@pytest.mark.parametrize("group", range(1, 26))
def test_all_groups_keep_the_object_inside_the_crop(group):
    for clip in (1, 2):
        shown = sample_scenes.render_clip("Circle", group, clip, 10, seed=0).mask
        rows, columns = np.nonzero(shown.max(axis=0) > 0.5)
        assert 15 <= rows.min() and rows.max() < 105
        assert 20 <= columns.min() and columns.max() < 140


def test_grey_flow_follows_the_motion_and_not_the_colour(samples):
    flows = []
    for colour in ("Red", "Green"):
        name = f"Circle{colour}"
        clip = _decode(samples / f"videos/{name}/v_{name}_g08_c01.avi")[5:7]
        small = [cv2.resize(grey, (96, 72)) for grey in _grey(clip)]
        flows.append(cv2.optflow.DualTVL1OpticalFlow_create().calc(*small, None))
    truth = sample_scenes.render_clip("Circle", 8, 1, FRAMES, seed=0)
    step = (truth.path[6] - truth.path[5]) * 0.3  # 72 of 240 px
    inside = cv2.resize(truth.mask[5], (96, 72), interpolation=cv2.INTER_AREA) > 0.9
    assert 1 < np.linalg.norm(step) < 3
    for flow in flows:
        np.testing.assert_allclose(np.median(flow[inside], axis=0), step, atol=0.25)
    assert abs(flows[0] - flows[1]).mean() < 0.05


def test_same_seed_gives_the_same_files(tmp_path):
    outputs = [tmp_path / name for name in ("a", "b", "c")]
    for output, seed in zip(outputs, (5, 5, 6), strict=True):
        sample_videos.render_samples(output, 1, 1, seconds=0.08, seed=seed)
    files = _files(outputs[0])
    assert len(files) == 18 + 4
    for name in files:
        same = (outputs[0] / name).read_bytes()
        assert (outputs[1] / name).read_bytes() == same
        if name.endswith(".avi"):
            assert (outputs[2] / name).read_bytes() != same


def test_rerun_keeps_files_and_adds_what_is_missing(tmp_path):
    sample_videos.render_samples(tmp_path, 1, 1, seconds=0.08)
    videos = sorted(tmp_path.glob("videos/*/*.avi"))
    lost, times = videos[4], {path: path.stat().st_mtime_ns for path in videos}
    content = lost.read_bytes()
    lost.unlink()

    assert sample_videos.render_samples(tmp_path, 2, 1, seconds=0.08) == 27
    for path in videos:
        assert path == lost or path.stat().st_mtime_ns == times[path]
    assert lost.read_bytes() == content
    assert len(list(tmp_path.glob("videos/*/*.avi"))) == 27
    assert len(_lines(tmp_path, "trainlist01.txt")) == 18


def test_interrupted_run_leaves_neither_half_a_video_nor_lists(tmp_path, monkeypatch):
    path = tmp_path / "half.avi"
    good = np.full((1, 360, 320), 128, np.uint8)
    with pytest.raises(ValueError):
        sample_scenes.write_video(path, [*good, np.zeros((7, 7), np.float64)])
    assert not path.exists()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sample_videos, "write_video", fail)
    with pytest.raises(KeyboardInterrupt):
        sample_videos.render_samples(tmp_path, 1, 1, seconds=0.08)
    assert list(tmp_path.glob("annotations/*")) == []


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"train_per_class": 0}, "train_per_class is 0; it has to be 1 or more"),
        ({"test_per_class": -1}, "test_per_class is -1; it has to be 1 or more"),
        ({"seconds": 0.04}, "seconds is 0.04; 2 frames at 25 per second need 0.08"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"seed": -1}, "seed is -1; it has to be 0 or more"),
    ],
)
def test_settings_out_of_range(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        sample_videos.render_samples(tmp_path / "none", **settings)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("settings", [{"seed": 1}, {"seconds": 1.4}])
def test_other_settings_do_not_mix_with_existing_videos(samples, settings):
    with pytest.raises(ValueError, match="choose another output"):
        sample_videos.render_samples(
            samples, 2, 1, **{"seconds": SECONDS, "seed": 0} | settings
        )


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.sample_videos", *arguments]
    root = pathlib.Path(__file__).parents[1]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_command(tmp_path):
    small = ("--output", str(tmp_path), "--train_per_class=1", "--test_per_class=1")
    done = _run(*small, "--seconds=0.08")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}: 18 videos of 9 classes\n"

    failed = _run(*small, "--seconds=0.01")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr == (
        "error: seconds is 0.01; 2 frames at 25 per second need 0.08 or more\n"
    )
