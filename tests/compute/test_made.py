"""What is remembered of an operator's results: several tensors as one, and nothing that shares its memory."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from joulecast.compute.made import Made
from joulecast.compute.peaks import peak_of
from joulecast.compute.tracer import OperatorRecorder
from joulecast.compute.values import operator_name, tensors

pytestmark = pytest.mark.trace

aten = torch.ops.aten


def meta(*shape: int, dtype: Any = torch.float16) -> Any:
    return torch.empty(*shape, device="meta", dtype=dtype)


def layout(x: Any) -> Any:
    return x.shape, x.stride(), x.storage_offset(), x.dtype, x.device, x.untyped_storage().nbytes()


def layouts(out: Any) -> list[Any]:
    return [layout(x) for x in tensors(out)]


X, WEIGHT = meta(2, 4, 6, 10), meta(4)
LAST = X.to(memory_format=torch.channels_last)
ROWS = meta(5, 7, dtype=torch.float32).T


@pytest.mark.parametrize(
    ("func", "args", "count"),
    [
        (aten.native_layer_norm.default, (X, [10], meta(10), meta(10), 1e-5), 3),
        (aten.native_layer_norm.default, (X.transpose(1, 2), [10], None, None, 1e-5), 3),
        (aten.native_group_norm.default, (X, WEIGHT, WEIGHT, 2, 4, 60, 2, 1e-5), 3),
        (aten.native_group_norm.default, (LAST, None, None, 2, 4, 60, 2, 1e-5), 3),
        (aten.var_mean.correction, (ROWS, [1]), 2),
        (aten.max.dim, (ROWS, 0, True), 2),
        (aten.topk.default, (ROWS, 3), 2),
        (aten.sort.default, (ROWS,), 2),
        (aten.add.Tensor, (ROWS, ROWS), 1),
        (aten.relu.default, (LAST,), 1),
    ],
)
def test_a_known_call_returns_what_torch_does(func: Any, args: Any, count: int) -> None:
    """Its shapes, strides, types and memory, each in memory of its own."""
    real = func(*args)
    with OperatorRecorder() as recorder:
        first, second = func(*args), func(*args)
        assert len(recorder._known) == 1
    assert layouts(first) == layouts(second) == layouts(real)
    assert type(second) is type(real)
    assert recorder.operators[0] == recorder.operators[1]
    assert len({x.untyped_storage()._cdata for x in tensors((first, second))}) == 2 * count


class Asked(TorchDispatchMode):  # type: ignore[misc]
    """Entered before a recorder: counts what the recorder asks torch to run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(operator_name(func))
        return func(*args, **kwargs or {})


def test_a_normalisation_is_run_once_of_its_kind() -> None:
    two, four = torch.nn.GroupNorm(2, 4, device="meta"), torch.nn.GroupNorm(4, 4, device="meta")
    x = meta(2, 4, 6, 10, dtype=torch.float32)
    with Asked() as asked, OperatorRecorder() as recorder:
        for _ in range(3):
            two(x), four(x), two(x * 2)
    assert asked.names.count("native_group_norm") == 2
    written = [o.bytes_written for o in recorder.operators if o.name == "native_group_norm"]
    # What is normalised, and of each image and group its mean and its spread.
    assert written == 3 * [(480 + 2 * 2 * 2) * 4, (480 + 2 * 2 * 4) * 4, (480 + 2 * 2 * 2) * 4]


def test_what_is_not_remembered() -> None:
    x = meta(6)
    assert Made.of(x, [meta(6)])
    assert Made.of((x, meta(6)), [])
    for out in (
        None,  # nothing
        3,
        (x, None),  # an output that was not asked for
        (x, 3),
        [x, meta(6)],  # as many as there are inputs
        (x, x.view(2, 3)),  # one memory
        (x[:3], x[3:]),
        x[:3],  # more memory than it fills
        x[3:],
        torch.empty(6),  # not on meta
        (x, torch.empty(6)),
    ):
        assert Made.of(out, []) is None
    assert Made.of(x, [x]) is None  # what was given
    assert Made.of((meta(6), x.view(2, 3)), [meta(6), x]) is None


def test_an_operator_that_returns_its_input_is_run_each_time() -> None:
    """Outside training, dropout's first result is what it was given, whatever its schema says."""
    x = meta(6)
    with OperatorRecorder() as recorder:
        for _ in range(2):
            out, mask = aten.native_dropout.default(x, 0.5, False)
    assert out.untyped_storage()._cdata == x.untyped_storage()._cdata
    assert mask.untyped_storage()._cdata != x.untyped_storage()._cdata
    assert not recorder._known


def test_memory_of_each_result_ends_with_it() -> None:
    norm = torch.nn.LayerNorm(8, device="meta")
    x = meta(3, 8, dtype=torch.float32)

    def peak(times: int) -> int:
        with torch.no_grad(), OperatorRecorder() as recorder:
            recorder.lifetimes.start([x])
            for _ in range(times):
                out = norm(x)
            del out
        return peak_of(recorder.lifetimes.spans())

    held, sums = 3 * 8 * 4, 2 * 3 * 4
    assert peak(1) == held + held + sums
    # The second result is made while the first is held, whose mean and spread are not.
    assert peak(2) == peak(5) == held + 2 * held + sums
