"""What the columns of a service's log mean: by their names, by a map that people write, or by an adapter.

A map is TOML: ``[columns]`` says for each thing that is read which column of the log holds it (``"a.b"`` is
the key b within a of a JSON line), or ``{column = "ms", times = 0.001}`` to bring it to our unit;
``[values]`` gives what the log does not say; ``[only]`` the rows that are requests, by a column's text. An
adapter is a packaged map. Columns whose names ask for work that is not predicted (``enable_upscaling``) are
read too: rows that ask for it are set aside.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Final

from joulecast import data
from joulecast.errors import InputError, UnknownNameError, fold, shown
from joulecast.files.documents import parse_toml
from joulecast.files.numbers import positive
from joulecast.files.paths import opened, shown_path
from joulecast.footprint.grid.times import zone_of
from joulecast.question.headers import keys_of
from joulecast.question.setting import KEYS, key_of
from joulecast.question.vocabulary import refused_name
from joulecast.records import Record
from joulecast.units import JOULES_IN

ADAPTERS: Final = "ledger"  # the folder of packaged maps
IMAGES, CONCURRENCY = "images", "concurrency"
LATENCY, EXECUTION, MEASURED = "latency_s", "execution_s", "energy_j"
TIME, REGION = "time", "region"
AMOUNTS: Final = (IMAGES, CONCURRENCY, LATENCY, EXECUTION, MEASURED)
MEANINGS: Final = (*AMOUNTS, TIME, REGION)
_STEMS: Final = {
    "latency": LATENCY, "e2elatency": LATENCY, "execution": EXECUTION, "executiontime": EXECUTION,
    "energy": MEASURED,
}  # fmt: skip
_NAMES: Final = {
    IMAGES: IMAGES, "n": IMAGES, "numimages": IMAGES, CONCURRENCY: CONCURRENCY, REGION: REGION,
    TIME: TIME, "timestamp": TIME, "datetime": TIME,
}  # fmt: skip
_UNITS: Final = {
    LATENCY: {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    EXECUTION: {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    MEASURED: {unit.casefold(): JOULES_IN[unit] for unit in ("J", "kJ", "Wh", "kWh")},
}
_UNIT: Final = re.compile(r"(.+?)[ _]?\(?([A-Za-z]{1,3})\)?")
_TABLES: Final = ("columns", "values", "only", "timezone", "may_lack", "about")
_OF_COLUMNS: Final = {"column", "times", "empty"}
MOST_MAP_BYTES: Final = 1_000_000
NOT_PREDICTED_FOR: Final = ("boundary",)  # a ledger is of gross energy
PREDICTED: Final = ("energy_low_j", "energy_high_j")  # columns of a prediction, whose energy nobody measured


class Column(Record):
    """A column of a log, what brings its numbers to our unit, and a text that says nothing (``auto``)."""

    name: str
    times: float = 1.0
    empty: str = ""


class Meanings(Record):
    """What is read of a log.

    Attributes
    ----------
    columns : the log's column for each key of a setting, each of MEANINGS, and each name to group by.
    values : what rows say that have no such cell, by key.
    only : the text that columns have in rows that are requests; others are counted and left.
    zone : of times without an offset; None where there are none.
    may_lack : whether JSON lines may lack any of the columns, which are then empty in all of them.
    """

    columns: Mapping[str, Column]
    values: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo | None = None
    may_lack: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a setting that a row may say, and what it may ask for that is not predicted."""
        found = (name for name in (*self.columns, *self.values) if name in KEYS or _is_work(name))
        return tuple(dict.fromkeys(found))

    def wanted(self) -> tuple[str, ...]:
        """The log's columns that are read."""
        return tuple(dict.fromkeys([*(column.name for column in self.columns.values()), *self.only]))

    def given(self, values: Mapping[str, object], zone: tzinfo | None = None) -> Meanings:
        """The same with what a caller says of rows that do not, and of times without a zone."""
        said = {key: str(value) for key, value in values.items() if value is not None}
        return replace(self, values={**self.values, **said}, zone=zone or self.zone)

    def without(self, names: Collection[str]) -> Meanings:
        """The same without some of its columns."""
        kept = {name: column for name, column in self.columns.items() if name not in names}
        return replace(self, columns=kept)

    def grouped(self, by: Collection[str]) -> Meanings:
        """The same with columns of the log to group by, each by its own name where the map has none."""
        free = {name: Column(name) for name in by if name not in self.columns}
        return replace(self, columns={**self.columns, **free})


def _is_work(name: str) -> bool:
    """Whether a name asks for work that is not predicted; here ``n`` and its like do not."""
    return refused_name(name) is not None and name not in MEANINGS and _amount_of(name) is None


def read_meanings(path: str | Path) -> Meanings:
    """A map that people wrote. Raises InputError, FileFormatError."""
    where = shown_path(path)
    with opened(path, f"the map {where}", "expected a TOML file with [columns]") as file:
        content = file.read(MOST_MAP_BYTES + 1)
    if len(content) > MOST_MAP_BYTES:
        raise InputError(f"the map {where} is longer than {MOST_MAP_BYTES:,} bytes")
    return _meanings(content.decode("utf-8", errors="replace"), where)


