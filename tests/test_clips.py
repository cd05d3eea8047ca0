import cv2
import numpy as np
import pytest
import tensorflow as tf

from flow import code
from i3d_tf import CT, FLOW, RGB, clips


def jpeg(image):
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    return data.tobytes()


def view(start=0, top=0, left=0, mirrored=False):
    return clips.View(start, top, left, tf.constant(mirrored))


def random_views(count, *, epoch=0, seed=0, frames=100, num_frames=64, mirror=True):
    def draw(number):
        return clips.random_view(
            seed,
            epoch,
            tf.strings.as_string(number),
            (frames, 40, 60),
            num_frames=num_frames,
            size=32,
            mirror=mirror,
        )

    dataset = tf.data.Dataset.range(count).map(draw)
    return [tuple(value.numpy() for value in view) for view in dataset]


def test_sample_takes_consecutive_frames_from_start():
    ramp = tf.range(100)
    assert clips.sample(ramp, 7, 5).numpy().tolist() == [7, 8, 9, 10, 11]


def test_sample_loops_short_videos():
    assert clips.sample(tf.range(3), 1, 8).numpy().tolist() == [1, 2, 0, 1, 2, 0, 1, 2]


def test_views_are_the_same_whenever_drawn():
    assert random_views(20) == random_views(20)
    eager = clips.random_view(
        0, 0, tf.constant("3"), (100, 40, 60), num_frames=64, size=32, mirror=True
    )
    assert tuple(value.numpy() for value in eager) == random_views(20)[3]


def test_views_differ_by_epoch_seed_and_example():
    first = random_views(50)
    assert len(set(first)) > 45
    for other in (random_views(50, epoch=1), random_views(50, seed=1)):
        assert sum(a == b for a, b in zip(first, other, strict=True)) < 3


def test_views_reach_every_place_and_no_further():
    starts, tops, lefts, mirrored = zip(*random_views(2000), strict=True)
    assert set(starts) == set(range(100 - 64 + 1))
    assert set(tops) == set(range(40 - 32 + 1))
    assert set(lefts) == set(range(60 - 32 + 1))
    assert 0.45 < np.mean(mirrored) < 0.55


def test_views_of_short_videos_begin_anywhere_in_the_loops():
    # 3 loops of 30 frames hold a clip of 64 at 27 places.
    starts = {start for start, *_ in random_views(2000, frames=30)}
    assert starts == set(range(27))
    # A video as long as the clip has one place.
    assert {start for start, *_ in random_views(50, frames=64)} == {0}


def test_views_are_mirrored_only_if_asked():
    assert not any(mirrored for *_, mirrored in random_views(200, mirror=False))


@pytest.mark.parametrize(("frames", "start"), [(100, 18), (64, 0), (30, 0)])
def test_centre_view(frames, start):
    centre = clips.centre_view((frames, 41, 60), num_frames=64, size=32)
    assert int(centre.start) == start
    assert (int(centre.top), int(centre.left)) == (4, 14)
    assert not centre.mirrored


def test_decode_takes_the_crop_of_both_planes():
    u, v = np.meshgrid(np.arange(60), np.arange(40))
    # Smooth ramps: u of the column, v of the row.
    stacked = np.concatenate([100 + u, 100 + 2 * v]).astype(np.uint8)
    encoded = tf.constant([jpeg(stacked)])
    codes = clips.decode(encoded, FLOW, view(top=5, left=9), 40, 32).numpy()
    assert codes.shape == (1, 32, 32, 2)
    expected_u, expected_v = np.meshgrid(
        100 + 9 + np.arange(32), 110 + 2 * np.arange(32)
    )
    assert np.abs(codes[0, ..., 0].astype(int) - expected_u).max() <= 1
    assert np.abs(codes[0, ..., 1].astype(int) - expected_v).max() <= 1


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 11), (8, 28)])
def test_decode_gives_what_decoding_all_gives(top, left):
    noise = np.random.default_rng(0).integers(0, 256, [3, 80, 60], np.uint8)
    encoded = [jpeg(frame) for frame in noise]
    whole = np.stack(
        [
            tf.io.decode_jpeg(frame, dct_method="INTEGER_ACCURATE")[..., 0]
            for frame in encoded
        ]
    )
    window = np.s_[:, top : top + 32, left : left + 32]
    codes = clips.decode(tf.constant(encoded), FLOW, view(top=top, left=left), 40, 32)
    np.testing.assert_array_equal(codes[..., 0], whole[:, :40][window])
    np.testing.assert_array_equal(codes[..., 1], whole[:, 40:][window])


