"""Do a piece of work in a copy of this process, beside what the process does itself.

Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

from joulecast.errors import JoulecastError, TraceError, kind_in_short

import torch  # isort: skip - after build, which says so when the extra is missing

Result = TypeVar("Result")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def aside(work: Callable[[], Result], processes: int) -> Iterator[Callable[[], Result]]:
    """Begin `work` in a copy of this process; what is yielded waits for its result, which must be picklable.

    With fewer than two `processes`, elsewhere than on Linux, or when the copy is killed, the work is
    done when its result is asked for. An error of the copy becomes a TraceError with its words. The copy ends
    with this process, whatever ends it.
    """
    if processes < 2 or sys.platform != "linux":  # elsewhere a copy of a process with threads is not safe
        yield work
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    copy = context.Process(target=_send, args=(work, theirs, ours), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which torch's wait for work
        copy.start()
    theirs.close()
    try:
        yield lambda: _received(ours, work)
    finally:
        copy.kill()
        copy.join()
        ours.close()


def _send(work: Callable[[], object], connection: Connection, other_end: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted process kills its copy
    other_end.close()  # or a result for a process that is gone would wait for ever
    threading.Thread(target=_end_with_parent, name="joulecast-watch", daemon=True).start()
    torch.set_num_threads(1)  # the threads of the process are not in its copy
    answer: tuple[object, str | None]
    try:
        answer = work(), None
    except Exception as error:
        answer = None, str(error) if isinstance(error, JoulecastError) else kind_in_short(error)
    with contextlib.suppress(BrokenPipeError):
        connection.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _received(connection: Connection, work: Callable[[], Result]) -> Result:
    try:
        result, error = connection.recv()
    except (EOFError, OSError):
        return work()
    if error is not None:
        raise TraceError(error)
    found: Result = result
    return found
