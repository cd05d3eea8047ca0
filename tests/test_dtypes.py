"""bfloat16 where it is fast, float32 elsewhere; a run keeps what it began with."""

import dataclasses
import json
import sys
import types

import pytest
import tensorflow as tf
import tiny
from tensorflow.python.util import _pywrap_util_port

from i3d_tf import dtypes, processor, training
from i3d_tf.checkpoints import evaluation_dtype, read_config
from i3d_tf.config_file import from_dict, to_dict
from i3d_tf.exported import ExportedModel
from i3d_tf.training import loop
from i3d_tf.training.precision import settle_dtype

pytestmark = pytest.mark.usefixtures("shallow_network")

AVX2 = "fpu avx avx2 fma"
AVX512 = f"{AVX2} avx512f avx512bw avx512_vnni"
AVX512_BF16 = f"{AVX512} avx512_bf16"
AMX = f"{AVX512_BF16} amx_bf16 amx_tile"
# No processor has this; AMX is asked for by its own flag.
AMX_ALONE = f"{AVX512} amx_bf16 amx_tile"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """The function that fakes a machine; see `fake`."""

    def fake(flags="", *, isa=None, onednn=None, gpus=(), tpus=0):
        """Fakes the processor's flags, oneDNN's settings, GPUs and TPUs.

        Args:
          flags: x86 flags as /proc/cpuinfo has them; None for a system without it.
          isa: value of ONEDNN_MAX_CPU_ISA.
          onednn: value of TF_ENABLE_ONEDNN_OPTS.
          gpus: compute capability of each GPU; None for one that has none.
          tpus: number of TPU cores.
        """
        dtypes.print_once.cache_clear()
        path = tmp_path / "cpuinfo"
        path.unlink(missing_ok=True)
        if flags is not None:
            core = f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n\n"
            path.write_text(core + core)
        monkeypatch.setattr(processor, "_CPUINFO", path)
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS"):
            monkeypatch.delenv(name, raising=False)
        if isa is not None:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
        if onednn is not None:
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
        experimental = types.SimpleNamespace(
            get_device_details=lambda capability: (
                {"compute_capability": capability} if capability else {}
            )
        )
        config = types.SimpleNamespace(
            list_logical_devices=lambda kind: tpus * ["TPU"] if kind == "TPU" else [],
            get_visible_devices=lambda kind: list(gpus) if kind == "GPU" else [],
            experimental=experimental,
        )
        monkeypatch.setattr(dtypes, "tf", types.SimpleNamespace(config=config))
        # What TensorFlow would answer if it had been imported with these settings.
        monkeypatch.setattr(
            processor, "uses_onednn", lambda: onednn not in ("0", "False")
        )

    yield fake
    dtypes.print_once.cache_clear()


MACHINES = [
    ({"flags": AMX}, "AMX"),
    ({"flags": AMX_ALONE}, "AMX"),
    ({"flags": AVX512_BF16}, "AVX512-BF16"),
    ({"flags": AVX512}, None),
    ({"flags": AVX2}, None),
    ({"flags": None}, None),
    # A flag is a word: others may contain it.
    ({"flags": f"{AVX2} xamx_bf16 avx512_bf16x"}, None),
    # oneDNN off, on, or left to TensorFlow, which has it on where bfloat16 is.
    ({"flags": AMX, "onednn": "0"}, None),
    ({"flags": AMX, "onednn": "False"}, None),
    ({"flags": AMX, "onednn": "1"}, "AMX"),
    # oneDNN held down. Below AMX, a processor with AMX is slower than in float32.
    ({"flags": AMX, "isa": "AVX512_CORE_AMX"}, "AMX"),
    ({"flags": AMX, "isa": "AVX512_CORE_BF16"}, None),
    ({"flags": AMX, "isa": "avx512_core"}, None),
    ({"flags": AMX, "isa": "AVX2"}, None),
    ({"flags": AMX, "isa": "ALL"}, "AMX"),
    ({"flags": AMX, "isa": "unknown"}, "AMX"),
    ({"flags": AVX512_BF16, "isa": "AVX512_CORE_BF16"}, "AVX512-BF16"),
    ({"flags": AVX512_BF16, "isa": "AVX512_CORE_VNNI"}, None),
    ({"flags": AVX512_BF16, "isa": "SSE41"}, None),
    # A GPU or TPU computes, whatever the processor has.
    ({"flags": AMX, "gpus": [(7, 5)]}, None),
    ({"flags": AVX2, "gpus": [(8, 0)]}, "GPU of compute capability 8.0"),
    ({"flags": AVX2, "gpus": [(12, 0)]}, "GPU of compute capability 12.0"),
    ({"flags": AVX2, "gpus": [(9, 0), (7, 5)]}, None),
    ({"flags": AMX, "gpus": [None]}, None),
    ({"flags": AVX2, "tpus": 8}, "TPU"),
    ({"flags": AVX2, "tpus": 8, "gpus": [(7, 0)]}, "TPU"),
]


