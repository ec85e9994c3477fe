"""Standard output without what C++ prints there of its own, past Python's `sys.stdout`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator

STDOUT, STDERR = 1, 2  # descriptors


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block nothing reaches standard output by its descriptor.

    Where other threads run, what is printed meanwhile goes to standard error: it may be theirs.
    """
    kept = _copy(STDOUT) if os.name == "posix" else None
    if kept is None:
        yield
        return
    flush = ctypes.CDLL(None).fflush  # C holds back what goes to a file or a pipe
    try:
        flush(None)
        _redirect(STDOUT)
        yield
    finally:
        flush(None)
        _move(kept, STDOUT)


def _redirect(descriptor: int) -> None:
    """Let a descriptor lead nowhere, or to standard error."""
    others = _copy(STDERR) if threading.active_count() > 1 else None
    _move(os.open(os.devnull, os.O_WRONLY) if others is None else others, descriptor)


def _move(descriptor: int, place: int) -> None:
    os.dup2(descriptor, place)
    os.close(descriptor)


def _copy(descriptor: int) -> int | None:
    """A second descriptor of the same; None where it is closed."""
    try:
        return os.dup(descriptor)
    except OSError:
        return None
