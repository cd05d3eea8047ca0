"""Extraction by several processes: the same bytes, whatever is killed on the way."""

import json
import os
import pathlib
import random
import resource
import signal
import time

import pytest
from tiny_flow import QUICK, errors, flow_videos, noise, start, states

from flow import extract_folder as runs
from flow import report
from flow.extract_folder import extract_folder
from flow.files import written_aside
from flow.pool import Workers
from flow.settings import Settings
from flow.video import to_grey

# Kept as long as there is hope that what a test waits for comes.
PATIENCE = 60  # seconds


def make_videos(folder, write_video, short, long):
    """`short` videos of a few frames, and one of the frames `long` in their midst."""
    for number in range(short):
        write_video(folder / f"v{number}.avi", noise(5 + number, seed=number))
    write_video(folder / "v0-long.avi", long)
    return folder


@pytest.fixture
def videos(tmp_path, write_video):
    return make_videos(tmp_path / "videos", write_video, 3, noise(120, seed=99))


@pytest.fixture
def spread(monkeypatch):
    """Videos of more than 40 frames go to several processes; the list of those."""
    monkeypatch.setattr(runs, "LONG", 40)
    streamed, stream = [], Workers.stream

    def counted(self, function, source, settings):
        streamed.append(source.name)
        return stream(self, function, source, settings)

    monkeypatch.setattr(Workers, "stream", counted)
    return streamed


def test_processes_and_chunks_make_no_difference(tmp_path, videos, spread):
    made = {}
    for workers in (1, 2, 3):
        output = tmp_path / f"flow{workers}"
        report = extract_folder(videos, output, QUICK, workers=workers)
        assert set(states(report).values()) == {"done"}
        assert [e["frames"] for e in report] == [120, 5, 6, 7]
        made[workers] = flow_videos(output)
        # One process does the long video as a whole, several do it in chunks.
        assert spread == ["v0-long.avi"] * (workers - 1)
    assert list(made[1]) == ["v0-long.mkv", "v0.mkv", "v1.mkv", "v2.mkv"]
    assert made[1] == made[2] == made[3]


def test_the_last_videos_are_shared(tmp_path, write_video, spread, monkeypatch):
    monkeypatch.setattr(runs, "LONG", 10**6)
    write_video(tmp_path / "videos" / "a.avi", noise(40))
    extract_folder(tmp_path / "videos", tmp_path / "flow", QUICK, workers=2)
    assert spread == ["a.avi"]
    # Nothing is won with less than a chunk for each.
    write_video(tmp_path / "videos" / "a.avi", noise(20))
    again = {"workers": 2, "resume": False}
    extract_folder(tmp_path / "videos", tmp_path / "flow", QUICK, **again)
    assert spread == ["a.avi"]


class Deadly(Settings):
    """Kills its process at frames that begin with `pixels`, each time or but once."""

    number = signal.SIGKILL
    pixels = None
    mark = None  # a file that says it has been done

    def tvl1(self):
        tvl1 = super().tvl1()
        if self.pixels is None:
            return tvl1
        return Trap(tvl1, self.number, self.pixels, self.mark)


class Trap:
    def __init__(self, tvl1, number, pixels, mark):
        self.tvl1, self.number, self.pixels, self.mark = tvl1, number, pixels, mark
        self.parameters = tvl1.parameters

    def __call__(self, previous, current):
        if previous[0, :4].tobytes() == self.pixels and not (
            self.mark and self.mark.exists()
        ):
            if self.mark:
                self.mark.touch()
            os.kill(os.getpid(), self.number)
        return self.tvl1(previous, current)


def deadly(frame, mark=None, number=signal.SIGKILL):
    settings = Deadly("opencv", smaller_side=16, parameters=QUICK.parameters)
    # Of a frozen dataclass; they travel to the processes with its other fields.
    pixels = to_grey(frame)[0, :4].tobytes()
    settings.__dict__.update(number=number, pixels=pixels, mark=mark)
    return settings


@pytest.mark.parametrize("video", ["v0-long.avi", "v1.avi"])
def test_a_video_that_kills_its_process_is_failed(tmp_path, videos, spread, video):
    extract_folder(videos, tmp_path / "undisturbed", QUICK, workers=2)
    frames = noise(120, seed=99) if "long" in video else noise(6, seed=1)
    settings = deadly(frames[3])
    report = extract_folder(videos, tmp_path / "flow", settings, workers=2)
    lost = [entry for entry in report if entry["state"] != "done"]
    assert [(entry["video"], entry["state"]) for entry in lost] == [(video, "failed")]
    assert lost[0]["reason"] == (
        f"{videos / video}: its process died 2 times, killed by SIGKILL (perhaps for "
        "want of memory)"
    )
    assert len(report) == 4
    # The others are what they are without it, and nothing is left of it.
    expected = flow_videos(tmp_path / "undisturbed")
    del expected[video.replace(".avi", ".mkv")]
    assert flow_videos(tmp_path / "flow") == expected


