"""Files of other tools, known by their columns or keys, and what to take from them.

They are rows of ``data/neighbours.csv``: a file is a tool's when it has all of `marks`; one that begins
with ``*`` is the end of a name.
"""

from __future__ import annotations

from collections.abc import Collection

from joulecast import data
from joulecast.errors import fold

TABLE = "neighbours.csv"


def neighbour(names: Collection[str]) -> str:
    """What a file with these columns or keys is, and what to take from it; an empty string for no tool's."""
    folded = {fold(name) for name in names}
    for row in data.read_table(TABLE):
        if all(_has(folded, mark) for mark in row["marks"].split(";")):
            return f"this is a file of {row['tool']}: {row['words']}"
    return ""


def _has(folded: Collection[str], mark: str) -> bool:
    wanted = fold(mark)
    return any(name.endswith(wanted) for name in folded) if mark.startswith("*") else wanted in folded
