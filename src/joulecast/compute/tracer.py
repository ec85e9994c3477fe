"""Record the operators a module executes on the meta device: family, FLOP, bytes, launches.

Conventions
-----------
- FLOP: 1 multiply-accumulate is 2 FLOP. Matrix products, convolutions and attention have FLOP;
  what is bound by memory (normalisation, activation, addition, copies) is counted in bytes.
- Bytes: every distinct element of each input read once, every element of each output written once.
- Attention is one fused kernel: 4 * batch * heads * queries * keys * head_dim FLOP; it reads the
  queries, keys, values and mask and writes the output. A causal mask does not reduce the count.
- Views and empty allocations cost nothing. Every other operator on the device is one launch.
- An operator that is not known here is an error, never a zero.
- Whole numbers and masks keep their values (`joulecast.compute.values`). Others are not known, and a
  module that asks for one is an error.

Needs the extra `trace`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from joulecast.errors import MissingExtraError, TraceError

try:
    import torch
except ImportError:  # pragma: no cover - exercised in an environment without the extra
    raise MissingExtraError("trace", "tracing a pipeline") from None
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from joulecast.compute.lifetimes import Lifetimes, scratch_of_attention
from joulecast.compute.made import Made
from joulecast.compute.plain_writes import plainly_written
from joulecast.compute.values import Values, operator_name, tensors

GEMM, CONVOLUTION, ATTENTION, MEMORY = "gemm", "convolution", "attention", "memory"
ATTENTION_OPERATOR = "scaled_dot_product_attention"

_DTYPE_NAMES = {
    torch.float16: "half",
    torch.bfloat16: "half",
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.complex64: "fp32",
    torch.complex128: "fp64",
}
# Views that the schema does not declare as such, and allocations without a kernel.
_FREE_NAMES = """
    _unsafe_view _reshape_alias lift_fresh lift_fresh_copy detach empty empty_like empty_strided new_empty
    new_empty_strided sym_size sym_stride sym_numel _assert_async is_same_size
    squeeze_ unsqueeze_ transpose_ t_
"""
# Memory-bound operators without the tag `pointwise` or `reduction`.
_MEMORY_BOUND_NAMES = """
    _to_copy clone copy_ cat stack native_layer_norm native_group_norm _fused_rms_norm _softmax
    _log_softmax _safe_softmax mean sum var std var_mean norm linalg_vector_norm cumsum cumprod
    argmax argmin max min amax amin any all prod sort topk gather scatter scatter_ scatter_add index
    index_put index_put_ index_copy index_select embedding arange full full_like ones ones_like
    zeros zeros_like new_full new_zeros new_ones scalar_tensor fill fill_ zero_ linspace eye tril
    triu tril_indices triu_indices roll flip repeat repeat_interleave constant_pad_nd
    reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
    replication_pad3d upsample_nearest2d upsample_nearest3d
    upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa
    _upsample_nearest_exact2d avg_pool2d avg_pool3d
    max_pool2d_with_indices _adaptive_avg_pool2d pixel_shuffle pixel_unshuffle channel_shuffle glu
    native_batch_norm _native_batch_norm_legit_no_training masked_fill masked_fill_ masked_scatter
    where polar view_as_complex_copy slice_scatter select_scatter complex bincount nonzero_static
    rand randn rand_like randn_like normal_ uniform_ bernoulli_ native_dropout searchsorted
    bucketize isin unfold_copy nonzero
    _is_all_true _is_any_true scatter_reduce
    _unique2 unique_consecutive unique_dim im2col col2im logcumsumexp cross floor_divide
