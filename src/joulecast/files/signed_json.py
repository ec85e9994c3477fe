"""JSON files with a format name, a version and a checksum: profiles and laws.

What is packaged is read without them, as the code beside it is: a test holds them to it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from joulecast.errors import DAMAGE, FileFormatError, InputError, kind_in_short, shown
from joulecast.files.paths import user_bytes, write_whole

MAX_FILE_BYTES = 64_000_000


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content as canonical JSON."""
    import hashlib  # loads OpenSSL: where there is a file of a user's own, not before

    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_bytes(path: Path, kind: str, advice: str = "") -> bytes:
    """The bytes of a user's file; errors as of `joulecast.files.paths.user_text`."""
    return user_bytes(path, kind, MAX_FILE_BYTES, advice)


def parse(content: bytes, where: str, kind: str, *versions: int) -> dict[str, Any]:
    """The content of a signed file, without its checksum.

    `kind` is ``"profile"`` or ``"law"``: the file's format is ``joulecast-<kind>``, and `versions` are those
    of it that are understood.

    Raises
    ------
    FileFormatError
        It is not JSON, not of this format or version, or was changed after it was written.
    """
    from joulecast.files.documents import parse_json  # where there is a file of a user's own, not before

    value = parse_json(content, where)
    if not isinstance(value, dict) or value.get("format") != f"joulecast-{kind}":
        raise FileFormatError(f"{where} is not a joulecast {kind} file")
    if value.get("version") not in versions:
        raise FileFormatError(
            f"{where} is a {kind} of version {shown(value.get('version'))}; "
            f"this joulecast reads version {' and '.join(map(str, versions))}: make it again"
        )
    stated = value.pop("sha256", None)
    if stated != checksum(value):
        raise FileFormatError(
            f"{where} was changed after it was made (its checksum does not match its content)"
        )
    return value


@contextlib.contextmanager
def understanding(where: str, kind: str) -> Iterator[None]:
    """What goes wrong within the block, where content is taken for a `kind` that it is not, in one line.

    Raises FileFormatError: for InputError, that it cannot be true; for what Python raises of values of
    another kind than expected, that it is not whole.
    """
    try:
        yield
    except FileFormatError:
        raise
    except InputError as error:
        raise FileFormatError(f"{where} cannot be true: {error}") from None
    except DAMAGE as error:
        raise FileFormatError(f"{where} is not a whole {kind} ({kind_in_short(error)})") from None


def write(content: Mapping[str, Any], kind: str, version: int, path: Path, text: Any = json.dumps) -> None:
    """Write a signed file in one step: a half-written file is never left in its place."""
    signed = {"format": f"joulecast-{kind}", "version": version, **content}
    signed["sha256"] = checksum(signed)
    write_whole(path, text(signed) + "\n")
