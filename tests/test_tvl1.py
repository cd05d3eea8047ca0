"""TV-L1: known motions, published flow, and what is refused."""

import types

import av
import cv2
import numpy as np
import pytest

from flow import code
from flow.tvl1 import ENGINES, TVL1, video_flow
from flow.video import resize, to_grey

LEFT, TOP, SIDE = 26, 18, 28

each_engine = pytest.mark.parametrize("engine", ENGINES)


def texture(seed, height, width, contrast):
    noise = np.random.default_rng(seed).normal(0, 1, (height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    scaled = smooth / np.abs(smooth).max() * contrast
    return np.rint(128 + scaled).astype(np.uint8)


def square(dx, dy):
    """A square before still ground, moved by (dx, dy) px: `[64, 80]` uint8."""
    picture = texture(4, 64, 80, contrast=60)
    moved = texture(3, SIDE, SIDE, contrast=127)
    picture[TOP + dy : TOP + dy + SIDE, LEFT + dx : LEFT + dx + SIDE] = moved
    return picture


def inside(flow):
    """The flow of the square, without a margin of 4 px."""
    return flow[TOP + 4 : TOP + SIDE - 4, LEFT + 4 : LEFT + SIDE - 4]


@each_engine
@pytest.mark.parametrize(
    ("dx", "dy"), [(3, 0), (-3, 0), (0, 3), (0, -3), (2, -1), (-1, 2)]
)
def test_flow_inside_a_moving_square_is_its_motion(engine, dx, dy):
    flow = TVL1(engine)(square(0, 0), square(dx, dy))
    assert flow.dtype == np.float32 and flow.shape == (64, 80, 2)
    moving = inside(flow)
    # Measured: at most 0.10 px off at any pixel, 0.05 px on average; the still ground
    # far above 0.03 px on average.
    np.testing.assert_allclose(moving[..., 0], dx, atol=0.15)
    np.testing.assert_allclose(moving[..., 1], dy, atol=0.15)
    np.testing.assert_allclose(moving.mean(axis=(0, 1)), (dx, dy), atol=0.06)
    assert np.abs(flow[:8]).mean() < 0.05


@each_engine
def test_still_frames_have_no_flow(engine):
    flow = TVL1(engine)(square(0, 0), square(0, 0))
    np.testing.assert_array_equal(code.encode(flow), np.full((64, 80, 2), 128))


@each_engine
def test_solver_keeps_nothing_between_frames(engine):
    solver = TVL1(engine)
    pair = square(0, 0), square(2, 1)
    first = solver(*pair)
    solver(square(0, 0), square(-4, -4))
    np.testing.assert_array_equal(solver(*pair), first)
    # A smaller frame has fewer scales, and other places in the solver's memory.
    solver(square(0, 0)[:16, :17], square(-4, -4)[:16, :17])
    np.testing.assert_array_equal(solver(*pair), first)
    np.testing.assert_array_equal(TVL1(engine)(*pair), first)


def test_video_flow_leads_from_the_frame_before():
    moves = [(0, 0), (0, 0), (2, 0), (2, -1)]
    frames = [np.repeat(square(*move)[..., None], 3, axis=2) for move in moves]
    flows = list(video_flow(iter(frames), TVL1()))
    assert len(flows) == 3
    for k, motion in enumerate([(0, 0), (2, 0), (0, -1)]):
        moving = inside(flows[k])[:, 2:]
        np.testing.assert_allclose(moving - np.float32(motion), 0, atol=0.15)


def test_video_flow_of_no_or_one_frame_is_empty():
    frame = np.zeros((16, 16, 3), np.uint8)
    assert list(video_flow([], TVL1())) == list(video_flow([frame], TVL1())) == []


@pytest.mark.parametrize(
    ("previous", "current", "message"),
    [
        (np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8), "previous is"),
        (np.zeros((32, 32), np.uint8), np.zeros((1, 32, 32), np.uint8), "current is"),
        ([[0] * 32] * 32, np.zeros((32, 32), np.uint8), "previous is list; TV-L1 ta"),
        (np.zeros((32, 32), np.float32), np.zeros((32, 32), np.uint8), "float32"),
        (np.zeros((32, 32), np.uint8), np.zeros((32, 33), np.uint8), "one size"),
        (np.zeros((15, 40), np.uint8), np.zeros((15, 40), np.uint8), "needs 16"),
        (np.zeros((40, 15), np.uint8), np.zeros((40, 15), np.uint8), "needs 16"),
    ],
)
def test_unusable_frames_are_refused(previous, current, message):
    with pytest.raises(ValueError, match=message):
        TVL1()(previous, current)


@each_engine
def test_the_smallest_frames_work(engine):
    grey = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    np.testing.assert_allclose(TVL1(engine)(grey, grey), 0, atol=1e-3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"engine": "cuda"}, "engine is 'cuda'; known: fast, opencv"),
        ({"tau": 0}, "tau is 0; it must be above 0"),
        ({"lambda_": -1}, "lambda_ is -1"),
        ({"theta": float("nan")}, "theta is nan"),
        ({"epsilon": -0.1}, "epsilon is -0.1; it must be 0 or more"),
        ({"gamma": float("inf")}, "gamma is inf"),
        ({"nscales": 0}, "nscales is 0; it must be a whole number from 1"),
        ({"warps": 1.5}, "warps is 1.5"),
        ({"inner_iterations": 0}, "inner_iterations is 0"),
        ({"outer_iterations": -2}, "outer_iterations is -2"),
        ({"scale_step": 1}, "scale_step is 1; it must lie between 0 and 1"),
        ({"median_filtering": 4}, "median_filtering is 4; it must be 1, 3 or 5"),
    ],
)
def test_parameters_out_of_range_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        TVL1(**changed)


