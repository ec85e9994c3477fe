"""Values as JSON has them: lists for tuples and sets, None for a number that is not known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TypeAlias, overload

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def finite(number: float) -> float | None:
    """A number as it is; None where it is infinite or not a number."""
    return float(number) if math.isfinite(number) else None


@overload
def plain(value: Mapping[str, object]) -> dict[str, Json]: ...
@overload
def plain(value: object) -> Json: ...
def plain(value: object) -> Json:
    """A value, all of its parts too, as JSON has it. Raises TypeError for what JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value)]
    if isinstance(value, float):
        return finite(value)
    if value is None or isinstance(value, str | int):  # bool is an int
        return value
    raise TypeError(f"JSON has no {type(value).__name__}")


def json_text(value: object) -> str:
    """A value as JSON text, sets sorted. Raises ValueError for a number that is not finite: see `plain`."""
    return json.dumps(value, indent=2, allow_nan=False, default=_sorted)


def _sorted(value: object) -> list[object]:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"JSON has no {type(value).__name__}")
