"""Several hosts, each a process of its own, against one device."""

import dataclasses
import json
import signal
import time
from unittest import mock

import numpy as np
import pytest
import tiny
from processes import start_hosts

from i3d_tf import FLOW, training
from i3d_tf.checkpoints import load_workdir, saved_checkpoints
from i3d_tf.training.state import new_stream_state


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory, write_video):
    """Flow of noise: on tiny's ramps BatchNorm divides by next to nothing."""

    def noise(number, frame):
        generator = np.random.default_rng([number, frame])
        return generator.normal(0, 6, [tiny.HEIGHT, tiny.WIDTH, 2]).astype(np.float32)

    folder = tmp_path_factory.mktemp("multi_worker")
    with mock.patch.object(tiny, "flow_field", noise):
        tiny.build(folder, write_video)
    return folder / "data"


def flow_alone(steps=4, rate=1e-2, **changes):
    config = tiny.config(rgb=None, clips_at_once=2, **changes)
    flow = dataclasses.replace(
        config.flow, steps=steps, learning_rates=(rate,), boundaries=(), dropout=0.5
    )
    return dataclasses.replace(config, flow=flow)


def weights(workdir):
    _, _, models = load_workdir(workdir)
    return {weight.path: weight.numpy() for weight in models["flow"].weights}


@pytest.mark.parametrize(
    "hosts, batch_size, synchronised",
    [
        (2, 4, False),
        pytest.param(2, 4, True, marks=pytest.mark.slow),
        pytest.param(3, 6, False, marks=pytest.mark.slow),
        pytest.param(3, 6, True, marks=pytest.mark.slow),
    ],
)
def test_hosts_train_as_one_device(
    data_folder, tmp_path, hosts, batch_size, synchronised
):
    """Weights to 1e-5, the same figures; only the first host writes."""
    # Two hosts' sums are rounded as one device's. Others are not, and this network
    # amplifies: from weights that differ in the last bit, one device comes to 2e-4
    # after a second update at 1e-4. So of these the first update is compared.
    alike = hosts == 2 and not synchronised
    config = flow_alone(
        **({} if alike else {"steps": 1, "rate": 1e-3}),
        batch_size=batch_size,
        synchronised_batch_norm=synchronised,
    )
    processes = start_hosts(hosts, config, tmp_path / "hosts", data_folder)
    # One device takes the hosts' clips in passes, or all at once.
    alone = dataclasses.replace(config, clips_at_once=batch_size if synchronised else 2)
    history = training.train(alone, tmp_path / "one", data_folder)
    for process in processes:
        assert process.wait() == 0, (tmp_path / "hosts.log").read_text()[-3000:]
    wanted = weights(tmp_path / "one")
    fresh = new_stream_state(FLOW, config, len(tiny.LABELS)).model
    moved = [np.abs(wanted[v.path] - v.numpy()).max() for v in fresh.trainable_weights]
    assert max(moved) > 1e-2
    for path, weight in weights(tmp_path / "hosts").items():
        np.testing.assert_allclose(weight, wanted[path], atol=1e-5, err_msg=path)
    together = json.loads((tmp_path / "hosts/history.json").read_text())
    assert [entry["step"] for entry in together] == [e["step"] for e in history]
    for entry, other in zip(together, history, strict=True):
        for group in ("train", "test"):
            assert entry[group] == pytest.approx(other[group], rel=1e-2)
    assert len(list((tmp_path / "hosts/events").iterdir())) == 1


@pytest.mark.slow
def test_sigterm_on_one_host_stops_all_of_them_saved(data_folder, tmp_path):
    """And started again they end with the weights of an undisturbed run."""
    config = flow_alone(steps=400, checkpoint_steps=10_000, evaluate_epochs=50)
    processes = start_hosts(2, config, tmp_path / "hosts", data_folder)
    while not saved_checkpoints(tmp_path / "hosts/checkpoints"):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)
    processes[1].send_signal(signal.SIGTERM)
    assert [process.wait() for process in processes] == [143, 143]
    (newest, *_) = saved_checkpoints(tmp_path / "hosts/checkpoints")
    assert int(newest.rpartition("-")[2]) < 400
    for process in start_hosts(2, config, tmp_path / "hosts", data_folder):
        assert process.wait() == 0, (tmp_path / "hosts.log").read_text()[-3000:]
    for process in start_hosts(2, config, tmp_path / "whole", data_folder):
        assert process.wait() == 0
    wanted = weights(tmp_path / "whole")
    for path, weight in weights(tmp_path / "hosts").items():
        np.testing.assert_array_equal(weight, wanted[path], err_msg=path)


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {"worker": ["a:1"]}}'])
def test_hosts_without_a_list_of_them_are_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="of multi_worker each host wants"):
        training.make_strategy("multi_worker")