@pytest.mark.parametrize("faked, wanted", MACHINES)
def test_auto_is_bfloat16_where_it_is_fast(machine, capsys, faked, wanted):
    machine(**faked)
    assert dtypes.fast_bfloat16() == wanted
    chosen = dtypes.choose("auto")
    assert chosen == ("mixed_bfloat16" if wanted else "float32")
    told = capsys.readouterr().out
    assert told.startswith(f"dtype: {chosen} ({wanted or ''}")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "faked, told",
    [
        (
            {"flags": AVX2},
            "without AVX512-BF16 or AMX, bfloat16 takes about 30 times as long as "
            "float32",
        ),
        (
            {"flags": AVX512},
            "without AVX512-BF16 or AMX, bfloat16 takes about 5 times as long as "
            "float32",
        ),
        (
            {"flags": AMX, "isa": "AVX2"},
            "with oneDNN held down to AVX2, bfloat16 takes about 30 times as long as "
            "float32",
        ),
        (
            {"flags": AMX, "isa": "avx512_core"},
            "with oneDNN held down to AVX512_CORE, bfloat16 takes about 5 times as "
            "long as float32",
        ),
        (
            {"flags": AMX, "isa": "AVX512_CORE_BF16"},
            "with oneDNN held down to AVX512_CORE_BF16, bfloat16 takes about 2 times "
            "as long as float32",
        ),
        (
            {"flags": AMX, "onednn": "0"},
            "without oneDNN (TF_ENABLE_ONEDNN_OPTS=0), bfloat16 takes about 30 times "
            "as long as float32",
        ),
        (
            {"flags": AMX, "gpus": [(7, 5)]},
            "bfloat16 is slow on a GPU below compute capability 8.0",
        ),
    ],
)
def test_slow_bfloat16_is_told_once(machine, capsys, faked, told):
    machine(**faked)
    for _ in range(2):
        assert dtypes.choose("mixed_bfloat16") == "mixed_bfloat16"
    assert capsys.readouterr().out == (
        f"warning: dtype mixed_bfloat16: {told}; pass auto or float32 instead\n"
    )
    dtypes.choose("auto")
    assert capsys.readouterr().out == f"dtype: float32 ({told})\n"


def test_nothing_is_told_of_a_dtype_that_is_fast(machine, capsys):
    machine(AVX2)
    assert dtypes.choose("float32") == "float32"
    machine(AMX)
    assert dtypes.choose("mixed_bfloat16") == "mixed_bfloat16"
    assert capsys.readouterr().out == ""


def test_the_processor_is_described(machine):
    machine(AVX512_BF16)
    assert processor.describe().startswith("Some CPU (avx2, avx512f, avx512_bf16), ")
    machine(None)
    assert processor.flags() == frozenset()
    assert "no known units" in processor.describe()


def _begin(workdir, dtype):
    """Writes the files by which a run of this dtype has begun; returns its folder."""
    (workdir / "checkpoints").mkdir(parents=True)
    (workdir / "checkpoints" / "ckpt-2.index").touch()
    kept = {"config": to_dict(tiny.config(dtype=dtype)), "labels": ["a", "b"]}
    (workdir / "config.json").write_text(json.dumps(kept))
    return workdir


def _settled(dtype, *workdirs):
    strategy = training.make_strategy("one")
    return settle_dtype(tiny.config(dtype=dtype), workdirs, strategy)


