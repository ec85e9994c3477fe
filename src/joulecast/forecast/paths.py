"""Files the user names: what keeps one from being read, and writing one whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from joulecast.data import shown_path
from joulecast.errors import InputError


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