def test_decode_keeps_the_order_of_colours():
    image = np.zeros([40, 60, 3], np.uint8)
    image[:] = 200, 90, 20
    encoded = tf.constant([jpeg(image[..., ::-1])])  # OpenCV writes BGR.
    rgb = clips.decode(encoded, RGB, view(), 40, 32).numpy()
    assert np.abs(rgb.astype(int) - [200, 90, 20]).max() <= 2


def test_normalise_rgb():
    bytes_ = tf.constant([0, 51, 255], tf.uint8)
    np.testing.assert_allclose(clips.normalise(bytes_, RGB), [-1, -0.6, 1], atol=1e-6)


def test_normalise_flow_is_px_over_20():
    px = np.array([-20, -5, 0, 0.4, 20, 35], np.float32)
    codes = clips.normalise(tf.constant(code.encode(px)), FLOW)
    half_a_step = 0.5 / 127
    np.testing.assert_allclose(codes, np.clip(px / 20, -1, 1), atol=half_a_step + 1e-6)
    assert float(codes[2]) == 0.0
    raw = clips.normalise_raw(tf.constant(code.decode(code.encode(px))), FLOW)
    np.testing.assert_allclose(raw, codes, atol=1e-6)


def test_code_0_which_encode_never_writes_stays_in_range():
    assert float(clips.normalise(tf.constant(0, tf.uint8), FLOW)) == -1.0


def test_mirror_reverses_the_columns_and_negates_u():
    codes = np.random.default_rng(0).integers(0, 256, [2, 3, 5, 2], np.uint8)
    codes[0, 0] = [[0, 0], [1, 1], [128, 128], [254, 254], [255, 255]]
    clip = clips.normalise(tf.constant(codes), FLOW).numpy()
    mirrored = clips.mirror(tf.constant(codes), FLOW, tf.constant(True))
    assert mirrored.dtype == tf.uint8
    turned = clips.normalise(mirrored, FLOW).numpy()
    np.testing.assert_array_equal(turned[..., 0], -clip[:, :, ::-1, 0])
    np.testing.assert_array_equal(turned[..., 1], clip[:, :, ::-1, 1])
    kept = clips.mirror(tf.constant(codes), FLOW, tf.constant(False)).numpy()
    np.testing.assert_array_equal(kept, codes)


@pytest.mark.parametrize("stream", [RGB, CT])
def test_mirror_keeps_the_colours(stream):
    shape = [2, 3, 4, stream.channels]
    codes = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    mirrored = clips.mirror(tf.constant(codes), stream, tf.constant(True)).numpy()
    np.testing.assert_array_equal(mirrored, codes[:, :, ::-1])


def test_a_clip_is_sample_crop_mirror():
    # Frame k is grey 10 k with a bright right half.
    frames = []
    for k in range(5):
        frame = np.full([40, 60, 3], 10 * k, np.uint8)
        frame[:, 30:] += 100
        frames.append(jpeg(frame))
    grey = clips.make_codes(
        clips.sample(tf.constant(frames), 3, 4),
        RGB,
        view(top=2, left=14, mirrored=True),
        height=40,
        size=32,
    ).numpy()[..., 0]
    # Columns 14...45: 16 dark, 16 bright; mirrored, the bright ones come first.
    assert np.abs(grey[:, :, :15].mean((1, 2)) - [130, 140, 100, 110]).max() < 1
    assert np.abs(grey[:, :, 17:].mean((1, 2)) - [30, 40, 0, 10]).max() < 1
