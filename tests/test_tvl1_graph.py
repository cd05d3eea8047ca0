"""TV-L1 in the graph beside OpenCV, as a whole and piece by piece."""

import itertools
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from flow.tvl1 import TVL1, video_flow
from flow.tvl1_graph import rgb_to_grey, tvl1_flow, video_flow_graph
from flow.tvl1_graph_median import median
from flow.tvl1_graph_steps import (
    iterate,
    linearise,
    not_last,
    resize,
    surroundings,
    warp,
)
from flow.video import read_video, to_grey

# As many iterations everywhere: else the last bit of a sum decides when to stop. Few
# scales and a small median filter, as those make the graph large.
FIXED = {
    "epsilon": 0.0,
    "inner_iterations": 8,
    "outer_iterations": 2,
    "warps": 2,
    "nscales": 2,
    "median_filtering": 3,
}
HEIGHT, WIDTH = 48, 64  # px


def textures(seed=0, height=HEIGHT, width=WIDTH):
    """Two frames of which the second is the first, moved and a little brighter."""
    noise = np.random.default_rng(seed).normal(size=(height + 8, width + 8))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    picture = 128 + 100 * smooth / np.abs(smooth).max()
    first, second = picture[4:-4, 4:-4], picture[3:-5, 6:-2] + 3
    return np.rint(first).astype(np.uint8), np.rint(second).astype(np.uint8)


def batch_of(*pairs):
    previous, current = zip(*pairs, strict=True)
    return np.stack(previous), np.stack(current)


def differences(flows, pairs, **parameters):
    """Mean and 99th percentile of |flow - OpenCV's| in px, for each pair."""
    engine = TVL1("opencv", **parameters)
    off = [
        np.abs(engine(*pair) - flow) for pair, flow in zip(pairs, flows, strict=True)
    ]
    return np.array([(each.mean(), np.percentile(each, 99)) for each in off])


# Of batches of any size.
FRAMES = tf.TensorSpec([None, HEIGHT, WIDTH], tf.uint8)


@pytest.fixture(scope="module")
def default_flow():
    """`tvl1_flow` with the defaults, a graph."""
    # Autograph finds nothing to do, in as much time as all the rest takes.
    graph = tf.function(tvl1_flow, input_signature=[FRAMES, FRAMES], autograph=False)
    return lambda *pairs: graph(*batch_of(*pairs)).numpy()


# The whole.


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"tau": 0.125},
        {"lambda_": 0.05},
        {"theta": 0.5},
        {"nscales": 1},
        {"scale_step": 0.5},
        {"warps": 1},
        {"epsilon": 0.2},
        {"inner_iterations": 5, "outer_iterations": 3},
        {"gamma": 0.5},
        {"gamma": 2.0},
        {"median_filtering": 1},
        {"median_filtering": 5},
    ],
    ids=str,
)
def test_every_parameter_does_what_it_does_in_opencv(changed):
    pair, parameters = textures(), {**FIXED, **changed}
    flow = tvl1_flow(*batch_of(pair), **parameters).numpy()
    ((mean, most),) = differences(flow, [pair], **parameters)
    # Measured: 1e-6 and 8e-6 px; of what is changed, 3e-3 and more.
    assert mean < 2e-5 and most < 2e-4
    if changed:
        theirs = [TVL1("opencv", **each)(*pair) for each in (FIXED, parameters)]
        assert np.abs(theirs[0] - theirs[1]).mean() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (31, 40)])
def test_all_sizes(height, width):
    pair = textures(1, height, width)
    flow = tvl1_flow(*batch_of(pair), **FIXED).numpy()
    ((mean, most),) = differences(flow, [pair], **FIXED)
    assert mean < 2e-5 and most < 2e-4


def test_flow_with_the_defaults_is_opencvs(default_flow):
    pairs = [textures(seed) for seed in range(4)]
    found = differences(default_flow(*pairs), pairs)
    # Measured: 0.013 and 0.16 px where one iteration is more or less, else 0.0002 px.
    assert (found < (0.03, 0.3)).all()


