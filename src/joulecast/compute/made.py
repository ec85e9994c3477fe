"""What an operator returns on the meta device, to return the like again without running it.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Made:
    """A tensor, or several: normalisations return three, for which torch takes a millisecond or two."""

    layouts: tuple[tuple[Any, Any, Any], ...]  # shape, stride and dtype of each
    is_one: bool

    @classmethod
    def of(cls, out: Any, given: Iterable[Any]) -> Made | None:
        """None of what is no tensor on meta nor a tuple of some; and where one shares its memory with another
        or with a tensor that was given, or does not fill it."""
        outs = out if isinstance(out, tuple) else (out,)
        if not all(isinstance(x, torch.Tensor) and x.is_meta for x in outs):
            return None
        memory = [x.untyped_storage() for x in outs]
        if len({m._cdata for m in memory} - {x.untyped_storage()._cdata for x in given}) < len(outs):
            return None
        if any(m.nbytes() != _needed(x) for m, x in zip(memory, outs, strict=True)):
            return None
        return cls(tuple((x.shape, x.stride(), x.dtype) for x in outs), outs is not out)

    def again(self) -> Any:
        """The like, in new memory."""
        made = tuple(
            torch.empty_strided(shape, stride, dtype=dtype, device="meta")
            for shape, stride, dtype in self.layouts
        )
        return made[0] if self.is_one else made


def _needed(x: Any) -> int:
    """The memory that a tensor's elements lie in, from the first to the last [byte]."""
    elements = 1 + sum((size - 1) * step for size, step in zip(x.shape, x.stride(), strict=True))
    return int(elements * x.element_size()) if x.numel() else 0
