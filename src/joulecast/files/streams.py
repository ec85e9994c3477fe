"""What comes through a pipe, as a file: ``-`` for standard input, ``/dev/fd/63`` of a shell.

Readers look at a file's beginning, its size and its name before they read it, which a pipe does not allow. So
what comes through one is written to a file of its own first, as long as a command runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from joulecast.errors import InputError

MOST_STREAM_BYTES = 1 << 30
BLOCK_BYTES = 1 << 20
STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/\d{1,9}")
_names: dict[str, str] = {}  # what a stream was called, by the path of its file


def is_stream(text: str) -> bool:
    """Whether an argument names standard input or a pipe that the shell opened for it."""
    return text in STANDARD_INPUT or _DESCRIPTOR.fullmatch(text) is not None


def stream_name(path: str | os.PathLike[str]) -> str | None:
    """What the stream was called whose file this is; None for a file of the user's own."""
    return _names.get(os.fspath(path))


def as_given(path: str | os.PathLike[str]) -> str:
    """A path as the user gave it: the file of a stream goes by the stream's name."""
    return stream_name(path) or os.fspath(path)


def folder_of(path: str | os.PathLike[str]) -> Path:
    """The folder that a file's own paths are of: a stream's is where the program runs."""
    return Path(path).parent if stream_name(path) is None else Path()


@contextlib.contextmanager
def streams() -> Iterator[Callable[[str], str]]:
    """Where streams become files: a function of a stream's name that gives the path of a file of it.

    The files go when the block ends. It raises InputError where a stream cannot be read, is longer than
    MOST_STREAM_BYTES, or is standard input for the second time.
    """
    with contextlib.ExitStack() as stack:
        folders: list[Path] = []
        read: set[str] = set()

        def as_file(name: str) -> str:
            if not folders:
                import tempfile  # where there is a stream, not before

                folders.append(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="joulecast-"))))
            key = STANDARD_INPUT[0] if name in STANDARD_INPUT else name
            if key in read:
                raise InputError(f"{name} is given twice: a stream can be read once; save it to a file")
            read.add(key)
            called = "standard-input" if name in STANDARD_INPUT else f"pipe-{name.rpartition('/')[2]}"
            path = _copied(name, folders[0] / called)
            _names[path] = "standard input" if name in STANDARD_INPUT else name
            stack.callback(_names.pop, path)
            return path

        yield as_file


def _copied(name: str, target: Path) -> str:
    """A stream written to a file whose ending says what it is."""
    from joulecast.files.parquet import MAGIC  # numpy, which is loaded where there is a stream, not before

    try:
        with _opened(name) as stream, target.open("wb") as file:
            size = 0
            while block := stream.read(BLOCK_BYTES):
                size += len(block)
                if size > MOST_STREAM_BYTES:
                    raise InputError(f"{name} is longer than {MOST_STREAM_BYTES:,} bytes; save it to a file")
                file.write(block)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    with target.open("rb") as file:
        is_parquet = file.read(len(MAGIC)) == MAGIC
    return str(target.rename(target.with_suffix(".parquet")) if is_parquet else target)


def _opened(name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    if name not in STANDARD_INPUT:
        return Path(name).open("rb")
    if sys.stdin is None:
        raise InputError(f"{name}: there is no standard input")
    return contextlib.nullcontext(sys.stdin.buffer)
