"""The demo page in headless Chromium: a real upload, and files that are refused."""

import contextlib
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
import tiny
from tiny import moving_texture

from i3d_tf.config import Data
from i3d_tf.export import export
from i3d_tf.prediction import Predictor
from i3d_tf.streams import FLOW, RGB
from i3d_tf.summary import Summary

pytestmark = pytest.mark.demo

LABELS = ["draw", "run", "swim"]
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync""".split()
SECONDS, MEGABYTES = 2, 1
WAIT = 120_000  # ms, for what comes at last


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    found = [path for path in map(shutil.which, names) if path]
    if not found:
        pytest.skip("there is no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=[(RGB, FLOW), (RGB,)], ids=["both", "rgb"])
def served(request, tmp_path_factory):
    """(address of a page, its Predictor, its folder) of a tiny model."""
    from i3d_tf.demo_page import build_page, launch

    folder = tmp_path_factory.mktemp("demo")
    data = Data("x", num_frames=9, size=32, smaller_side=40)
    models = tiny.networks(3, request.param)
    export(models, LABELS, data, folder / "model", endpoints=())
    predictor = Predictor(folder / "model")
    page = build_page(predictor, folder, max_seconds=SECONDS, max_megabytes=MEGABYTES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield launch(page, "127.0.0.1", port, MEGABYTES), predictor, folder
    page.close()


@contextlib.contextmanager
def opened(browser, address):
    """The page, and all addresses that it asks for."""
    asked = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("input[type=file]", state="attached", timeout=WAIT)
    yield page, asked
    page.close()


def test_an_upload_is_answered(browser, served, write_video, tmp_path):
    address, predictor, folder = served
    video = write_video(tmp_path / "walk.avi", moving_texture(30, 48, 64))
    summary = Summary()
    count = len(list(summary.watch(predictor.windows(video, 9))))
    assert count == 4
    with opened(browser, address) as (page, asked):
        page.set_input_files("input[type=file]", str(video))
        page.wait_for_selector("video", timeout=WAIT)
        page.wait_for_selector("img", timeout=WAIT)
        # The browser plays it: it has its size, and its time goes on.
        page.wait_for_function(
            "() => document.querySelector('video').currentTime > 0.1", timeout=WAIT
        )
        streams = predictor.made_for["streams"]
        width = page.evaluate("() => document.querySelector('video').videoWidth")
        # 40x53 px, six times as large, for RGB, flow if any, and the map.
        assert width == 6 * 53 * (len(streams) + 1)
        text = page.inner_text("body")
        for stream in [None, *streams] if len(streams) > 1 else [None]:
            for label, score in summary.best(3, stream):
                assert label in text and f"{round(100 * score)}%" in text
        assert ("flow" in text) == ("flow" in streams)
        assert (page.locator("img").first.evaluate("i => i.naturalWidth")) > 500
    assert asked and all(url.startswith((address, "blob:", "data:")) for url in asked)
    assert {path.name for path in folder.iterdir()} == {
        *("model", "annotated.mp4", "over_time.png"),
    }


@pytest.mark.parametrize("kind", ["text", "long", "one_frame", "large"])
def test_other_files_are_told_in_a_message(
    browser, served, write_video, tmp_path, capfd, kind
):
    address, _, _ = served
    path = tmp_path / "video.avi"
    if kind == "text":
        path.write_text("no video")
        told = "cannot be decoded (Invalid data found when processing input)"
    elif kind == "long":
        write_video(path, moving_texture(25 * SECONDS + 1, 16, 16))
        told = f"is longer than {SECONDS} s"
    elif kind == "one_frame":
        write_video(path, moving_texture(1, 32, 32))
        told = "needed are at least 2"
    else:
        path.write_bytes(bytes(MEGABYTES * 2**20 + 1))
        told = "exceed the maximum allowed size"
    with opened(browser, address) as (page, _):
        page.set_input_files("input[type=file]", str(path))
        page.get_by_text(told).first.wait_for(timeout=WAIT)
        assert "Traceback" not in page.content()
        # The server's own folders are nobody's business.
        assert "/tmp" not in page.inner_text("body")
    assert pathlib.Path(path).exists()
    assert "Traceback" not in capfd.readouterr().err


def run(*flags, code="pass"):
    """The command, after `code`, as a process that has not ended."""
    start = "import runpy; runpy.run_module('experiments.demo', {}, '__main__')"
    return subprocess.Popen(
        [sys.executable, "-c", f"{code}; {start}", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_command(served):
    _, _, folder = served
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        flags = [f"--model={folder / 'model'}", f"--port={port}"]
        _, told = run(*flags).communicate(timeout=120)
        assert told.splitlines()[-1].startswith(
            f"error: cannot listen on port {port} of host 127.0.0.1; is it taken"
        )
    process = run(*flags)
    assert process.stdout.readline() == f"http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
        assert "Two-Stream I3D" in page.read().decode()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in told


def test_without_the_extra():
    process = run("--model=none", code="import sys; sys.modules['gradio'] = None")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told.splitlines()[-1].startswith(
        "error: experiments.demo needs the extra [demo]: "
    )


def test_the_page_is_not_served_to_other_machines(served):
    address, _, _ = served
    host, port = address.removeprefix("http://").strip("/").split(":")
    assert host == "127.0.0.1"
    with socket.socket() as other:
        # Another address of this machine, to which nothing is bound.
        assert other.connect_ex(("127.0.0.2", int(port))) != 0
