"""The packaged tables, and the one loader that reads them.

Nothing is read at import. Names are relative to this folder, with forward slashes:
``"gpus.csv"``, ``"runs/mlenergy_v2.csv"``. What each table holds, its units, boundaries and
sources: ``README.md`` beside this file.
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from joulecast.errors import FileFormatError, shown

__all__ = [
    "is_there",
    "names",
    "read_bytes",
    "read_json",
    "read_table",
    "read_text",
]

FOLDER = Path(__file__).parent  # importlib.resources takes longer to load than all else that reads


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a packaged CSV file, every cell as text, an unknown value as ``""``.

    Raises FileFormatError when the installed file is missing or damaged.
    """
    reader = csv.reader(io.StringIO(read_text(name), newline=""), strict=True)
    try:
        header = next(reader, [])
        rows = list(reader)
    except csv.Error as error:
        raise _damaged(name, str(error)) from error
    uneven = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if not header or uneven is not None:
        raise _damaged(name, f"row {uneven or 1} does not have the header's {len(header)} cells")
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_json(name: str) -> Any:
    """The content of a packaged JSON file.

    Raises FileFormatError when the installed file is missing or damaged.
    """
    try:
        return json.loads(read_text(name))
    except ValueError as error:
        raise _damaged(name, str(error)) from error


def read_text(name: str) -> str:
    """The text of a packaged UTF-8 file. Raises FileFormatError when it is missing or damaged."""
    try:
        return read_bytes(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(name, "it is not UTF-8 text") from error


def read_bytes(name: str) -> bytes:
    """The bytes of a packaged file. Raises FileFormatError when it is missing."""
    try:
        return _packaged(name).read_bytes()
    except OSError as error:
        raise _damaged(name, "it cannot be read") from error


def is_there(name: str) -> bool:
    """Whether there is a packaged file of this name."""
    return _packaged(name).is_file()


def names(folder: str = "", suffix: str = "") -> list[str]:
    """Names of the packaged files in `folder` that end in `suffix`, sorted, as the readers take them."""
    place = _packaged(folder)
    prefix = f"{folder}/" if folder else ""
    if not place.is_dir():
        return []
    with os.scandir(place) as found:  # which knows what is a file without a look at each
        return sorted(prefix + item.name for item in found if item.name.endswith(suffix) and item.is_file())


def _packaged(name: str) -> Path:
    return FOLDER.joinpath(*[part for part in name.split("/") if part])


def _damaged(name: str, problem: str) -> FileFormatError:
    return FileFormatError(f"the packaged file {shown(name)} is damaged: {problem}; reinstall joulecast")
