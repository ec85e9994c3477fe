"""Files the user names: which text is a path, what keeps one from being read, writing whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from joulecast.errors import FileFormatError, InputError
from joulecast.files.streams import stream_name


def is_path(text: str, *suffixes: str) -> bool:
    """Whether a name is a path: it holds a separator, or ends in one of `suffixes` in any case."""
    return "/" in text or os.sep in text or text.strip().casefold().endswith(suffixes)


def shown_path(path: str | os.PathLike[str], most: int = 120) -> str:
    """A path as an error may show it: quoted, on one line, a long one without its beginning.

    The file of a stream goes by the stream's name.
    """
    if stream := stream_name(path):
        return stream
    text = repr(os.fspath(path))
    return text if len(text) <= most else "'…" + text[-most:]


@contextlib.contextmanager
def no_files() -> Iterator[None]:
    """Within the block no file that anybody names is looked at, read or written: requests of strangers.

    Whatever would is refused with an InputError; the packaged tables are nobody's files.
    """
    token = _CLOSED.set(True)
    try:
        yield
    finally:
        _CLOSED.reset(token)


_CLOSED: ContextVar[bool] = ContextVar("_CLOSED", default=False)
NOT_HERE = "is a file, and no file is read or written for a request; give a name"


def advising_files(words: str) -> str:
    """Words that advise a file, and none where files are closed."""
    return "" if _CLOSED.get() else words


def may_be_file(path: Path) -> bool:
    """Whether a path may lead to a plain file; never where files are closed, and nothing is looked at."""
    return not _CLOSED.get() and not not_a_file(path)


def may_be_there(path: Path) -> bool:
    """Whether a path may lead to anything; never where files are closed, and nothing is looked at."""
    return not _CLOSED.get() and not_a_file(path) != ABSENT


ABSENT = "does not exist"


def not_a_file(path: Path) -> str:
    """Why a path cannot be read as a plain file, or an empty string."""
    if _CLOSED.get():
        raise InputError(f"{shown_path(path)} {NOT_HERE}")
    try:
        if path.is_file():
            return ""
        return "is a folder" if path.is_dir() else "is not a plain file" if path.exists() else ABSENT
    except OSError as error:  # a name too long, a folder that may not be searched
        return f"cannot be read ({error.strerror})"


@contextlib.contextmanager
def guarding_inputs() -> Iterator[None]:
    """Refuse, within the block, to write over a file that was read in it, or over one just written.

    A command is one such block, and holds those inside it. Outside of any, a program may write what it read.
    """
    known = _MET.get()
    token = _MET.set({} if known is None else known)
    try:
        yield
    finally:
        _MET.reset(token)


# The files met in the block above, by device and number, and what was done with each; None outside of one.
_MET: ContextVar[dict[tuple[int, int], str] | None] = ContextVar("_MET", default=None)


def note_input(status: os.stat_result) -> None:
    """Remember a file that is being read; see `guarding_inputs`."""
    _note(status, "is the input itself")


def _note(status: os.stat_result, words: str) -> None:
    met = _MET.get()
    if met is not None and stat.S_ISREG(status.st_mode):
        met.setdefault((status.st_dev, status.st_ino), words)


def check_output(target: Path) -> Path:
    """The path at which an output will lie, links followed.

    Raises InputError where it cannot be written: it is a folder, its folder is not there or may not be
    written to, or it is a file that was read (see `guarding_inputs`).
    """
    where = f"the output {shown_path(target)}"
    if _CLOSED.get():
        raise InputError(f"{where} {NOT_HERE}")
    if str(target) == "-":
        raise InputError(f"{where} is no file: give its name; what is printed goes to standard output anyway")
    try:
        place = Path(os.path.realpath(target))
        status = place.stat() if place.exists() else None
    except (OSError, ValueError) as error:  # a name too long, a NUL in it
        raise InputError(f"{where} cannot be written: {getattr(error, 'strerror', '') or error}") from None
    if place.is_dir():
        raise InputError(f"{where} is a folder; give the name of a file")
    if not place.parent.is_dir():
        raise InputError(f"{where} cannot be written: there is no folder {shown_path(place.parent)}")
    if status is not None:
        words = (_MET.get() or {}).get((status.st_dev, status.st_ino))
        if words:
            raise InputError(f"{where} {words}; give another name")
    if not (status and _is_device(status)) and not os.access(place.parent, os.W_OK):
        raise InputError(f"{where} cannot be written: its folder may not be written to")
    return place


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which takes the target's place when the block ends without an error.

    A target that is no plain file (a device, a pipe) is written to directly. Raises InputError when
    it cannot be written (see `check_output`); nothing is left of it then, and an older file stays as it was.
    """
    place, where = check_output(target), f"the output {shown_path(target)}"
    is_device = place.exists() and _is_device(place.stat())
    temporary = place if is_device else place.with_name(f".{place.name[:200]}.{os.getpid()}.part")
    try:
        yield temporary
        if not is_device:
            check_output(target)  # again: it may have been read meanwhile
            temporary.replace(place)
            _note(place.stat(), "was written by this command already")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{where} cannot be written: {error.strerror or error}") from None
    finally:
        if not is_device:
            temporary.unlink(missing_ok=True)


def _is_device(status: os.stat_result) -> bool:
    return not stat.S_ISREG(status.st_mode)


def write_whole(target: Path, text: str) -> None:
    """Write UTF-8 text to a file, whole or not at all. Raises InputError when it cannot be written."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def opened(path: str | os.PathLike[str], what: str, expected: str = "") -> BinaryIO:
    """A file the user named, open to be read from its beginning.

    Raises InputError, which calls it `what` and says what was `expected`, when there is none, or it is no
    plain file: a device has no end, and a pipe lets whoever opens it wait.
    """
    if _CLOSED.get():
        raise InputError(f"{what} {NOT_HERE}")
    advice = expected or "give the path of a readable file"
    try:
        # Looked at when it is open, so that nothing else can take its place in between.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        problem = not_a_file(Path(path)) or f"cannot be read ({getattr(error, 'strerror', '') or error})"
        raise InputError(f"{what} {problem}; {advice}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        problem = "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a plain file"
        raise InputError(f"{what} {problem}; {advice}")
    note_input(status)
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, no path


def user_bytes(path: str | os.PathLike[str], kind: str, most_bytes: int, advice: str = "") -> bytes:
    """The bytes of a file the user named; parameters and errors as of `user_text`."""
    what = f"{kind} {shown_path(path)}"
    with opened(path, what, advice) as file:
        try:
            content = file.read(most_bytes + 1)  # whatever size it says it has
        except OSError as error:
            raise InputError(f"{what} cannot be read ({error.strerror})") from None
    if len(content) > most_bytes:
        raise FileFormatError(f"{what} is larger than {most_bytes:,} bytes")
    return content


def user_text(path: str | os.PathLike[str], kind: str, most_bytes: int) -> str:
    """The text of a file the user named, with or without a byte-order mark.

    Parameters
    ----------
    path : the file.
    kind : what it should be, for the message, e.g. ``"GPU file"``.
    most_bytes : its largest accepted size [byte].

    Raises InputError when there is no such file, FileFormatError when it is too large or not UTF-8.
    """
    return decoded(user_bytes(path, kind, most_bytes), f"{kind} {shown_path(path)}")


def decoded(content: bytes, what: str) -> str:
    """Bytes the user gave as text; FileFormatError when they are not UTF-8 text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{what} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise FileFormatError(f"{what} is a binary file; expected UTF-8 text")
    return text
