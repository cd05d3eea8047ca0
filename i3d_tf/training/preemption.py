"""SIGTERM, by which schedulers announce that they will end a process."""

import contextlib
import signal
import threading


class Preempted(Exception):
    """A run was asked to end by SIGTERM, and is saved."""


class Notice:
    """Whether SIGTERM has come."""

    def __init__(self):
        self.given = False

    def give(self, *_):
        self.given = True


@contextlib.contextmanager
def sigterm_noticed():
    """`with sigterm_noticed() as notice:` SIGTERM sets `notice.given` and no more."""
    notice = Notice()
    # Only the main thread may set handlers; elsewhere SIGTERM ends the process.
    if threading.current_thread() is not threading.main_thread():
        yield notice
        return
    before = signal.signal(signal.SIGTERM, notice.give)
    try:
        yield notice
    finally:
        signal.signal(signal.SIGTERM, before)
