"""Processes that answer calls, and the death of some."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from flow.pool import ProcessDied, Workers
from flow.process import show_progress


def map_videos(function, items, workers):
    """function(item) for every item by processes, as they finish."""
    with Workers(workers) as processes:
        call = functools.partial(processes.call, function)
        yield from processes.look_after(call, items)


def exit_at_3(number):
    if number == 3:
        os._exit(7)
    return number


def exit_once(folder, number):
    """Dies at 3, but not again."""
    mark = folder / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def count_up(folder, end):
    """Yields 0 ... end - 1, and dies before 4, but not again."""
    for number in range(end):
        yield exit_once(folder, number - 1) + 1


def process_id(_=None):
    return os.getpid()


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_map_videos_gives_every_result_once():
    # As they are done: even one process may be overtaken on the way back.
    assert sorted(map_videos(abs, range(-9, 0), 1)) == list(range(1, 10))
    with pytest.raises(ValueError, match="workers is 0"):
        list(map_videos(abs, [], 0))


def test_map_videos_in_processes():
    assert sorted(map_videos(abs, iter(range(-9, 0)), 2)) == list(range(1, 10))
    assert list(map_videos(abs, [], 2)) == []
    with pytest.raises(TypeError, match="bad operand"):
        list(map_videos(abs, ["text"], 2))


def test_map_videos_takes_only_a_few_items_ahead():
    taken = []

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    results = map_videos(abs, items(), 2)
    next(results)
    # Four under way, and as many as have ended since.
    assert len(taken) <= 8
    results.close()
    assert len(taken) <= 8


def test_calls_go_to_as_many_processes_as_asked_for():
    with Workers(2) as workers:
        assert workers.count == 2
        seen = set(workers.map(process_id, range(40)))
        assert len(seen) == 2 and os.getpid() not in seen
    assert not any(map(is_alive, seen))


def test_errors_come_back_with_their_traceback():
    with Workers(1) as workers:
        with pytest.raises(ValueError, match="invalid literal") as error:
            workers.call(int, "text")
        assert "Traceback" in error.value.__notes__[0]
        with pytest.raises(AttributeError, match="local object"):
            workers.call(lambda: 1)
        assert workers.call(int, "1") == 1


def test_a_call_whose_process_dies_is_tried_again(tmp_path):
    with Workers(2) as workers:
        results = workers.map(functools.partial(exit_once, tmp_path), range(9))
        assert list(results) == list(range(9))
        assert (tmp_path / "died").exists()


def test_a_call_that_kills_its_process_twice_is_given_up():
    with Workers(2) as workers:
        others = [workers.call(process_id) for _ in range(4)]
        results = workers.map(exit_at_3, range(9))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(
            ProcessDied, match="its process died 2 times, with exit code 7"
        ):
            next(results)
        # Nothing else is lost: not the room in the queue, not the processes.
        assert list(workers.map(abs, range(20))) == list(range(20))
        # A process in the place of the dead one, as soon as it has started.
        deadline = time.monotonic() + 60
        while set(workers.map(process_id, range(20))) <= set(others):
            assert time.monotonic() < deadline


def test_only_the_call_that_kills_its_process_is_lost():
    with Workers(2) as workers:
        results = {}
        for number, result in workers.look_after(
            lambda number: (number, attempt(workers, number)), range(12)
        ):
            results[number] = result
    assert results.pop(3) == "its process died 2 times, with exit code 7"
    assert results == {number: number for number in range(12) if number != 3}


def attempt(workers, number):
    try:
        return workers.call(exit_at_3, number)
    except ProcessDied as error:
        return str(error)


def test_a_stream_whose_process_dies_goes_on_where_it_was(tmp_path):
    with Workers(1) as workers:
        assert list(workers.stream(count_up, tmp_path, 9)) == list(range(9))
        assert (tmp_path / "died").exists()
        with pytest.raises(TypeError, match="integer"):
            list(workers.stream(count_up, tmp_path, "text"))


def test_a_stream_that_is_left_ends_its_process():
    with Workers(1) as workers:
        values = workers.stream(endless)
        process = next(values)
        assert is_alive(process)
        values.close()
        assert not is_alive(process)


def endless():
    while True:
        yield os.getpid()


def test_map_keeps_few_results_waiting():
    with Workers(2) as workers:
        taken = []

        def items():
            for number in range(40):
                taken.append(number)
                yield number

        results = workers.map(abs, items())
        assert next(results) == 0
        assert len(taken) <= 6  # twice the processes, one done, one in the hand
        results.close()
        # What was waiting has given its room back.
        assert list(workers.map(abs, range(20))) == list(range(20))


def test_maps_of_several_threads_share_the_room():
    with Workers(2) as workers:
        results = {}

        def work(name):
            results[name] = list(workers.map(abs, range(-30, 0)))

        threads = [threading.Thread(target=work, args=[name]) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {name: list(range(30, 0, -1)) for name in range(8)}


def test_the_end_of_the_block_ends_what_is_under_way():
    with pytest.raises(RuntimeError, match="enough"):
        with Workers(2) as workers:
            for process in workers.look_after(
                lambda _: next(workers.stream(endless)), range(3)
            ):
                assert process != os.getpid()
            values = workers.stream(endless)
            process = next(values)
            raise RuntimeError("enough")
    assert not is_alive(process)


def hang(mark):
    mark.touch()
    threading.Event().wait()


def test_an_error_in_the_block_ends_calls_that_do_not_end(tmp_path):
    died = []
    with pytest.raises(RuntimeError, match="enough"):
        with Workers(1) as workers:

            def call():
                with pytest.raises(ProcessDied) as error:
                    workers.call(hang, tmp_path / "begun")
                died.append(error)

            thread = threading.Thread(target=call)
            thread.start()
            while not (tmp_path / "begun").exists():
                time.sleep(0.002)
            raise RuntimeError("enough")
    thread.join()
    assert len(died) == 1


def hang_at_3(folder, number):
    """Each time; and leaves a mark for each."""
    if number == 3:
        (folder / f"{time.monotonic()}").touch()
        threading.Event().wait()
    return number


def work_for_long(number):
    for _ in range(number):
        time.sleep(0.5)
        show_progress()
    return number


def values_and_a_hang(folder, end):
    for number in range(end):
        yield hang_at_3(folder, number)


def test_a_call_without_progress_is_ended_and_not_tried_again(tmp_path):
    with Workers(2, limit=4) as workers:
        results = {}

        def attempt(number):
            try:
                results[number] = workers.call(hang_at_3, tmp_path, number)
            except ProcessDied as error:
                results[number] = str(error)

        list(workers.look_after(attempt, range(9)))
        reason = "its process was ended, as it showed no progress for 4 s"
        assert results.pop(3) == reason and len(list(tmp_path.iterdir())) == 1
        assert results == {number: number for number in range(9) if number != 3}
        given = []
        with pytest.raises(ProcessDied, match=f"^{reason}$"):
            given.extend(workers.stream(values_and_a_hang, tmp_path, 9))
        assert given == [] or given == [0, 1, 2]
        assert len(list(tmp_path.iterdir())) == 2


def test_a_call_that_shows_progress_may_take_longer():
    with Workers(1, limit=4) as workers:
        assert workers.call(work_for_long, 12) == 12
    show_progress()  # of no matter where nobody waits
    with pytest.raises(ValueError, match="limit is -1 s"):
        Workers(1, limit=-1)


def interrupt_itself(number):
    os.kill(os.getpid(), signal.SIGINT)
    return number


def interrupt_processes():
    with Workers(2) as workers:
        print(list(workers.map(interrupt_itself, range(4))))
        print(list(workers.stream(interrupt_itself_and_count, 3)))


def interrupt_itself_and_count(end):
    for number in range(end):
        yield interrupt_itself(number)


def test_processes_do_not_hear_ctrl_c():
    # In a new interpreter: what it starts first must not hear it either.
    run = subprocess.run(
        [sys.executable, "-c", "import test_pool; test_pool.interrupt_processes()"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), "tests"])},
    )
    assert (run.stdout, run.stderr) == ("[0, 1, 2, 3]\n[0, 1, 2]\n", "")


ENDLESS = """
import os, sys
from flow.pool import Workers
from tests_pool_functions import wait_for_ever
if __name__ == "__main__":
    with Workers(2) as workers:
        print("ready", flush=True)
        list(workers.map(wait_for_ever, range(4)))
