"""Exact polynomials: reading monomials, evaluating them, finding them from values."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.compute.exact_fit import ExactFitter, candidate_bases, write_monomial
from joulecast.compute.polynomial import MAX_POWER, SYMBOLS, evaluate_monomials, parse_monomial
from joulecast.errors import FileFormatError, TraceError

Point = dict[str, int]


def at(monomial: str, point: Point) -> int:
    """A monomial at a point in Python's integers, read without the code under test."""
    value = 1
    for factor in monomial.split("*") if monomial != "1" else ():
        base, _, power = factor.partition("^")
        symbol, _, divisor = base.partition("/")
        value *= math.ceil(Fraction(point[symbol], int(divisor or 1))) ** int(power or 1)
    return value


@pytest.mark.parametrize(
    ("text", "factors"),
    [
        ("1", ()),
        ("batch", (("batch", 1, 1),)),
        ("frames", (("frames", 1, 1),)),
        ("batch*height*width", (("batch", 1, 1), ("height", 1, 1), ("width", 1, 1))),
        ("batch*text^2", (("batch", 1, 1), ("text", 1, 2))),
        ("height/2*width/16^4", (("height", 2, 1), ("width", 16, 4))),
        ("width/128", (("width", 128, 1),)),
        ("height/1", (("height", 1, 1),)),
        ("pictures/8", (("pictures", 8, 1),)),
        ("height*3pictures/8", (("height", 1, 1), ("3pictures", 8, 1))),
    ],
)
def test_monomials_are_read(text: str, factors: tuple[tuple[str, int, int], ...]) -> None:
    assert parse_monomial(text) == factors


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "11",
        "1*batch",
        "depth",
        "Batch",
        "batch*",
        "*batch",
        "batch**text",
        "batch * text",
        "batch\n",
        "batch\n*text",
        "batch^",
        "batch^-1",
        "batch^10",
        "height/",
        "height/-2",
        "height/2000",
        "height/2/2",
        "height^2/2",
        "3*batch",
        "3batch",
        "pictures",
        "3pictures",
        "03pictures/8",
        "1000pictures/8",
        "batch+text",
        "__import__('os')",
        "batch" * 100_000,
    ],
)
def test_what_is_no_monomial_is_refused(text: str) -> None:
    with pytest.raises(FileFormatError, match=r"is not a monomial such as batch\*height\*width") as caught:
        parse_monomial(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    "text", ["text/2", "batch/2", "frames/0", "height/0", "width^0", "width^5", "text^9"]
)
def test_impossible_divisors_and_powers_are_refused(text: str) -> None:
    with pytest.raises(FileFormatError, match="has an impossible divisor or power"):
        parse_monomial(f"batch*{text}")


def factors() -> st.SearchStrategy[dict[tuple[str, int], int]]:
    """Powers by (symbol, divisor), of total degree at most 5."""
    plain = st.tuples(st.sampled_from(SYMBOLS), st.just(1))
    halved = st.tuples(st.sampled_from(["height", "width"]), st.sampled_from([2, 4, 8, 16]))
    chosen = st.dictionaries(plain | halved, st.integers(1, MAX_POWER), max_size=4)
    return chosen.filter(lambda powers: sum(powers.values()) <= 5)


def points() -> st.SearchStrategy[Point]:
    return st.fixed_dictionaries(dict.fromkeys(SYMBOLS, st.integers(1, 1000)))


@settings(deadline=None)
@given(factors())
def test_writing_then_reading_a_monomial(powers: dict[tuple[str, int], int]) -> None:
    text = write_monomial(powers)
    assert {(symbol, divisor): power for symbol, divisor, power in parse_monomial(text)} == powers
    assert write_monomial({(s, d): p for s, d, p in reversed(parse_monomial(text))}) == text


@settings(deadline=None)
@given(
    st.lists(factors().map(write_monomial), min_size=1, max_size=5),
    st.lists(points(), min_size=1, max_size=4),
)
def test_evaluation_equals_integers(monomials: list[str], workloads: list[Point]) -> None:
    # At most 1000^5 = 10^15, below 2^53: float64 is exact.
    symbols = {name: np.array([point[name] for point in workloads]) for name in SYMBOLS}
    values = evaluate_monomials(monomials, symbols)
    assert values.shape == (len(workloads), len(monomials))
    for row, point in enumerate(workloads):
        assert [int(value) for value in values[row]] == [at(monomial, point) for monomial in monomials]


def test_pieces_are_of_the_frames_of_all_videos() -> None:
    """2, 9 and 16 frames of 3 videos, by eights: one for each, and three."""
    values = evaluate_monomials(
        ["pictures/8", "3pictures/8"], {"batch": np.full(3, 3), "frames": np.array([2, 9, 16])}
    )
    assert values.tolist() == [[1, 3], [4, 11], [6, 18]]


def test_evaluation_by_hand() -> None:
    symbols = {"batch": np.array([2, 3]), "height": np.array([5, 8]), "width": np.array([7, 4])}
    values = evaluate_monomials(["1", "batch*height/2*width", "height/4^2"], symbols)
    # ceil(5/2) = 3: 2*3*7 = 42; ceil(5/4) = 2. ceil(8/2) = 4: 3*4*4 = 48; 8/4 = 2.
    assert values.tolist() == [[1, 42, 4], [1, 48, 4]]


