"""Large tensors of one number: equal to filled ones, each with memory of its own once written to."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from joulecast.compute.constants import FEW, constant

pytestmark = pytest.mark.trace


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 5), (3, FEW // 2, 1)])
def test_a_constant_is_a_filled_tensor(shape: tuple[int, ...], dtype: Any) -> None:
    made, filled = constant(shape, 1, dtype), torch.full(shape, 1, dtype=dtype)
    assert torch.equal(made, filled)
    assert (made.dtype, made.stride(), made.is_contiguous()) == (dtype, filled.stride(), True)


def test_writing_to_one_changes_no_other() -> None:
    one, other = (constant((2, FEW), 0.5, torch.float32) for _ in range(2))
    one[0] = 3
    other.add_(1)
    later = constant((FEW + 1,), 0.5, torch.float32)
    assert (one[0].unique().tolist(), one[1].unique().tolist()) == ([3.0], [0.5])
    assert other.unique().tolist() == [1.5]
    assert later.unique().tolist() == [0.5]


def test_a_larger_one_is_filled_whole() -> None:
    assert constant((FEW + 1,), 0.25, torch.float16).unique().tolist() == [0.25]
    assert constant((FEW * 2,), 0.25, torch.float16).unique().tolist() == [0.25]


def test_a_second_one_of_many_numbers_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    constant((2 * FEW,), 0.125, torch.float32)
    monkeypatch.setattr(torch, "full", None)
    assert constant((2, FEW), 0.125, torch.float32).shape == (2, FEW)
