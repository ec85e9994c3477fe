"""What is in a workflow's file as the interface saves it: fields of nodes and links, checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from joulecast.errors import FileFormatError, as_name, shown

MUTED: Final = 2
BYPASSED: Final = 4

Raw = Mapping[str, Any]


def links_of(value: object) -> Iterator[tuple[int, str, int, str, int]]:
    """Links as rows or as objects: number, node and slot they come from, node and slot they lead to."""
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict):
            keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
            cells = [one.get(key) for key in keys]
        elif isinstance(one, list) and len(one) >= 5:
            cells = one[:5]
        else:
            raise FileFormatError(f"a link is {shown(one)}; expected its number and what it connects")
        number, source, slot, target, target_slot = cells
        yield (
            number_of(number, "the number of a link"),
            as_name(str(source)),
            number_of(slot, "the slot of a link"),
            as_name(str(target)),
            number_of(target_slot, "the slot of a link"),
        )


def number_of(value: object, what: str) -> int:
    """A whole number. Raises FileFormatError, as the others here."""
    if type(value) is int and value >= 0:
        return value
    raise FileFormatError(f"{what} is {shown(value)}; expected a whole number")


def type_of(raw: Raw) -> str:
    """The class of a node, or the name of the subgraph that it is an instance of."""
    found = raw.get("type")
    if not isinstance(found, str):
        raise FileFormatError(f"node {shown(raw.get('id'))} has the type {shown(found)}; expected a name")
    return found


def mode_of(raw: Raw) -> int:
    """0 of a node that runs, MUTED or BYPASSED."""
    found = raw.get("mode", 0)
    return found if found in (MUTED, BYPASSED) and type(found) is int else 0


def object_of(value: object, what: str) -> Raw:
    """An object; an empty one where there is none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FileFormatError(f"{what} is {shown(value)}; expected an object")
    return value


def objects_of(value: object, what: str) -> list[Raw]:
    """A list of objects; an empty one where there is none."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise FileFormatError(f"{what} is {shown(value)}; expected a list of objects")
    return value


def at(value: object, place: int) -> Raw:
    """An object of a list by its place; an empty one where there is none."""
    found = value[place] if isinstance(value, list) and place < len(value) else {}
    return found if isinstance(found, dict) else {}


def first_of(value: object) -> object:
    """The first of a list; None of an empty one, and of what is none."""
    return value[0] if isinstance(value, list) and value else None
