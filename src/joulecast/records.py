"""Records that never change: frozen dataclasses, declared in a sixth of the time.

The standard decorator writes and compiles six methods for each class; those of the classes that one estimate
loads took a seventh of the whole process. Of a `Record` only ``__init__`` is written, for the others do not
depend on the class. All else is the standard library's: ``fields``, ``asdict``, ``replace``, patterns,
pickles. What an estimate does not load, or users derive from, is a plain dataclass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Record:
    """The base of records, whose attributes are declared as a dataclass's are: ``steps: int = 28``.

    Two are equal that are of one class and have equal values. A method of a record's own comes before those
    here. Of the flags of fields only defaults and their factories are known.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()  # names of the fields, as the standard library sets them
    _values: ClassVar[attrgetter[Any]]  # of the fields

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
        cls._values = attrgetter(*(cls.__match_args__ or ("__match_args__",)))
        if "__init__" not in vars(cls):
            cls.__init__ = _initializer(cls)  # type: ignore[method-assign]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or self._values(self) == self._values(other)

    def __hash__(self) -> int:
        return hash(self._values(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def equal_with_arrays(one: Record, other: object) -> bool:
    """Whether two records of one class are equal, arrays of theirs element by element."""
    import numpy as np  # here alone: lists of what is known load none

    if type(one) is not type(other):
        return False
    mine, theirs = (vars(record) for record in (one, other))
    return all(
        np.array_equal(mine[name], theirs[name])
        if isinstance(mine[name], np.ndarray)
        else mine[name] == theirs[name]
        for name in one.__match_args__
    )


class _Factory:
    """In place of a default that is made anew for each record."""

    def __repr__(self) -> str:
        return "<factory>"


def _initializer(record: type[Record]) -> Callable[..., None]:
    """What sets the attributes of a new record, and then calls ``__post_init__`` where it has one."""
    known: dict[str, Any] = {"_": _Factory()}  # defaults and factories, by the field's name after a stroke
    parameters, values = [], []
    fields = dataclasses.fields(record)  # type: ignore[arg-type]  # which the decorator made it
    for name, field in ((field.name, field) for field in fields):
        parameter, value = name, name
        if field.default is not dataclasses.MISSING:
            known[f"_{name}"], parameter = field.default, f"{name}=_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_{name}"], parameter = field.default_factory, f"{name}=_"
            value = f"_{name}() if {name} is _ else {name}"
        parameters.append(parameter)
        values.append(f"{name!r}: {value}")
    lines = [
        f"def __init__(self, {', '.join(parameters)}):",
        f" self.__dict__.update({{{', '.join(values)}}})",
        " self.__post_init__()" if hasattr(record, "__post_init__") else "",
    ]
    exec("\n".join(lines), known)
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{record.__qualname__}.__init__"
    made.__annotations__ = {field.name: field.type for field in fields} | {"return": None}
    return made