def test_real_video(data_dir, default_flow):
    names = (
        "ucf101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
        "kinetics/R6llTwEh07w.mp4",
    )
    pairs = []
    for name in names:
        frames = read_video(data_dir / "clips" / name, smaller_side=128)
        pair = (to_grey(frame) for frame in itertools.islice(frames, 20, 22))
        pairs.append([grey[30 : 30 + HEIGHT, 40 : 40 + WIDTH] for grey in pair])
    found = differences(default_flow(*pairs), pairs)
    # Measured: 0.0002 and 0.002 px.
    assert (found < (0.03, 0.3)).all()


def test_known_shift(data_dir, default_flow):
    folder = data_dir / "flow" / "known_shift"
    still, right2, right5_up5 = (
        to_grey(cv2.imread(str(folder / f"Shift{end}.png"))[..., ::-1])[
            100 : 100 + HEIGHT, 80 : 80 + WIDTH
        ]
        for end in ("0", "R2", "R5U5")
    )
    pairs = [(still, right2), (right2, still), (still, right5_up5), (right5_up5, still)]
    flow = default_flow(*pairs)
    # Right is a positive u, up a negative v.
    moves = [(2, 0), (-2, 0), (5, -5), (-5, 5)]
    np.testing.assert_allclose(
        np.median(flow[:, 12:-12, 12:-12], (1, 2)), moves, atol=0.05
    )


def test_a_batch_is_its_examples(default_flow):
    still = textures(2)[0]
    pairs = [textures(0), (still, still), textures(3), textures(1)[::-1]]
    together = default_flow(*pairs)
    for pair, flow in zip(pairs, together, strict=True):
        alone = default_flow(pair)[0]
        np.testing.assert_allclose(flow, alone, atol=1e-5)
    # The still one stops at once, when the others have hardly begun.
    assert np.abs(together[1]).max() < 1e-3
    assert np.abs(together[0]).mean() > 0.5


# In graphs.


@pytest.fixture(scope="module")
def batch():
    return batch_of(textures(0), textures(1))


@pytest.fixture(scope="module")
def eager(batch):
    return tvl1_flow(*batch, **FIXED).numpy()


def fixed_flow(previous, current):
    return tvl1_flow(previous, current, **FIXED)


def test_graph_and_saved_model_take_any_batch(batch, eager, tmp_path):
    module = tf.Module()
    module.flow = tf.function(fixed_flow, input_signature=[FRAMES, FRAMES])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for serve in (module.flow, loaded.flow):
        for count in (2, 1, 0):
            flow = serve(batch[0][:count], batch[1][:count]).numpy()
            assert flow.shape == (count, HEIGHT, WIDTH, 2) and flow.dtype == np.float32
            np.testing.assert_allclose(flow, eager[:count], atol=1e-5)


def test_xla_gives_the_same(batch, eager):
    compiled = tf.function(fixed_flow, jit_compile=True, autograph=False)
    flow = compiled(*batch).numpy()
    np.testing.assert_allclose(flow, eager, atol=1e-4)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_videos(one_by_one):
    # Red, green and blue have textures of their own.
    moving = [np.stack([textures(3 * k + c) for c in range(3)], -1) for k in range(2)]
    videos = np.stack([frames[[0, 1, 0]] for frames in moving])
    any_videos = tf.TensorSpec([None, None, HEIGHT, WIDTH, 3], tf.uint8)
    parameters = {**FIXED, "nscales": 1}

    @tf.function(input_signature=[any_videos])
    def serve(frames):
        return video_flow_graph(frames, one_by_one=one_by_one, **parameters)

    flow = serve(videos).numpy()
    assert flow.shape == (2, 2, HEIGHT, WIDTH, 2)
    engine = TVL1("opencv", **parameters)
    for frames, got in zip(videos, flow, strict=True):
        expected = np.stack(list(video_flow(frames, engine)))
        np.testing.assert_allclose(got, expected, atol=2e-3)
    assert serve(videos[:, :1]).shape == (2, 0, HEIGHT, WIDTH, 2)


def test_one_alone_is_the_same_as_one_of_two(batch, eager):
    alone = fixed_flow(batch[0][1:], batch[1][1:])
    np.testing.assert_allclose(alone[0], eager[1], atol=1e-5)


def test_floats_are_taken(batch, eager):
    floats = [np.float32(frames) for frames in batch]
    np.testing.assert_array_equal(fixed_flow(*floats), eager)


