"""A service's log in files: CSV, Parquet or JSON lines, each a partition that is read by itself.

A row is read as text under the names of its meanings (`joulecast.ledger.meanings`), and numbered as an
editor numbers lines, so that a row that cannot be used can be found.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

import polars as pl

from joulecast.errors import FileFormatError, InputError, did_you_mean, in_short, shown
from joulecast.files.parquet import MAGIC
from joulecast.files.paths import opened, shown_path
from joulecast.files.tables import is_parquet
from joulecast.footprint.grid.times import MOST_SECONDS
from joulecast.ledger.meanings import (
    AMOUNTS,
    CONCURRENCY,
    EXECUTION,
    IMAGES,
    LATENCY,
    MEASURED,
    REGION,
    TIME,
    Meanings,
)
from joulecast.question.setting import KEYS, SIDES
from joulecast.question.table import REQUIRED
from joulecast.records import Record

JSON_SUFFIXES: Final = (".jsonl", ".ndjson", ".json")
SUFFIXES: Final = (".csv", ".parquet", ".pq", *JSON_SUFFIXES)
EXPECTED: Final = f"expected a log ({', '.join(SUFFIXES)})"
HASHED: Final = 1 << 20  # bytes read at a time
LOOKED_AT: Final = 100  # JSON lines of which the keys are looked at
MOST_LINE: Final = 1 << 20  # bytes of a JSON line, prompts and all
FUTURE: Final = timedelta(days=1)  # clocks differ
FIRST_OF_CSV: Final = 2  # row, after the header
# Columns of ours, beside those that meanings name.
ROW, LINE, PROBLEM, GIVEN = "#row", "#line", "#problem", "#given "
IS_OTHER: Final = "#other"  # a row that is no request, as the map says
_UTC: Final = "#utc"  # its time, while text is read
# Types of a Parquet file's columns that are read as they are; others are read as text.
_TYPED: Final = {
    pl.Int8,
    pl.Int16,
    pl.Int32,
    pl.Int64,
    pl.UInt8,
    pl.UInt16,
    pl.UInt32,
    pl.Float32,
    pl.Float64,
    pl.Boolean,
    pl.Datetime,
}
_BOUNDS: Final = {  # what a row may say: from, to, and of what
    IMAGES: (1.0, 1e6, "images"),
    CONCURRENCY: (1.0, 1e4, "requests"),
    LATENCY: (0.001, 1e7, "seconds"),
    EXECUTION: (0.001, 1e7, "seconds"),
    MEASURED: (0.001, 1e12, "joules"),
}
_EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)  # before diffusion models


class Partition(Record):
    """A file of a log: where it is, how many bytes it has, and its SHA-256."""

    path: str
    size: int
    digest: str

    @property
    def where(self) -> str:
        """Its name in messages."""
        return shown_path(self.path)


def partitions_of(paths: Sequence[str]) -> list[Partition]:
    """The files of a log: those named, and in folders those that may be one, each with its hash.

    Raises InputError where there is none, or one cannot be read or is named twice.
    """
    known = [_partition(file) for file in _found(paths)]
    for one, other in _twins(known):
        raise InputError(f"{one.where} and {other.where} hold the same rows: leave one out")
    return known


def first_of(paths: Sequence[str]) -> Partition:
    """The first of them, without its hash."""
    first = _found(paths)[0]
    _check_suffix(first)
    opened(first, shown_path(first), EXPECTED).close()
    return Partition(str(first), 0, "")


def _found(paths: Sequence[str]) -> list[Path]:
    found = [file for path in paths for file in _files(Path(path))]
    if not found:
        raise InputError(
            f"no file of a log in {', '.join(map(shown_path, paths))}; expected {', '.join(SUFFIXES)}"
        )
    return found


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(f for f in path.rglob("*") if f.suffix.casefold() in SUFFIXES and f.is_file())


def _partition(path: Path) -> Partition:
    _check_suffix(path)
    digest, size = hashlib.sha256(), 0
    with opened(path, shown_path(path), EXPECTED) as file:
        while part := file.read(HASHED):
            digest.update(part)
            size += len(part)
    return Partition(str(path), size, digest.hexdigest())


def _check_suffix(path: Path) -> None:
    if path.suffix.casefold() not in SUFFIXES:
        raise InputError(
            f"{shown_path(path)}: a log is CSV, Parquet or JSON lines, and its name says which "
            f"({', '.join(SUFFIXES)})"
        )


def _twins(known: Iterable[Partition]) -> Iterator[tuple[Partition, Partition]]:
    met: dict[str, Partition] = {}
    for one in known:
        if one.digest in met:
            yield met[one.digest], one
        met[one.digest] = one


# --- reading --------------------------------------------------------------------------------------


def names_of(partition: Partition) -> list[str]:
    """The columns of a partition; of JSON lines, the keys of the first lines."""
    return list(_raw(partition)[1])


def rows_of(partition: Partition, meanings: Meanings, by: Sequence[str]) -> tuple[pl.LazyFrame, Meanings]:
    """A partition's rows, and what its columns mean, those of `by` among them.

    Columns: every key that rows may say, text or of the file's own type, null where a cell is empty; every
    name of `by`, text; AMOUNTS, numbers in our units, null where they are not given; ``region``, text; TIME
    in UTC; ROW; IS_OTHER; and PROBLEM, why a row cannot be read, null where it can.

    Raises FileFormatError for a file that is none or is cut, InputError for columns that it lacks.
    """
    raw, names = _raw(partition)
    known = meanings.grouped(by)
    _check_names(known, names, partition)
    find = _in_line if _is_json(partition) else pl.col
    cells = []
    for name, column in known.columns.items():
        stays = (
            _is_typed(names.get(column.name)) and name not in known.values and name in (*KEYS, *AMOUNTS, TIME)
        )
        cells.append((find(column.name) if stays else _text(find(column.name), column.empty)).alias(name))
    others = [_text(find(name)).ne_missing(pl.lit(text)) for name, text in known.only.items()]
    is_other = pl.any_horizontal(others) if others else pl.lit(False)
    is_line = (
        pl.col(LINE).str.json_path_match("$").str.starts_with("{") if _is_json(partition) else pl.lit(True)
    )
    frame = raw.select(ROW, *cells, is_other.alias(IS_OTHER), is_line.fill_null(False).alias(LINE))
    frame, known = _with_one_size(frame, known)
    time = known.columns.get(TIME)
    return _typed(frame, known, None if time is None else names.get(time.name)), known


def _with_one_size(frame: pl.LazyFrame, known: Meanings) -> tuple[pl.LazyFrame, Meanings]:
    """A size that a map has both whole and by its sides, as one: whole where a row says it so."""
    for size, sides in SIDES.items():
        if not known.columns.keys() >= {size, *sides}:
            continue
        width, height = (pl.col(side).cast(pl.String) for side in sides)
        some = width.is_not_null() | height.is_not_null()
        of_sides = pl.when(some).then(pl.format("{}x{}", width.fill_null(""), height.fill_null("")))
        frame = frame.with_columns(pl.coalesce(pl.col(size), of_sides).alias(size)).drop(sides)
        known = known.without(sides)
    return frame, known


def _is_typed(kind: pl.DataType | None) -> bool:
    return kind is not None and kind.base_type() in _TYPED


def _is_json(partition: Partition) -> bool:
    return Path(partition.path).suffix.casefold() in JSON_SUFFIXES


def _raw(partition: Partition) -> tuple[pl.LazyFrame, Mapping[str, pl.DataType]]:
    """A file as polars scans it, with row numbers, and its columns; of JSON lines, the keys of the first."""
    path = Path(partition.path)
    if _is_json(partition):
        lines = pl.scan_lines(path, name=LINE, row_index_name=ROW, row_index_offset=1, glob=False)
        has_text = pl.col(LINE).str.contains(r"\S")
        return lines.filter(has_text), dict.fromkeys(_keys_of_lines(partition), pl.String())
    try:
        if is_parquet(path):
            _check_magic(partition)
            frame, first = pl.scan_parquet(path, glob=False), 1
        else:
            frame, first = pl.scan_csv(path, infer_schema=False, glob=False), FIRST_OF_CSV
        names = dict(frame.collect_schema())
    except pl.exceptions.PolarsError as error:
        raise unreadable(partition, error) from None
    return frame.with_row_index(ROW, offset=first), names


def _check_magic(partition: Partition) -> None:
    with opened(partition.path, partition.where) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise FileFormatError(f"{partition.where} is not a Parquet file (it does not begin like one)")


def unreadable(partition: Partition, error: Exception) -> FileFormatError:
    """What is said of a file that ends in the middle, or is none."""
    return FileFormatError(f"{partition.where} cannot be read: {in_short(error)}; is the file cut?")


def _keys_of_lines(partition: Partition) -> list[str]:
    """The keys of the first lines that are JSON objects."""
    keys: dict[str, None] = {}
    with opened(partition.path, partition.where) as file:
        for line in itertools.islice(file, LOOKED_AT):
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(line[:MOST_LINE])
                keys.update(dict.fromkeys(found if isinstance(found, dict) else ()))
    if not keys:
        raise FileFormatError(
            f"{partition.where}: none of its first lines is a JSON object; expected JSON lines"
        )
    return list(keys)


def _is_there(column: str, names: Mapping[str, pl.DataType], partition: Partition) -> bool:
    return column in names or (_is_json(partition) and column.partition(".")[0] in names)


def _check_names(known: Meanings, names: Mapping[str, pl.DataType], partition: Partition) -> None:
    """Raise InputError for columns that are read and are not there; where some may lack, for all of them."""
    wanted = known.wanted()
    lacking = [column for column in wanted if not _is_there(column, names, partition)]
    may_lack = known.may_lack and _is_json(partition) and len(lacking) < len(wanted)
    for column in lacking:
        if not may_lack:
            raise InputError(
                f"{partition.where} has no column {shown(column)}; {did_you_mean(column, names, 'found')}"
            )
    missing = [key for key in REQUIRED if key not in known.columns and key not in known.values]
    if missing:
        raise InputError(
            f"{partition.where} does not say the {' and the '.join(missing)}: name its column in a map, or "
            f"give {' and '.join(f'--{key}' for key in missing)} for all of it"
        )


def _in_line(path: str) -> pl.Expr:
    """What a JSON line holds under a key, or under a path of keys with dots between them."""
    whole, parts = _json_path([path]), path.split(".")
    found = pl.col(LINE).str.json_path_match(whole)
    if len(parts) == 1:
        return found
    return pl.coalesce(pl.col(LINE).str.json_path_match(_json_path(parts)), found)


def _json_path(keys: Sequence[str]) -> str:
    if any(quote in key for key in keys for quote in "'\\"):
        raise InputError(f"{shown('.'.join(keys))} is no path of keys")
    return "$" + "".join(f"['{key}']" for key in keys)


def _text(cell: pl.Expr, empty: str = "") -> pl.Expr:
    """A cell as text, null where it is blank, or is the text that says nothing."""
    kept = cell.cast(pl.String, strict=False).str.strip_chars()
    return pl.when((kept != "") & (kept != empty)).then(kept)


# --- what is numbers, and times -------------------------------------------------------------------


def _typed(frame: pl.LazyFrame, known: Meanings, time_type: pl.DataType | None) -> pl.LazyFrame:
    """The frame with values filled in, its amounts as numbers and its times in UTC."""
    filled = [pl.col(key).fill_null(value) for key, value in known.values.items() if key in known.columns]
    added = [pl.lit(value).alias(key) for key, value in known.values.items() if key not in known.columns]
    amounts = [_amount(name, known) for name in AMOUNTS]
    time = pl.lit(None, pl.Datetime("us", "UTC")) if time_type is None else _time(known.zone, time_type)
    region = (
        [] if REGION in known.columns or REGION in known.values else [pl.lit(None, pl.String).alias(REGION)]
    )
    noted = [name for name in (*AMOUNTS, TIME, *known.values) if name in known.columns]
    said = [pl.col(name).is_not_null().alias(f"{GIVEN}{name}") for name in noted]
    said += [pl.lit(False).alias(f"{GIVEN}{name}") for name in known.values if name not in known.columns]
    frame = frame.with_columns(*said, _utc(time_type).alias(_UTC))
    frame = frame.with_columns(*filled, *added, *amounts, time.alias(TIME), *region).drop(_UTC)
    problems = [pl.when(~pl.col(LINE)).then(pl.lit("not a JSON object"))]
    problems += [
        pl.when(pl.col(f"{GIVEN}{name}") & ~_is_usable(name)).then(pl.lit(f"{name} is not {_expected(name)}"))
        for name in AMOUNTS
        if name in known.columns
    ]
    if TIME in known.columns:
        problems += [
            pl.when(pl.col(f"{GIVEN}{TIME}") & pl.col(TIME).is_null()).then(pl.lit(_no_time(known.zone))),
            pl.when(pl.col(TIME) > datetime.now(UTC) + FUTURE).then(pl.lit("time is in the future")),
            pl.when(pl.col(TIME) < _EARLIEST).then(pl.lit(f"time is before {_EARLIEST.year}")),
        ]
    return frame.with_columns(pl.coalesce(*problems).alias(PROBLEM))


def _amount(name: str, known: Meanings) -> pl.Expr:
    column = known.columns.get(name)
    if column is None:
        return pl.lit(None, pl.Float64).alias(name)
    return (pl.col(name).cast(pl.Float64, strict=False) * column.times).alias(name)


def _is_usable(name: str) -> pl.Expr:
    cell, (least, most, _) = pl.col(name), _BOUNDS[name]
    good = cell.is_between(least, most)
    return (good & (cell == cell.floor()) if name == IMAGES else good).fill_null(False)


def _expected(name: str) -> str:
    least, most, what = _BOUNDS[name]
    return f"a {'whole ' if name == IMAGES else ''}number of {what} from {least:g} to {most:,.0f}"


def _time(zone: tzinfo | None, kind: pl.DataType) -> pl.Expr:
    """Times in UTC: ISO 8601 with an offset or, where a zone is given, without; or seconds since 1970.

    Text as most logs have it was read into `_UTC` before, which is quick; the rest is looked at here.
    """
    if isinstance(kind, pl.Datetime):
        here = pl.col(TIME).dt.cast_time_unit("us")
        if kind.time_zone is not None:
            return here.dt.convert_time_zone("UTC")
        return pl.lit(None, pl.Datetime("us", "UTC")) if zone is None else _placed(here, zone)
    left = pl.when(pl.col(_UTC).is_null()).then(pl.col(TIME).cast(pl.String))
    text = left.str.replace(" ", "T", literal=True)
    number = text.cast(pl.Float64, strict=False)
    seconds = pl.when(number > MOST_SECONDS).then(number / 1e3).otherwise(number)
    epoch = (seconds * 1e6).cast(pl.Int64, strict=False).cast(pl.Datetime("us", "UTC"))
    has_offset = text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$")
    aware = (
        pl.when(has_offset).then(text).str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    )
    found = pl.coalesce(_UTC, epoch, aware)
    if zone is None:
        return found
    local = (
        pl.when(~has_offset)
        .then(text)
        .str.to_datetime(time_unit="us", strict=False, format="%Y-%m-%dT%H:%M:%S%.f")
    )
    return pl.coalesce(found, _placed(local, zone))


def _utc(kind: pl.DataType | None) -> pl.Expr:
    """Times that are text as ``2026-11-29T13:00:00Z``; null what is not."""
    if not isinstance(kind, pl.String):
        return pl.lit(None, pl.Datetime("us", "UTC"))
    return pl.col(TIME).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False)


def _placed(local: pl.Expr, zone: tzinfo) -> pl.Expr:
    """Local times in UTC: the earlier of two where clocks go back, none where they skip."""
    placed = local.dt.replace_time_zone(str(zone), ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC")


def _no_time(zone: tzinfo | None) -> str:
    told = "with its offset (2026-11-29T13:00:00Z) or as seconds since 1970"
    return f"time is not ISO 8601 {told}" + (
        "; give --timezone for times without one" if zone is None else ""
    )
