"""Parquet files that are small and unpack to much are refused before they do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from joulecast.errors import FileFormatError, InputError
from joulecast.files.parquet import MOST_CELL_BYTES, write_parquet
from joulecast.files.tables import blocks_of, values_of

ROWS = 3000


def write(compression: str = "zstd", **columns: Any) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), "t.parquet", compression=compression)
    return Path("t.parquet")


def alike(text: str, rows: int) -> Any:
    """The same text in every row, as a column with a dictionary: next to no room."""
    return pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * rows, pyarrow.int32()), pyarrow.array([text])
    )


def read(path: Path) -> list[dict[str, Any]]:
    return list(blocks_of(path, lambda names, where: None, "rows"))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"note": alike("x" * (1 << 20), ROWS)}, r"column 'note' has cells of up to 1,048,576 bytes"),
        ({"note": alike("x" * 100_000, 20 * ROWS)}, "and 4,096 in the mean of many rows"),
        ({"note": pyarrow.array(["x" * (MOST_CELL_BYTES + 1)])}, "has cells of up to 131,073 bytes"),
        ({"note": pyarrow.array([b"x" * (1 << 20)] * 5)}, "has cells of up to"),
        (
            {"l": pyarrow.array([[None] * 2_000_000], pyarrow.list_(pyarrow.int64()))},
            "column 'l' holds lists or records",
        ),
        ({"r": pyarrow.array([{"a": 1}])}, "column 'r' holds lists or records"),
    ],
)
def test_a_small_file_of_much_is_refused(columns: dict[str, Any], words: str) -> None:
    path = write(**columns)
    assert path.stat().st_size < 10_000
    start = time.process_time()
    with pytest.raises(FileFormatError, match=words):
        read(path)
    assert time.process_time() - start < 5


def test_rows_alike_take_next_to_no_room_and_are_counted() -> None:
    rows = 5_000_000
    pyarrow.parquet.write_table(
        pyarrow.table({"n": pyarrow.nulls(rows, pyarrow.int8())}),
        "t.parquet",
        row_group_size=rows,
        write_batch_size=rows,
        max_rows_per_page=rows,
        data_page_size=1 << 30,
    )
    with pytest.raises(FileFormatError, match=r"has 5,000,000 rows in \d\d\d bytes"):
        read(Path("t.parquet"))


def test_text_is_as_it_was() -> None:
    texts = ["a", None, "é" * 100, "a"] * 5
    columns = {
        "plain": pyarrow.array(texts),
        "large": pyarrow.array(texts, pyarrow.large_string()),
        "alike": pyarrow.array(texts).dictionary_encode(),
        "n": pyarrow.array(range(20)),
    }
    (block,) = read(write(**columns))
    assert {name: values_of(column) for name, column in block.items()} == {
        name: column.to_pylist() for name, column in columns.items()
    }
    assert {name: column.type for name, column in block.items()} == {
        name: column.type for name, column in columns.items()
    }


def test_long_text_comes_in_more_blocks() -> None:
    rows = 40_000
    blocks = read(write(note=alike("x" * 4_000, rows)))
    assert len(blocks) > 1
    assert sum(len(block["note"]) for block in blocks) == rows


def test_no_rows() -> None:
    (block,) = read(write(a=pyarrow.array([], pyarrow.string()), b=pyarrow.array([], pyarrow.int8())))
    assert {name: values_of(column) for name, column in block.items()} == {"a": [], "b": []}


def test_what_parquet_cannot_hold_is_one_line() -> None:
    with pytest.raises(InputError, match="cannot be written as Parquet"):
        write_parquet([{"a": [1, 2]}, {"a": ["x"]}], Path("o.parquet"))
