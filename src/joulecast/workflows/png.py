"""The texts in a PNG image: ComfyUI saves the workflow of an image in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from joulecast.errors import FileFormatError

PNG: Final = b"\x89PNG\r\n\x1a\n"
_HEAD, _CHECK = 8, 4  # bytes of a chunk before its content, and after it


def texts_of(content: bytes, what: str) -> Mapping[str, str]:
    """The texts of an image by keyword (chunks tEXt, and iTXt that are not compressed).

    Raises FileFormatError, which calls the image `what`, where it is cut short.
    """
    found: dict[str, str] = {}
    place = len(PNG)
    while place + _HEAD <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        kind, start = content[place + 4 : place + _HEAD], place + _HEAD
        if start + size + _CHECK > len(content):
            raise FileFormatError(f"{what} is cut short: an image of {len(content):,} bytes")
        if kind == b"tEXt":
            key, _, text = content[start : start + size].partition(b"\0")
            found.setdefault(key.decode("latin-1"), text.decode("latin-1"))
        elif kind == b"iTXt":
            _international(content[start : start + size], found)
        place = start + size + _CHECK
    return found


def _international(chunk: bytes, found: dict[str, str]) -> None:
    """The text of an iTXt chunk: keyword, whether and how it is compressed, language, keyword again, text."""
    key, _, rest = chunk.partition(b"\0")
    is_compressed, texts = rest[:1] != b"\0", rest[2:].split(b"\0", 2)
    if not is_compressed and len(texts) == 3:
        found.setdefault(key.decode("latin-1"), texts[2].decode("utf-8", "replace"))
