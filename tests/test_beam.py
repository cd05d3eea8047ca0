"""Flow by Apache Beam: the same as by the local processes."""

import json
import multiprocessing
import os
import pathlib
import re
import signal

import pytest
from tiny_flow import QUICK, contents, errors, flow_videos, noise, start, states

pytest.importorskip("apache_beam", reason="needs Apache Beam, the extra [beam]")

from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

from experiments import command  # noqa: E402
from flow.beam import extract_by_beam  # noqa: E402
from flow.extract import new_entry  # noqa: E402
from flow.extract_folder import extract_folder  # noqa: E402
from flow.settings import Settings

# What DirectRunner comes to where it cannot download Prism, a runner in Go.
RUNNER = "runner=FnApiRunner"
TWO_PROCESSES = [RUNNER, "direct_num_workers=2", "direct_running_mode=multi_processing"]

STATES = {
    "b ü/1.avi": "done",
    "b ü/2.mkv": "done",
    r"caf\xe9.avi": "done",
    "c/one.avi": "failed",
    "c/text.mp4": "failed",
}


def beam(videos, output, settings=QUICK, flags=(RUNNER,), **kwargs):
    options = PipelineOptions([f"--{flag}" for flag in flags])
    return extract_by_beam(videos, output, settings, options=options, **kwargs)


@pytest.fixture
def videos(tmp_path, write_video):
    """Three videos that work, one of a single frame, and a text file."""
    folder = tmp_path / "videos"
    write_video(folder / "b ü" / "1.avi", noise(3, seed=1))
    write_video(folder / "b ü" / "2.mkv", noise(4, seed=2))
    name = os.fsdecode(b"caf\xe9.avi")
    write_video(folder / "a.avi", noise(5, seed=3)).rename(folder / name)
    write_video(folder / "c" / "one.avi", noise(1))
    (folder / "c" / "text.mp4").write_text("this is no video")
    return folder


def test_two_processes_give_what_the_local_ones_give(tmp_path, videos):
    report = beam(videos, tmp_path / "beam", flags=TWO_PROCESSES)
    assert states(report) == STATES
    local = extract_folder(videos, tmp_path / "local", QUICK, workers=1)
    assert _without_seconds(report) == _without_seconds(local)
    assert len(flow_videos(tmp_path / "local")) == 3
    assert flow_videos(tmp_path / "beam") == flow_videos(tmp_path / "local")
    written = json.loads((tmp_path / "beam" / "report.json").read_text("utf-8"))
    assert written == report


def _without_seconds(report):
    assert all(0 <= entry["seconds"] < 60 for entry in report)
    return [{**entry, "seconds": 0} for entry in report]


def test_what_is_there_is_kept(tmp_path, videos):
    output = tmp_path / "flow"
    extract_folder(videos, output, QUICK, workers=1)
    before = contents(output)
    kept, lost = output / "b ü" / "1.mkv", output / "b ü" / "2.mkv"
    os.utime(kept, ns=(1, 1))
    lost.unlink()
    report = beam(videos, output)
    assert states(report) == STATES | {
        "b ü/1.avi": "skipped",
        r"caf\xe9.avi": "skipped",
    }
    assert kept.stat().st_mtime_ns == 1
    assert contents(output).keys() == before.keys()
    assert lost.read_bytes() == before["b ü/2.mkv"]
    assert states(beam(videos, output, resume=False)) == STATES
    assert kept.stat().st_mtime_ns != 1


class Deadly(Settings):
    """Kills the process that asks for TV-L1, unless it is the first of all."""

    def tvl1(self):
        if multiprocessing.parent_process():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().tvl1()


def test_a_video_that_kills_its_process_is_an_entry(tmp_path, write_video):
    videos, settings = tmp_path / "videos", Deadly("opencv")
    write_video(videos / "a.avi", noise(2))
    (entry,) = beam(videos, tmp_path / "flow", settings)
    reason = entry.pop("reason")
    assert reason.startswith(f"{videos}/a.avi: its process died 2 times, killed by ")
    failed = new_entry(pathlib.PurePath("a.avi"), settings)
    assert entry == {k: v for k, v in failed.items() if k != "reason"}
    assert entry["state"] == "failed"


def test_flow_that_cannot_be_written_ends_the_pipeline(tmp_path, write_video):
    write_video(tmp_path / "videos" / "a.avi", noise(2))
    output = tmp_path / "flow"
    (output / "a.mkv").mkdir(parents=True)
    with pytest.raises(OSError, match=r"Is a directory: '.*flow/a.mkv' \[while"):
        beam(tmp_path / "videos", output, resume=False)


def test_bad_folders_are_refused_before_the_pipeline(tmp_path, videos):
    with pytest.raises(ValueError, match="none: no such folder"):
        beam(tmp_path / "none", tmp_path / "flow", flags=["runner=None"])
    with pytest.raises(ValueError, match="lies inside the videos"):
        beam(videos, videos / "flow", flags=["runner=None"])
    with pytest.raises(OSError, match="'/proc/nope'$"):
        beam(videos, "/proc/nope", flags=["runner=None"])
    (videos / "c" / "one.mp4").touch()
    with pytest.raises(ValueError, match="would both become"):
        beam(videos, tmp_path / "flow", flags=["runner=None"])


def test_command(tmp_path, write_video):
    videos, output = tmp_path / "videos", tmp_path / "flow"
    write_video(videos / "a.avi", noise(2))
    flag = f"--beam_pipeline_options=job_name=flow,{RUNNER}"
    out, err = start(videos, output, "--smaller_side=16", flag).communicate()
    assert out == f"{output}: 1 flow videos written, 0 were there, 0 failed\n", err
    assert list(contents(output)) == ["a.mkv", "report.json"]
    run = start(videos, output, "--workers=2", flag)
    _, err = run.communicate()
    assert run.returncode == 1
    assert errors(err)[-1].startswith("error: --workers is for this machine")
    for options, message in (
        ("job_name=flow,runner=Nobody", "Unexpected pipeline runner: Nobody."),
        (
            f"runer=DirectRunner,{RUNNER},num_worker=3",
            "--beam_pipeline_options: Apache Beam has no option num_worker, runer",
        ),
        (
            f"--{RUNNER}",
            f"--beam_pipeline_options --{RUNNER}: give options without their dashes",
        ),
    ):
        flag = f"--beam_pipeline_options={options}"
        run = start(videos, output, "--smaller_side=16", flag)
        _, err = run.communicate()
        assert run.returncode == 1
        assert errors(err)[-1].startswith(f"error: {message}")


def test_the_options_of_all_runners_are_known():
    guide = pathlib.Path(command.__file__).with_name("cluster.md").read_text("utf-8")
    lists = re.findall(r"--beam_pipeline_options (runner=\S+)", guide)
    assert len(lists) == 3
    for options in lists:
        runner = command.beam_options(options.split(","), None).get_all_options()[
            "runner"
        ]
        assert options.startswith(f"runner={runner},")


def test_command_without_beam(tmp_path):
    """In place of Apache Beam, a module that is not there."""
    (tmp_path / "apache_beam.py").write_text("import beam_is_missing")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    flag = f"--beam_pipeline_options={RUNNER}"
    run = start(tmp_path, tmp_path, flag, env={**os.environ, "PYTHONPATH": path})
    _, err = run.communicate()
    assert run.returncode == 1
    assert errors(err)[-1].startswith(
        "error: --beam_pipeline_options needs the extra [beam]: No module named"
    )