def test_a_run_keeps_its_dtype_on_another_machine(machine, capsys, tmp_path):
    fast = _begin(tmp_path / "fast", "mixed_bfloat16")
    slow = _begin(tmp_path / "slow", "float32")
    machine(AVX2)
    assert _settled("auto", fast) == tiny.config(dtype="mixed_bfloat16")
    assert capsys.readouterr().out == (
        f"dtype: mixed_bfloat16 (that of {fast})\n"
        "warning: dtype mixed_bfloat16: without AVX512-BF16 or AMX, bfloat16 takes "
        "about 30 times as long as float32; train with dtype=float32 in a new "
        "workdir\n"
    )
    machine(AMX)
    assert _settled("auto", slow) == tiny.config(dtype="float32")
    assert capsys.readouterr().out == f"dtype: float32 (that of {slow})\n"
    # A study settles the dtype of its runs, and each run does again.
    machine(AVX2)
    once = _settled("auto", fast)
    assert _settled(once.dtype, fast) == once
    assert capsys.readouterr().out.count("\n") == 2
    # An explicit dtype is left as it is; `keep_config` refuses one that differs.
    assert _settled("float32", fast).dtype == "float32"
    assert capsys.readouterr().out == ""


def test_the_first_run_that_has_begun_decides(machine, tmp_path):
    machine(AVX2)
    assert _settled("auto", tmp_path / "new").dtype == "float32"
    begun = _begin(tmp_path / "begun", "mixed_bfloat16")
    later = _begin(tmp_path / "later", "float32")
    runs = [tmp_path / "new", begun, later]
    assert _settled("auto", *runs).dtype == "mixed_bfloat16"
    # Without a checkpoint nothing has begun.
    (begun / "checkpoints/ckpt-2.index").unlink()
    assert _settled("auto", *runs).dtype == "float32"
    machine(AMX)
    assert _settled("auto", begun).dtype == "mixed_bfloat16"


@pytest.fixture
def two_hosts(monkeypatch):
    """The function that sets how many of two hosts have given 1 for each question."""

    def say(*sums):
        replicas = types.SimpleNamespace(host=(0, 2), total=2, is_chief=True)
        monkeypatch.setattr(
            "i3d_tf.training.precision.Replicas.of", lambda strategy: replicas
        )
        given = []

        def sum_over_replicas(strategy, value):
            given.append(value)
            return sums[len(given) - 1]

        monkeypatch.setattr(
            "i3d_tf.training.precision.sum_over_replicas", sum_over_replicas
        )
        return given

    return say


@pytest.mark.parametrize(
    "sum_of_all, dtype, reason",
    [(2, "mixed_bfloat16", "AMX on all hosts"), (1, "float32", "a host is slow at b")],
)
def test_all_hosts_agree_on_one_dtype(
    machine, two_hosts, capsys, sum_of_all, dtype, reason
):
    machine(AMX)
    given = two_hosts(0, sum_of_all)
    assert settle_dtype(tiny.config(dtype="auto"), [], "strategy").dtype == dtype
    assert given == [0, 1]  # Nothing has begun, and bfloat16 is fast here.
    assert capsys.readouterr().out.startswith(f"dtype: {dtype} ({reason}")


@pytest.mark.parametrize("is_here", [True, False])
def test_hosts_that_see_different_workdirs_are_refused(
    machine, two_hosts, tmp_path, is_here
):
    machine(AMX)
    if is_here:
        _begin(tmp_path, "float32")
    given = two_hosts(1)
    with pytest.raises(ValueError, match="all hosts must see the same workdir"):
        settle_dtype(tiny.config(dtype="auto"), [tmp_path], "strategy")
    assert given == [int(is_here)]


def test_a_run_that_all_hosts_see_is_resumed_in_its_dtype(machine, two_hosts, tmp_path):
    machine(AMX)
    two_hosts(2)
    run = _begin(tmp_path, "float32")
    assert settle_dtype(tiny.config(dtype="auto"), [run], "strategy").dtype == "float32"


def test_a_run_whose_dtype_is_lost_is_read_as_float32(tmp_path):
    run = _begin(tmp_path, "auto")
    assert read_config(run)[0].dtype == "float32"


