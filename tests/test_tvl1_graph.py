"""TV-L1 in the graph beside OpenCV: the whole flow, graphs, and what is refused."""

import itertools
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from flow.tvl1 import TVL1, video_flow
from flow.tvl1_graph import rgb_to_grey, tvl1_flow, video_flow_graph
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


def test_a_width_that_is_not_static():
    """Four scales, of frames that are wider than the graph knows."""
    parameters = {**FIXED, "nscales": 4}
    known = tf.TensorSpec([None, HEIGHT, WIDTH], tf.uint8)
    free = tf.TensorSpec([None, HEIGHT, None], tf.uint8)
    flows = []
    for spec in (known, free):
        solve = tf.function(
            lambda first, second: tvl1_flow(first, second, **parameters),
            input_signature=[spec, spec],
            autograph=False,
        )
        flows.append(solve(*batch_of(textures())).numpy())
    np.testing.assert_allclose(flows[1], flows[0], atol=1e-4)
    assert np.abs(flows[0]).max() > 1


def test_one_alone_is_the_same_as_one_of_two(batch, eager):
    alone = fixed_flow(batch[0][1:], batch[1][1:])
    np.testing.assert_allclose(alone[0], eager[1], atol=1e-5)


def test_floats_are_taken(batch, eager):
    floats = [np.float32(frames) for frames in batch]
    np.testing.assert_array_equal(fixed_flow(*floats), eager)


def test_grey_is_opencvs():
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (3, 800, 1000, 3), np.uint8)
    frames[0] = random.choice(np.array([0, 1, 254, 255], np.uint8), frames[0].shape)
    expected = np.stack([to_grey(frame) for frame in frames])
    grey = rgb_to_grey(frames)
    assert grey.dtype == tf.uint8
    np.testing.assert_array_equal(grey, expected)


# What is refused.


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (([32, 32], [1, 32, 32]), r"previous is float32 \[32, 32\]; .* \[B, H, W\]"),
        (([1, 32, 32], [1, 32, 32, 1]), r"current is float32 \[1, 32, 32, 1\]"),
        (
            ([1, None, 32], [1, 32, 32]),
            r"previous is \[1, None, 32\]; H must be static",
        ),
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
    with pytest.raises(ValueError, match="engine: it is none of the parameters here"):
        tvl1_flow(frames, frames, engine="fast")


def test_the_rest_of_flow_does_without_keras():
    code = (
        "import sys, flow.extract, flow.tvl1, flow.tvl1_fast, flow.visualize\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