# The pieces.


def test_grey_is_opencvs():
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (3, 800, 1000, 3), np.uint8)
    frames[0] = random.choice(np.array([0, 1, 254, 255], np.uint8), frames[0].shape)
    expected = np.stack([to_grey(frame) for frame in frames])
    grey = rgb_to_grey(frames)
    assert grey.dtype == tf.uint8
    np.testing.assert_array_equal(grey, expected)


@pytest.mark.parametrize(("height", "width"), [(40, 47), (31, 64), (256, 341)])
@pytest.mark.parametrize("step", [0.8, 0.5, 0.93])
def test_resize_is_opencvs(height, width, step):
    image = np.random.default_rng(1).uniform(0, 255, (height, width)).astype(np.float32)
    smaller = cv2.resize(image, None, fx=step, fy=step)
    got = resize(image[None, None], smaller.shape, (1 / step, 1 / step))[0, 0]
    np.testing.assert_allclose(got, smaller, atol=1e-3)
    larger = cv2.resize(smaller, (width, height))
    got = resize(smaller[None], (height, width))[0]
    np.testing.assert_allclose(got, larger, atol=1e-3)


@pytest.mark.parametrize("speed", [0.4, 8, 300])
def test_warp_is_opencvs_remap(speed):
    batch, height, width = 2, 40, 47
    random = np.random.default_rng(1)
    frames = random.uniform(0, 255, (batch, height, width)).astype(np.float32)
    flow = random.normal(0, speed, (2, batch, height, width)).astype(np.float32)
    warped = warp(surroundings(tf.constant(frames)), *flow)
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    for example, frame in enumerate(frames):
        edges = np.pad(frame, 1, mode="edge")
        in_x = (edges[1:-1, 2:] - edges[1:-1, :-2]) / 2
        in_y = (edges[2:, 1:-1] - edges[:-2, 1:-1]) / 2
        u, v = flow[:, example]
        at = np.float32(across + u), np.float32(down + v)
        for image, got in zip((frame, in_x, in_y), warped, strict=True):
            expected = cv2.remap(image, *at, cv2.INTER_CUBIC)
            np.testing.assert_allclose(got[example], expected, atol=2e-3)
    if speed == 300:
        assert (warped[0].numpy() == 0).mean() > 0.5


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (31, 64)])
@pytest.mark.parametrize("values", [2, 5, 1000])
def test_median_is_opencvs(size, height, width, values):
    images = np.random.default_rng(7).integers(0, values, (2, height, width))
    images = images.astype(np.float32)
    expected = [cv2.medianBlur(image, size) for image in images]
    np.testing.assert_array_equal(median(images, size), expected)


