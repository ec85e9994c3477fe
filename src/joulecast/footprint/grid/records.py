"""Files of intensities as one kind of table: CSV of any separator, and the JSON of APIs.

JSON holds a list of objects somewhere near its top, or lists of equal length by name; keys beside the list
are the table's facts (the zone, WattTime's ``meta``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from joulecast.errors import FileFormatError
from joulecast.files.documents import check_distinct, parse_csv, parse_json
from joulecast.footprint.grid.headers import boundary_of
from joulecast.footprint.grid.kinds import MARGINAL

MOST_FIELDS = 500  # of the objects of JSON; grid operators have up to about 60
_SEPARATORS = ",;\t|"
_DEEPEST = 4  # levels of JSON in which the list of hours is looked for
LIST = "list"  # the fact that names the list of hours
_ANSWERS = ("history", "data", "forecast", "records", "results", "items")  # looked into first


@dataclass(frozen=True)
class Records:
    """Rows by column, and what the file says beside them.

    Attributes
    ----------
    header : names of the columns.
    rows : the number in the file of each row, and its cells; None is an empty one.
    facts : keys of JSON beside its list, those of ``meta`` among them.
    counted : what each row is called in messages: ``row`` or ``item``.
    is_decimal_comma : whether numbers may be written ``1,5``.
    """

    header: list[str]
    rows: Sequence[tuple[int, Sequence[object]]]
    facts: Mapping[str, object] = field(default_factory=dict)
    counted: str = "row"
    is_decimal_comma: bool = False

    def fact(self, *names: str) -> str:
        """The first of these facts that is text, or ``""``."""
        return next((str(self.facts[n]) for n in names if isinstance(self.facts.get(n), str)), "")

    def column(self, at: int) -> list[object]:
        """The cells of a column."""
        return [row[at] for _, row in self.rows]

    @property
    def accounting(self) -> str:
        """``marginal`` where the file says so, or ``""``."""
        return MARGINAL if "moer" in self.fact("signal_type").casefold() else ""

    @property
    def boundary(self) -> str:
        """What the file says beside its rows that they count, or ``"as given"``."""
        return boundary_of(self.fact("emissionFactorType"))


def records_of(text: str, where: str) -> Records:
    """The table of a file. Raises FileFormatError where it is none."""
    return _from_json(text, where) if text.lstrip()[:1] in ("{", "[") else _from_csv(text, where)


# --- CSV -----------------------------------------------------------------------------------------


def _from_csv(text: str, where: str) -> Records:
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    lines = parse_csv(text, where, separator)
    if len(lines) < 2:
        raise FileFormatError(f"{where} has no rows; expected a header line and a line for each hour")
    header = [name.strip() for name in lines[0][1]]
    check_distinct([name for name in header if name], where)
    filled = [(number, row) for number, row in lines[1:] if any(cell.strip() for cell in row)]
    uneven = next(((number, row) for number, row in filled if len(row) != len(header)), None)
    if uneven is not None:
        raise FileFormatError(f"{where}, row {uneven[0]} has {len(uneven[1])} cells; expected {len(header)}")
    return Records(header, filled, is_decimal_comma=separator != ",")


# --- JSON ----------------------------------------------------------------------------------------


def _from_json(text: str, where: str) -> Records:
    items, facts = _list_of_hours(parse_json(text, where, takes_nan=True))
    if not items:
        raise FileFormatError(
            f"{where} has no list of hours; expected objects with a time and an intensity, as of "
            "Electricity Maps (history), UK Carbon Intensity (data) or WattTime (data)"
        )
    if not all(isinstance(item, dict) for item in items):
        raise FileFormatError(f"{where} holds something other than objects in its list of hours")
    flat = [dict(_flat(item)) for item in items if isinstance(item, dict)]
    header = list(dict.fromkeys(key for item in flat for key in item))
    if len(header) > MOST_FIELDS:
        raise FileFormatError(f"{where} has {len(header):,} different fields; at most {MOST_FIELDS} are read")
    rows = [(number, [item.get(name) for name in header]) for number, item in enumerate(flat, 1)]
    return Records(header, rows, facts, "item")


def _list_of_hours(content: object) -> tuple[list[object], dict[str, object]]:
    """The list of objects nearest to the top, and the plain facts on the way to it."""
    facts: dict[str, object] = {}
    level: list[tuple[str, object]] = [("", content)]
    for _ in range(_DEEPEST):
        for _key, part in level:
            if isinstance(part, dict):
                facts |= {inner: value for inner, value in part.items() if not isinstance(value, dict | list)}
        for key, part in level:
            if isinstance(part, list) and any(isinstance(item, dict) for item in part):
                return part, {**facts, LIST: key}
            columns = _columns(part) if isinstance(part, dict) else []
            if columns:
                return columns, facts
        level = [inner for _, part in level if isinstance(part, dict) for inner in _answers_first(part)]
    lone = isinstance(content, dict) and any(not isinstance(value, dict | list) for value in content.values())
    return ([content], facts) if lone and _is_hour(content) else ([], facts)


def _is_hour(content: object) -> bool:
    """Whether an object is itself one hour, as the answer of an API for now."""
    return isinstance(content, dict) and any("time" in key.casefold() or key == "from" for key in content)


def _answers_first(part: dict[str, object]) -> list[tuple[str, object]]:
    return [(key, part[key]) for key in sorted(part, key=lambda key: key not in _ANSWERS)]


def _columns(part: dict[str, object]) -> list[object]:
    """Lists of plain values by name, as Energy-Charts has them, as a list of objects."""
    lists = {
        key: value
        for key, value in part.items()
        if isinstance(value, list) and value and not any(isinstance(cell, dict | list) for cell in value)
    }
    if len(lists) < 2 or len({len(value) for value in lists.values()}) > 1:
        return []
    return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]


def _flat(item: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Keys and values of an object, and those of objects in it under ``key.inner``."""
    for key, value in item.items():
        if isinstance(value, dict):
            for inner, cell in value.items():
                yield f"{key}.{inner}", None if isinstance(cell, dict | list) else cell
        elif not isinstance(value, list):
            yield key, value
