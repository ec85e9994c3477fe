"""Records that were read have the types that they declare."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from joulecast.files.fields import check_fields


@dataclass(frozen=True)
class Inner:
    energy_j: float
    name: str | None = None


@dataclass(frozen=True)
class Outer:
    count: int
    is_real: bool
    drift: float
    inner: Inner
    words: tuple[str, ...] = ()
    by_name: Mapping[str, float] = field(default_factory=dict)
    odd: Mapping[str, str | bool] | None = None
    parts: tuple[Inner, ...] = ()


RIGHT = Outer(3, True, -0.5, Inner(2.5), ("a",), {"power_w": 3.0}, {"x": True}, (Inner(1, "b"),))


def test_a_right_record() -> None:
    check_fields(RIGHT)


def test_records_within_may_have_been_checked_before() -> None:
    check_fields(dataclasses.replace(RIGHT, inner=Inner(-1)), within=False)
    with pytest.raises(TypeError, match="count is '3'"):
        check_fields(dataclasses.replace(RIGHT, count="3"), within=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"count": "3"}, "count is '3'; expected int"),
        ({"count": True}, "count is True"),
        ({"count": None}, "count is None"),
        ({"is_real": 1}, "is_real is 1"),
        ({"drift": math.nan}, "drift is nan"),
        ({"drift": "x"}, "drift is 'x'; expected float"),
        ({"inner": Inner(-1)}, "energy_j is -1, which is not measured"),
        ({"inner": Inner(10**400)}, "energy_j is 1000"),
        ({"inner": Inner(math.inf)}, "energy_j is inf"),
        ({"inner": Inner(1, ["a"])}, r"name is \['a'\]"),  # type: ignore[arg-type]
        ({"words": ["a"]}, r"words is \['a'\]"),
        ({"words": ("a", 5)}, "words is 5"),
        ({"by_name": {"power_w": -3}}, "power_w is -3"),
        ({"by_name": {"power_w": "x"}}, "power_w is 'x'"),
        ({"by_name": [1]}, r"by_name is \[1\]"),
        ({"parts": (Inner(-2),)}, "energy_j is -2"),
    ],
)
def test_a_wrong_record(changes: dict[str, object], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        check_fields(dataclasses.replace(RIGHT, **changes))  # type: ignore[arg-type]
