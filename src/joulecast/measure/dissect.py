"""A pipeline's run taken apart: its component calls with the inputs they had, and its denoising steps.

Needs the extra `trace`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import _pytree as pytree

from joulecast.compute.capture import ENCODE
from joulecast.compute.operators import METHOD
from joulecast.measure.records import part_name
from joulecast.measure.task import DenoisingStep


@dataclass
class RecordedCall:
    """One call of a component in a pipeline's run: what it was given, and how to make it again."""

    name: str
    shapes: str
    method: Callable[..., Any] = field(repr=False)
    args: tuple[object, ...] = field(repr=False)
    kwargs: dict[str, object] = field(repr=False)
    start_s: float = 0.0
    end_s: float = 0.0
    count: int = 1
    kind: int = 0

    def again(self) -> None:
        """Make the call once more, with the same inputs."""
        with torch.no_grad():
            self.method(*self.args, **self.kwargs)


@dataclass
class Record:
    """A pipeline's run: its component calls in order, and when each of the scheduler's steps ended [s]."""

    calls: list[RecordedCall] = field(default_factory=list)
    step_ends_s: list[float] = field(default_factory=list)


class _Recording:
    """Wraps methods of a pipeline's parts, and unwraps them again."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.record = Record()
        self._synchronize = synchronize
        self._before: list[tuple[Any, str, Any]] = []
        self._depth = 0

    def wrap_component(self, name: str, module: Any, method: str) -> None:
        """Note every outermost call."""
        original = getattr(module, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return original(*args, **kwargs)
            noted = RecordedCall(name, _shapes((args, kwargs)), original, args, dict(kwargs))
            self.record.calls.append(noted)
            noted.start_s = self._now()
            self._depth += 1
            try:
                return original(*args, **kwargs)
            finally:
                self._depth -= 1
                noted.end_s = self._now()

        self._put(module, method, call)

    def wrap_scheduler(self, scheduler: Any) -> None:
        """Note when each step ends."""
        original = scheduler.step

        def step(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)
            self.record.step_ends_s.append(self._now())
            return found

        functools.update_wrapper(step, original)  # pipelines look at its parameters
        self._put(scheduler, "step", step)

    def undo(self) -> None:
        """Leave everything as it was."""
        for owner, method, before in reversed(self._before):
            if before is None:
                delattr(owner, method)
            else:
                owner.__dict__[method] = before

    def _put(self, owner: Any, method: str, call: Callable[..., Any]) -> None:
        self._before.append((owner, method, vars(owner).get(method)))
        owner.__dict__[method] = call

    def _now(self) -> float:
        self._synchronize()
        return time.perf_counter()


@contextmanager
def recorded_calls(pipeline: Any, synchronize: Callable[[], None] = lambda: None) -> Iterator[Record]:
    """Within the block, every outermost call of a component is noted with its inputs and times, and
    every step of the scheduler; a compiled module is called as the pipeline calls it."""
    recording = _Recording(synchronize)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            is_compiled = getattr(part, "_compiled_call_impl", None) is not None
            for method in ("_compiled_call_impl" if is_compiled else "forward", "decode", ENCODE):
                if hasattr(part, method):
                    called = f"{name}{METHOD}{method}" if method == ENCODE else name
                    recording.wrap_component(called, part, method)
    if hasattr(getattr(pipeline, "scheduler", None), "step"):
        recording.wrap_scheduler(pipeline.scheduler)
    try:
        yield recording.record
    finally:
        recording.undo()


def denoising_steps(record: Record, denoisers: Collection[str]) -> tuple[DenoisingStep, ...]:
    """The denoiser calls between one end of a scheduler's step and the next. `distinct` comes first."""
    calls = [call for call in record.calls if call.name in denoisers]
    steps, before = [], calls[0].start_s if calls else 0.0
    for end in record.step_ends_s:
        of_step = [call for call in calls if before <= call.start_s < end]
        if of_step:
            names = tuple(part_name(call.name, call.kind) for call in of_step)
            alone = sum(call.end_s - call.start_s for call in of_step)
            steps.append(DenoisingStep(names, end - before, alone))
        before = end
    return tuple(steps)


def distinct(calls: Sequence[RecordedCall]) -> list[RecordedCall]:
    """Calls of one component with inputs of equal shape as one, counted; the last inputs are kept.

    Every call is told its kind."""
    found: dict[tuple[str, str], RecordedCall] = {}
    kinds: dict[str, int] = {}
    for call in calls:
        key = call.name, call.shapes
        if key in found:
            found[key].count += 1
            found[key].args, found[key].kwargs = call.args, call.kwargs
            call.kind = found[key].kind
        else:
            call.kind = kinds.get(call.name, 0)
            kinds[call.name] = call.kind + 1
            found[key] = call
    return list(found.values())


def _shapes(inputs: Any) -> str:
    leaves = pytree.tree_leaves(inputs)
    return " ".join(
        "x".join(map(str, x.shape)) for x in leaves if isinstance(x, torch.Tensor) and x.dim() > 1
    )
