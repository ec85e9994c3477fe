"""A number written to a part of a tensor: what is recorded without running it is what torch would run."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from joulecast.compute.plain_writes import plainly_written
from joulecast.compute.tracer import OperatorRecorder
from joulecast.compute.values import Values

pytestmark = pytest.mark.trace

PLAIN = [
    (0, 42), (-1, 42), (slice(None), 210), ((slice(2, 5), slice(None, None, 2)), 72), ((1, 2), 6),
    ((slice(1, None), 3), 24), ((slice(0, 100),), 210), ((slice(-3, -1), slice(4)), 48), ((4, 6, 5), 1),
]  # fmt: skip
NOT_PLAIN = [
    (..., 0), None, (None, 0), (3, slice(2, 2)), 9, (0, 0, 0, 0), [1, 2], True, torch.tensor(1),
    slice(True, 3), slice(None, None, torch.tensor(2)),
]  # fmt: skip


def a_tensor(**options: Any) -> Any:
    return torch.empty(5, 7, 6, device="meta", **options)


@pytest.mark.parametrize(("places", "count"), PLAIN)
def test_elements_of_a_plain_write(places: Any, count: int) -> None:
    assert plainly_written(a_tensor(), places, 0, Values()) == count
    real = torch.zeros(5, 7, 6)
    real[places] = 1
    assert real.sum() == count


@pytest.mark.parametrize("places", NOT_PLAIN, ids=str)
def test_what_torch_must_say_is_not_plain(places: Any) -> None:
    assert plainly_written(a_tensor(), places, 0, Values()) is None


def test_tensors_whose_values_are_followed_are_not_plain() -> None:
    values, x = Values(), a_tensor()
    values.take(x, torch.ones(5, 7, 6))
    other = a_tensor()
    values.take(other, torch.full((5, 7, 6), 0.5))
    assert plainly_written(x, 0, 0, values) is None
    assert plainly_written(other, 0, 0, values) is None
    assert plainly_written(a_tensor(dtype=torch.int64), 0, 0, values) is None
    assert plainly_written(torch.zeros(5, 7, 6), 0, 0, values) is None
    assert plainly_written(a_tensor(), 0, torch.tensor(1.0), values) is None
    assert plainly_written(a_tensor(), 0, True, values) is None


def recorded(dtype: Any) -> tuple[Any, Any]:
    with OperatorRecorder() as recorder:
        recorder.lifetimes.start(())
        x = torch.full((5, 7, 6), -1.0, dtype=dtype, device="meta")
        for places, _ in PLAIN:
            x[places] = 0
        x[1, :3] = 0.5
    return recorder.operators, recorder.lifetimes.spans()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_plain_write_is_recorded_as_torch_runs_it(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = recorded(dtype)
    monkeypatch.setattr(OperatorRecorder, "write", lambda *_: False)
    assert at_once == recorded(dtype)
    assert len(at_once[0]) == 1 + 2 * (len(PLAIN) + 1)


def test_a_plain_write_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with OperatorRecorder() as recorder:
        x = a_tensor()
        monkeypatch.setattr(OperatorRecorder, "__torch_dispatch__", None)
        for row in range(5):
            x[row, : row + 1] = 0
    assert len(recorder.operators) == 10


def test_nothing_is_recorded_of_a_write_while_paused() -> None:
    with OperatorRecorder() as recorder:
        x = a_tensor()
        recorder.paused = True
        x[0] = 1
    assert recorder.operators == []
