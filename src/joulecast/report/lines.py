"""Lines of text: paragraphs that are wrapped and tables that are aligned, as wide as the terminal."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence

LEAST_WIDTH, MOST_WIDTH = 40, 110  # of a terminal, in characters: lines longer than that are hard to read
USUAL_WIDTH = 98  # of a paragraph that goes elsewhere, e.g. into a file
SPARE = 2
_GLUED = LEAST_WIDTH - 8  # characters of a cell that surely fits a line whole
# A blank between a figure and what belongs to it.
_WITHIN = re.compile(r"(?<=\d) (?=[A-Za-z%])|(?<=\bto) (?=\d)")


def terminal_width() -> int | None:
    """Characters of a line of the terminal, or of COLUMNS, within reason; None where neither says."""
    try:
        told = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, ValueError, OSError):  # no terminal
        return None
    return min(max(told, LEAST_WIDTH), MOST_WIDTH) if told > 0 else None


def heading(words: str) -> list[str]:
    """What stands above a text, wrapped."""
    return _wrapped(words, "", "  ")


def paragraph(label: str, words: str) -> list[str]:
    """A labelled paragraph, wrapped and indented."""
    return _wrapped(f"{label}: {words}", "  ", "    ")


def warned(warnings: Iterable[str]) -> list[str]:
    """Warnings as paragraphs, an empty line after them, alike ones as one; nothing where there are none."""
    from joulecast.report.merged import merged  # the catalogue of GPUs, which help needs not

    lines = [line for words in merged(warnings) for line in paragraph("Warning", words)]
    return [*lines, ""] if lines else []


def sentence(words: str) -> list[str]:
    """A paragraph without a label, wrapped and indented."""
    return _wrapped(words, "  ", "    ")


def _wrapped(words: str, first: str, rest: str) -> list[str]:
    joined = words.replace(" %", "\N{NO-BREAK SPACE}%")  # a figure and its unit stay together
    width = (terminal_width() or USUAL_WIDTH) - SPARE
    lines = textwrap.wrap(joined, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """Aligned lines, two blanks between columns; the columns in `right` are set flush right.

    On a terminal that is too narrow, cells of the widest columns of words go on in lines below; where half
    their width is not enough for the table to fit, each row is a paragraph of its own.
    """
    return _set_out([header, *rows], right) or [line for row in rows for line in _told(header, row)]


def aligned(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """A `table` without a header."""
    return _set_out(rows, right) or [line for row in rows for line in _told([""] * len(row), row)]


def _set_out(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """Aligned lines; none where the terminal is too narrow for them."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if (most := terminal_width()) is not None:
        least = [
            width
            if i in right
            else max(width // 2, *(len(word) for cell in column for word in _glued(cell).split(" ")))
            for i, (column, width) in enumerate(zip(columns, widths, strict=True))
        ]
        if sum(least) > most - 2 * len(widths):
            return []
        widths = _fitting(widths, least, most - 2 * len(widths))
    return [line for row in rows for line in _lines(row, widths, right)]


def _told(header: Sequence[str], row: Sequence[str]) -> list[str]:
    """A row as a paragraph: its first cell, and a mark before it; below, each other with what it is."""
    told = list(zip(header, (cell.strip() for cell in row), strict=True))
    first = 2 if len(told[0][1]) < 2 and len(told) > 1 else 1
    title = " ".join(cell for _, cell in told[:first]).strip()
    whole = [(words, _glued(cell) if len(cell) < _GLUED else cell) for words, cell in told[first:] if cell]
    others = "; ".join(f"{words}: {cell}" if words else cell for words, cell in whole)
    return [*_wrapped(title, "  ", "    "), *_wrapped(others, "    ", "    ")]


def _fitting(widths: Sequence[int], least: Sequence[int], most: int) -> list[int]:
    """Widths whose sum is at most `most`, none below its `least`, whose sum is at most that."""
    found = list(widths)
    while sum(found) > most:
        loose = [i for i in range(len(found)) if found[i] > least[i]]
        found[max(loose, key=lambda i: found[i])] -= 1
    return found


def _glued(cell: str) -> str:
    """A cell whose figures stay with their units, and ranges together: ``1,080 to 1,980``."""
    return _WITHIN.sub("\N{NO-BREAK SPACE}", cell)


def _lines(row: Sequence[str], widths: Sequence[int], right: set[int]) -> list[str]:
    """A row as one line, or as several where a cell is wider than its column."""
    cells = [
        [cell] if len(cell) <= width else textwrap.wrap(_glued(cell), width)
        for cell, width in zip(row, widths, strict=True)
    ]
    lines = []
    for place in range(max(map(len, cells))):
        parts = [cell[place] if place < len(cell) else "" for cell in cells]
        set_out = [
            part.rjust(width) if i in right else part.ljust(width)
            for i, (part, width) in enumerate(zip(parts, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(set_out)).replace("\N{NO-BREAK SPACE}", " ").rstrip())
    return lines
