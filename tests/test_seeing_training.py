"""What a run shows: TensorBoard's events, the terminal's line, the film of clips."""

import io
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny
from event_files import read_events, scalars
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event

from flow import code, visualize
from i3d_tf.training import sample_clips
from i3d_tf.training.events import Events
from i3d_tf.training.results import MADE, NOT_FINITE, SCALED_DOWN, Figures
from i3d_tf.training.terminal import Terminal


def figures(losses, outcomes=None, seconds=2.0, traced=False):
    """Updates [K, B] of the RGB stream; half of their seconds is waiting."""
    losses = np.array(losses, np.float32)
    outcomes = {"rgb": np.array(outcomes or [MADE] * len(losses))}
    values = {"rgb_loss": losses, "rgb_top1": (losses > 2).astype(np.float32)}
    return Figures(values, outcomes, seconds / 2, False, seconds, traced)


def test_sums_leave_out_updates_of_their_streams():
    ones = np.ones([3, 4], np.float32)
    values = dict.fromkeys(["rgb_loss", "flow_loss", "fused_top1"], ones)
    outcomes = {
        "rgb": np.array([MADE, SCALED_DOWN, MADE]),
        "flow": np.array([NOT_FINITE, MADE, MADE]),
    }
    found = Figures(values, outcomes, 0.0, False, 1.0, False)
    assert found.sums() == {
        "rgb_loss": (8.0, 8),
        "flow_loss": (8.0, 8),
        "fused_top1": (4.0, 4),
    }


