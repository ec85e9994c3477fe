"""Replay equal blocks of a module: the layers of a transformer run once, the others repeat the record.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any

from joulecast.compute.lifetimes import Replayed
from joulecast.compute.tracer import Operator, OperatorRecorder

import torch  # isort: skip - after tracer, which says so when the extra is missing
from torch.utils import _pytree as pytree

Records = dict[Any, tuple[list[Operator], Replayed]]


def replay_equal_blocks(module: Any, recorder: OperatorRecorder, wanted: Callable[[], bool]) -> None:
    """Let equal members of every module list share what one recorded for equal inputs, while `wanted`."""
    records: Records = {}
    for part in module.modules():
        if isinstance(part, torch.nn.ModuleList):
            for block in part:
                if block is not None and any(True for _ in block.children()):
                    _share_records(block, records, recorder, wanted)


def _share_records(
    block: Any,
    records: Records,
    recorder: OperatorRecorder,
    wanted: Callable[[], bool],
) -> None:
    original = block.forward
    identity = _fingerprint(block)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not wanted():
            return original(*args, **kwargs)
        leaves, spec = pytree.tree_flatten((args, kwargs))
        values = tuple(value_bytes(real) for x in leaves if (real := recorder.values.of(x)) is not None)
        key = (identity, str(spec), tuple(leaf_signature(x) for x in leaves), values)
        if key not in records:
            start, since = len(recorder.operators), len(recorder.lifetimes)
            out = original(*args, **kwargs)
            if _are_same(leaves, pytree.tree_leaves((args, kwargs))):
                memory = Replayed(recorder.lifetimes, recorder.values, since, start, leaves, out)
                records[key] = recorder.operators[start:], memory
            return out
        operators, memory = records[key]
        start = len(recorder.operators)
        recorder.operators.extend(operators)
        recorder.paused = True
        try:
            return memory.again(recorder.lifetimes, start, leaves)
        finally:
            recorder.paused = False

    block.forward = forward


def _are_same(before: list[Any], after: list[Any]) -> bool:
    """Whether a block left the lists and dicts that it was given as they were; a cache of frames changes."""
    return len(before) == len(after) and all(map(is_, before, after))


def _fingerprint(block: Any) -> tuple[Any, ...]:
    """Everything about a block that could change what it runs, except which layer it is."""
    simple = (int, float, str, bool, type(None))
    parts = []
    for name, part in block.named_modules():
        attributes = {**part.__dict__, **_processor_attributes(part)}
        values = tuple(
            (key, value)
            for key, value in sorted(attributes.items())
            if isinstance(value, simple) and key != "layer_idx"
        )
        shapes = tuple((k, tuple(p.shape), p.dtype) for k, p in part._parameters.items() if p is not None)
        parts.append((name, type(part).__qualname__, values, shapes))
    return tuple(parts)


def _processor_attributes(part: Any) -> dict[str, Any]:
    processor = getattr(part, "processor", None)
    if processor is None or isinstance(processor, torch.nn.Module):
        return {}
    return {"processor": type(processor).__qualname__}


def leaf_signature(x: Any) -> Any:
    """What of an argument decides the operators that run."""
    if isinstance(x, torch.Tensor):
        return tuple(x.shape), x.stride(), x.dtype.itemsize, x.dtype.is_floating_point
    return repr(x) if isinstance(x, (int, float, str, bool, type(None), torch.dtype)) else type(x).__name__


def value_bytes(x: Any) -> bytes:
    """The values of a tensor."""
    plain = torch.empty(x.numel(), dtype=x.dtype).copy_(x.flatten())  # of strides that may be seen as bytes
    return bytes(plain.view(torch.uint8).numpy().tobytes())
