"""Tables in files, block by block: CSV by the standard library, Parquet by pyarrow.

Memory stays bounded however long a file is. A result appears under its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

import numpy as np

from joulecast.errors import FileFormatError, InputError, shown
from joulecast.files.columns import Check, Columns
from joulecast.files.documents import check_distinct
from joulecast.files.parquet import MAGIC, parquet_blocks, write_parquet
from joulecast.files.paths import opened, replacing, shown_path

BLOCK_ROWS = 65_536
BLOCK_CELLS = 2_000_000
MOST_COLUMNS = 10_000
SNIFFED_BYTES = 65_536
PARQUET_SUFFIXES = (".parquet", ".pq")

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]inf|[+-]nan")
_JSON_KEY = re.compile(r'"([\w .-]{1,80})"\s*:')


def is_parquet(path: Path) -> bool:
    """Whether a name says that the file is Parquet."""
    return path.suffix.casefold() in PARQUET_SUFFIXES


# --- reading -------------------------------------------------------------------------------------


def check_source(source: Path, expected: str) -> None:
    """Raise what `blocks_of` raises where the file cannot be opened: before other work, or other errors."""
    _opened(source, expected).close()


def _opened(source: Path, expected: str) -> BinaryIO:
    return opened(source, shown_path(source), f"expected a CSV or Parquet file of {expected}")


def blocks_of(source: Path, check: Check, expected: str) -> Iterator[Columns]:
    """A file's columns, block by block; at least one block, which may have no rows.

    `check` is called with the columns' names and the file's, and raises what is wrong with them;
    `expected` says in messages what the file should hold, e.g. ``"workloads"``.
    """
    where = shown_path(source)
    with _opened(source, expected) as file:
        beginning = _beginning(file, where)
        file.seek(0)
        if is_parquet(source):
            if not beginning.startswith(MAGIC):
                raise FileFormatError(f"{where} is not a Parquet file (it does not begin like one)")
            yield from parquet_blocks(file, where, check, BLOCK_ROWS)
            return
        if beginning.startswith(MAGIC):
            raise FileFormatError(f"{where} is a Parquet file; its name must end in .parquet")
        if not beginning.strip():
            raise FileFormatError(f"{where} is empty; expected a header line and rows of {expected}")
        if beginning.lstrip().startswith((b"{", b"[")):
            keys = dict.fromkeys(_JSON_KEY.findall(beginning.decode(errors="replace")))
            check(list(keys), where)  # whose it is, if that is known
            raise FileFormatError(f"{where} is JSON; expected a CSV or Parquet file of {expected}")
        if b"\0" in beginning:
            raise FileFormatError(f"{where} is a binary file or UTF-16 text; expected a CSV file in UTF-8")
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            yield from _csv_blocks(text, where, check)


def _beginning(file: BinaryIO, where: str) -> bytes:
    try:
        return file.read(SNIFFED_BYTES)
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}") from None


def _csv_blocks(file: TextIO, where: str, check: Check) -> Iterator[Columns]:
    reader = csv.reader(file, strict=True)
    header = _header(_next_rows(reader, 1, 0, where), where)
    check(header, where)
    size = max(1, min(BLOCK_ROWS, BLOCK_CELLS // len(header)))
    count = 1  # rows read, the header among them
    while rows := _next_rows(reader, size, count, where):
        if set(map(len, rows)) - {len(header), 0}:
            _refuse_ragged(rows, count, len(header), where)
        count += len(rows)
        rows = [row for row in rows if row]  # blank lines
        yield (
            dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)) if rows else _no_rows(header)
        )
    if count == 1:
        yield _no_rows(header)


def _next_rows(reader: Any, size: int, count: int, where: str) -> list[list[str]]:
    try:
        return list(islice(reader, size))
    except csv.Error as error:
        # line_num counts lines, which is what an editor shows
        raise FileFormatError(
            f"{where}, line {reader.line_num}: not CSV ({error}); is the file cut?"
        ) from None
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{where} is not UTF-8 text (byte {error.object[error.start]:#04x} in or after line "
            f"{reader.line_num + 1}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise InputError(f"{where} cannot be read after row {count}: {error.strerror}") from None


def _header(rows: list[list[str]], where: str) -> list[str]:
    names = [name.strip() for name in rows[0]] if rows else []
    if len(names) > MOST_COLUMNS:
        raise FileFormatError(f"{where} has {len(names)} columns; at most {MOST_COLUMNS} are read")
    check_distinct(names, where)
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise FileFormatError(
            f"{where}: the columns must be separated by commas; the header is {shown(names[0])}"
        )
    return names


def _refuse_ragged(rows: list[list[str]], count: int, expected: int, where: str) -> None:
    index = next(i for i, row in enumerate(rows) if len(row) not in (0, expected))
    row = rows[index]
    raise FileFormatError(
        f"{where}, row {count + index + 1} (the header is row 1) has {len(row)} cells, "
        f"the header {expected}; is the file cut, or a comma not quoted?"
    )


def _no_rows(header: list[str]) -> Columns:
    return {name: [] for name in header}


def values_of(column: Any) -> Any:
    """A Parquet column as a list or numpy array; other columns as they are."""
    if hasattr(column, "to_pylist"):
        return column.to_pylist()
    return column.to_list() if hasattr(column, "to_list") else column


# --- writing -------------------------------------------------------------------------------------


def write_blocks(blocks: Iterator[Columns], target: Path | IO[str] | None) -> None:
    """Write blocks of one set of columns as Parquet (a name that says so) or CSV; None is standard output.

    In numpy columns nan, and what is masked, is no value: an empty cell. Raises InputError where the
    target cannot be written; nothing is left of it then.
    """
    # the input is let go, whatever becomes of the output
    with contextlib.closing(blocks) if isinstance(blocks, Generator) else contextlib.nullcontext():
        first = next(blocks)  # an unreadable input fails here, before a target is touched
        every = chain([first], blocks)
        if target is None or not isinstance(target, Path):
            _write_csv(every, list(first), target or sys.stdout)
        elif is_parquet(target):
            with replacing(target) as temporary:
                write_parquet(every, temporary)
        else:
            with replacing(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
                _write_csv(every, list(first), file)


def _write_csv(blocks: Iterable[Columns], names: list[str], file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for block in blocks:
        writer.writerows(zip(*(_cells(block[name]) for name in names), strict=True))


def _cells(column: Any) -> list[Any]:
    """Cells as the CSV writer takes them: it writes floats in full precision, None as nothing."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "f" and np.isnan(column).any():
        return [value if value == value else None for value in column.tolist()]  # nan is not itself
    if isinstance(column, np.ndarray) and column.dtype.kind in "OU":  # words of ours; a user's are kept
        return [inert(value) for value in column.tolist()]
    column = values_of(column)
    return column.tolist() if hasattr(column, "tolist") else column  # type: ignore[no-any-return]


def inert(cell: Any) -> Any:
    """A cell of a CSV file as a spreadsheet may have it: text that it would run as a formula is quoted.

    Such text begins with one of ``=+-@`` and is no number. Other cells are as they were.
    """
    if not isinstance(cell, str) or len(cell) < 2 or cell[0] not in "=+-@\t\r" or _NUMBER.fullmatch(cell):
        return cell
    return "'" + cell