@pytest.mark.parametrize(
    "installed, found",
    [
        (["opencv-python", "numpy"], ["opencv-python"]),
        (
            ["opencv-contrib-python-headless", "opencv-python-headless"],
            ["opencv-python-headless", "opencv-contrib-python-headless"],
        ),
        ([], ["opencv-python"]),
    ],
)
def test_opencv_without_contrib_modules_is_told(monkeypatch, installed, found):
    monkeypatch.delattr(cv2, "optflow")
    distributions = [types.SimpleNamespace(name=name) for name in installed]
    monkeypatch.setattr(
        "flow.tvl1.importlib.metadata.distributions", lambda: distributions
    )
    with pytest.raises(ValueError) as error:
        TVL1("opencv")
    assert str(error.value) == (
        f"engine 'opencv' needs cv2.optflow, which the installed {' and '.join(found)} "
        f"lacks: run pip uninstall {' '.join(found)}, then pip install "
        "opencv-contrib-python-headless; or use the engine 'fast', which needs neither"
    )
    assert TVL1("fast").engine == "fast"


def test_parameters_have_the_defaults_of_opencv():
    solver, kept = cv2.optflow.DualTVL1OpticalFlow_create(), TVL1().parameters
    assert kept == {
        "engine": "fast",
        "tau": solver.getTau(),
        "lambda_": solver.getLambda(),
        "theta": solver.getTheta(),
        "nscales": solver.getScalesNumber(),
        "warps": solver.getWarpingsNumber(),
        "epsilon": solver.getEpsilon(),
        "inner_iterations": solver.getInnerIterations(),
        "outer_iterations": solver.getOuterIterations(),
        "scale_step": solver.getScaleStep(),
        "gamma": solver.getGamma(),
        "median_filtering": solver.getMedianFiltering(),
    }
    changed = TVL1(warps=3, lambda_=0.1, inner_iterations=7).parameters
    assert changed == {**kept, "warps": 3, "lambda_": 0.1, "inner_iterations": 7}


def read_grey(path):
    image = cv2.imread(str(path))
    assert image is not None, path
    return to_grey(image[..., ::-1])


@each_engine
@pytest.mark.parametrize(("name", "u", "v"), [("R2", 2, 0), ("R5U5", 5, -5)])
def test_known_shift(data_dir, engine, name, u, v):
    folder = data_dir / "flow" / "known_shift"
    still = read_grey(folder / "Shift0.png")
    moved = read_grey(folder / f"Shift{name}.png")
    moving = np.s_[66:180, 66:250]
    # Measured: 0.02 px off. Right is a positive u, up a negative v.
    forth = TVL1(engine)(still, moved)
    np.testing.assert_allclose(np.median(forth[moving], (0, 1)), (u, v), atol=0.05)
    back = TVL1(engine)(moved, still)
    np.testing.assert_allclose(np.median(back[moving], (0, 1)), (-u, -v), atol=0.05)
    # The texture beside the square stands still.
    np.testing.assert_allclose(np.median(forth[:40], (0, 1)), 0, atol=0.01)


def test_flow_beyond_the_bound_is_cut_by_the_code(data_dir):
    folder = data_dir / "flow" / "known_shift"
    shift = [read_grey(folder / f"{name}.png") for name in ("Shift0", "ShiftR40")]
    flow = TVL1(warps=2, outer_iterations=3)(*shift)
    assert flow.max() > 21
    coded = code.decode(code.encode(flow))
    assert coded.max() == 20
    np.testing.assert_array_equal(coded[flow > 20], 20)
    np.testing.assert_allclose(coded, np.clip(flow, -20, 20), atol=0.079)


@each_engine
def test_middlebury_endpoint_error(data_dir, engine):
    folder = data_dir / "flow" / "middlebury" / "RubberWhale"
    frames = [read_grey(folder / f"frame{number}.png") for number in (10, 11)]
    words = np.fromfile(folder / "flow10.flo", np.float32)
    width, height = words[1:3].view(np.int32)
    truth = words[3:].reshape(height, width, 2)
    known = (np.abs(truth) < 1e9).all(axis=-1)
    error = np.linalg.norm(TVL1(engine)(*frames) - truth, axis=-1)[known].mean()
    assert error == pytest.approx(0.156, abs=0.003)


def test_direction_agrees_with_published_flow(data_dir):
    """DeepMind's flow of UCF101's v_CricketShot_g04_c01, of which R is u, G is v."""
    folder = data_dir / "clips" / "cricket_shot"
    rgb, published = (
        _read_gif(folder / f"v_CricketShot_g04_c01_{kind}.gif")
        for kind in ("rgb", "flow")
    )
    assert len(rgb) == len(published) == 79
    for k in (5, 20, 40, 60):
        pair = [to_grey(resize(image, 112)) for image in rgb[k : k + 2]]
        flow = TVL1()(*pair)
        theirs = published[k][..., :2].astype(np.float32) - 128
        theirs = cv2.resize(theirs, (112, 112), interpolation=cv2.INTER_AREA)
        moving = np.linalg.norm(theirs, axis=-1) > 10
        assert moving.sum() > 500
        # Measured: u 0.89-0.96, v 0.86-0.90. Between neighbouring frames' flow v
        # falls to 0.3-0.7, so an alignment that is a frame off is seen.
        for channel, least in ((0, 0.85), (1, 0.8)):
            ours = flow[moving][:, channel]
            assert np.corrcoef(ours, theirs[moving][:, channel])[0, 1] > least


def _read_gif(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode()]
