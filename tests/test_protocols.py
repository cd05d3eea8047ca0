"""Which frames and crops the protocols show: by their numbers, and on real records."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tiny

from i3d_tf import FLOW, RGB, clips, pipeline, protocols
from i3d_tf.datasets import open_dataset
from i3d_tf.protocols import Protocol

PAIRS = 13  # of each video below


@pytest.mark.parametrize(
    ("protocol", "frames", "starts"),
    [
        (protocols.center(64), 100, [18]),
        (protocols.center(64), 64, [0]),
        (protocols.center(64), 30, [0]),
        (protocols.full(250), 400, [0]),
        (protocols.full(250), 30, [0]),
        (protocols.full(None), 400, [0]),
        (protocols.views(64, 1, 3), 100, [18]),
        (protocols.views(64, 2, 1), 100, [0, 36]),
        (protocols.views(64, 3, 1), 100, [0, 18, 36]),
        # 37 / 4 = 9.25, 18.5, 27.75
        (protocols.views(64, 5, 1), 101, [0, 9, 19, 28, 37]),
        (protocols.views(64, 3, 1), 30, [0, 0, 0]),
    ],
)
def test_clips_begin(protocol, frames, starts):
    assert protocols.clip_starts(protocol, tf.constant(frames)).numpy().tolist() == (
        starts
    )


@pytest.mark.parametrize(("frames", "length"), [(400, 400), (9, 9), (4, 9)])
def test_whole_videos_have_at_least_what_the_network_needs(frames, length):
    assert protocols.clip_length(protocols.full(None), frames) == length
    assert protocols.clip_length(protocols.full(250), frames) == 250


def crops(number, height, width):
    """[(top, left, mirrored)] of crops of 32 px."""
    found = protocols.crop_corners(Protocol("views", 64, 1, number), height, width, 32)
    return list(zip(*(part.numpy().tolist() for part in found), strict=True))


def test_one_crop_is_the_centre():
    assert crops(1, 41, 60) == [(4, 14, False)]


@pytest.mark.parametrize(
    ("height", "width", "corners"),
    [
        (41, 60, [(4, 0), (4, 14), (4, 28)]),
        (60, 41, [(0, 4), (14, 4), (28, 4)]),
        (42, 42, [(5, 0), (5, 5), (5, 10)]),
    ],
)
def test_three_crops_lie_along_the_longer_side(height, width, corners):
    assert crops(3, height, width) == [(*corner, False) for corner in corners]


def test_ten_crops_are_five_and_their_mirror_images():
    five = [(0, 0), (0, 28), (9, 0), (9, 28), (4, 14)]
    assert crops(5, 41, 60) == [(*corner, False) for corner in five]
    assert crops(10, 41, 60) == [
        (*corner, mirrored) for mirrored in (False, True) for corner in five
    ]


def test_center_is_the_view_that_training_and_pictures_know():
    shape = tuple(tf.constant(value) for value in (100, 41, 60))
    indices, view = protocols.all_views(protocols.center(64), shape, 32)
    centre = clips.centre_view(shape, num_frames=64, size=32)
    assert indices.numpy().tolist() == [0]
    for many, one in zip(view, centre, strict=True):
        assert many.numpy().tolist() == [one.numpy()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: protocols.full(8), "full: clips of 8 frames; the network needs 9"),
        (lambda: protocols.views(64, 0, 1), "views: 0 clips; at least 1 is needed"),
        (lambda: protocols.views(64, 1, 4), "views: 4 crops; known: 1, 3, 5, 10"),
    ],
)
def test_protocols_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        (protocols.center(64), "middle 64 frames, centre crop"),
        (protocols.full(), "first 250 frames, centre crop"),
        (protocols.full(None), "all frames, centre crop"),
        (protocols.views(64, 10, 3), "10 clips of 64 frames, 3 crops each"),
        (protocols.views(64, 1, 1), "middle 64 frames, centre crop"),
    ],
)
def test_descriptions(protocol, text):
    assert protocols.describe(protocol) == text


@pytest.fixture(scope="module")
def builder(tmp_path_factory, write_video):
    """Videos whose red tells the column, green the row and blue the frame."""

    def frames(number, count):
        rgb = np.empty([count, tiny.HEIGHT, tiny.WIDTH, 3], np.uint8)
        rgb[..., 0] = 20 + 2 * np.arange(tiny.WIDTH)
        rgb[..., 1] = 20 + 4 * np.arange(tiny.HEIGHT)[:, None]
        rgb[..., 2] = 20 + 10 * np.arange(count)[:, None, None]
        return rgb

    folder = tmp_path_factory.mktemp("protocols")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "rgb_frames", frames)
        tiny.build(folder, write_video, videos_per_class=3, frames=PAIRS + 1)
    return open_dataset(folder / "data", "two_stream_folder/tiny")


def seen(rgb, flow):
    """(frames, top, left, mirrored) of a clip, the same of RGB and of flow."""
    codes = rgb * 127.5 + 127.5
    columns, rows = (codes[..., 0].mean((0, 1)) - 20) / 2, codes[..., 1].mean((0, 2))
    frames = np.rint((codes[..., 2].mean((1, 2)) - 20) / 10).astype(int)
    mirrored = bool(columns[0] > columns[-1])
    ramp = np.arange(32)
    left = ((columns[::-1] if mirrored else columns) - ramp).mean()
    top = ((rows - 20) / 4 - ramp).mean()
    u, v = flow[..., 0].mean((1, 2)) * 20, flow[..., 1].mean((0, 1)) * 20
    # tiny.flow_field: u = k + 1 in even videos, v = x / 4 - 7.
    np.testing.assert_allclose(u * (-1) ** mirrored, frames + 1, atol=0.2)
    turned = v[::-1] if mirrored else v
    assert np.rint((4 * turned + 28 - ramp).mean()) == np.rint(left)
    return frames.tolist(), int(np.rint(top)), int(np.rint(left)), mirrored


def shown(builder, protocol, batch_size, **changes):
    """{video: what is seen of it, View by View}, and the sizes of the batches."""
    data = dataclasses.replace(tiny.config().data, **changes)
    batches = pipeline.eval_batches(
        builder,
        data,
        (RGB, FLOW),
        split="test",
        batch_size=batch_size,
        protocol=protocol,
    )
    found, sizes = [], []
    for inputs, labels, ids in batches:
        sizes.append(len(ids))
        for rgb, flow, label, id_ in zip(
            inputs["rgb"].numpy(), inputs["flow"].numpy(), labels, ids, strict=True
        ):
            name = id_.numpy().decode()
            assert name == f"{tiny.LABELS[np.argmax(label)]}/v2.mkv"
            found.append((name, seen(rgb, flow)))
    assert len(batches) == len(sizes)
    names = [name for name, _ in found]
    # The Views of a video follow each other.
    assert names == [
        name for name in dict.fromkeys(names) for _ in range(names.count(name))
    ]
    return {
        video: [view for name, view in found if name == video] for video in names
    }, sizes


def test_views_are_clip_by_clip_and_crop_by_crop(builder):
    five = [(0, 0), (0, 24), (8, 0), (8, 24), (4, 12)]
    expected = [
        (list(range(start, start + 9)), *corner, mirrored)
        # Pairs 1 ... 13 hold 9 frames at 5 places.
        for start in (1, 3, 5)
        for mirrored in (False, True)
        for corner in five
    ]
    found, sizes = shown(builder, protocols.views(9, 3, 10), batch_size=8)
    assert found == {f"{label}/v2.mkv": expected for label in tiny.LABELS}
    assert sizes == [8] * 11 + [2]


def test_three_crops_of_the_middle(builder):
    found, _ = shown(builder, protocols.views(9, 1, 3), batch_size=2)
    middle = list(range(3, 12))
    assert found["down/v2.mkv"] == [(middle, 4, left, False) for left in (0, 12, 24)]


def test_full_shows_the_first_frames_of_a_longer_video(builder):
    found, sizes = shown(builder, protocols.full(10), batch_size=2)
    assert found["still/v2.mkv"] == [(list(range(1, 11)), 4, 12, False)]
    assert sizes == [2, 1]


def test_full_loops_a_shorter_video(builder):
    found, _ = shown(builder, protocols.full(20), batch_size=2)
    looped = [*range(1, 14), *range(1, 8)]
    assert found["right/v2.mkv"] == [(looped, 4, 12, False)]


def test_full_shows_all_frames(builder):
    found, sizes = shown(builder, protocols.full(None), batch_size=1)
    assert found["right/v2.mkv"] == [(list(range(1, 14)), 4, 12, False)]
    assert sizes == [1, 1, 1]


def test_whole_videos_of_few_frames_are_looped_to_what_the_network_needs(
    tmp_path, write_video
):
    tiny.build(tmp_path, write_video, videos_per_class=2, frames=6)
    short = open_dataset(tmp_path / "data", "two_stream_folder/tiny")
    batches = pipeline.eval_batches(
        short,
        tiny.config().data,
        (FLOW,),
        split="test",
        batch_size=1,
        protocol=protocols.full(None),
    )
    for inputs, *_ in batches:
        u = inputs["flow"].numpy()[0, ..., 0].mean((1, 2)) * -20
        np.testing.assert_allclose(u - 1, [1, 2, 3, 4, 5, 1, 2, 3, 4], atol=0.2)


def test_whole_videos_do_not_fit_into_a_batch(builder):
    with pytest.raises(ValueError, match="batch_size is 2; whole videos differ"):
        shown(builder, protocols.full(None), batch_size=2)


@pytest.mark.parametrize(
    ("protocol", "frames"),
    [
        (None, 9),
        (protocols.views(9, 3, 10), 9),
        (protocols.full(20), 20),
        (protocols.full(None), None),
    ],
)
def test_shapes_are_known_so_that_networks_are_traced_once(builder, protocol, frames):
    batches = pipeline.eval_batches(
        builder,
        tiny.config().data,
        (RGB, FLOW),
        split="test",
        batch_size=1,
        protocol=protocol,
    )
    shapes = {name: spec.shape for name, spec in batches.element_spec[0].items()}
    assert shapes["rgb"].as_list() == [None, frames, 32, 32, 3]
    assert shapes["flow"].as_list() == [None, frames, 32, 32, 2]
