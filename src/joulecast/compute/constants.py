"""Large tensors that are one number throughout, made in no time: copies on write of one that is kept.

Needs the extra `trace`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from joulecast.errors import MissingExtraError

try:
    import torch
except ImportError:  # pragma: no cover - exercised in an environment without the extra
    raise MissingExtraError("trace", "tracing a pipeline") from None

FEW = 2**20  # elements that are filled sooner than kept: whoever writes to a copy copies all that is kept
_kept: dict[tuple[float, Any], Any] = {}


def constant(shape: Sequence[int], value: float, dtype: Any) -> Any:
    """A tensor of memory of its own, filled with `value`."""
    count = math.prod(shape)
    if count <= FEW:
        return torch.full(tuple(shape), value, dtype=dtype)
    kept = _kept.get((value, dtype))
    if kept is None or kept.numel() < count:
        kept = _kept[value, dtype] = torch.full((count,), value, dtype=dtype)
    return torch._lazy_clone(kept[:count].view(*shape))
