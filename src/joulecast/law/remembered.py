"""What laws keep of what they were asked before, and no more of it than a number of things."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def remembered(known: dict[Key, Value], key: Key, make: Callable[[], Value], most: int) -> Value:
    """What is known of a key, made when it is first asked for; where there are `most`, all are forgotten."""
    found = known.get(key)
    if found is None:
        if len(known) >= most:
            known.clear()
        found = known[key] = make()
    return found