@pytest.mark.parametrize("video", ["v0-long.avi", "v1.avi"])
def test_a_video_without_progress_is_failed(tmp_path, videos, spread, video):
    frames = noise(120, seed=99) if "long" in video else noise(6, seed=1)
    settings = deadly(frames[3], number=signal.SIGSTOP)
    report = extract_folder(videos, tmp_path / "flow", settings, workers=2, limit=5)
    reason = (
        f"{videos / video}: its process was ended, as it showed no progress for 5 s"
    )
    assert {e["video"]: e["reason"] for e in report if e["reason"]} == {video: reason}
    assert len(report) == 4 and len(flow_videos(tmp_path / "flow")) == 3


@pytest.mark.parametrize("video", ["v0-long.avi", "v1.avi"])
def test_a_process_that_dies_once_costs_nothing(tmp_path, videos, spread, video):
    extract_folder(videos, tmp_path / "undisturbed", QUICK, workers=2)
    frames = noise(120, seed=99) if "long" in video else noise(6, seed=1)
    settings = deadly(frames[3], tmp_path / "died")
    report = extract_folder(videos, tmp_path / "flow", settings, workers=2)
    assert (tmp_path / "died").exists()
    assert set(states(report).values()) == {"done"}
    assert flow_videos(tmp_path / "flow") == flow_videos(tmp_path / "undisturbed")


def test_an_error_that_ends_the_run_leaves_the_report(tmp_path, videos, monkeypatch):
    output = tmp_path / "flow"
    before = extract_folder(videos, output, QUICK, workers=1)
    (videos / "v1.avi").rename(videos / "w.avi")
    taken, end = [], runs.Progress.end

    def interrupted(self, video, entry):
        end(self, video, entry)
        taken.append(entry)
        if len(taken) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs.Progress, "end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract_folder(videos, output, QUICK, workers=1, resume=False)
    report = json.loads((output / "report.json").read_text())
    # What was done anew, and what is still there; not the video that has gone.
    kept = [entry for entry in before if entry["video"] != "v1.avi"]
    assert [entry["video"] for entry in report] == [e["video"] for e in kept]
    assert taken[0] in report
    assert set(states(report).values()) == {"done"}


def test_the_report_is_written_on_the_way(tmp_path, videos, monkeypatch):
    lengths, write = [], report.write_json
    monkeypatch.setattr(
        report, "write_json", lambda *a: lengths.append(len(a[1])) or write(*a)
    )
    monkeypatch.setattr(report, "REPORT_SECONDS", 0)
    extract_folder(videos, tmp_path / "flow", QUICK, workers=1)
    assert lengths == [1, 2, 3, 4, 4]


# From here on as users run it, with a long video of more than `LONG` frames.
FLAGS = ["--smaller_side=16", "--workers=2"]


