"""Tables of a plan's file, read key by key, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from joulecast.errors import InputError, UnknownNameError, one_line, shown
from joulecast.files.numbers import whole_within, within
from joulecast.footprint.factors import Given
from joulecast.question.setting import key_of
from joulecast.question.vocabulary import refused_name

MOST_TEXT = 4096  # of a text: a model may be a path


class Table:
    """A TOML table whose keys are taken one by one; `done` refuses those that nobody took.

    Each method raises InputError, which names the key, for a value that cannot be.
    """

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise InputError(f"{where} must be a table, not {shown(content)}")
        self.content, self.where, self.known = content, where, [""]

    def take(self, key: str) -> Any:
        """The value of a key as it is, None where it is not there."""
        self.known.append(key)
        return self.content.get(key)

    def text(self, key: str, default: str | None = None) -> str | None:
        """Text on one line."""
        value = self.take(key)
        if value is None:
            return default
        return one_line(value, f"{self.where}.{key}", most=MOST_TEXT)

    def number(
        self, key: str, least: float, most: float = 1e15, default: float | None = None
    ) -> float | None:
        """A number from `least` to `most`."""
        value = self.take(key)
        return default if value is None else within(value, f"{self.where}.{key}", least, most)

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int | None:
        """A whole number from `least` to `most`."""
        value = self.take(key)
        return default if value is None else whole_within(value, f"{self.where}.{key}", least, most)

    def tables(self, key: str, needed: bool = True) -> list[Table]:
        """The tables of a list of them, at least one where it is `needed`."""
        value = self.take(key) or []
        if not isinstance(value, list) or (needed and not value):
            raise InputError(f"{self.where or 'the plan'} needs [[{key}]], at least one")
        return [
            Table(item, f"{key}[{i}]" if not self.where else f"{self.where}.{key}[{i}]")
            for i, item in enumerate(value)
        ]

    def given(self, key: str) -> Given | None:
        """A factor as `joulecast.footprint.factors` takes it; ``[low, high]`` is a range."""
        value: Given | None = self.take(key)
        if isinstance(value, list):
            return ":".join(str(item) for item in value)
        return value

    def asked(self, keys: Sequence[str]) -> dict[str, Any]:
        """What is asked under `keys`, or under others' names for them, or for work that may be refused."""
        self.known += keys
        names = [key for key in self.content if (key_of(key) or key) in keys or refused_name(key)]
        return {name: self.take(name) for name in names}

    def done(self) -> None:
        """Raise UnknownNameError for a key that was not taken."""
        for key in self.content:
            if key not in self.known:
                known = [name for name in self.known if name]
                kind = f"key of {self.where}" if self.where else "table of the plan"
                raise UnknownNameError(kind, key, known, f"known: {', '.join(known)}")
