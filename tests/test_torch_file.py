"""PyTorch files: what is read of them, and that nothing they hold is run."""

import io
import os
import pickle
import struct
import time
import zipfile
import zlib

import ml_dtypes
import numpy as np
import pytest
import torch_files
from torch_files import Code, archive, call, storage, stream, tensor

from i3d_tf.weights.torch_file import read_torch_file

STATE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "bn.bias": np.array([1.5, -2, 65504], np.float16),
    "bn.running_mean": np.array([1 / 3, 2], np.float64),
    "bn.running_var": np.array([1.5, -3e38], ml_dtypes.bfloat16),
    "bn.num_batches_tracked": np.array(2**40),
    "empty": np.zeros([0, 3], np.float32),
}
FORMS = {
    "archive": archive,
    "stream": stream,
    "stream of Python 2": lambda value: stream(value, python_2=True),
}


def _read(tmp_path, data):
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    return read_torch_file(path)


def _refusal(tmp_path, data):
    """The message of the ValueError that reading gives, without the file's name."""
    with pytest.raises(ValueError) as error:
        _read(tmp_path, data)
    beginning = f"{tmp_path / 'weights.pt'}: not a PyTorch file to be read: "
    assert str(error.value).startswith(beginning)
    return str(error.value).removeprefix(beginning)


def _assert_state(got, want=STATE):
    assert list(got) == list(want)
    for name, array in want.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_state_dict(tmp_path, form, wrapped):
    extra = {"epoch": 3, "lr": 0.1, "best": None, "slots": [STATE["bn.bias"], (1, 2)]}
    value = {**extra, "state_dict": STATE} if wrapped else STATE
    _assert_state(_read(tmp_path, FORMS[form](value)))


def test_parts_of_a_storage(tmp_path):
    # A transposed view, and the last two of six numbers.
    numbers = np.arange(6, dtype=np.float32)
    value = {
        "transposed": tensor(storage(count=6), 0, (3, 2), (1, 3)),
        "last": tensor(storage(count=6), 4, (2,), (1,)),
    }
    got = _read(tmp_path, archive(value, storages={"0": numbers.tobytes()}))
    np.testing.assert_array_equal(got["transposed"], numbers.reshape(2, 3).T)
    np.testing.assert_array_equal(got["last"], [4, 5])


def test_attributes_are_ignored(tmp_path):
    attributes = torch_files.pickled({"_metadata": {"": {"version": 1}}})[2:]
    code = Code(torch_files.pickled({})[2:] + attributes + b"b")
    assert _read(tmp_path, archive(code)) == {}


@pytest.mark.backends
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("new", [True, False])
def test_what_torch_writes(tmp_path, protocol, new):
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv3d(2, 3, 3), torch.nn.BatchNorm3d(3))
    state = network.state_dict()
    state["parameter"] = torch.nn.Parameter(torch.arange(3.0))
    state["permuted"] = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    state["part"] = torch.arange(10, dtype=torch.float64)[3:9:2]
    state["half"] = torch.ones(3, dtype=torch.float16)
    state["brain"] = torch.tensor([1.5, -2], dtype=torch.bfloat16)
    path = tmp_path / "weights.pt"
    torch.save(
        {"state_dict": state, "epoch": 1},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=new,
    )
    got = read_torch_file(path)
    assert list(got) == list(state)
    for name, value in state.items():
        value = value.detach()
        assert str(value.dtype) == f"torch.{got[name].dtype}"
        np.testing.assert_array_equal(
            got[name].astype(np.float64), value.double().numpy(), err_msg=name
        )


@pytest.mark.backends
def test_torch_reads_what_the_tests_write(tmp_path):
    torch = pytest.importorskip("torch")
    for form in FORMS.values():
        (tmp_path / "weights.pt").write_bytes(form(STATE))
        got = torch.load(tmp_path / "weights.pt", weights_only=True)
        assert list(got) == list(STATE)
        for name, value in STATE.items():
            np.testing.assert_array_equal(
                got[name].double().numpy(), value.astype(np.float64)
            )