def test_halvings_compose() -> None:
    # A stride-2 convolution makes ceil(n/2) of n; twice is ceil(n/4).
    sizes = np.arange(1, 200)
    half = evaluate_monomials(["height/2"], {"height": sizes})[:, 0]
    twice = evaluate_monomials(["height/2"], {"height": half})[:, 0]
    assert twice.tolist() == evaluate_monomials(["height/4"], {"height": sizes})[:, 0].tolist()


# Small sizes without a common pattern, enough to tell the monomials of the largest basis apart.
_SIDES = [(5, 9), (6, 7), (11, 4), (3, 13), (8, 10), (13, 17), (21, 6), (10, 19), (17, 11), (27, 14)]
SAMPLES: list[Point] = [
    {"batch": 1 + i % 3, "frames": 1, "height": h, "width": w, "text": 5 + (i * i * 7 + b) % 23}
    for b in (0, 1)
    for i, (h, w) in enumerate(_SIDES, start=b)
]
BASES = candidate_bases(has_image=True, has_text=True, batch_varies=True, levels=2)


@cache
def fitter() -> ExactFitter:
    return ExactFitter(SAMPLES, BASES)


def values(polynomial: dict[str, int]) -> list[int]:
    return [sum(c * at(m, point) for m, c in polynomial.items()) for point in SAMPLES]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_fitter_recovers_any_polynomial_of_its_bases(data: st.DataObject) -> None:
    basis = data.draw(st.sampled_from(BASES))
    coefficients = data.draw(
        st.lists(st.integers(-(10**9), 10**13), min_size=len(basis), max_size=len(basis))
    )
    polynomial = {m: c for m, c in zip(basis, coefficients, strict=True) if c}
    assert fitter().fit(values(polynomial)) == polynomial


@pytest.mark.parametrize(
    "polynomial",
    [
        {},
        {"1": 7},
        {"batch*height/2*width/2": 9, "batch": 4},
        {"batch*height/2*width/2": 2, "batch*height/4*width/4": 5, "1": 3},
        {"batch*height*width*text": 4, "batch*text": 8},
        {"batch*height^2*width^2": 1, "batch*height*width*text": 2, "batch*text^2": 1},
    ],
)
def test_polynomials_by_hand(polynomial: dict[str, int]) -> None:
    assert fitter().fit(values(polynomial)) == polynomial


def test_a_binary_fraction_is_found_exactly() -> None:
    batches: list[Point] = [{"batch": n} for n in (2, 4, 6, 10)]
    found = ExactFitter(batches, [["1", "batch"]]).fit([3, 4, 5, 7])  # batch / 2 + 2
    assert found == {"1": 2, "batch": 0.5}
    with pytest.raises(TraceError, match="coefficient 1/3, which no binary number equals"):
        ExactFitter([{"batch": n} for n in (3, 6, 9)], [["batch"]]).fit([1, 2, 3])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, len(SAMPLES) - 1), st.integers(1, 10**6))
def test_one_wrong_value_is_refused(place: int, surplus: int) -> None:
    wrong = values({"1": 100, "batch*height*width": 12})
    wrong[place] += surplus
    with pytest.raises(TraceError, match="is not a polynomial in the workload's symbols"):
        fitter().fit(wrong)


def test_values_of_no_polynomial_are_refused() -> None:
    for wrong in ([2 ** point["height"] for point in SAMPLES], [point["height"] // 2 for point in SAMPLES]):
        with pytest.raises(TraceError, match="is not a polynomial"):
            fitter().fit(wrong)


def test_too_few_points_are_refused() -> None:
    # Two points determine a + b * batch but leave none to check it with.
    two: list[Point] = [{"batch": 1}, {"batch": 2}]
    with pytest.raises(TraceError, match="is not a polynomial"):
        ExactFitter(two, [["1", "batch"]]).fit([3, 5])
    with pytest.raises(TraceError, match="is not a polynomial"):
        ExactFitter([*two, {"batch": 2}], [["1", "batch", "batch^2"]]).fit([3, 5, 5])
    assert ExactFitter([*two, {"batch": 3}], [["1", "batch"]]).fit([3, 5, 7]) == {"1": 1, "batch": 2}


def test_points_that_tell_nothing_apart_are_refused() -> None:
    square: list[Point] = [{"height": 4, "width": n} for n in (4, 5, 6, 7)]
    with pytest.raises(TraceError, match="is not a polynomial"):
        ExactFitter(square, [["1", "height", "width"]]).fit([5, 6, 7, 8])


def test_candidates_hold_each_symbol_only_where_it_varies() -> None:
    for has_image in (False, True):
        for has_text in (False, True):
            for batch_varies in (False, True):
                bases = candidate_bases(has_image, has_text, batch_varies, levels=1)
                used = {symbol for basis in bases for m in basis for symbol, _, _ in parse_monomial(m)}
                assert ("height" in used, "text" in used) == (has_image, has_text)
                assert ("batch" in used) == batch_varies
                assert bases[0] == ["1"]
                assert [len(basis) for basis in bases] == sorted(len(basis) for basis in bases)
