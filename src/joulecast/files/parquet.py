"""Parquet files, by pyarrow: read block by block within bounds, and written.

A file is compressed, so that a small one may hold much: sizes are looked at before anything is unpacked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import FileFormatError, InputError, check_extras, in_short, shown
from joulecast.files.columns import Check, Columns
from joulecast.files.documents import check_distinct

MAGIC: Final = b"PAR1"
PURPOSE: Final = "reading and writing Parquet"
MOST_GROUP_BYTES: Final = 512_000_000  # of one group of rows, unpacked
MOST_CELL_BYTES: Final = 131_072  # as the CSV reader has it
MOST_BLOCK_BYTES: Final = 64_000_000  # of the text of one column in a block
MOST_MEAN_BYTES: Final = 4_096  # of the text of one column in a row
FEW_ROWS, MOST_ROWS_OF_A_BYTE = 4_000_000, 1_000  # rows alike take next to no room


# --- reading -------------------------------------------------------------------------------------


def parquet_blocks(file: BinaryIO, where: str, check: Check, most_rows: int) -> Iterator[Columns]:
    """The columns of an open file, at most `most_rows` at a time; at least one block.

    Raises FileFormatError where it is damaged, or holds more than the bounds above.
    """
    check_extras(PURPOSE, "parquet")
    try:
        yield from _blocks(file, where, check, most_rows)
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # what pyarrow raises on damage
        if isinstance(error, InputError | FileFormatError):
            raise
        raise FileFormatError(f"{where} is a damaged Parquet file ({in_short(error)})") from None


def _blocks(file: BinaryIO, where: str, check: Check, most_rows: int) -> Iterator[Columns]:
    import pyarrow
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(file) as plain:
        schema = plain.schema_arrow
        check_distinct(list(schema.names), where)
        check(list(schema.names), where)
        _check_types(pyarrow, schema, where)
        _check_sizes(plain.metadata, os.fstat(file.fileno()).st_size, where)
    # Text stays with its dictionary until it is known how much it would be without.
    texts = [field.name for field in schema if _is_text(pyarrow, field.type)]
    file.seek(0)
    with pyarrow.parquet.ParquetFile(file, read_dictionary=texts) as packed:
        any_rows = False
        for batch in packed.iter_batches(batch_size=most_rows):
            batch.validate(full=True)  # damage that the reader does not see: text that is none
            for part in _parts(batch, texts, where):
                any_rows = True
                yield {
                    field.name: column.cast(field.type) if field.name in texts else column
                    for field, column in zip(schema, part.columns, strict=True)
                }
        if not any_rows:
            yield {field.name: pyarrow.array([], field.type) for field in schema}


def _check_types(pyarrow: Any, schema: Any, where: str) -> None:
    """A cell is one value: how many there are in a list is not known before it is unpacked."""
    nested = [field.name for field in schema if pyarrow.types.is_nested(field.type)]
    if nested:
        raise FileFormatError(
            f"{where}: column {shown(nested[0])} holds lists or records; drop it, or write it as text"
        )


def _is_text(pyarrow: Any, kind: Any) -> bool:
    """Whether a column holds text or bytes of any length, with a dictionary or without."""
    is_a = pyarrow.types
    value = kind.value_type if is_a.is_dictionary(kind) else kind
    return bool(is_a.is_string(value) or is_a.is_large_string(value) or is_a.is_binary(value))


def _check_sizes(metadata: Any, file_bytes: int, where: str) -> None:
    """What the file says of itself: its rows, and the bytes of each group of them."""
    most_rows = max(FEW_ROWS, MOST_ROWS_OF_A_BYTE * file_bytes)
    if metadata.num_rows > most_rows:
        raise FileFormatError(
            f"{where} has {metadata.num_rows:,} rows in {file_bytes:,} bytes: most must be alike; at most "
            f"{most_rows:,} are read"
        )
    # pyarrow (26) must not be asked of single columns: on some damage it ends the process.
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        if group.total_byte_size > MOST_GROUP_BYTES:
            raise FileFormatError(
                f"{where} has a group of rows that unpacks to {group.total_byte_size:,} bytes; at most "
                f"{MOST_GROUP_BYTES:,} are read: write it in smaller row groups"
            )


def _parts(batch: Any, texts: list[str], where: str) -> Iterator[Any]:
    """A batch in as many parts as keep the text of each column within its bound."""
    longest = max((_text_bytes(batch.column(name), shown(name), where) for name in texts), default=0)
    size = max(1, -(-batch.num_rows // (1 + longest // MOST_BLOCK_BYTES)))
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)


def _text_bytes(column: Any, name: str, where: str) -> int:
    """Bytes of a column of text without its dictionary. Raises FileFormatError where cells are too long."""
    import pyarrow.compute

    lengths = pyarrow.compute.binary_length(column.dictionary)
    most = pyarrow.compute.max(lengths).as_py() or 0
    total: int = pyarrow.compute.sum(pyarrow.compute.take(lengths, column.indices)).as_py() or 0
    if most > MOST_CELL_BYTES or total > max(MOST_BLOCK_BYTES, MOST_MEAN_BYTES * len(column)):
        raise FileFormatError(
            f"{where}: column {name} has cells of up to {most:,} bytes; at most {MOST_CELL_BYTES:,} are "
            f"read, and {MOST_MEAN_BYTES:,} in the mean of many rows"
        )
    return total


# --- writing -------------------------------------------------------------------------------------


def write_parquet(blocks: Iterable[Columns], target: Path) -> None:
    """Write blocks of one set of columns; in numpy columns nan, and what is masked, is no value."""
    check_extras(PURPOSE, "parquet")
    import pyarrow
    import pyarrow.parquet

    writer = None
    try:
        for block in blocks:
            table = pyarrow.table(_typed(block, _arrow_column))
            writer = writer or pyarrow.parquet.ParquetWriter(target, table.schema)
            writer.write_table(table.cast(writer.schema))
    except pyarrow.lib.ArrowException as error:
        raise InputError(f"the table cannot be written as Parquet ({in_short(error)}); write CSV") from None
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
