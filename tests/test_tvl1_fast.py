"""The engine "fast" beside OpenCV, as a whole and piece by piece."""

import concurrent.futures
import itertools
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import numba
import numpy as np
import pytest

from flow import tvl1_fast, tvl1_iterations, tvl1_median, tvl1_warp
from flow.tvl1 import TVL1
from flow.tvl1_planes import (
    FIRST,
    IG,
    IX,
    IY,
    P11,
    P12,
    P21,
    P22,
    PLANES,
    RHO,
    SCRATCH_ROWS,
    U1,
    U2,
    layout_of,
    scratch_row,
)
from flow.video import read_video, to_grey

SIZES = [(16, 16), (17, 33), (40, 47), (31, 64)]


def textures(seed=0, height=60, width=76):
    """Two frames of which the second is the first, moved and a little brighter."""
    noise = np.random.default_rng(seed).normal(size=(height + 8, width + 8))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    picture = 128 + 100 * smooth / np.abs(smooth).max()
    first, second = picture[4:-4, 4:-4], picture[3:-5, 6:-2] + 3
    return np.rint(first).astype(np.uint8), np.rint(second).astype(np.uint8)


def difference(pair, **parameters):
    """Mean and 99th percentile of |fast - OpenCV| in px."""
    off = np.abs(
        TVL1("fast", **parameters)(*pair) - TVL1("opencv", **parameters)(*pair)
    )
    return off.mean(), np.percentile(off, 99)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"tau": 0.125},
        {"lambda_": 0.05},
        {"theta": 0.5},
        {"nscales": 1},
        {"nscales": 3, "scale_step": 0.5},
        {"warps": 1},
        {"epsilon": 0.1},
        {"inner_iterations": 7, "outer_iterations": 2},
        {"gamma": 0.3},
        {"gamma": 2.0, "warps": 2},
        {"median_filtering": 1},
        {"median_filtering": 3},
    ],
    ids=str,
)
def test_every_parameter_does_what_it_does_in_opencv(parameters):
    # As many iterations in both: the last bit of a sum decides when to stop.
    fixed = {"epsilon": 0.0, "inner_iterations": 10, "outer_iterations": 2}
    pair = textures()
    mean, most = difference(pair, **{**fixed, **parameters})
    # Measured: at most 0.0007 and 0.014 px.
    assert mean < 0.002 and most < 0.03
    if parameters:
        changed = TVL1("opencv", **{**fixed, **parameters})(*pair)
        # Measured: 0.009 px and more.
        assert np.abs(TVL1("fast", **fixed)(*pair) - changed).mean() > 0.006


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_all_sizes(height, width):
    mean, most = difference(textures(1, height, width))
    assert mean < 0.008 and most < 0.1