@pytest.mark.parametrize(
    "environment, imported, wanted",
    [
        ("0", None, False),
        ("False", None, False),
        ("1", None, True),
        (None, None, True),
        # What TensorFlow was imported with counts, whatever the variable says now.
        ("1", False, False),
        ("0", True, True),
    ],
)
def test_onednn_is_asked_for(monkeypatch, environment, imported, wanted):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if environment is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", environment)
    if imported is None:
        monkeypatch.delitem(sys.modules, "tensorflow")
    else:
        monkeypatch.setattr(_pywrap_util_port, "IsMklEnabled", lambda: imported)
    assert processor.uses_onednn() == wanted


def test_sum_over_replicas():
    strategy = training.make_strategy("one")
    assert training.strategies.sum_over_replicas(strategy, 3) == 3


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("dtypes")
    tiny.build(folder, write_video)
    return folder / "data"


def test_training_writes_the_dtype_and_resumes_in_it(
    machine, monkeypatch, tmp_path, data_folder
):
    """Begun where bfloat16 is slow, resumed where it is fast."""
    config = tiny.config(rgb=None, dtype="auto", evaluate_epochs=0)
    settled = []

    def new_stream_state(stream, config, *args):
        settled.append(config.dtype)
        return real(stream, config, *args)

    real = loop.new_stream_state
    monkeypatch.setattr(loop, "new_stream_state", new_stream_state)
    machine(AVX2)
    history = training.train(config, tmp_path, data_folder)
    kept = json.loads((tmp_path / "config.json").read_text())["config"]
    assert from_dict(kept) == dataclasses.replace(config, dtype="float32")
    machine(AMX)
    assert training.train(config, tmp_path, data_folder) == history
    assert settled == ["float32", "float32"]
    assert json.loads((tmp_path / "config.json").read_text())["config"] == kept
    changed = dataclasses.replace(config, dtype="mixed_bfloat16")
    with pytest.raises(ValueError, match="dtype: float32 -> mixed_bfloat16; choose an"):
        training.train(changed, tmp_path, data_folder)


@pytest.mark.parametrize(
    "flags, trained, wanted, reason",
    [
        (AMX, ["mixed_bfloat16", "mixed_bfloat16"], "mixed_bfloat16", "AMX"),
        (AVX2, ["mixed_bfloat16"], "float32", "without AVX512-BF16 or AMX, bfloat16 "),
        (AMX, ["mixed_bfloat16", "float32"], "float32", "{1} was trained in float32"),
        (AMX, ["mixed_float16"], "float32", "{0} was trained in mixed_float16"),
    ],
)
def test_evaluation_is_in_bfloat16_if_training_was(
    machine, capsys, tmp_path, flags, trained, wanted, reason
):
    machine(flags)
    runs = [_begin(tmp_path / str(n), dtype) for n, dtype in enumerate(trained)]
    assert evaluation_dtype(runs, "auto") == wanted
    told = capsys.readouterr().out
    assert told.startswith(f"dtype: {wanted} ({reason.format(*runs)}")
    assert evaluation_dtype(runs, "mixed_bfloat16") == "mixed_bfloat16"
    assert evaluation_dtype(runs, "float32") == "float32"


@pytest.mark.parametrize("flags, is_told", [(AVX2, True), (AMX, False)])
def test_a_bfloat16_model_is_told_where_it_is_slow(
    machine, monkeypatch, capsys, tmp_path, flags, is_told
):
    """Loads the assets of an exported model alone."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/labels.txt").write_text("a\nb\n")
    preprocessing = {
        "num_frames": 9,
        "size": 32,
        "smaller_side": 40,
        "streams": ["rgb"],
        "dtype": "mixed_bfloat16",
    }
    (tmp_path / "assets/preprocessing.json").write_text(json.dumps(preprocessing))
    answers = types.SimpleNamespace(structured_outputs={"logits": tf.zeros([1, 2])})
    model = types.SimpleNamespace(signatures={"serving_default": answers})
    monkeypatch.setattr(tf.saved_model, "load", lambda path: model)
    machine(flags)
    ExportedModel(tmp_path)
    told = capsys.readouterr().out
    assert told.endswith("export the run again with --dtype float32\n") == is_told
    assert bool(told) == is_told