@pytest.mark.parametrize("size", [3, 5])
def test_median_of_zeros_and_ones_is_right_for_every_count(size):
    """Minima and maxima that are right for these are for all (Knuth, 5.3.4)."""
    shares = np.linspace(0.3, 0.7, 9)[:, None, None]
    images = np.float32(np.random.default_rng(3).random((9, 64, 256)) < shares)
    expected = [cv2.medianBlur(image, size) for image in images]
    np.testing.assert_array_equal(median(images, size), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_an_iteration_is_the_papers(gamma):
    """Against the equations in float64, without a thought of speed."""
    bound, theta, taut = 0.045, 0.3, 0.25 / 0.3
    channels = 3 if gamma else 2
    random = np.random.default_rng(5)
    first, second, ix, iy = random.normal(0, 0.5, (4, 2, 17, 33))
    flow = random.normal(0, 0.5, (channels, 2, 17, 33))
    dual = random.normal(0, 0.5, (channels, 2, 2, 17, 33))
    dual[:, 0, ..., -1] = dual[:, 1, :, -1] = 0
    planes = [tf.constant(each, tf.float32) for each in flow]
    duals = [tuple(tf.constant(each, tf.float32) for each in pair) for pair in dual]
    # The second example has stopped.
    goes_on = np.float32([1, 0]).reshape(2, 1, 1)
    numbers = [bound, theta, *(taut * mask.numpy() for mask in not_last(17, 33))]
    linear = linearise(
        *(tf.constant(first, tf.float32), np.float32([second, ix, iy])), planes, gamma
    )
    new_planes, new_duals, change = iterate(
        planes, duals, linear, *(np.float32(goes_on * number) for number in numbers)
    )

    rho = second - ix * flow[0] - iy * flow[1] - first + ix * flow[0] + iy * flow[1]
    if gamma:
        rho = rho + gamma * flow[2]
    square = ix**2 + iy**2
    step = np.where(rho < -bound * square, bound, -rho / square)
    step = np.where(rho > bound * square, -bound, step)
    expected = 0
    for channel, image in enumerate((ix, iy, gamma)[:channels]):
        p, q = dual[channel]
        divergence = np.diff(p, axis=2, prepend=0) + np.diff(q, axis=1, prepend=0)
        new = flow[channel] + step * image + theta * divergence
        expected += ((new - flow[channel])[0] ** 2).sum()
        new_x = np.diff(new, axis=2, append=new[..., -1:])
        new_y = np.diff(new, axis=1, append=new[:, -1:])
        norm = 1 + taut * np.hypot(new_x, new_y)
        got, (got_p, got_q) = new_planes[channel].numpy(), new_duals[channel]
        np.testing.assert_allclose(got[0], new[0], atol=1e-5)
        np.testing.assert_allclose(got_p[0], ((p + taut * new_x) / norm)[0], atol=1e-5)
        np.testing.assert_allclose(got_q[0], ((q + taut * new_y) / norm)[0], atol=1e-5)
        np.testing.assert_array_equal(got[1], planes[channel][1])
        np.testing.assert_array_equal(got_p[1], duals[channel][0][1])
        np.testing.assert_array_equal(got_q[1], duals[channel][1][1])
    np.testing.assert_allclose(change, [expected, 0], rtol=1e-4)


# What is refused.


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (([32, 32], [1, 32, 32]), r"previous is float32 \[32, 32\]; .* \[B, H, W\]"),
        (([1, 32, 32], [1, 32, 32, 1]), r"current is float32 \[1, 32, 32, 1\]"),
        (([1, 32, None], [1, 32, 32]), r"previous is \[1, 32, None\]; .* static"),
        (([1, 15, 40], [1, 15, 40]), "needs 16 px a side"),
        (([1, 40, 15], [1, 40, 15]), "needs 16 px a side"),
        (([1, 32, 32], [1, 32, 33]), r"\[1, 32, 32\], current \[1, 32, 33\]"),
        (([2, 32, 32], [3, 32, 32]), "one shape"),
    ],
)
def test_unusable_frames_are_refused(shapes, message):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    with pytest.raises(ValueError, match=message):
        tf.function(tvl1_flow, autograph=False).get_concrete_function(*specs)


@pytest.mark.parametrize("dtype", [np.int32, bool])
def test_unusable_dtypes_are_refused(dtype):
    frames = np.zeros([1, 16, 16], dtype)
    with pytest.raises(ValueError, match=f"previous is {np.dtype(dtype)}"):
        tvl1_flow(frames, frames)


def test_unusable_videos_are_refused():
    with pytest.raises(ValueError, match=r"\[4, 16, 16, 3\]; .* \[B, T, H, W, 3\]"):
        video_flow_graph(np.zeros([4, 16, 16, 3], np.uint8))
    with pytest.raises(ValueError, match=r"float32 \[1, 4, 16, 16, 3\]; .* uint8 RGB"):
        video_flow_graph(np.zeros([1, 4, 16, 16, 3], np.float32))
    with pytest.raises(ValueError, match=r"\[1, 4, 16, 16, 1\]; .* uint8 RGB"):
        video_flow_graph(np.zeros([1, 4, 16, 16, 1], np.uint8))


def test_parameters_out_of_range_are_refused():
    frames = np.zeros([1, 16, 16], np.uint8)
    with pytest.raises(ValueError, match="warps is 0"):
        tvl1_flow(frames, frames, warps=0)
    with pytest.raises(TypeError, match="engine"):
        tvl1_flow(frames, frames, engine="fast")


def test_the_rest_of_flow_does_without_keras():
    code = (
        "import sys, flow.extract, flow.tvl1, flow.tvl1_fast, flow.visualize\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
