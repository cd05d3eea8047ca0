"""One process that answers calls, and what is left to say when it dies."""

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pickle
import signal
import threading
import time
import traceback

import cv2


class Died(Exception):
    """A process ended in the middle of a call; the message says how."""


class Hung(Died):
    """A process was ended, as a call showed no progress for too long."""


class Process:
    """A process that runs one generator function after another."""

    def __init__(self, limit=None):
        """`limit`: see `flow.pool.Workers`."""
        self._limit = limit
        # Started anew, not forked: a fork of a process with threads (TensorFlow's,
        # OpenCV's) can hang.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=[theirs], daemon=True)
        with _sigint_blocked():
            self._process.start()
        theirs.close()

    def stream(self, function, *args):
        """Yields what function(*args) yields there; its errors are raised here."""
        self._exchange(self._connection.send, (function, args))
        while True:
            kind, value = self._exchange(self._receive)
            if kind == "progress":
                continue
            if kind == "end":
                return
            if kind == "error":
                try:
                    raise value
                finally:
                    # Its traceback holds this variable, and with it the arguments.
                    del value
            yield value

    def _receive(self):
        if not self._connection.poll(self._limit):
            self.kill()
            self._process.join()
            raise Hung(f"showed no progress for {self._limit:g} s")
        return self._connection.recv()

    def _exchange(self, transfer, *message):
        try:
            return transfer(*message)
        except (EOFError, OSError) as error:
            self._process.join()
            raise Died(_how(self._process.exitcode)) from error

    def kill(self):
        self._process.kill()

    def end(self):
        self._process.kill()
        self._process.join()
        self._connection.close()


@contextlib.contextmanager
def _sigint_blocked():
    """Starts processes without SIGINT: they inherit the mask of signals.

    Ctrl-C goes to all processes of a terminal. This one ends the others, whose own
    tracebacks nobody wants to see. Windows has no mask; there `_serve` ignores SIGINT.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It would undo the mask, where it is not yet running.
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how(exitcode):
    if exitcode is None:  # another thread was told of the end, in the same moment
        return "for a reason unknown"
    if exitcode >= 0:
        return f"with exit code {exitcode}"
    if -exitcode == getattr(signal, "SIGKILL", None):
        return "killed by SIGKILL (perhaps for want of memory)"
    return f"killed by signal {-exitcode} ({signal.strsignal(-exitcode)})"


_connection = None  # in a process of the pool, to its parent
_shown = 0.0  # when it last showed progress


def show_progress():
    """Tells the parent, for its limit in time, that a call goes on.

    For what works on a video, after each step; in any other process does nothing.
    """
    global _shown
    if _connection and time.monotonic() > _shown + 1:
        _shown = time.monotonic()
        _answer(_connection, "progress", None)


def _serve(connection):
    """What a process does: answers until it is killed or its parent ends."""
    global _connection
    _connection = connection
    if not hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One process a core is there already; more threads only get in their way.
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            function, args = connection.recv()
        except (EOFError, OSError):  # closed, or reset with an answer on the way
            return
        try:
            for value in function(*args):
                _answer(connection, "value", value)
        except Exception as error:
            # The traceback does not travel with it.
            error.add_note("".join(traceback.format_exception(error)))
            _answer(connection, "error", _that_travels(error))
        else:
            _answer(connection, "end", None)


def _that_travels(error):
    """Returns the error, or a RuntimeError with its text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        replaced = RuntimeError(f"{type(error).__name__}: {error}")
        replaced.__notes__ = error.__notes__
        return replaced
    return error


def _answer(connection, kind, value):
    try:
        connection.send((kind, value))
    except OSError:  # the parent is no more
        os._exit(1)


def _end_with_parent():
    # A process killed with SIGKILL cannot end its children, but this shows.
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
