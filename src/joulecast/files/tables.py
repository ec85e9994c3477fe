"""Tables in files, block by block: CSV by the standard library, Parquet by pyarrow.

Memory stays bounded however long a file is. A result appears under its name only when it is whole.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import FileFormatError, InputError, MissingExtraError, shown
from joulecast.files.paths import not_a_file, replacing, shown_path

BLOCK_ROWS = 65_536
BLOCK_CELLS = 2_000_000
MOST_COLUMNS = 10_000
SNIFFED_BYTES = 65_536
PARQUET_SUFFIXES = (".parquet", ".pq")

_NUMBER = re.compile(r"[+-]?[0-9.]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_JSON_KEY = re.compile(r'"([\w .-]{1,80})"\s*:')

Columns = dict[str, Any]
Check = Callable[[list[str], str], None]


def is_parquet(path: Path) -> bool:
    """Whether a name says that the file is Parquet."""
    return path.suffix.casefold() in PARQUET_SUFFIXES


def refuse_same(source: Path, target: Path | None) -> None:
    """InputError where the output would be written over the input."""
    if target is not None and not not_a_file(target) and target.samefile(source):
        raise InputError(f"the output {shown_path(target)} is the input itself; give another name")


# --- reading -------------------------------------------------------------------------------------


def blocks_of(source: Path, check: Check, expected: str) -> Iterator[Columns]:
    """A file's columns, block by block; at least one block, which may have no rows.

    `check` is called with the columns' names and the file's, and raises what is wrong with them;
    `expected` says in messages what the file should hold, e.g. ``"workloads"``.
    """
    beginning = _beginning(existing(source, expected))
    where = shown_path(source)
    if is_parquet(source):
        if not beginning.startswith(b"PAR1"):
            raise FileFormatError(f"{where} is not a Parquet file (it does not begin like one)")
        return _parquet_blocks(source, where, check)
    if beginning.startswith(b"PAR1"):
        raise FileFormatError(f"{where} is a Parquet file; its name must end in .parquet")
    if not beginning.strip():
        raise FileFormatError(f"{where} is empty; expected a header line and rows of {expected}")
    if beginning.lstrip().startswith((b"{", b"[")):
        check(_JSON_KEY.findall(beginning.decode(errors="replace")), where)  # whose it is, if that is known
        raise FileFormatError(f"{where} is JSON; expected a CSV or Parquet file of {expected}")
    if b"\0" in beginning:
        raise FileFormatError(f"{where} is a binary file or UTF-16 text; expected a CSV file in UTF-8")
    return _csv_blocks(source, where, check)


def existing(source: Path, expected: str) -> Path:
    """The path of a plain file, or InputError."""
    problem = not_a_file(source)
    if problem:
        raise InputError(f"{shown_path(source)} {problem}; expected a CSV or Parquet file of {expected}")
    return source


def _beginning(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(SNIFFED_BYTES)
    except OSError as error:
        raise InputError(f"{shown_path(source)} cannot be read: {error.strerror}") from None


def _csv_blocks(source: Path, where: str, check: Check) -> Iterator[Columns]:
    with source.open(encoding="utf-8-sig", newline="") as file:
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
                dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
                if rows
                else _no_rows(header)
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
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None and _NUMBER.fullmatch(twice):
        raise FileFormatError(f"{where}: the first line has numbers; expected the names of the columns")
    if twice is not None:
        raise FileFormatError(f"{where} has two columns named {shown(twice)}; each name may occur once")
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


def _parquet_blocks(source: Path, where: str, check: Check) -> Iterator[Columns]:
    _need_pyarrow()
    try:
        yield from _arrow_blocks(source, where, check)
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # what pyarrow raises on damage
        if isinstance(error, InputError | FileFormatError):
            raise
        words = " ".join(str(error).split())[:120]
        raise FileFormatError(f"{where} is a damaged Parquet file ({words})") from None


def _arrow_blocks(source: Path, where: str, check: Check) -> Iterator[Columns]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(source) as file:
        names = list(file.schema_arrow.names)
        _check_names(names, where, check)
        batches = file.iter_batches(batch_size=BLOCK_ROWS)
        any_rows = False
        for batch in batches:
            any_rows = True
            yield dict(zip(names, batch.columns, strict=True))
        if not any_rows:
            yield dict(zip(names, (column.combine_chunks() for column in file.read().columns), strict=True))


def _check_names(names: list[str], where: str, check: Check) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise FileFormatError(f"{where} has two columns named {shown(twice)}; each name may occur once")
    check(names, where)


def _need_pyarrow() -> None:
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise MissingExtraError("parquet", "reading and writing Parquet")


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
    first = next(blocks)  # an unreadable input fails here, before a target is touched
    blocks = chain([first], blocks)
    if target is None or not isinstance(target, Path):
        _write_csv(blocks, list(first), target or sys.stdout)
    elif is_parquet(target):
        with replacing(target) as temporary:
            _write_parquet(blocks, temporary)
    else:
        with replacing(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            _write_csv(blocks, list(first), file)


def _write_csv(blocks: Iterable[Columns], names: list[str], file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for block in blocks:
        writer.writerows(zip(*(_cells(block[name]) for name in names), strict=True))


def _cells(column: Any) -> list[Any]:
    """Cells as the CSV writer takes them: it writes floats in full precision, None as nothing."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "f" and np.isnan(column).any():
        return [value if value == value else None for value in column.tolist()]  # nan is not itself
    column = values_of(column)
    return column.tolist() if hasattr(column, "tolist") else column  # type: ignore[no-any-return]


def _write_parquet(blocks: Iterable[Columns], target: Path) -> None:
    _need_pyarrow()
    import pyarrow
    import pyarrow.parquet

    writer = None
    try:
        for block in blocks:
            table = pyarrow.table(_typed(block, _arrow_column))
            writer = writer or pyarrow.parquet.ParquetWriter(target, table.schema)
            writer.write_table(table.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()


def _typed(block: Columns, typed: Callable[[NDArray[Any]], Any]) -> Columns:
    """A block whose numpy columns have the type of their dtype, also where a block has no value at all."""
    return {
        name: typed(column) if isinstance(column, np.ndarray) else column for name, column in block.items()
    }


def _arrow_column(column: NDArray[Any]) -> Any:
    import pyarrow

    if column.dtype.kind == "f":
        return pyarrow.array(column, mask=np.isnan(column))
    if isinstance(column, np.ma.MaskedArray):
        return pyarrow.array(column.data, mask=np.ma.getmaskarray(column))
    return pyarrow.array(column.tolist(), pyarrow.string())
