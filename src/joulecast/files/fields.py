"""Whether the fields of a record that was read are of the types that it declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from joulecast.errors import shown

MOST_MEASURED: Final = 1e12  # of an energy [J], a time [s] or a power [W]
_MEASURED = ("_j", "_s", "_w")


def check_fields(record: Any, *, within: bool = True) -> None:
    """Raise TypeError where a field is not of its declared type, or one of a record `within` the record.

    Numbers must be finite, and energies, times and powers, by the ends of their names, not below zero.
    Types that say more than a word, an optional word, a tuple or a mapping of words are not looked into.
    """
    for entry in dataclasses.fields(record):
        value = getattr(record, entry.name)
        if within or not dataclasses.is_dataclass(value):
            _check(value, str(entry.type), entry.name)


def _check(value: object, declared: str, name: str) -> None:
    kinds = [kind.strip() for kind in declared.split("|")]
    if value is None and "None" in kinds:
        return
    for kind in kinds:
        outer, bracket, inner = kind.partition("[")
        if outer in _KINDS and not _KINDS[outer](value):
            if len(kinds) == 1 or kinds[1:] == ["None"]:
                raise TypeError(f"{name} is {shown(value)}; expected {kind}")
            continue
        if outer == "float" or (outer == "int" and name.endswith(_MEASURED)):
            _check_number(value, name)
        if bracket and len(kinds) < 3:
            _check_items(value, inner.removesuffix("]"), name)
    if dataclasses.is_dataclass(value):
        check_fields(value)


def _check_number(value: Any, name: str) -> None:
    least = 0.0 if name.endswith(_MEASURED) else -MOST_MEASURED
    if not least <= value <= MOST_MEASURED:  # nan is not either
        raise TypeError(f"{name} is {shown(value)}, which is not measured")


def _check_items(value: object, inner: str, name: str) -> None:
    words = [word.strip() for word in inner.split(",")]
    if isinstance(value, tuple) and len(words) == 2 and words[1] == "...":
        for item in value:
            _check(item, words[0], name)
    elif isinstance(value, Mapping) and len(words) == 2:
        for key, item in value.items():
            _check(key, words[0], name)
            _check(item, words[1], str(key))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: Final[Mapping[str, Callable[[object], bool]]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": _is_number,
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "tuple": lambda value: isinstance(value, tuple),
    "Mapping": lambda value: isinstance(value, Mapping),
    "dict": lambda value: isinstance(value, dict),
}
