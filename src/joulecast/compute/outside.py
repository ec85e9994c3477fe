"""What a pipeline sees while its modules are on the meta device: a processor.

Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

LARGEST_ALLOCATED = 2**26  # elements: an image of 4096x4096; what is larger is zeros without memory


@contextlib.contextmanager
def autocast_on_meta() -> Iterator[None]:
    """Let modules switch autocast off for their device's type: torch knows none for meta."""
    autocast = torch.amp.autocast_mode.autocast
    original = autocast.__init__

    def init(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        original(self, "cpu" if device_type == "meta" else device_type, *args, **kwargs)

    autocast.__init__ = init
    try:
        yield
    finally:
        autocast.__init__ = original


class PipelineMode(TorchFunctionMode):
    """Outside its modules, a pipeline sees a processor: their parameters lie there, as zeros."""

    def __init__(self, inside: Callable[[], bool]) -> None:
        super().__init__()
        self._inside = inside

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._inside():
            return func(*args, **kwargs)
        if func == torch.Tensor.device.__get__:
            found = func(*args)
            return torch.device("cpu") if found.type == "meta" else found
        if func not in _METADATA:
            args, kwargs = pytree.tree_map(_as_zeros, (args, kwargs))
        if func == torch.Tensor.numpy and args[0].dtype == torch.bfloat16:  # which numpy does not have
            return func(args[0].float(), *args[1:], **kwargs)
        return func(*args, **kwargs)


_METADATA = frozenset([torch.Tensor.dtype.__get__, torch.Tensor.is_meta.__get__, torch.Tensor.shape.__get__])


def _as_zeros(x: Any) -> Any:
    is_meta = isinstance(x, torch.Tensor) and x.is_meta and x.numel() <= LARGEST_ALLOCATED
    return torch.zeros(x.shape, dtype=x.dtype) if is_meta else x
