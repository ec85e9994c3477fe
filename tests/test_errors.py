"""Words from outside: seen on a terminal, and one line where they are names."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest

from joulecast import errors
from joulecast.compute.solving import IrregularError, OperatorsChangeError
from joulecast.compute.values import UnknownValuesError
from joulecast.errors import (
    FileFormatError,
    FitError,
    InputError,
    JoulecastError,
    MeasureError,
    MissingExtraError,
    TraceError,
    UnknownNameError,
    as_name,
    did_you_mean,
    in_short,
    kind_in_short,
    one_line,
    shown,
    visible,
)
from joulecast.measure.database import StoreError
from joulecast.measure.store import LostError
from joulecast.measure.task import TooLargeError
from joulecast.plan.infeasible import InfeasiblePlanError
from joulecast.plan.milp import OutOfTimeError

HOSTILE = [
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x9b2J",
    "a\rb",
    "\u202eabc",
    "\u2066x",
    "\u2028",
    "\x00",
    "\x7f",
    "\ud800",
    "\U000e0041",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_acts_is_shown(text: str) -> None:
    assert visible(text).isprintable()
    assert "\\" in visible(text)


def test_what_is_seen_stays() -> None:
    text = "naïve – 3 × 2 ≤ 7,\t“quoted”\n日本語 👩‍💻 \u00a0"
    assert visible(text) == text
    assert visible(visible("\x1b[2J")) == visible("\x1b[2J") == "\\x1b[2J"


@pytest.mark.parametrize("text", [*HOSTILE, "a\nb", "", "  ", "x" * 201, None, 5, ["a"], "\t\n"])
def test_what_is_no_name(text: object) -> None:
    with pytest.raises(InputError, match="expected one line of 1 to 200") as error:
        one_line(text, "name")
    assert str(error.value).isprintable()


def test_names() -> None:
    assert one_line(" My model é ", "name") == "My model é"
    assert shown("a\x1b") == "'a\\x1b'"


ERRORS: list[JoulecastError] = [
    JoulecastError("words"), InputError("words"), FileFormatError("words"), TraceError("words"),
    FitError("words"), MeasureError("words"), UnknownNameError("GPU", "H10", ["H100", "A10"], "see a table"),
    UnknownNameError("GPU", 5, []), MissingExtraError("trace", "tracing"),
    MissingExtraError(("trace", "plot"), "both"), UnknownValuesError("words"), IrregularError("words"),
    OperatorsChangeError("words"), OutOfTimeError("words"), TooLargeError("words"), StoreError("words"),
    LostError("words"), InfeasiblePlanError(("carbon_kg", "cost"), ("cost",), {"cost": 5.0}),
    InfeasiblePlanError((), ()),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_comes_from_another_process_as_it_was(error: JoulecastError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_every_error_of_ours_is_among_them() -> None:
    source = Path(errors.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    named = set(re.findall(r"^class ([A-Z]\w*Error)\((?!TypedDict)", text, re.MULTILINE))
    assert named == {type(error).__name__ for error in ERRORS}


def test_an_exception_is_quoted_by_its_first_line() -> None:
    error = RuntimeError("\n  shapes   do not fit\nTraceback of another language")
    assert in_short(error) == "shapes do not fit"
    assert kind_in_short(error) == "RuntimeError: shapes do not fit"
    assert in_short(ValueError("x" * 999)) == "x" * 200
    assert in_short(ValueError("x" * 999), 20) == "x" * 20


@pytest.mark.parametrize("error", [KeyError(), ValueError(" "), AssertionError("")])
def test_an_exception_without_words_is_its_kind(error: Exception) -> None:
    assert in_short(error) == kind_in_short(error) == type(error).__name__


@pytest.mark.parametrize("text", HOSTILE)
def test_what_an_exception_says_cannot_act(text: str) -> None:
    assert in_short(ValueError(f"a {text} b")).isprintable()


def test_the_nearest_is_asked_for_or_all_are_told() -> None:
    assert did_you_mean("stpes", ("steps", "size")) == "did you mean steps?"
    assert did_you_mean("zzz", ("steps", "size")) == "known: steps, size"
    assert did_you_mean("zzz", {"fit": 1, "plan": 2}, "commands") == "commands: fit, plan"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("FR", "FR"),
        ("Île-de-France", "Île-de-France"),
        ("a" * 60, "a" * 60),
        ("a" * 61, "'" + "a" * 58 + "…"),
        ("a\nb", "'a\\nb'"),
        ("\x1b[2J", "'\\x1b[2J'"),
        ("\u202eabc", "'\\u202eabc'"),
    ],
)
def test_names_from_outside_in_words(name: str, words: str) -> None:
    assert as_name(name) == words


def test_what_is_not_seen_is_not_printable_either() -> None:
    """So that printable text, as most is, need not be looked through."""
    printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert re.search(errors._UNSEEN, printable) is None
