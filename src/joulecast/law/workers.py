"""Processes that share a piece of work and end with the one that began them, however it ends.

Each watches the reading end of a pipe whose writing end only the first process holds. The end of that
pipe is the end of the work: the first process closes it when it is interrupted, the system when it is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from joulecast.errors import JoulecastError

# How many threads libraries of linear algebra take, which they read when they are loaded.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")


def shared_out(
    work: Callable[..., Result],
    tasks: Iterable[tuple[Task, tuple[Any, ...]]],
    workers: int,
    prepare: Callable[..., object] = tuple,
    prepared_with: tuple[Any, ...] = (),
) -> Iterator[tuple[Task, Result]]:
    """Each task's name with `work` of its arguments, as they are done.

    `work` and `prepare`, which each process calls first, must be importable by name. Whatever ends the
    iteration, an error, an interrupt or the caller's own end, ends the processes at once. Raises
    JoulecastError when one of them is ended from outside.
    """
    context = get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _begin, (watched, prepare, prepared_with))
    try:
        # What the processes inherit: interrupts are the first one's matter, the cores are shared out.
        with _without_interrupts(), _one_thread_each():
            names = {pool.submit(work, *arguments): name for name, arguments in tasks}
        for future in as_completed(names):
            yield names[future], future.result()
    except BrokenProcessPool:
        raise JoulecastError(
            "a process that shared the work was ended from outside; is there memory enough for "
            f"{workers} of them?"
        ) from None
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        watched.close()


def _begin(watched: Connection, prepare: Callable[..., object], prepared_with: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with, args=(watched,), name="joulecast-watch", daemon=True).start()
    prepare(*prepared_with)


def _end_with(watched: Connection) -> None:
    """End this process when the pipe ends. Nobody writes to it."""
    with contextlib.suppress(EOFError, OSError):
        watched.recv_bytes()
    os._exit(1)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are begun meanwhile do linear algebra on one thread, unless they are told otherwise."""
    set_here = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(set_here, "1"))
    try:
        yield
    finally:
        for name in set_here:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold interrupts back for as long as processes are begun; where signals cannot be masked, do not."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
