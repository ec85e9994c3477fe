"""Files the user names: which text is a path, what keeps one from being read, writing whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

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


def not_a_file(path: Path) -> str:
    """Why a path cannot be read as a plain file, or an empty string."""
    try:
        if path.is_file():
            return ""
        return (
            "is a folder" if path.is_dir() else "is not a plain file" if path.exists() else "does not exist"
        )
    except OSError as error:  # a name too long, a folder that may not be searched
        return f"cannot be read ({error.strerror})"


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which takes the target's place when the block ends without an error.

    A target that is no plain file (a device, a pipe) is written to directly. Raises InputError when
    it cannot be written; nothing is left of it then, and an older file stays as it was.
    """
    place, where = Path(os.path.realpath(target)), f"the output {shown_path(target)}"
    if place.is_dir():
        raise InputError(f"{where} is a folder; give the name of a file")
    if not place.parent.is_dir():
        raise InputError(f"{where} cannot be written: there is no folder {shown_path(place.parent)}")
    is_device = place.exists() and not place.is_file()
    temporary = place if is_device else place.with_name(f".{place.name[:200]}.{os.getpid()}.part")
    try:
        yield temporary
        if not is_device:
            temporary.replace(place)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{where} cannot be written: {error.strerror or error}") from None
    finally:
        if not is_device:
            temporary.unlink(missing_ok=True)


def write_whole(target: Path, text: str) -> None:
    """Write UTF-8 text to a file, whole or not at all. Raises InputError when it cannot be written."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def user_bytes(path: str | os.PathLike[str], kind: str, most_bytes: int) -> bytes:
    """The bytes of a file the user named; parameters and errors as of `user_text`."""
    place = Path(path)
    try:
        problem = not_a_file(place)
        content = b"" if problem else _first_bytes(place, most_bytes + 1)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    if problem:
        raise InputError(f"{kind} {shown_path(path)} {problem}; give the path of a readable file")
    if len(content) > most_bytes:
        raise FileFormatError(f"{kind} {shown_path(path)} is larger than {most_bytes:,} bytes")
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


def _first_bytes(place: Path, count: int) -> bytes:
    with place.open("rb") as file:
        return file.read(count)
