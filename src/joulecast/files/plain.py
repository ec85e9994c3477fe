"""Values as JSON has them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def finite(value: float) -> float | None:
    """A number, or None for what is not one or has no end: JSON has neither nan nor infinity."""
    return value if math.isfinite(value) else None


def plain(value: object) -> object:
    """Lists for tuples and sets, text for keys, None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value)]
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return finite(value) if isinstance(value, float) else value


def json_text(value: object) -> str:
    """Plain values as indented JSON."""
    return json.dumps(plain(value), indent=2, allow_nan=False)