@pytest.fixture(scope="module")
def long_videos(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("long") / "videos"
    # Hardly any noise: TV-L1 is done with it in half the time.
    return make_videos(folder, write_video, 10, noise(runs.LONG + 50) // 32 + 100)


@pytest.fixture(scope="module")
def undisturbed(long_videos):
    """The flow videos of one run that nobody disturbs."""
    output = long_videos.parent / "undisturbed"
    run = start(long_videos, output, *FLAGS)
    _, err = run.communicate()
    assert (run.returncode, errors(err)) == (0, [])
    return flow_videos(output)


def wait_until(condition, run):
    """Waits for condition(), or the end of the run."""
    end = time.monotonic() + PATIENCE
    while not condition() and run.poll() is None:
        assert time.monotonic() < end, "what the test waits for did not come"
        time.sleep(0.002)


def whole(folder):
    """`flow_videos` without those that are being written."""
    found = flow_videos(folder).items()
    return {k: v for k, v in found if not pathlib.Path(k).name.startswith(".")}


def hidden(folder):
    return [path for path in folder.rglob(".*") if path.is_file()]


def test_killed_at_any_moment_and_run_again(tmp_path, long_videos, undisturbed):
    output = tmp_path / "flow"
    moments = {
        "soon": lambda: output.exists(),
        "one more done": lambda: len(whole(output)) > len(before),
        "and one more": lambda: len(whole(output)) > len(before),
        "in the long one": lambda: any(
            "v0-long" in path.name for path in hidden(output)
        ),
    }
    rng, killed = random.Random(0), []
    for name, moment in moments.items():
        before = whole(output)
        times = {path: (output / path).stat().st_mtime_ns for path in before}
        run = start(long_videos, output, *FLAGS)
        wait_until(moment, run)
        time.sleep(rng.uniform(0, 0.05))
        run.kill()
        # Comes back when the last of its processes has ended. One that was just being
        # started may complain of its parent's death.
        run.communicate(timeout=PATIENCE)
        if run.returncode == -signal.SIGKILL:
            killed.append(name)
        # What has its name is whole, and what was there was not made again.
        assert before.items() <= whole(output).items() <= undisturbed.items()
        for path, time_before in times.items():
            assert (output / path).stat().st_mtime_ns == time_before
    # A machine that is busy with other things may let one run come to its end.
    assert len(killed) >= 3, killed
    run = start(long_videos, output, *FLAGS)
    _, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, errors(err)) == (0, [])
    assert flow_videos(output) == undisturbed
    report = json.loads((output / "report.json").read_text())
    assert len(report) == 11 and set(states(report).values()) == {"done", "skipped"}


def test_two_runs_on_one_output(tmp_path, long_videos, undisturbed):
    output = tmp_path / "flow"
    several = [start(long_videos, output, *FLAGS) for _ in range(2)]
    for run in several:
        _, err = run.communicate(timeout=PATIENCE)
        assert (run.returncode, errors(err)) == (0, [])
    assert flow_videos(output) == undisturbed
    assert len(json.loads((output / "report.json").read_text())) == 11


def test_ctrl_c(tmp_path, long_videos, undisturbed):
    output = tmp_path / "flow"
    run = start(long_videos, output, *FLAGS)
    wait_until(lambda: any("v0-long" in path.name for path in hidden(output)), run)
    os.killpg(run.pid, signal.SIGINT)
    began = time.monotonic()
    _, err = run.communicate(timeout=PATIENCE)
    assert time.monotonic() < began + 10
    assert run.returncode == 1
    assert errors(err) == [
        f"error: interrupted; run it again to go on from what is in {output}"
    ]
    assert hidden(output) == []
    done = flow_videos(output)
    assert done.items() < undisturbed.items()
    report = json.loads((output / "report.json").read_text())
    assert len(report) <= len(done)


def test_a_file_system_that_takes_no_more(tmp_path, long_videos, undisturbed):
    # A limit on the size of files, as full disks are not to be had without rights.
    limit = len(undisturbed["v0-long.mkv"]) // 2
    assert all(len(d) < limit for n, d in undisturbed.items() if n != "v0-long.mkv")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    for workers in (1, 2):  # a worker writes the long video, or the parent
        output = tmp_path / f"flow{workers}"
        flags = ["--smaller_side=16", f"--workers={workers}"]
        run = start(long_videos, output, *flags, preexec_fn=limited)
        _, err = run.communicate(timeout=PATIENCE)
        assert run.returncode == 1
        assert errors(err) == [
            f"error: [Errno 27] File too large: '{output}/v0-long.mkv'"
        ]
        assert hidden(output) == []
        done = flow_videos(output)
        assert done.items() < undisturbed.items() and "v0-long.mkv" not in done
    # What was done stays done, and there is no need to clear up.
    made = {path: path.stat() for path in output.rglob("*.mkv")}
    run = start(long_videos, output, *flags)
    _, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, errors(err)) == (0, [])
    assert flow_videos(output) == undisturbed
    assert {path: path.stat() for path in made} == made


def test_an_output_that_cannot_be_written(tmp_path, long_videos):
    (tmp_path / "flow").write_text("a file")
    run = start(long_videos, tmp_path / "flow", *FLAGS)
    _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1
    (line,) = errors(err)
    assert line.startswith("error: [Errno ") and f"'{tmp_path}/flow" in line


def test_leftovers_of_others_are_kept(tmp_path, videos):
    output = tmp_path / "flow"
    with written_aside(output / "v1.mkv") as mine:  # of a process that is alive
        mine.write_text("half")
        dead = mine.with_name(mine.name.replace(f"-{os.getpid()}.", "-4194304."))
        dead.write_text("half")
        other = mine.with_name(mine.name.replace(f"-{os.getpid()}.", "x-4194304."))
        other.write_text("half")
        extract_folder(videos, output, QUICK, workers=1)
        assert sorted(hidden(output)) == sorted([mine, other])
