"""Processes that survive the death of one of them, for functions over many videos.

A decoder may crash on a bad file, and the system kills what takes too much memory. In
`concurrent.futures.ProcessPoolExecutor` that ends the work of all processes. Here a
thread looks after each process, so that only one call is lost, and tried again. Nor
does a decoder that never comes to an end stop the rest: it is ended after a limit.
"""

import collections
import concurrent.futures
import itertools
import os
import threading

from flow.process import Died, Hung, Process

TRIES = 2  # of a call whose process dies
# Without progress in a video. A step of a sound one takes seconds, and reading it from
# a slow storage minutes.
LIMIT = 600  # seconds


class ProcessDied(ValueError):
    """The processes that worked on a call died, each time that it was tried."""


def default_workers():
    """The processes this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1)
    )


class Workers:
    """`with Workers(count) as workers:` processes that answer calls.

    All methods may be called from any thread. A call whose process dies is tried once
    more in a new one; then it raises ProcessDied. It does so at once where a call shows
    no progress for `limit` seconds, and its process is killed. At the end of the block,
    or an error in it, all processes are killed; and they end by themselves if this one
    is killed.

    Attributes:
      count: how many processes there are.
    """

    def __init__(self, count=None, limit=None):
        """`count` of None takes the processors at hand.

        `limit` is the longest time in seconds that a call may go on without an answer,
        a value of a stream or `process.show_progress`; None or 0 for any.
        """
        if limit and limit < 0:
            raise ValueError(f"limit is {limit} s; it must be above 0, or 0 for none")
        self._limit = limit or None
        self.count = default_workers() if count is None else count
        if self.count < 1:
            raise ValueError(f"workers is {count}; it must be at least 1")
        self._lock = threading.Lock()
        self._closed = False
        self._processes = set()
        self._mine = threading.local()
        # Of `map` over all threads: enough that no process waits for its next item.
        self._room = threading.Semaphore(2 * self.count)
        # The threads that each look after a process, and those of `look_after`.
        self._callers, self._carers = (
            concurrent.futures.ThreadPoolExecutor(self.count, name)
            for name in ("caller", "carer")
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._lock:
            self._closed = True
        for process in self._processes:
            process.kill()
        self._callers.shutdown(cancel_futures=True)
        self._carers.shutdown(cancel_futures=True)
        for process in self._processes:
            process.end()

    def call(self, function, *args):
        """function(*args) in one of the processes."""
        return self._submit(function, *args).result()

    def map(self, function, items):
        """Yields function(item) for every item, in order, from several processes.

        Of all threads' items only a few more than there are processes are under way
        or waiting to be taken, so that memory stays bounded.
        """
        waiting = collections.deque()
        try:
            for item in items:
                # To wait for room while holding some could last for ever.
                while not self._room.acquire(blocking=not waiting):
                    yield self._first(waiting)
                waiting.append(self._submit(function, item))
            while waiting:
                yield self._first(waiting)
        finally:
            for future in waiting:
                future.cancel()
                self._room.release()

    def stream(self, function, *args):
        """Yields what the generator function(*args) yields in one more process."""
        given = 0
        for tries in itertools.count(1):
            process = self._start()
            try:
                values = process.stream(function, *args)
                for value in itertools.islice(values, given, None):
                    given += 1
                    yield value
                return
            except Died as died:
                self._give_up_after(tries, died)
            finally:
                self._end(process)

    def look_after(self, function, items):
        """Yields function(item) for every item as they finish.

        It is called here, in as many threads as there are processes, to call them.
        """
        items = iter(items)
        waiting = set()
        while True:
            for item in itertools.islice(items, 2 * self.count - len(waiting)):
                waiting.add(self._carers.submit(function, item))
            if not waiting:
                return
            done, waiting = concurrent.futures.wait(
                waiting, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                yield future.result()

    def _first(self, waiting):
        try:
            return waiting.popleft().result()
        finally:
            self._room.release()

    def _submit(self, function, *args):
        return self._callers.submit(self._call, function, args)

    def _call(self, function, args):
        """In a thread of `_callers`, each of which has a process of its own."""
        for tries in itertools.count(1):
            if not hasattr(self._mine, "process"):
                self._mine.process = self._start()
            try:
                (value,) = self._mine.process.stream(_once, function, args)
                return value
            except Died as died:
                self._end(self._mine.process)
                del self._mine.process
                self._give_up_after(tries, died)

    def _give_up_after(self, tries, died):
        if isinstance(died, Hung):
            raise ProcessDied(f"its process was ended, as it {died}") from died
        if self._closed or tries == TRIES:
            raise ProcessDied(f"its process died {tries} times, {died}") from died

    def _start(self):
        with self._lock:
            if self._closed:
                raise ProcessDied("the processes were ended")
            process = Process(self._limit)
            self._processes.add(process)
            return process

    def _end(self, process):
        with self._lock:
            # A set must not change while `__exit__` goes through it.
            if not self._closed:
                self._processes.discard(process)
        process.end()


def _once(function, args):
    yield function(*args)