"""
_FREE = frozenset(_FREE_NAMES.split())
_MEMORY_BOUND = frozenset(_MEMORY_BOUND_NAMES.split())
# Reads only the rows it is asked for, not the whole table.
_GATHERS = frozenset(["embedding", "index", "index_select", "gather"])
# Overwrites its first argument without reading it.
_WRITE_ONLY = frozenset(["copy_", "fill_", "zero_", "normal_", "uniform_"])
# The size of what they return depends on values.
_SIZED_BY_VALUES = frozenset(
    ["nonzero", "repeat_interleave", "_unique2", "unique_consecutive", "unique_dim", "bincount"]
)


@dataclass(frozen=True, slots=True)
class Operator:
    """One executed operator.

    `dtype` is that of its arithmetic: ``half`` (fp16 or bf16), ``fp32``, ...; `head_dim` is the width
    of an attention head, 0 for other operators: FLOP / (4 * head_dim) scores pass through a softmax.
    `launches` are more than one where several of one kind count as one (`joulecast.compute.operator_runs`).
    """

    name: str
    family: str
    dtype: str
    flop: int
    bytes_read: int
    bytes_written: int
    head_dim: int = 0
    launches: int = 1

    @property
    def kind(self) -> tuple[str, str, str, int]:
        """What makes two operators comparable across sizes."""
        return self.name, self.family, self.dtype, self.head_dim


class OperatorRecorder(TorchDispatchMode):
    """A torch dispatch mode that appends every operator on the meta device to `operators`."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[Operator] = []
        self.values = Values()
        self.paused = False
        self.lifetimes = Lifetimes(lambda: len(self.operators))
        self._calls = _FunctionMode(self)
        self._known: dict[Any, tuple[Operator | None, Made]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled: torch need not wrap every dispatched call against it."""
        return False

    def __enter__(self) -> Any:
        result = super().__enter__()
        self._calls.__enter__()
        return result

    def __exit__(self, *details: Any) -> None:
        self._calls.__exit__(*details)
        super().__exit__(*details)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and record it."""
        kwargs = kwargs or {}
        if _leaves_device(func, args, kwargs):
            return self.values.real(func, args, kwargs)
        if func is torch.ops.aten.index.Tensor:
            args = (args[0], self._mask_as_places(args[1]))
        key = (func, _signature(args), _signature(tuple(kwargs.items())))
        known = self._known.get(key)
        if known is not None:
            operator, out = known[0], known[1].again()
        else:
            sized_by_values = operator_name(func) in _SIZED_BY_VALUES
            out = self.values.sized(func, args, kwargs) if sized_by_values else func(*args, **kwargs)
            operator = describe(func, args, kwargs, out)
            is_known = not sized_by_values and _makes_what_it_returns(func)
            if is_known and (made := Made.of(out, tensors((args, kwargs)))):
                self._known[key] = operator, made
        self.values.follow(func, args, kwargs, out)
        if not self.paused:
            self.lifetimes.follow(func, args, kwargs, out)
            if operator is not None:
                self.operators.append(operator)
        return out

    def write(self, x: Any, places: Any, value: Any) -> bool:
        """Record ``x[places] = value`` as torch would run it on meta, if that is known without running it."""
        count = plainly_written(x, places, value, self.values)
        if count is None:
            return False
        if not self.paused:
            made, copied = _written_number(x.dtype, count)
            self.lifetimes.takes(made.bytes_written, len(self.operators), len(self.operators) + 2)
            self.operators += (made, copied)
        return True

    def _mask_as_places(self, indices: Any) -> list[Any]:
        """Indices in which a boolean mask is replaced by the places where it holds."""
        out: list[Any] = []
        for index in indices:
            if isinstance(index, torch.Tensor) and index.is_meta and index.dtype == torch.bool:
                places = self.__torch_dispatch__(torch.ops.aten.nonzero.default, (), (index,))
                out += self.__torch_dispatch__(torch.ops.aten.unbind.int, (), (places, 1))
            else:
                out.append(index)
        return out


def _leaves_device(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether the operator hands a meta tensor's values to Python or to the processor."""
    if not (args and isinstance(args[0], torch.Tensor) and args[0].is_meta):
        return False
    if func is torch.ops.aten._local_scalar_dense.default or func is torch.ops.aten.equal.default:
        return True
    device = kwargs.get("device")
    return func is torch.ops.aten._to_copy.default and device is not None and device.type != "meta"


def _makes_what_it_returns(func: Any) -> bool:
    """Whether its results depend on nothing but its arguments' shapes, and by its schema are none of them."""
    schema = func._schema
    return (
        not schema.is_mutable
        and func is not torch.ops.aten._unsafe_view.default  # a view, which its schema does not say
        and all(r.alias_info is None for r in schema.returns)
    )


def _signature(value: Any) -> Any:
    """What the shape and cost of an operator's result depend on."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype, value.device.type
    if isinstance(value, (list, tuple)):
        return tuple(_signature(item) for item in value)
    return type(value), value


class _FunctionMode(TorchFunctionMode):
    """Takes what dispatch does not show: the attention call itself, which on meta would decompose into a
    materialised score matrix, and the values of tensors that are made of Python's numbers."""

    def __init__(self, recorder: OperatorRecorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == "meta":
            made = func(*args, **kwargs)
            self.recorder.values.remember(made, func(*args, **kwargs | {"device": "cpu"}))
            return made
        if func is torch.Tensor.__setitem__ and self.recorder.write(*args):
            return None
        if (
            func is not torch.nn.functional.scaled_dot_product_attention
            or args_device(args, kwargs) != "meta"
        ):
            return func(*args, **kwargs)
        operator, out = describe_attention(*args, **kwargs)
        if not self.recorder.paused:
            self.recorder.lifetimes.work_in(scratch_of_attention(out))
            self.recorder.operators.append(operator)
        return out


@functools.cache
def _written_number(dtype: Any, count: int) -> tuple[Operator, Operator]:
    """What writes one number to so many places: it is made on the device and copied."""
    name, size = _name_of(dtype), dtype.itemsize
    return (
        Operator("scalar_tensor", MEMORY, name, 0, 0, size),
        Operator("copy_", MEMORY, name, 0, size, count * size),
    )


def args_device(args: Any, kwargs: Any) -> str:
    """The device type of the first tensor among the arguments."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            return str(value.device.type)
    return "none"


def describe_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, *args: Any, **kwargs: Any
) -> tuple[Operator, Any]:
    """Scaled-dot-product attention on (batch, heads, tokens, head_dim): its operator and its output."""
    out = query.new_empty(*query.shape[:-1], value.shape[-1])
    *lead, queries, head_dim = query.shape
    keys = key.shape[-2]
    rows = queries
    for size in lead:
        rows *= size
    read = sum(unique_bytes(x) for x in (query, key, value, attn_mask) if x is not None)
    operator = Operator(
        ATTENTION_OPERATOR,
        ATTENTION,
        dtype_name(query),
        2 * rows * keys * (head_dim + value.shape[-1]),
        read,
        full_bytes(out),
        head_dim,
    )
    return operator, out


def describe(func: Any, args: Any, kwargs: Any, out: Any) -> Operator | None:
    """The operator of one dispatched call, or None when it launches nothing on the device.

    Raises
    ------
    TraceError
        The operator is not known.
    """
    name = operator_name(func)
    outputs = list(tensors(out))
    inputs = list(tensors((args, kwargs)))
    if name in _FREE or func.is_view or not any(x.is_meta for x in (*inputs, *outputs)):
        return None
    count = _FLOP_COUNTS.get(name)
    if count is not None:
        family, flop = count(args, outputs[0])
        return Operator(
            name, family, dtype_name(inputs[0]), flop, _read(name, inputs, outputs), _written(outputs)
        )
    if name in _MEMORY_BOUND or name.removesuffix("_") in _MEMORY_BOUND or _is_pointwise(func):
        dtype = dtype_name(outputs[0]) if outputs else "none"
        return Operator(name, MEMORY, dtype, 0, _read(name, inputs, outputs), _written(outputs))
    raise TraceError(
        f"operator {func} is not known to the tracer, so its cost would be counted as zero; "
        "please report it with the model's config"
    )


def full_bytes(x: Any) -> int:
    """Bytes of all elements of a tensor."""
    return int(x.numel() * x.element_size())


def unique_bytes(x: Any) -> int:
    """Bytes of the distinct elements of a tensor: a broadcast (stride 0) dimension is read once."""
    count = 1
    for size, stride in zip(x.shape, x.stride(), strict=True):
        count *= size if stride or size == 0 else 1
    return int(count * x.element_size())


def dtype_name(x: Any) -> str:
    """``half`` for fp16 and bf16, ``fp32``, ``fp64``, else torch's own name."""
    return _name_of(x.dtype)


def _name_of(dtype: Any) -> str:
    return str(_DTYPE_NAMES.get(dtype, dtype)).removeprefix("torch.")


def check_attention_count() -> None:
    """Trace a known attention and compare: the count that other tools silently miss.

    Raises
    ------
    TraceError
        This version of torch reaches attention by a way that the tracer does not see.
    """
    batch, heads, queries, keys, head_dim = 2, 3, 5, 7, 11
    q = torch.empty(batch, heads, queries, head_dim, device="meta")
    k = torch.empty(batch, heads, keys, head_dim, device="meta")
    with OperatorRecorder() as recorder:
        torch.nn.functional.scaled_dot_product_attention(q, k, k)
    flop = sum(operator.flop for operator in recorder.operators)
    expected = 4 * batch * heads * queries * keys * head_dim
    if flop != expected or len(recorder.operators) != 1:
        raise TraceError(
            f"torch {torch.__version__} hides attention from the tracer ({flop} FLOP, not {expected})"
        )


def _read(name: str, inputs: list[Any], outputs: list[Any]) -> int:
    if name in _GATHERS:
        return sum(full_bytes(x) for x in outputs) + sum(unique_bytes(x) for x in inputs[1:])
    return sum(unique_bytes(x) for x in (inputs[1:] if name in _WRITE_ONLY else inputs))


def _written(outputs: list[Any]) -> int:
    return sum(full_bytes(x) for x in outputs)


def _is_pointwise(func: Any) -> bool:
    return torch.Tag.pointwise in func.tags or getattr(torch.Tag, "reduction", None) in func.tags


def _mm(args: Any, out: Any) -> tuple[str, int]:
    return GEMM, 2 * out.numel() * args[0].shape[-1]


def _addmm(args: Any, out: Any) -> tuple[str, int]:
    return GEMM, 2 * out.numel() * args[1].shape[-1]


def _convolution(args: Any, out: Any) -> tuple[str, int]:
    x, weight, transposed = args[0], args[1], args[6]
    # weight: (out, in / groups, *kernel), or (in, out / groups, *kernel) when transposed.
    per_position = weight[0].numel()
    positions = x if transposed else out
    return CONVOLUTION, 2 * positions.numel() * per_position


_FLOP_COUNTS: dict[str, Callable[[Any, Any], tuple[str, int]]] = {
    "mm": _mm,
    "bmm": _mm,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "convolution": _convolution,
    "_convolution": _convolution,
    "convolution_overrideable": _convolution,
}