def adapter(name: str) -> Meanings:
    """A packaged map. Raises UnknownNameError."""
    if name not in adapters():
        raise UnknownNameError("adapter", name, adapters(), f"known: {', '.join(adapters())}")
    return _meanings(adapter_text(name), f"the adapter {name}")


def adapter_text(name: str) -> str:
    """A packaged map as it is written: a start for one of one's own."""
    return data.read_text(f"{ADAPTERS}/{name}.toml")


def adapters() -> tuple[str, ...]:
    """The packaged maps."""
    return tuple(sorted(Path(name).stem for name in data.names(ADAPTERS, ".toml")))


def by_names(names: Sequence[str], where: str) -> Meanings:
    """What a log's columns mean whose names are the keys of a request, or others' names for them.

    Raises InputError for two of one meaning, and for predictions, whose energy was not measured.
    """
    if set(PREDICTED) & set(names):
        raise InputError(
            f"{where} has {PREDICTED[0]}: its energy is a prediction. A ledger takes requests: leave out "
            "what `joulecast predict` added"
        )
    columns = {key: Column(name) for key, name in keys_of(names).items() if key not in NOT_PREDICTED_FOR}
    for name in names:
        found = _amount_of(name)
        if found is None:
            continue
        meaning, column = found
        if meaning in columns:
            raise InputError(f"{where}: {shown(columns[meaning].name)} and {shown(name)} both say {meaning}")
        columns[meaning] = column
    said = {column.name for column in columns.values()}
    return Meanings(
        {**columns, **{name: Column(name) for name in names if name not in said and _is_work(name)}}
    )


def _amount_of(name: str) -> tuple[str, Column] | None:
    """Which of MEANINGS a column says by its name; an amount says its unit: ``latency_ms``."""
    named = _NAMES.get(fold(name))
    if named:
        return named, Column(name)
    match = _UNIT.fullmatch(name.strip())
    meaning = _STEMS.get(fold(match[1])) if match else None
    if match is None or meaning is None or match[2].casefold() not in _UNITS[meaning]:
        return None
    return meaning, Column(name, _UNITS[meaning][match[2].casefold()])


def _meanings(text: str, where: str) -> Meanings:
    found = parse_toml(text, where, 'columns = {model = "its_name"}')
    _known(found, _TABLES, where)
    for table in ("columns", "values", "only"):
        if not isinstance(found.get(table, {}), dict):
            raise InputError(f"{where}: {table} must be a table, [{table}]")
    columns = {
        _meaning(name, where): _column(name, cell, where) for name, cell in found.get("columns", {}).items()
    }
    if not columns:
        raise InputError(f'{where} has no [columns]; expected e.g. model = "model_name"')
    values = {_key(name, where): _value(name, cell, where) for name, cell in found.get("values", {}).items()}
    only = {name: _value(name, cell, where) for name, cell in found.get("only", {}).items()}
    zone, may_lack = found.get("timezone"), found.get("may_lack", False)
    if not isinstance(may_lack, bool):
        raise InputError(f"{where}: may_lack is true or false, not {shown(may_lack)}")
    return Meanings(columns, values, only, None if zone is None else zone_of(str(zone)), may_lack)


def _known(found: Iterable[str], names: Sequence[str], where: str) -> None:
    for name in found:
        if name not in names:
            raise UnknownNameError(f"entry of {where}", name, names, f"known: {', '.join(names)}")


def _meaning(name: str, where: str) -> str:
    """A key, one of MEANINGS, or a name of one's own to group by."""
    if name in MEANINGS:
        return name
    key = key_of(name)
    if key in NOT_PREDICTED_FOR:
        raise InputError(f"{where}: a ledger is of gross energy; leave {name} out")
    return key or name


def _key(name: str, where: str) -> str:
    if name == REGION:
        return name
    key = key_of(name)
    if key is None or key in NOT_PREDICTED_FOR:
        raise UnknownNameError(f"value in {where}", name, [*KEYS, REGION])
    return key


def _column(name: str, cell: object, where: str) -> Column:
    if isinstance(cell, str) and cell:
        return Column(cell)
    if isinstance(cell, dict) and isinstance(cell.get("column"), str) and set(cell) <= _OF_COLUMNS:
        empty = cell.get("empty", "")
        if isinstance(empty, str):
            return Column(cell["column"], positive(cell.get("times", 1.0), f"times of {name}"), empty)
    raise InputError(
        f'{where}: {name} must be the log\'s column, e.g. {name} = "its_name", or '
        f'{{column = "its_name", times = 0.001}}, not {shown(cell)}'
    )


def _value(name: str, cell: object, where: str) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str | int | float):
        return str(cell)
    raise InputError(f"{where}: {name} must be a text or a number, not {shown(cell)}")
