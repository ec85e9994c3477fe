"""The values of whole-number and boolean tensors on the meta device, which has none.

Modules choose their course by them: they ask whether a mask is all ones, or count its tokens. Masks may be
of other numbers, then zeros and ones; of numbers that are no mask it is known whether they are zeros. Where
a module chooses the largest of unknown numbers, as a router of experts does, all are taken to be chosen
equally often.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from joulecast.errors import MissingExtraError, TraceError

try:
    import torch
except ImportError:  # pragma: no cover - exercised in an environment without the extra
    raise MissingExtraError("trace", "tracing a pipeline") from None
from torch.utils import _pytree as pytree
from torch.utils.weak import WeakIdKeyDictionary

# Their results have values that no input decides.
_ARBITRARY_NAMES = """
    empty empty_like empty_strided new_empty new_empty_strided randint randint_like randperm multinomial
    bernoulli bernoulli_ random_
"""
_ARBITRARY = frozenset(_ARBITRARY_NAMES.split())
MOST_COUNTED = 2**25  # elements that are looked at for zeros
_ZEROS_AND_ONES = ("zeros", "ones")
_WITH_ZERO = {"eq": True, "ne": False}  # what comparing zeros with zero gives


class UnknownValuesError(TraceError):
    """A module asks for values that tracing does not have."""


class Values:
    """The values of whole-number and boolean tensors on the meta device, followed from where they are known.

    They are known for the inputs that `take` is given, for constants, and for what operators make of
    those; in floating point for masks. `asked` says whether a module has used one: then its course
    depends on them.
    """

    largest = 2**20  # elements: masks and token ids, not images

    def __init__(self) -> None:
        self.asked = False
        self._known: Any = WeakIdKeyDictionary()
        self._numbers: Any = WeakIdKeyDictionary()  # inputs of which only zeros count

    def take(self, x: Any, real: Any) -> None:
        """An input `x`, on meta, is `real` for the pipeline: whole numbers and masks are known."""
        if not real.dtype.is_floating_point:
            self.remember(x, real.clone())
        elif is_mask(real, self.largest):
            self._known[x] = real.clone()
        else:
            self._numbers[x] = real

    def remember(self, x: Any, real: Any) -> None:
        """`x`, on meta, has the values of `real`."""
        if not (real.dtype.is_floating_point or real.dtype.is_complex) and real.numel() <= self.largest:
            self._known[x] = real

    def follows(self, x: Any) -> bool:
        """Whether anything is known of the values of `x`."""
        return x in self._known or x in self._numbers

    def of(self, x: Any) -> Any:
        """The values of `x`; None when they are not known, or it is no tensor."""
        return self._known.get(x) if isinstance(x, torch.Tensor) else None

    def real(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result of an operator that takes values from the device.

        Raises
        ------
        TraceError
            They are not known.
        """
        inputs = self._inputs(args, kwargs)
        self.asked = True
        if inputs is None:
            raise UnknownValuesError(
                "the module's course depends on a tensor's values, which tracing does not have"
            )
        return func(*inputs[0], **inputs[1])

    def sized(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result on meta of an operator that is sized by its inputs' values."""
        return pytree.tree_map(
            lambda x: x.to("meta") if isinstance(x, torch.Tensor) else x, self.real(func, args, kwargs)
        )

    def follow(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Find the values of an operator's output, if those of all its inputs are known."""
        if func._schema.is_mutable and self._numbers:
            self._numbers.pop(args[0], None)
        if operator_name(func) in _WITH_ZERO and self._follow_zeros(func, args, out):
            return
        floats = operator_name(func) in _ZEROS_AND_ONES or self._has_known_floats(args, kwargs)
        outputs = [x for x in tensors(out) if _may_be_known(x, self.largest, floats)]
        if not outputs:
            return
        inputs = self._inputs(args, kwargs)
        if inputs is None and operator_name(func) == "topk":
            self._known[out[1]] = _equally_often(out[1], args)
            return
        if inputs is None or operator_name(func) in _ARBITRARY:
            if func._schema.is_mutable:
                self._forget(outputs)
            return
        for x, real in zip(tensors(out), tensors(func(*inputs[0], **inputs[1])), strict=True):
            if any(x is one for one in outputs):
                self._known[x] = real

    def _has_known_floats(self, args: Any, kwargs: Any) -> bool:
        known = (self._known.get(x) for x in tensors((args, kwargs)))
        return any(real is not None and real.dtype.is_floating_point for real in known)

    def _follow_zeros(self, func: Any, args: Any, out: Any) -> bool:
        """Find what comparing an input with zero gives, if that is the same for all of it."""
        real = self._numbers.get(args[0])
        zeros = None if real is None or isinstance(args[1], torch.Tensor) or args[1] != 0 else are_zeros(real)
        if zeros is None:
            return False
        self._known[out] = torch.tensor(zeros is _WITH_ZERO[operator_name(func)]).expand(out.shape)
        return True

    def _inputs(self, args: Any, kwargs: Any) -> Any:
        """The arguments with values in place of meta tensors and devices, None if one is not known."""
        leaves, spec = pytree.tree_flatten((args, kwargs))
        for place, leaf in enumerate(leaves):
            if isinstance(leaf, torch.Tensor) and leaf.is_meta:
                leaves[place] = self._known.get(leaf)
                if leaves[place] is None:
                    return None
            elif isinstance(leaf, torch.device) and leaf.type == "meta":
                leaves[place] = torch.device("cpu")
        return pytree.tree_unflatten(leaves, spec)

    def _forget(self, written: list[Any]) -> None:
        """What was written to, and every view of it, has values no longer."""
        lost = {self._known[x].untyped_storage().data_ptr() for x in written if x in self._known}
        for x in [x for x, real in self._known.items() if real.untyped_storage().data_ptr() in lost]:
            del self._known[x]


def is_mask(x: Any, largest: int = Values.largest) -> bool:
    """Whether numbers are all 0 or 1, and not too many."""
    return bool(0 < x.numel() <= largest and ((x == 0) | (x == 1)).all())


def are_zeros(x: Any) -> bool | None:
    """Whether numbers are all zeros; None where some are, where they are many, and of whole numbers."""
    if not x.dtype.is_floating_point or not 0 < x.numel() <= MOST_COUNTED:
        return None
    count = int(torch.count_nonzero(x))
    return count == 0 if count in (0, x.numel()) else None


def operator_name(func: Any) -> str:
    """The name of a dispatched operator without its namespace and overload."""
    return str(func._schema.name.partition("::")[2])


def tensors(value: Any) -> Iterable[Any]:
    """Every tensor in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)


def _equally_often(places: Any, args: Any) -> Any:
    """Places of the largest along a dimension, which has each of them in turn."""
    dim = args[2] if len(args) > 2 else -1
    turns = torch.arange(places.numel()).reshape(places.movedim(dim, -1).shape)
    return (turns % args[0].shape[dim]).movedim(-1, dim).contiguous()


def _may_be_known(x: Any, largest: int, floats: bool) -> bool:
    followed = floats or not x.dtype.is_floating_point
    return bool(x.is_meta and followed and not x.dtype.is_complex and x.numel() <= largest)
