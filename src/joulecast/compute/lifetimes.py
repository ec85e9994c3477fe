"""From which operator to which the tensors of a call are alive, followed on the meta device.

A tensor's memory is taken before the operator that writes it and given back when nothing refers to it
any longer: Python's references end at the same operators on the meta device as on a GPU. What is alive
at an operator is every tensor that is alive before it, its own result, and the scratch that it works in.

Needs the extra `trace`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from joulecast.compute.peaks import FOREVER, Span
from joulecast.compute.values import Values, operator_name, tensors

import torch  # isort: skip - after values, which says so when the extra is missing
from torch.utils import _pytree as pytree

_CONVOLUTIONS = frozenset(["convolution", "_convolution", "convolution_overrideable"])
LARGEST_FLASH_HEAD = 256
Maker = Callable[[Sequence[Any], dict[int, Any]], Any]  # of a result, from inputs and memory by place


class Lifetimes:
    """The spans of the tensors that a call makes, in the order in which they are made.

    `now` tells how many operators have run.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.start(())

    def start(self, inputs: Iterable[Any]) -> None:
        """A call starts, and forgets what was recorded before; its caller holds its inputs."""
        self._firsts: list[int] = []
        self._ends: list[int] = []
        self._sizes: list[int] = []
        self._optional: list[bool] = []
        self._places: dict[int, int] = {}
        self._references: dict[int, Any] = {}
        for x in tensors(list(inputs)):
            place = self.takes(int(x.numel() * x.element_size()), 0)
            self._places.setdefault(_address(x), place)

    def __len__(self) -> int:
        return len(self._sizes)

    def spans(self, since: int = 0, at: int = 0) -> tuple[Span, ...]:
        """What was recorded from place `since` on, counted from operator `at`."""
        firsts = (first - at for first in self._firsts[since:])
        ends = (end if end == FOREVER else end - at for end in self._ends[since:])
        return tuple(map(Span, firsts, ends, self._sizes[since:], self._optional[since:]))

    def takes(self, size: int, first: int, end: int = FOREVER, optional: bool = False) -> int:
        """Record memory that is taken; returns its place."""
        self._firsts.append(first)
        self._ends.append(end)
        self._sizes.append(size)
        self._optional.append(optional)
        return len(self._sizes) - 1

    def follow(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """An operator is about to be recorded: what it returns and is no view is alive from it on."""
        if func.is_view:
            return
        new = [x for x in tensors(out) if x.is_meta and _address(x) not in self._places]
        if new:
            given = {_address(x) for x in tensors((args, kwargs))}
            for x in new:
                if _address(x) not in given and _address(x) not in self._places:
                    self.hold(x, self.takes(int(x.untyped_storage().nbytes()), self._now()))
        if operator_name(func) in _CONVOLUTIONS:
            self.work_in(scratch_of_convolution(args[0], out), optional=True)

    def hold(self, x: Any, place: int) -> None:
        """The memory recorded at a place is that of `x`: taken until nothing refers to it."""
        address, ends = _address(x), self._ends

        def freed(_: Any) -> None:
            if self._ends is ends:  # else of a call that has ended
                ends[place] = self._now()
                del self._places[address], self._references[address]

        self._places[address] = place
        self._references[address] = weakref.ref(x.untyped_storage(), freed)

    def work_in(self, size: int, optional: bool = False) -> None:
        """The operator about to be recorded needs memory while it runs."""
        self.takes(size, self._now(), self._now() + 1, optional)

    def place_of(self, x: Any) -> int | None:
        """Where a tensor's memory was recorded; None if it was not made in this call."""
        return self._places.get(_address(x))


def scratch_of_convolution(x: Any, out: Any) -> int:
    """Copies of a convolution's input and output with channels last, in which cuDNN's kernels for tensor
    cores compute: what is in torch's order they copy first. Which kernels run is cuDNN's choice [byte]."""
    return _bytes(x) + _bytes(out)


def scratch_of_attention(out: Any) -> int:
    """What a fused kernel of attention makes beside its output: a sum in fp32 for each query and head,
    and where heads are too wide for flash attention, the output in fp32 [byte]."""
    head = max(out.shape[-1], 1)
    is_wide = head > LARGEST_FLASH_HEAD and out.element_size() < 4
    return int(out.numel() // head * 4 + (out.numel() * 4 if is_wide else 0))


class Replayed:
    """What the first run of a block took and made, so that an equal block can take and make it again.

    Made after that run while its result is held: other memory that is still alive then, such as a cache of
    keys and values, stays until the call ends.
    """

    def __init__(
        self, lifetimes: Lifetimes, values: Values, since: int, at: int, inputs: Sequence[Any], out: Any
    ) -> None:
        self._spans = lifetimes.spans(since, at)
        self._values = values
        results, self._spec = pytree.tree_flatten(out)
        given = {_address(x): place for place, x in enumerate(inputs) if isinstance(x, torch.Tensor)}
        self._makers = [self._maker(x, lifetimes, since, given, inputs) for x in results]

    def again(self, lifetimes: Lifetimes, at: int, inputs: Sequence[Any]) -> Any:
        """Take the same from operator `at` on; returns the result, in memory of its own."""
        memory: dict[int, Any] = {}
        results = [make(inputs, memory) for make in self._makers]
        for place, (first, end, size, optional) in enumerate(self._spans):
            taken = lifetimes.takes(size, first + at, end if end == FOREVER else end + at, optional)
            if place in memory:
                lifetimes.hold(memory[place], taken)
        return pytree.tree_unflatten(results, self._spec)

    def _maker(
        self, x: Any, lifetimes: Lifetimes, since: int, given: dict[int, int], inputs: Sequence[Any]
    ) -> Maker:
        """What makes one leaf of the result."""
        if not isinstance(x, torch.Tensor):
            return lambda _inputs, _memory: x
        if (source := given.get(_address(x))) is not None and inputs[source].dtype == x.dtype:
            view = x.shape, x.stride(), x.storage_offset() - inputs[source].storage_offset()
            return lambda inputs, _memory: _seen(inputs[source], *view)
        place = lifetimes.place_of(x)
        if not x.is_meta or place is None or place < since:
            return lambda _inputs, _memory: x.detach()
        return self._maker_of_new(x, place - since)

    def _maker_of_new(self, x: Any, place: int) -> Maker:
        shape, stride, offset, dtype = x.shape, x.stride(), x.storage_offset(), x.dtype
        size, real = x.untyped_storage().nbytes(), self._values.of(x)

        def make(_inputs: Sequence[Any], memory: dict[int, Any]) -> Any:
            if place not in memory:
                memory[place] = torch.empty((size // dtype.itemsize,), dtype=dtype, device="meta")
            made = memory[place].view(dtype).as_strided(shape, stride, offset)
            if real is not None:
                self._values.remember(made, real)
            return made

        return make


def _seen(x: Any, shape: Any, stride: Any, offset: int) -> Any:
    """`x` itself where it is seen as it is, else a view of its memory."""
    if (x.shape, x.stride(), 0) == (shape, stride, offset):
        return x.detach()
    return x.as_strided(shape, stride, x.storage_offset() + offset)


def _address(x: Any) -> int:
    return int(x.untyped_storage()._cdata)


def _bytes(x: Any) -> int:
    return int(x.numel() * x.element_size())