"""

# In one piece, as two processes may write at the same time.
WAIT_FOR_EVER = """
import os, threading
def wait_for_ever(_):
    os.write(1, b"waiting\\n")
    threading.Event().wait()
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_no_process_is_left_when_the_parent_is_killed(tmp_path, name):
    (tmp_path / "main.py").write_text(ENDLESS)
    (tmp_path / "tests_pool_functions.py").write_text(WAIT_FOR_EVER)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "main.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        start_new_session=True,
        # Tests that run in the background ignore SIGINT, and so would this.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "ready\n"
    assert process.stdout.readline() == process.stdout.readline() == "waiting\n"
    # As Ctrl-C does: all processes of the terminal.
    send = os.killpg if name == "SIGINT" else os.kill
    send(process.pid, getattr(signal, name))
    # It ends when the last process that could write there has ended.
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -getattr(signal, name)
    if name == "SIGINT":
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
    else:
        assert errors == ""


class Unpicklable(Exception):
    """Can be pickled, but not made again: its one argument is another."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def raise_unpicklable(_):
    raise Unpicklable("no", "number")


def raise_with_a_lock(_):
    raise RuntimeError("locked", threading.Lock())


@pytest.mark.parametrize(
    "function, told",
    [
        (raise_unpicklable, "Unpicklable: no number"),
        (raise_with_a_lock, r"RuntimeError: \('locked', <unlocked _thread.lock"),
    ],
)
def test_errors_that_cannot_travel_are_told(function, told):
    with Workers(1) as processes:
        with pytest.raises(RuntimeError, match=f"^{told}") as error:
            processes.call(function, None)
        # The process is the same, and lives.
        assert processes.call(abs, -3) == 3
    assert function.__name__ in error.value.__notes__[0]
