"""What is known of values on the meta device: masks of any kind of number, and inputs that are zeros."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from joulecast.compute.block_replay import value_bytes
from joulecast.compute.tracer import OperatorRecorder
from joulecast.compute.values import MOST_COUNTED, UnknownValuesError, are_zeros, is_mask

pytestmark = pytest.mark.trace


def traced(real: Any, course: Any) -> Any:
    """What a module's course is that is given an input on meta."""
    recorder = OperatorRecorder()
    x = torch.empty_like(real, device="meta")
    recorder.values.take(x, real)
    with recorder:
        return course(x)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.bfloat16, torch.float32])
def test_a_mask_is_known_in_any_kind_of_number(dtype: Any) -> None:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]]).to(dtype)
    assert traced(mask, lambda x: int(x.bool().sum())) == 3
    assert traced(mask, lambda x: torch.empty(2, 3, 5, device="meta")[x.bool()].shape) == (3, 5)


def test_a_mask_that_a_module_makes_is_known() -> None:
    text = torch.tensor([[1.0, 0.0]])
    made = traced(text, lambda x: torch.cat([x, torch.zeros(1, 2, device="meta")], dim=1).bool())
    assert made.shape == (1, 4)
    assert (
        traced(text, lambda x: int(torch.cat([x, torch.ones(1, 2, device="meta")], dim=1).bool().sum())) == 3
    )


def test_a_mask_that_is_written_over_is_known_no_longer() -> None:
    def course(x: Any) -> Any:
        made = torch.zeros(2, 3, device="meta")
        made[:, 1:] = torch.rand(2, 2, device="meta")
        return bool(made.any())

    with pytest.raises(UnknownValuesError):
        traced(torch.tensor([1.0]), course)


@pytest.mark.parametrize(("fill", "zeros"), [(0.0, True), (2.0**-10, False)])
def test_it_is_known_whether_an_image_is_all_zeros(fill: float, zeros: bool) -> None:
    image = torch.full((3, 729, 1152), fill, dtype=torch.bfloat16)  # more numbers than are otherwise known
    assert traced(image, lambda x: bool((x == 0).all())) is zeros
    assert traced(image, lambda x: bool((x != 0).any())) is not zeros


def test_other_comparisons_and_numbers_in_part_zero_are_not_known() -> None:
    for real, course in (
        (torch.full((4,), 0.5), lambda x: bool((x > 0).all())),
        (torch.tensor([0.0, 0.5]), lambda x: bool((x == 0).all())),
        (torch.full((4,), 0.5), lambda x: bool((x.mul_(2) == 0).all())),
    ):
        with pytest.raises(UnknownValuesError):
            traced(real, course)


def test_masks_and_zeros() -> None:
    assert is_mask(torch.tensor([0.0, 1.0]))
    assert not is_mask(torch.tensor([0.0, 0.5]))
    assert not is_mask(torch.empty(0))
    assert are_zeros(torch.zeros(3)) is True
    assert are_zeros(torch.ones(3)) is False
    assert are_zeros(torch.tensor([0.0, 1.0])) is None
    assert are_zeros(torch.zeros((), dtype=torch.bfloat16).expand(MOST_COUNTED + 1)) is None


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.bfloat16])
def test_values_have_bytes_however_they_lie(dtype: torch.dtype) -> None:
    one = torch.ones((), dtype=dtype)
    assert value_bytes(one.expand(1, 1)) == value_bytes(torch.ones(1, dtype=dtype))
    assert value_bytes(one.expand(2, 3)) == value_bytes(torch.ones(6, dtype=dtype))
    assert value_bytes(torch.zeros(2, dtype=dtype)) != value_bytes(torch.ones(2, dtype=dtype))


@pytest.mark.parametrize("dim", [-1, 0])
def test_experts_are_chosen_equally_often(dim: int) -> None:
    def course(x: Any) -> Any:
        chosen = torch.topk(x if dim else x.T, 2, dim=dim).indices
        return chosen.reshape(-1).bincount().cpu().tolist()

    assert traced(torch.rand(10, 4), course) == [5, 5, 5, 5]
    assert traced(torch.rand(3, 4), course) == [2, 2, 1, 1]


def test_places_of_the_largest_of_known_numbers_are_those() -> None:
    mask = torch.tensor([[0, 0, 1, 0], [1, 0, 0, 0]])
    assert traced(mask, lambda x: torch.topk(x, 1).indices.cpu().tolist()) == [[2], [0]]
