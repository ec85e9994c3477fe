"""Laws by name or file: those that ship with the package, and a user's own."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from joulecast import data
from joulecast.errors import UnknownNameError
from joulecast.files import signed_json
from joulecast.files.paths import advising_files, is_path, shown_path
from joulecast.law.fitted import FittedLaw
from joulecast.law.law_file import decode_law, parse_law

FOLDER = "laws"


@cache
def law_names() -> tuple[str, ...]:
    """Names of the packaged laws."""
    return tuple(
        path.removeprefix(f"{FOLDER}/").removesuffix(".json") for path in data.names(FOLDER, ".json")
    )


@cache
def default_law() -> str:
    """The law that validated best, by the rule in ``data/default_law.json``."""
    return str(data.read_json("default_law.json")["default"])


def load_law(name: str | os.PathLike[str] | None = None) -> FittedLaw:
    """A law by its packaged name or by the path of a law file; None for the default.

    Raises
    ------
    UnknownNameError
        There is no such law.
    FileFormatError
        The file is no law file, or was edited or cut.
    """
    text = default_law() if name is None else os.fspath(name)
    if is_path(text, ".json"):
        return parse_law(signed_json.read_bytes(Path(text), "law"), shown_path(text))
    if text not in law_names():
        known = f"known: {', '.join(law_names())}"
        raise UnknownNameError("law", text, law_names(), known + advising_files(", or a law file (.json)"))
    return _packaged(text)


@cache
def _packaged(name: str) -> FittedLaw:
    where = f"{FOLDER}/{name}.json"
    return decode_law(data.read_json(where), where)
