"""Words of a table as Markdown: of others' files, so that none begins a cell, a tag, a link or an image."""

from __future__ import annotations

import re
from collections.abc import Sequence

from joulecast.errors import visible

_MARKS = re.compile(r"[\\`*\[\]]|(?<=:)//|(?<=www)\.")  # also what is made a link without being marked


def escaped(text: str) -> str:
    """Text on one line, as it is read and not as it would be marked."""
    line = visible(" ".join(text.split())).replace("|", "/").replace("<", "&lt;")
    return _MARKS.sub(r"\\\g<0>", line)


def table_row(cells: Sequence[str]) -> str:
    """A row of a table of cells that are escaped already."""
    return "| " + " | ".join(cells) + " |"