@pytest.fixture
def clock(monkeypatch):
    """A clock to be set: `clock.now = 3.0`."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("i3d_tf.training.events.time", clock)
    monkeypatch.setattr("i3d_tf.training.terminal.time", clock)
    return clock


def test_a_point_is_the_mean_since_the_one_before(tmp_path, clock):
    with Events(tmp_path) as writer:
        writer.updates(1, figures([[1, 3]], traced=True, seconds=50), {"rgb": 0.5})
        clock.now += 1
        # Two updates in one call: the points are means over clips, not over calls.
        writer.updates(3, figures([[3, 5], [5, 7]]), {"rgb": 0.25})
        clock.now += 1
        writer.updates(4, figures([[4, 4]], seconds=6), {"rgb": 0.125})
        clock.now += 1
        writer.updates(5, figures([[8, 0]]), {"rgb": 0.0625})
    assert scalars(tmp_path) == {
        "updates/rgb_loss": [(4, 4.0), (5, 4.0)],
        "updates/rgb_top1": [(4, 0.875), (5, 0.5)],
        "learning_rate/rgb": [(4, 0.125), (5, 0.0625)],
        # Without the update whose graph was made: 6 clips in 8 seconds.
        "speed/clips_per_second": [(4, 0.75), (5, 1.0)],
        "speed/input_wait_share": [(4, 0.5), (5, 0.5)],
    }


def test_a_point_leaves_out_what_training_left_out(tmp_path, clock):
    nan = float("nan")
    with Events(tmp_path) as writer:
        made = [MADE, NOT_FINITE]
        writer.updates(2, figures([[1, 2], [nan, 9]], made), {"rgb": 1.0})
        clock.now += 2
        writer.updates(3, figures([[3, 4]]), {"rgb": 1.0})
        clock.now += 2
        writer.updates(4, figures([[nan, 1]], [NOT_FINITE]), {"rgb": 1.0})
    found = scalars(tmp_path)
    assert found["updates/rgb_loss"] == [(3, 2.5)]
    assert found["learning_rate/rgb"] == [(3, 1.0), (4, 1.0)]


def test_an_epoch_of_the_history(tmp_path):
    entry = {
        "step": 7,
        "train": {"rgb_loss": 1.5},
        "test": {"rgb_loss": 1.25, "rgb_top1": 0.5, "rgb_top5": 0.75},
        "skipped": {"rgb": 2},
    }
    with Events(tmp_path) as writer:
        writer.epoch(entry)
        writer.epoch({**entry, "step": 9, "test": None})
    assert scalars(tmp_path) == {
        "train/rgb_loss": [(7, 1.5), (9, 1.5)],
        "test/rgb_loss": [(7, 1.25)],
        "test/rgb_top1": [(7, 0.5)],
        "test/rgb_top5": [(7, 0.75)],
        "skipped/rgb": [(7, 2.0), (9, 2.0)],
    }


def test_a_host_that_is_not_the_first_writes_nothing(clock):
    with Events(None) as writer:
        clock.now += 9
        writer.updates(1, figures([[1, 3]]), {"rgb": 0.5})


@pytest.fixture(scope="module")
def builder(tmp_path_factory, write_video):
    return tiny.build(tmp_path_factory.mktemp("seeing"), write_video)


def test_the_film_shows_the_first_clips_as_they_are_trained_on(
    builder, tmp_path, monkeypatch
):
    drawn = []
    draw_clips = sample_clips.draw_clips

    def draw(codes, names):
        drawn.append((codes, names, draw_clips(codes, names)))
        return drawn[-1][-1]

    monkeypatch.setattr(sample_clips, "draw_clips", draw)
    config = tiny.config(seed=5)
    gif = sample_clips.film_of_epoch(builder, config, 3)
    ((codes, names, pages),) = drawn
    batches = sample_clips.pipeline.train_batches(
        builder,
        config.data,
        config.streams,
        batch_size=4,
        seed=5,
        epoch=3,
        as_codes=True,
    )
    wanted, labels = next(iter(batches))
    for stream in ("rgb", "flow"):
        np.testing.assert_array_equal(codes[stream], wanted[stream][:3])
    assert names == [tiny.LABELS[index] for index in np.argmax(labels, -1)[:3]]
    with Events(tmp_path) as writer:
        writer.film(6, gif)
    (path,) = tmp_path.iterdir()
    *_, record = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    (value,) = Event.FromString(record).summary.value
    assert value.metadata.plugin_data.plugin_name == "images"
    ((step, (width, height, shown)),) = read_events(tmp_path)["training_clips"]
    assert (step, shown) == (6, gif)
    with Image.open(io.BytesIO(gif)) as image:
        assert (image.n_frames, image.info["duration"]) == (5, 80)
        assert (int(width), int(height)) == image.size == pages.shape[2:0:-1]
        for number, page in enumerate(pages):
            image.seek(number)
            found = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(found - page).mean() < 4


def test_clips_stand_side_by_side_above_their_flow():
    rng = np.random.default_rng(0)
    codes = {
        "rgb": rng.integers(0, 256, [2, 5, 32, 32, 3], np.uint8),
        "flow": rng.integers(1, 256, [2, 5, 32, 32, 2], np.uint8),
    }
    pages = sample_clips.draw_clips(codes, ["left", "right"])
    assert pages.shape == (3, 20 + 4 + 2 * 132, 2 * 132 + 4, 3)
    flow = code.decode(codes["flow"][:, ::2])
    scale = visualize.max_magnitude(flow, 99.9)
    colors = visualize.flow_to_color(flow, scale)
    for clip, left in enumerate([4, 136]):
        for page, frame in enumerate([0, 2, 4]):
            # 32 px are shown as 128: every fourth one is theirs.
            columns = slice(left, left + 128, 4)
            rgb = pages[page, 24 : 24 + 128 : 4, columns]
            np.testing.assert_array_equal(rgb, codes["rgb"][clip, frame])
            shown = pages[page, 156 : 156 + 128 : 4, columns]
            np.testing.assert_array_equal(shown, colors[clip, page])
        assert pages[0, :20, left : left + 128].min() < 100  # its name
    one = sample_clips.draw_clips({"flow": codes["flow"]}, ["left", "right"])
    np.testing.assert_array_equal(one[:, 24:152], pages[:, 156:284])


def test_films_grow_rare():
    filmed = [epoch + 1 for epoch in range(300) if sample_clips.is_filmed(epoch)]
    assert filmed == [1, 2, 4, 8, 16, 32, 64, 128, 256]


def two_streams(updates=1, seconds=2.0, traced=False):
    values = {"rgb_loss": np.zeros([updates, 4])}
    outcomes = {name: np.full([updates], MADE) for name in ("rgb", "flow")}
    return Figures(values, outcomes, seconds / 50, False, seconds, traced)


MEANS = {
    "rgb_loss": 1.214,
    "rgb_top1": 0.5,
    "flow_loss": 1.5649,
    "flow_top1": 0.25,
    "fused_top1": 0.6,
}


def terminal(config, **changes):
    values = {"epochs": 3, "test_videos": 12, "step": 0, "shown": True, **changes}
    return Terminal(config, **values)


def test_the_line_tells_the_time_left_with_evaluations(capsys):
    config = tiny.config(steps=6, evaluate_epochs=1)
    shown = terminal(config)
    # Making the graph tells no speed.
    shown.updates(0, 1, MEANS, two_streams(seconds=50, traced=True))
    figures = "rgb 1.21 50% flow 1.56 25% both 60%"
    assert shown.line(0, 1, MEANS) == f"epoch 1/3 {figures}"
    shown.updates(0, 2, MEANS, two_streams(seconds=122.8))
    # 4 updates of 122.8 s, and 3 evaluations of 12 videos, each 222/614 of a clip.
    left = 4 * 122.8 + 3 * 12 * 122.8 / 4 * 222 / 614
    assert left == pytest.approx(891, abs=0.5)
    line = f"epoch 1/3 14:50 left {figures} 0.0326 clips/s wait 2%"
    assert shown.line(0, 2, MEANS) == line and len(line) <= 80
    # The first evaluation makes its graph; later ones take as long as the last one.
    shown.evaluated(0, MEANS, 600.0)
    assert shown.line(0, 2, MEANS).startswith("epoch 1/3 12:37 left ")
    shown.evaluated(1, MEANS, 60.0)
    assert shown.line(2, 4, MEANS).startswith("epoch 3/3 5:05 left ")
    shown.evaluated(2, MEANS, 60.0)
    assert shown.line(2, 6, MEANS).startswith("epoch 3/3 0:00 left ")
    assert capsys.readouterr().err == "".join(
        f"epoch {epoch}/3 test {figures}\n" for epoch in (1, 2, 3)
    )


@pytest.mark.parametrize(
    "updates, told",
    [(59, "0:59"), (3599, "59:59"), (10_000, "2:46 h"), (86_400, "1.0 d")],
)
def test_long_runs_tell_hours_and_days(updates, told):
    config = tiny.config(steps=90_000, evaluate_epochs=0)
    shown = terminal(config, test_videos=0)
    step = 90_000 - updates
    shown.updates(0, step, MEANS, two_streams(seconds=1.0))
    assert shown.line(0, step, MEANS).startswith(f"epoch 1/3 {told} left rgb")


def test_a_log_has_a_line_a_minute(capsys, clock):
    shown = terminal(tiny.config(steps=6))
    for step in range(1, 5):
        clock.now += 30
        shown.updates(0, step, {"rgb_loss": step}, two_streams(traced=True))
    assert capsys.readouterr().err == (
        "step 2/6 epoch 1/3 rgb 2.00\nstep 4/6 epoch 1/3 rgb 4.00\n"
    )


def test_a_terminal_has_one_line_that_changes(monkeypatch):
    class Tty(io.StringIO):
        def isatty(self):
            return True

    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal(tiny.config(steps=6)) as shown:
        shown.begin_epoch(0)
        assert "epoch 1/3 the first update takes longest" in screen.getvalue()
        shown.updates(0, 6, MEANS, two_streams(updates=6))
        shown.evaluated(0, {"rgb_top1": 0.5}, 1.0)
    assert "\repoch 1/3 0:0" in screen.getvalue().replace("\n", "")
    assert "epoch 1/3 test rgb 50%\n" in screen.getvalue()


def test_a_host_that_is_not_the_first_says_nothing(capsys, clock):
    shown = terminal(tiny.config(steps=6), shown=False)
    clock.now += 90
    shown.updates(0, 1, MEANS, two_streams())
    shown.evaluated(0, MEANS, 1.0)
    assert capsys.readouterr().err == ""
