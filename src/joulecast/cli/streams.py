"""Where a command's words go: whatever is printed passes here, so that no word from outside can act."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, cast

from joulecast.errors import InputError, visible


class VisibleStream:
    """A text stream in which everything is seen; see `joulecast.errors.visible`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, what is not seen as escapes."""
        self._stream.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ClosedStream:
    """In place of a stream that whoever started the command has closed."""

    encoding = "utf-8"

    def __init__(self, complain: bool) -> None:
        self._complain = complain

    def write(self, text: str) -> int:
        """Nothing is written: an error for answers, none for what is said beside them."""
        if self._complain:
            raise InputError("standard output is closed; send it to a file, or to /dev/null")
        return len(text)

    def flush(self) -> None:
        """Nothing is held."""

    def isatty(self) -> bool:
        """A closed stream is no terminal."""
        return False

    def fileno(self) -> int:
        """There is none."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


@contextlib.contextmanager
def visible_streams() -> Iterator[None]:
    """Within the block, standard output and error show what is written to them, and are never missing."""
    before = sys.stdout, sys.stderr
    if None in before:
        _take_low_descriptors()
    out, err = (
        ClosedStream(complain) if stream is None else VisibleStream(stream)
        for stream, complain in zip(before, (True, False), strict=True)
    )
    sys.stdout, sys.stderr = cast(Any, out), cast(Any, err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _take_low_descriptors() -> None:
    """Or a file that is opened next would be the standard output of libraries that write to it by number."""
    while os.open(os.devnull, os.O_RDWR) < 2:
        pass
