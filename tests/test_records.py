"""Records are frozen dataclasses in all that can be seen of them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from functools import cached_property
from typing import Any

import pytest

from joulecast.records import Record


class Point(Record):
    """Two numbers."""

    x: int
    y: int = 2
    facts: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def sum(self) -> int:
        return self.x + self.y


class Standard:
    """Holds the same as the standard library makes it, under the same name."""

    @dataclass(frozen=True)
    class Point:
        """Two numbers."""

        x: int
        y: int = 2
        facts: Mapping[str, int] = field(default_factory=dict)

        @cached_property
        def sum(self) -> int:
            return self.x + self.y


class Further(Point):
    """One more number, and what becomes of it."""

    z: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "z", 2 * self.z)


class Bare(Record):
    """Nothing."""


BOTH = pytest.mark.parametrize("kind", [Point, Standard.Point])


@BOTH
def test_is_made_by_place_by_name_and_of_defaults(kind: Any) -> None:
    assert dataclasses.astuple(kind(1)) == (1, 2, {})
    assert dataclasses.asdict(kind(1, y=3, facts={"a": 1})) == {"x": 1, "y": 3, "facts": {"a": 1}}
    assert kind(1).facts is not kind(1).facts
    assert [one.name for one in dataclasses.fields(kind)] == ["x", "y", "facts"]
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument: 'x'"):
        kind()
    with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword argument 'w'"):
        kind(1, w=2)


@BOTH
def test_never_changes(kind: Any) -> None:
    one = kind(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    assert (one.sum, one.__dict__["sum"]) == (3, 3)


@BOTH
def test_is_equal_where_all_values_are(kind: Any) -> None:
    assert kind(1) == kind(1, 2)
    assert kind(1) != kind(2)
    assert kind(1) != (1, 2, {})
    assert hash(kind(1, facts=())) == hash(kind(1, facts=())) == hash((1, 2, ()))
    with pytest.raises(TypeError, match="unhashable type: 'dict'"):
        hash(kind(1))


@BOTH
def test_shows_itself_and_its_signature(kind: Any) -> None:
    assert repr(kind(1)).rpartition("Point")[2] == "(x=1, y=2, facts={})"
    signature = inspect.signature(kind)
    assert list(signature.parameters) == ["x", "y", "facts"]
    assert signature.parameters["y"].default == 2
    assert signature.parameters["y"].annotation == "int"
    assert str(signature.parameters["facts"]).endswith("= <factory>")


@BOTH
def test_is_copied_replaced_and_matched(kind: Any) -> None:
    one = kind(1)
    assert copy.deepcopy(one) == copy.copy(one) == one
    assert dataclasses.replace(one, y=5) == kind(1, 5)
    match one:
        case kind(x, y):
            assert (x, y) == (1, 2)


def test_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(Further(1))) == Further(1)


def test_fields_of_a_base_come_first_and_are_looked_at_afterwards() -> None:
    assert dataclasses.astuple(Further(1, z=2)) == (1, 2, {}, 4.0)
    assert Further(1) != Point(1)
    assert Bare() == Bare()
    assert repr(Bare()) == "Bare()"


def test_a_method_of_its_own_comes_first() -> None:
    class Named(Record):
        name: str

        def __init__(self, first: str, last: str) -> None:
            object.__setattr__(self, "name", f"{first} {last}")

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return self.name

    assert Named("a", "b") == 1
    assert (hash(Named("a", "b")), repr(Named("a", "b"))) == (7, "a b")


def test_an_estimate_compiles_one_standard_dataclass() -> None:
    """Each takes a third of a millisecond: what an estimate loads are records, but for a base of laws."""
    script = (
        "import dataclasses, sys; made = []; real = dataclasses._process_class\n"
        "def noted(kind, init, *rest):\n"
        "    made.append(kind.__qualname__) if init else None\n"
        "    return real(kind, init, *rest)\n"
        "dataclasses._process_class = noted\n"
        "import joulecast\n"
        "str(joulecast.estimate('flux.1-dev', 'H100-SXM5-80GB'))\n"
        "print(*made)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"FittedLaw"}


def test_records_alone_load_no_numpy() -> None:
    """Lists of GPUs and runtimes, and completion of their names, start without it."""
    code = "import sys, joulecast.hardware, joulecast.runtime; print('numpy' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