@pytest.mark.parametrize(
    "name",
    ["ucf101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "kinetics/R6llTwEh07w.mp4"],
)
def test_real_video(data_dir, name):
    frames = read_video(data_dir / "clips" / name, smaller_side=128)
    pair = [to_grey(frame)[:96, :120] for frame in itertools.islice(frames, 20, 22)]
    mean, most = difference(pair)
    assert mean < 0.02 and most < 0.25


def test_threads_and_order_change_nothing():
    pairs = [textures(seed) for seed in range(4)]
    alone = [TVL1()(*pair) for pair in pairs]

    def backwards(_):
        solver = TVL1()
        return [solver(*pair) for pair in reversed(pairs)][::-1]

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for flows in pool.map(backwards, range(3)):
            np.testing.assert_array_equal(flows, alone)


def test_frames_that_are_not_contiguous():
    first, second = textures()
    np.testing.assert_array_equal(
        TVL1()(np.asfortranarray(first), second[::-1, ::-1][::-1, ::-1]),
        TVL1()(first, second),
    )


def test_memory_of_earlier_calls_is_not_read():
    pair, solver = textures(), TVL1()
    flow = solver(*pair)
    solver._solve._planes[:] = solver._solve._padded[:] = np.nan
    np.testing.assert_array_equal(solver(*pair), flow)


def test_what_is_compiled_is_kept_on_disk_while_its_sources_are_the_same(tmp_path):
    sources = pathlib.Path(tvl1_median.__file__).parent
    shutil.copytree(sources, tmp_path / "flow", ignore=shutil.ignore_patterns("__*"))
    program = (
        "import numpy as np\n"
        "from flow.tvl1 import TVL1\n"
        "from flow.tvl1_fast import _solve_scale\n"
        "grey = np.zeros((16, 16), np.uint8)\n"
        "TVL1()(grey, grey)\n"
        "print(sum(_solve_scale.stats.cache_hits.values()), end=' ')\n"
        "print(sum(_solve_scale.stats.cache_misses.values()))\n"
    )

    def hits_and_misses():
        ended = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout.split()

    assert [hits_and_misses() for _ in range(2)] == [["0", "1"], ["1", "0"]]
    # Not the file of the function that is kept, but one that is compiled into it.
    with open(tmp_path / "flow" / "tvl1_median.py", "a") as file:
        file.write("# changed\n")
    assert hits_and_misses() == ["0", "1"]


def test_without_a_folder_to_write_to_each_process_compiles(monkeypatch):
    def refuse(_):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", refuse)
    solve_scale = tvl1_fast._compiled_for("digest")
    monkeypatch.setattr(tvl1_fast, "_solve_scale", solve_scale)
    flow = TVL1()(*textures(height=16, width=16))
    assert flow.any() and solve_scale.stats.cache_path is None


def planes_of(height, width, seed=0):
    """The flat array with random numbers in all planes, and their layout."""
    layout = layout_of(height, width)
    room = layout.scratch + SCRATCH_ROWS * scratch_row(layout)
    a = np.zeros(room, np.float32)
    # Nothing may be read of the scratch that was not written there before.
    a[layout.scratch :] = np.nan
    random = np.random.default_rng(seed)
    views = [plane(a, layout, number) for number in range(PLANES)]
    for view in views:
        view[:] = random.normal(0, 0.5, (height, width))
    return a, layout, views


def plane(a, layout, number):
    """A view `[H, W]` of a plane."""
    rows = a[: layout.top - 16 + layout.height * layout.pitch]
    rows = rows.reshape(layout.height + 1, PLANES, layout.stride)
    return rows[1:, number, 16 : 16 + layout.width]


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("values", [2, 5, 1000])
def test_median_is_opencvs(size, height, width, values):
    a, layout, views = planes_of(height, width)
    # Few values have many ties; 0 and 1 alone prove a network of comparisons.
    image = np.random.default_rng(7).integers(0, values, (height, width))
    views[U1][:] = image
    expected = cv2.medianBlur(np.float32(image), size)
    others = [view.copy() for view in views]
    tvl1_median.median(a, layout.top + U1 * layout.stride, layout, size)
    np.testing.assert_array_equal(views[U1], expected)
    for number, (view, other) in enumerate(zip(views, others, strict=True)):
        assert number == U1 or (view == other).all()
    assert np.isfinite(a[: layout.scratch]).all()


def test_median_of_zeros_and_ones_is_right_for_every_count():
    """A network that sorts zeros and ones sorts everything (Knuth, 5.3.4)."""
    random = np.random.default_rng(3)
    for share in np.linspace(0.3, 0.7, 9):
        a, layout, views = planes_of(64, 256)
        views[U2][:] = random.random((64, 256)) < share
        expected = cv2.medianBlur(views[U2].copy(), 5)
        tvl1_median.median(a, layout.top + U2 * layout.stride, layout, 5)
        np.testing.assert_array_equal(views[U2], expected)


@pytest.mark.parametrize("speed", [0.4, 8, 300])
def test_warp_is_opencvs_remap(speed):
    height, width = 40, 47
    a, layout, views = planes_of(height, width)
    frame = np.random.default_rng(1).uniform(0, 255, (height, width)).astype(np.float32)
    flow = np.random.default_rng(2).normal(0, speed, (2, height, width))
    views[U1][:], views[U2][:] = flow
    padded = np.empty(tvl1_warp.padded_shape(height, width), np.float32)
    tvl1_warp.with_gradient(frame, padded)
    for y in range(height):
        row = layout.top + y * layout.pitch
        tvl1_warp.warp_row(a, y, row, layout, padded.ravel())
    edges = np.pad(frame, 1, mode="edge")
    in_x = (edges[1:-1, 2:] - edges[1:-1, :-2]) / 2
    in_y = (edges[2:, 1:-1] - edges[:-2, 1:-1]) / 2
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    at = (across + views[U1]).astype(np.float32), (down + views[U2]).astype(np.float32)
    for number, image in ((RHO, frame), (IX, in_x), (IY, in_y)):
        expected = cv2.remap(image, *at, cv2.INTER_CUBIC)
        np.testing.assert_allclose(views[number], expected, atol=2e-3)
    if speed == 300:
        assert (views[RHO] == 0).mean() > 0.5


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_an_iteration_is_the_papers(height, width):
    """Against the equations in float64, without a thought of speed."""
    a, layout, views = planes_of(height, width)
    bound, theta, taut = 0.045, 0.3, 0.25 / 0.3
    before = [view.astype(np.float64) for view in views]
    for y in range(height):
        tvl1_iterations.linearise(a, layout.top + y * layout.pitch, layout)
    ix, iy, rho, u, v = (before[number] for number in (IX, IY, RHO, U1, U2))
    rho = rho - ix * u - iy * v - before[FIRST]
    square = ix**2 + iy**2
    np.testing.assert_allclose(views[RHO], rho, atol=1e-5)
    np.testing.assert_allclose(views[IG] * square, 1, atol=1e-5)

    is_pixel = np.zeros(layout.stride, np.float32)
    is_pixel[:width] = 1
    numbers = [np.float32(number) for number in (bound, theta, taut)]
    change = tvl1_iterations.iterate(a, layout, is_pixel, *numbers, None)

    rho = rho + ix * u + iy * v
    step = np.where(rho < -bound * square, bound, -rho / square)
    step = np.where(rho > bound * square, -bound, step)
    expected = 0
    for image, flow, px, py in ((ix, U1, P11, P12), (iy, U2, P21, P22)):
        p, q = before[px], before[py]
        divergence = np.diff(p, axis=1, prepend=0) + np.diff(q, axis=0, prepend=0)
        new = before[flow] + step * image + theta * divergence
        expected += ((new - before[flow]) ** 2).sum()
        new_x = np.diff(new, axis=1, append=new[:, -1:])
        new_y = np.diff(new, axis=0, append=new[-1:])
        norm = 1 + taut * np.hypot(new_x, new_y)
        np.testing.assert_allclose(views[flow], new, atol=1e-5)
        np.testing.assert_allclose(views[px], (p + taut * new_x) / norm, atol=1e-5)
        np.testing.assert_allclose(views[py], (q + taut * new_y) / norm, atol=1e-5)
    assert change == pytest.approx(expected, rel=1e-4)
