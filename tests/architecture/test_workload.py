"""The workload record: limits, sizes as text, precisions, tables of workloads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.architecture.workload import (
    LIMITS,
    PRECISIONS,
    Workload,
    WorkloadColumns,
    check_precision,
    parse_size,
    whole_number,
)
from joulecast.errors import InputError, UnknownNameError

T = TypeVar("T")

SIZE: dict[str, Any] = {"width": 1024, "height": 768, "steps": 20}


def test_defaults() -> None:
    workload = Workload(**SIZE)
    assert dataclasses.asdict(workload) == {
        **SIZE,
        "passes": 1,
        "batch_size": 1,
        "precision": "fp16",
        "text_tokens": None,
        "frames": 1,
        "negative_prompt": False,
    }


def test_the_limits() -> None:
    assert LIMITS == {
        "width": (16, 16384),
        "height": (16, 16384),
        "frames": (1, 10_000),
        "steps": (1, 10_000),
        "passes": (1, 2),
        "batch_size": (1, 4096),
        "text_tokens": (1, 100_000),
    }


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_inclusive_and_named(name: str) -> None:
    low, high = LIMITS[name]
    for value in (low, high):
        assert getattr(Workload(**{**SIZE, name: value}), name) == value
    label = name.replace("_", " ")
    for value in (low - 1, high + 1):
        with pytest.raises(InputError) as caught:
            Workload(**{**SIZE, name: value})
        assert str(caught.value) == f"{label} must be between {low} and {high}, not {value}"


@pytest.mark.parametrize("value", [50.0, "50", "50.0", np.int32(50), np.float32(50)])
def test_whole_numbers_in_other_clothes_become_int(value: Any) -> None:
    steps = Workload(**{**SIZE, "steps": value}).steps
    assert (steps, type(steps)) == (50, int)


@pytest.mark.parametrize(
    "value",
    [True, False, 50.5, float("nan"), float("inf"), -float("inf"), None, "", "fifty", "nan", [50], {}, 50j],
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="steps must be a whole number, not ") as caught:
        Workload(**{**SIZE, "steps": value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [10**300, 10**400, "9" * 400])
def test_a_huge_number_is_refused_in_a_short_message(value: Any) -> None:
    with pytest.raises(InputError, match=r"steps must be .*…$") as caught:
        whole_number("steps", value)
    assert len(str(caught.value)) < 150


def test_an_integer_too_long_to_print_is_refused() -> None:
    with pytest.raises(InputError, match="steps must be"):
        whole_number("steps", 10**5000)


def test_a_numpy_boolean_is_refused() -> None:
    with pytest.raises(InputError, match="steps must be a whole number"):
        whole_number("steps", np.True_)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024x768", (1024, 768)),
        ("1024 x 768", (1024, 768)),
        ("1024×768", (1024, 768)),
        ("1024X768", (1024, 768)),
        (" 64x16 ", (64, 16)),
        ("16384x16", (16384, 16)),
    ],
)
def test_sizes_are_width_then_height(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1024", "size '1024' is not WIDTHxHEIGHT in pixels, e.g. 1024x768"),
        ("", "size '' is not WIDTHxHEIGHT in pixels, e.g. 1024x768"),
        ("１０２４x７６８", "size '１０２４x７６８' is not WIDTHxHEIGHT in pixels, e.g. 1024x768"),
        ("axb", "width must be a whole number, not 'a'"),
        ("1024xb", "height must be a whole number, not 'b'"),
        (
            "1024x768x3",
            "size '1024x768x3' has a third number: give WIDTHxHEIGHT, and frames beside it (--frames)",
        ),
        ("x", "width must be a whole number, not ''"),
        ("1024.5x768", "width must be a whole number, not '1024.5'"),
        ("1e9x2", "width must be between 16 and 16384, not '1e9'"),
        ("-1x5", "width must be between 16 and 16384, not '-1'"),
        ("1024x8", "height must be between 16 and 16384, not '8'"),
        ("nanx768", "width must be a whole number, not 'nan'"),
    ],
)
def test_bad_sizes_are_explained(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_size(text)
    assert str(caught.value) == message


def test_precisions_and_their_near_matches() -> None:
    assert [check_precision(name) for name in PRECISIONS] == ["fp16", "bf16", "fp32"]
    with pytest.raises(UnknownNameError, match=r"'bfloat16'; did you mean bf16\? known: fp16, bf16, fp32$"):
        Workload(**SIZE, precision="bfloat16")
    for other in ("", "FP16", "int8", None, 16, ["fp16"]):
        with pytest.raises(UnknownNameError, match="known: fp16, bf16, fp32"):
            check_precision(other)


def test_columns_of_one_workload() -> None:
    columns = Workload(**SIZE, passes=2, batch_size=3, text_tokens=99).columns()
    assert len(columns) == 1
    assert {f.name: getattr(columns, f.name).tolist() for f in dataclasses.fields(columns)} == {
        "width": [1024],
        "height": [768],
        "steps": [20],
        "passes": [2],
        "batch_size": [3],
        "text_tokens": [99],
        "frames": [1],
        "negative_prompt": [0],
    }
    assert Workload(**SIZE).columns().text_tokens.tolist() == [-1]


def test_columns_broadcast_and_take_rows() -> None:
    columns = WorkloadColumns.from_values({"width": [512, 768, 1024], "height": 512, "steps": np.array([4])})
    assert len(columns) == 3
    assert columns.height.tolist() == [512, 512, 512]
    assert columns.text_tokens.tolist() == [-1, -1, -1]
    taken = columns.take([2, 0])
    assert (taken.width.tolist(), taken.steps.tolist()) == ([1024, 512], [4, 4])
    with pytest.raises(ValueError, match="broadcast"):
        WorkloadColumns.from_values({"width": [512, 768], "height": [1, 2, 3], "steps": 4})


ANY_TEXT = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="0123456789xX×.eE+-_ \n", max_size=20),
    st.builds("{}x{}".format, st.integers(), st.floats()),
)


def value_or_message(make: Callable[[], T]) -> T | str:
    """What a call returns, or what its InputError says."""
    try:
        return make()
    except InputError as error:
        return str(error)


@settings(deadline=None)
@given(ANY_TEXT)
def test_no_size_raises_anything_but_an_input_error(text: str) -> None:
    size = value_or_message(lambda: parse_size(text))
    if isinstance(size, str):
        assert "\n" not in size
    else:
        assert all(16 <= side <= 16384 for side in size)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(LIMITS)),
    st.one_of(ANY_TEXT, st.integers(), st.floats(), st.none(), st.booleans(), st.binary(max_size=5)),
)
def test_no_value_raises_anything_but_an_input_error(name: str, value: Any) -> None:
    number = value_or_message(lambda: whole_number(name, value))
    if isinstance(number, str):
        assert "\n" not in number
    else:
        low, high = LIMITS[name]
        assert low <= number <= high
        assert number == float(value)


@settings(deadline=None)
@given(st.text(max_size=30).filter(lambda text: text not in PRECISIONS))
def test_no_precision_raises_anything_but_an_input_error(text: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        check_precision(text)
    assert "\n" not in str(caught.value)
