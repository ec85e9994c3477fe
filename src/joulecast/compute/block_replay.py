"""Replay equal blocks of a module: the layers of a transformer run once, the others repeat the record.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joulecast.compute.tracer import Operator, OperatorRecorder

import torch  # isort: skip - after tracer, which says so when the extra is missing
from torch.utils import _pytree as pytree


def replay_equal_blocks(module: Any, recorder: OperatorRecorder, wanted: Callable[[], bool]) -> None:
    """Let equal members of every module list share what one recorded for equal inputs, while `wanted`."""
    records: dict[Any, tuple[list[Operator], Any]] = {}
    for part in module.modules():
        if isinstance(part, torch.nn.ModuleList):
            for block in part:
                if block is not None and any(True for _ in block.children()):
                    _share_records(block, records, recorder, wanted)


def _share_records(
    block: Any,
    records: dict[Any, tuple[list[Operator], Any]],
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
            start = len(recorder.operators)
            out = original(*args, **kwargs)
            records[key] = recorder.operators[start:], out
            return out
        operators, out = records[key]
        recorder.operators.extend(operators)
        recorder.paused = True
        try:
            return pytree.tree_map(lambda x: x.detach() if isinstance(x, torch.Tensor) else x, out)
        finally:
            recorder.paused = False

    block.forward = forward


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
    return bytes(x.contiguous().numpy().tobytes())