class Hostile:
    """Creates the file `path` where it is unpickled."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("form", ["bare", "archive", "stream"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_does_not_run(tmp_path, form, protocol):
    proof = tmp_path / "ran"
    data = pickle.dumps({"weight": Hostile(proof)}, protocol)
    pickle.loads(data)
    assert proof.exists()  # It would run.
    proof.unlink()
    if form == "archive":
        data = archive({}, members=[("archive/data.pkl", data)])
    elif form == "stream":
        first_pickles = stream({}).split(b"ccollections")[0].removesuffix(b"\x80\x02")
        data = first_pickles + data
    message = _refusal(tmp_path, data)
    # Protocol 0 is text, which begins no PyTorch file.
    assert "refuses" in message and ("system" in message or protocol == 0)
    assert not proof.exists()


@pytest.mark.parametrize(
    "function",
    [
        "os system",
        "posix system",
        "builtins eval",
        "builtins getattr",
        "__builtin__ eval",
        "torch load",
        "torch.nn.modules.conv Conv3d",
        "numpy.core.multiarray _reconstruct",
        "torch._utils _rebuild_device_tensor_from_numpy",
        "collections OrderedDict.__init__",
    ],
)
def test_names_that_no_state_dict_needs_are_refused(tmp_path, function):
    name = function.replace(" ", ".")
    assert _refusal(tmp_path, archive({"a": call(function)})) == f"refuses {name!r}"
    module, name = function.split()
    by_stack = Code(torch_files.pickled(module) + torch_files.pickled(name) + b"\x93")
    assert _refusal(tmp_path, archive({"a": by_stack})).startswith("refuses")


@pytest.mark.parametrize("code", [b"(cos\nsystem\no", b"(ios\nsystem\n", b"Pid\n"])
def test_other_instructions_are_refused(tmp_path, code):
    assert _refusal(tmp_path, archive(Code(code))).startswith("refuses")


@pytest.mark.parametrize(
    "offset, shape, strides",
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (3, 1)),
        (5, (0,), (1,)),
        (0, (2**62, 4), (0, 1)),
        (0, (1, 5), (0, 0)),
        (-1, (1,), (1,)),
        (3, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2**80,), (2**80,)),
        (0, (4,), (1, 1)),
        (0, (1,) * 9, (1,) * 9),
        (0, (4.0,), (1,)),
        (0, "4", "1"),
        (0, (True,), (1,)),
        (None, (4,), (1,)),
    ],
)
def test_tensors_outside_their_storage_are_refused(tmp_path, offset, shape, strides):
    data = archive(
        {"a": tensor(storage(), offset, shape, strides)}, storages={"0": bytes(16)}
    )
    message = _refusal(tmp_path, data)
    assert message.startswith("a tensor"), message


@pytest.mark.parametrize(
    "saved, data, expected",
    [
        (storage(), {"0": bytes(15)}, "its storage '0' has 15 bytes, not 16"),
        (storage(), {"0": bytes(20)}, "its storage '0' has 20 bytes, not 16"),
        (storage(), {}, "its storage '0' is missing"),
        (storage(key="../x"), {"0": bytes(16)}, "its storage '../x' is missing"),
        (storage(count=-4), {"0": bytes(16)}, "a storage has no key or no size"),
        (storage(count=2**70), {"0": bytes(16)}, "its storage '0' has 16 bytes, not"),
        (storage("FloatStorage", "0", 4, ("1", 0, 4)), {}, "is no whole storage"),
        (storage("ComplexFloatStorage"), {}, "refuses 'torch.ComplexFloatStorage'"),
    ],
)
def test_storages_are_as_announced(tmp_path, saved, data, expected):
    value = {"a": tensor(saved, 0, (4,), (1,))}
    assert expected in _refusal(tmp_path, archive(value, storages=data))


def test_one_key_is_one_storage(tmp_path):
    value = [storage(count=4), storage("DoubleStorage", count=4)]
    message = _refusal(tmp_path, archive(value, storages={"0": bytes(16)}))
    assert message == "two storages have one key"


def test_a_stream_with_other_storages(tmp_path):
    data = stream({"a": np.zeros(4, np.float32)})
    other = data[:-24] + (3).to_bytes(8, "little") + data[-16:]
    assert "has 3 numbers, announced were 4" in _refusal(tmp_path, other)
    assert "8 bytes, not 16" in _refusal(tmp_path, data[:-8])


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"", "it does not begin|no opcode|EOF|exhausted"),
        (b"weights, but as text", "refuses|at position"),
        (archive(3), "it holds no state_dict"),
        (archive([1, 2]), "it holds no state_dict"),
        (archive({"a": 3}), "its entry 'a' is no tensor of a state_dict"),
        (archive({1: np.zeros(2, np.float32)}), "it holds no state_dict"),
        (archive({"state_dict": 3}), "it holds no state_dict"),
        (archive({}, members=[("b/data.pkl", b"N.")]), "2 files data.pkl, not one"),
        (archive({}, members=[("archive/byteorder", b"big")]), "not little-endian"),
        (archive({}, compression=zipfile.ZIP_DEFLATED), "archive is compressed"),
        (stream({}, little_endian=False), "not little-endian"),
        (torch_files.pickled({}) + b".", "refuses|no opcode|exhausted|begin"),
    ],
)
def test_other_files(tmp_path, data, expected):
    with pytest.raises(ValueError, match=expected):
        _read(tmp_path, data)


def test_a_zip_of_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.pt", "w") as file:
        file.writestr("notes.txt", "none")
    data = (tmp_path / "weights.pt").read_bytes()
    assert _refusal(tmp_path, data) == "an archive with 0 files data.pkl, not one"


def test_members_that_lie_over_each_other(tmp_path):
    """Storage 0 contains all of storage 1, so the members exceed the file."""
    saved = [storage(key="0", count=4), storage(key="1", count=4096)]
    storages = {"0": bytes(16), "1": bytes(16384)}
    data = bytearray(archive(saved, storages=storages))
    begin = data.index(b"archive/data/0") + len("archive/data/0")
    end = data.index(b"PK\1\2")
    # The archive's list has a member's checksum and, twice, its size.
    entry = data.rindex(b"archive/data/0") - 46
    values = (zlib.crc32(data[begin:end]), end - begin, end - begin)
    data[entry + 16 : entry + 28] = struct.pack("<3I", *values)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.getinfo("archive/data/0").file_size > 16384
    message = _refusal(tmp_path, bytes(data))
    assert message == "its archive's members are larger than the file"


@pytest.mark.parametrize(
    "code",
    [
        # Memo 2**32 - 1, text of 2 GB, bytes of 2**60, a number of 2 GB.
        b"Nr\xff\xff\xff\xff",
        b"X\xff\xff\xff\x7f",
        b"\x8e" + (2**60).to_bytes(8, "little"),
        b"\x8b\xff\xff\xff\x7f",
        # Tuples of the tuple before, twice: hashed, 2**30 of them.
        b"}N" + b"q\0h\0\x86" * 30 + b"Ns",
        b"N" + b"q\0h\0\x86" * 30 + b")R",
        b"(X\x07\0\0\0storageN" + b"q\0h\0\x86" * 30 + b"NNNtQ",
        # A million lists.
        b"]" * 10**6,
        # A list of pairs made a dict, again and again.
        b"]("
        + b"](NNe" * 20000
        + b"eq\0"
        + b"ccollections\nOrderedDict\nh\0\x85R" * 3000,
    ],
    ids=range(9),
)
def test_small_files_that_would_cost_much(tmp_path, code):
    begun = time.monotonic()
    _refusal(tmp_path, archive(Code(code)))
    assert time.monotonic() - begun < 10


def test_a_huge_file(tmp_path):
    with (tmp_path / "weights.pt").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(ValueError, match="1073741825 bytes; files over 1073741824"):
        read_torch_file(tmp_path / "weights.pt")


@pytest.mark.parametrize("form", FORMS)
def test_torn_files(tmp_path, form):
    data = FORMS[form](STATE)
    for size in range(0, len(data), 7):
        _refusal(tmp_path, data[:size])


@pytest.mark.parametrize("form", FORMS)
def test_changed_bytes(tmp_path, form):
    """Each gives a ValueError or the arrays of another file, never anything else."""
    whole = FORMS[form](STATE)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] ^= 1 << rng.integers(0, 8)
        try:
            _read(tmp_path, bytes(data))
        except ValueError:
            refused += 1
    assert refused > 100
