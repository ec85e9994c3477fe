"""The operator recorder on the meta device: FLOP, bytes, launches, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from joulecast.compute.tracer import (
    ATTENTION,
    ATTENTION_OPERATOR,
    CONVOLUTION,
    GEMM,
    MEMORY,
    Operator,
    OperatorRecorder,
    check_attention_count,
)
from joulecast.errors import TraceError

pytestmark = pytest.mark.trace

F = torch.nn.functional
HALF, FP32 = 2, 4  # bytes of an element


def meta(*shape: int, dtype: Any = torch.float16) -> Any:
    return torch.empty(*shape, device="meta", dtype=dtype)


def record(run: Callable[[], Any]) -> list[Operator]:
    with OperatorRecorder() as recorder:
        run()
    return list(recorder.operators)


def only(run: Callable[[], Any]) -> Operator:
    (operator,) = record(run)
    return operator


def test_matrix_product() -> None:
    a, b = meta(3, 5), meta(5, 7)
    # 3*7 outputs of 5 multiply-accumulates each.
    assert only(lambda: a @ b) == Operator(
        "mm", GEMM, "half", 2 * 3 * 5 * 7, (3 * 5 + 5 * 7) * HALF, 3 * 7 * HALF
    )


def test_linear_layer_adds_its_bias_in_the_same_launch() -> None:
    x, weight, bias = meta(3, 5), meta(7, 5), meta(7)
    operator = only(lambda: F.linear(x, weight, bias))
    assert operator == Operator("addmm", GEMM, "half", 2 * 3 * 5 * 7, (15 + 35 + 7) * HALF, 21 * HALF)


def test_linear_layer_on_tokens_is_one_product() -> None:
    x, weight, bias = meta(2, 3, 5), meta(7, 5), meta(7)
    (operator,) = [o for o in record(lambda: F.linear(x, weight, bias)) if o.flop]
    assert (operator.family, operator.flop) == (GEMM, 2 * (2 * 3) * 5 * 7)


def test_batched_products() -> None:
    a, b, c = meta(4, 3, 5), meta(4, 5, 7), meta(4, 3, 7)
    flop, read = 2 * 4 * 3 * 5 * 7, 4 * (3 * 5 + 5 * 7) * HALF
    assert only(lambda: torch.bmm(a, b)) == Operator("bmm", GEMM, "half", flop, read, 4 * 21 * HALF)
    operator = only(lambda: torch.baddbmm(c, a, b))
    assert operator == Operator("baddbmm", GEMM, "half", flop, read + 84 * HALF, 84 * HALF)


@pytest.mark.parametrize(
    ("dtype", "name", "size"),
    [
        (torch.float16, "half", 2),
        (torch.bfloat16, "half", 2),
        (torch.float32, "fp32", 4),
        (torch.float64, "fp64", 8),
    ],
)
def test_dtypes(dtype: Any, name: str, size: int) -> None:
    a, b = meta(3, 5, dtype=dtype), meta(5, 7, dtype=dtype)
    operator = only(lambda: a @ b)
    assert (operator.dtype, operator.bytes_read, operator.bytes_written) == (name, 50 * size, 21 * size)


def test_convolution() -> None:
    x, weight, bias = meta(2, 4, 9, 11), meta(6, 4, 3, 3), meta(6)
    # Padding 1 keeps 9x11; an output value takes 4*3*3 multiply-accumulates.
    assert only(lambda: F.conv2d(x, weight, bias, padding=1)) == Operator(
        "convolution",
        CONVOLUTION,
        "half",
        2 * (2 * 6 * 9 * 11) * (4 * 3 * 3),
        (2 * 4 * 99 + 6 * 4 * 9 + 6) * HALF,
        2 * 6 * 99 * HALF,
    )


def test_strided_convolution() -> None:
    x, weight = meta(1, 4, 9, 11), meta(6, 4, 3, 3)
    # Stride 2 with padding 1: ceil(9/2) x ceil(11/2) = 5x6.
    assert only(lambda: F.conv2d(x, weight, stride=2, padding=1)).flop == 2 * (6 * 5 * 6) * (4 * 9)


def test_grouped_convolution() -> None:
    x, weight = meta(1, 8, 9, 11), meta(12, 2, 3, 3)
    # 4 groups: an output value sees 8/4 = 2 of the input channels.
    assert only(lambda: F.conv2d(x, weight, padding=1, groups=4)).flop == 2 * (12 * 99) * (2 * 9)
    depthwise = meta(8, 1, 3, 3)
    assert only(lambda: F.conv2d(x, depthwise, padding=1, groups=8)).flop == 2 * (8 * 99) * 9


def test_transposed_convolution() -> None:
    x, weight = meta(1, 4, 5, 7), meta(4, 6, 2, 2)
    # Every input value is multiplied with its 6*2*2 weights; the output is 10x14.
    operator = only(lambda: F.conv_transpose2d(x, weight, stride=2))
    assert operator.flop == 2 * (4 * 5 * 7) * (6 * 2 * 2)
    assert operator.bytes_written == 6 * 10 * 14 * HALF
    grouped = meta(4, 3, 2, 2)  # 2 groups of 3 outputs each
    assert only(lambda: F.conv_transpose2d(x, grouped, stride=2, groups=2)).flop == 2 * 140 * (3 * 4)


def test_convolutions_in_one_and_three_dimensions() -> None:
    line, space = meta(1, 4, 10), meta(1, 4, 3, 5, 7)
    thin, thick = meta(6, 4, 3), meta(6, 4, 3, 3, 3)
    assert only(lambda: F.conv1d(line, thin)).flop == 2 * (6 * 8) * (4 * 3)
    assert only(lambda: F.conv3d(space, thick)).flop == 2 * (6 * 1 * 3 * 5) * (4 * 27)


B, H, N, M, D = 2, 3, 5, 7, 11


def test_attention_is_one_operator() -> None:
    q, k, v = meta(B, H, N, D), meta(B, H, M, D), meta(B, H, M, D)
    expected = Operator(
        ATTENTION_OPERATOR,
        ATTENTION,
        "half",
        4 * B * H * N * M * D,
        B * H * (N + 2 * M) * D * HALF,
        B * H * N * D * HALF,
        head_dim=D,
    )
    assert only(lambda: F.scaled_dot_product_attention(q, k, v)) == expected
    # A causal mask leaves the count as it is; so do the scale and the names of the arguments.
    square = meta(B, H, N, D)
    plain = only(lambda: F.scaled_dot_product_attention(square, square, square))
    assert plain == only(lambda: F.scaled_dot_product_attention(square, square, square, is_causal=True))
    assert expected == only(lambda: F.scaled_dot_product_attention(query=q, key=k, value=v, scale=0.5))


def test_attention_reads_its_mask() -> None:
    q, k = meta(B, H, N, D), meta(B, H, M, D)
    plain = only(lambda: F.scaled_dot_product_attention(q, k, k))

    def with_mask(mask: Any) -> Operator:
        return only(lambda: F.scaled_dot_product_attention(q, k, k, attn_mask=mask))

    for mask, size in (
        (meta(B, H, N, M), B * H * N * M * HALF),
        (meta(B, 1, N, M), B * N * M * HALF),
        (meta(B, 1, 1, M).expand(B, H, N, M), B * M * HALF),  # broadcast: read once
        (meta(N, M, dtype=torch.bool), N * M),
    ):
        masked = with_mask(mask)
        assert masked.bytes_read == plain.bytes_read + size
        assert (masked.flop, masked.bytes_written) == (plain.flop, plain.bytes_written)


def test_attention_with_values_of_another_width() -> None:
    q, k, v = meta(B, H, N, D), meta(B, H, M, D), meta(B, H, M, 13)
    operator = only(lambda: F.scaled_dot_product_attention(q, k, v))
    # Scores take D multiply-accumulates each, the sum over values 13.
    assert operator.flop == 2 * B * H * N * M * D + 2 * B * H * N * M * 13
    assert operator.bytes_written == B * H * N * 13 * HALF


def test_attention_returns_the_shape_of_real_attention() -> None:
    q, k, v = (torch.zeros(B, H, tokens, width) for tokens, width in ((N, D), (M, D), (M, 13)))
    real = F.scaled_dot_product_attention(q, k, v)
    with OperatorRecorder():
        out = F.scaled_dot_product_attention(*(x.to("meta") for x in (q, k, v)))
    assert (out.shape, out.dtype, out.is_meta) == (real.shape, real.dtype, True)


def test_the_recorder_sees_attention_of_this_torch() -> None:
    check_attention_count()


def attention_module(tokens: int) -> list[Operator]:
    layer = torch.nn.MultiheadAttention(12, 3, batch_first=True, device="meta", dtype=torch.float16)
    x = meta(2, tokens, 12)
    return record(lambda: layer(x, x, x, need_weights=False))


def test_attention_inside_a_torch_function_has_its_flop() -> None:
    # Queries, keys and values in one product of 12x36, the output in one of 12x12, 3 heads of 4.
    flop = sum(operator.flop for operator in attention_module(5))
    assert flop == 2 * (2 * 5) * 12 * (36 + 12) + 4 * 2 * 3 * 5 * 5 * 4


@pytest.mark.xfail(
    strict=True,
    reason="torch.nn.MultiheadAttention calls attention from inside another torch function, where the "
    "recorder's function mode is off: it decomposes into products of a materialised score matrix",
)
def test_attention_inside_a_torch_function_is_one_operator() -> None:
    assert [o.flop for o in attention_module(5) if o.family == ATTENTION] == [4 * 2 * 3 * 5 * 5 * 4]


def test_memory_bound_operators_have_bytes_alone() -> None:
    x, y = meta(3, 5), meta(3, 5)
    assert only(lambda: x + y) == Operator("add", MEMORY, "half", 0, 30 * HALF, 15 * HALF)
    assert only(lambda: F.silu(x)) == Operator("silu", MEMORY, "half", 0, 15 * HALF, 15 * HALF)
    assert only(lambda: x.float()) == Operator("_to_copy", MEMORY, "fp32", 0, 15 * HALF, 15 * FP32)
    assert only(lambda: torch.cat([x, y, y])) == Operator("cat", MEMORY, "half", 0, 45 * HALF, 45 * HALF)


def test_broadcast_inputs_are_read_once() -> None:
    x, row, square = meta(3, 5), meta(5), meta(5, 5)
    assert only(lambda: x + row).bytes_read == (15 + 5) * HALF
    expanded = row.expand(3, 5)
    assert only(lambda: x + expanded).bytes_read == (15 + 5) * HALF
    assert only(expanded.contiguous).bytes_read == 5 * HALF
    assert only(expanded.contiguous).bytes_written == 15 * HALF
    assert only(lambda: expanded @ square).bytes_read == (5 + 25) * HALF


def test_views_and_empty_allocations_are_free() -> None:
    x = meta(4, 6)

    def views() -> None:
        x.view(24).reshape(2, 12).T.unsqueeze(0)[0, 1:].expand(3, 11, 2)
        x.permute(1, 0).transpose(0, 1).chunk(2)
        x.split(3, dim=1)
        x.detach()
        torch.empty_like(x)
        x.new_empty(5)

    assert record(views) == []


def test_a_reshape_that_copies_is_counted() -> None:
    x = meta(4, 6)
    operator = only(lambda: x.T.reshape(24))
    assert (operator.family, operator.bytes_read, operator.bytes_written) == (MEMORY, 24 * HALF, 24 * HALF)


def test_embedding_reads_only_its_rows() -> None:
    table, ids = meta(50_000, 8), meta(2, 3, dtype=torch.int64)
    operator = only(lambda: F.embedding(ids, table))
    rows = 2 * 3 * 8 * HALF
    assert operator == Operator("embedding", MEMORY, "half", 0, rows + 6 * 8, rows)
    operator = only(lambda: table[ids])
    assert (operator.bytes_read, operator.bytes_written) == (rows + 6 * 8, rows)


def test_overwriting_reads_no_destination() -> None:
    x, y = meta(3, 5), meta(3, 5)
    assert only(lambda: x.copy_(y)).bytes_read == 15 * HALF
    assert only(lambda: x.fill_(1.0)).bytes_read == 0
    assert only(lambda: x.add_(y)).bytes_read == 30 * HALF


def test_host_operators_are_ignored() -> None:
    def on_the_host() -> None:
        x = torch.ones(3, 5)
        F.scaled_dot_product_attention(x[None], x[None], x[None])
        torch.linalg.svd(x @ x.T)  # unknown, but not on the device

    assert record(on_the_host) == []


def test_nothing_is_recorded_outside_or_while_paused() -> None:
    q = meta(1, 1, 2, 4)
    recorder = OperatorRecorder()
    with recorder:
        recorder.paused = True
        q + q
        F.scaled_dot_product_attention(q, q, q)
        recorder.paused = False
        q + q
    q + q
    assert [operator.name for operator in recorder.operators] == ["add"]


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (lambda x: torch.linalg.svd(x), "svd"),
        (lambda x: torch.fft.fft(x), "fft"),
        (lambda x: torch.linalg.cholesky(x), "cholesky"),
    ],
)
def test_an_unknown_operator_is_an_error_never_a_zero(run: Callable[[Any], Any], name: str) -> None:
    x = meta(4, 4, dtype=torch.float32)
    with (
        OperatorRecorder(),
        pytest.raises(TraceError, match=f"operator .*{name}.* is not known to the tracer") as caught,
    ):
        run(x)
    assert "\n" not in str(caught.value)


def test_a_course_that_depends_on_values_is_an_error() -> None:
    x, mask = meta(3), meta(3, dtype=torch.bool)
    with OperatorRecorder(), pytest.raises(TraceError, match="depends on a tensor's values"):
        x.sum().item()
    with OperatorRecorder(), pytest.raises(TraceError, match="depends on a tensor's values"):
        bool(mask.all())


def test_values_of_whole_numbers_and_masks_are_followed() -> None:
    real = torch.tensor([[True, True, False], [True, False, False]])
    mask = real.to("meta")
    with OperatorRecorder() as recorder:
        recorder.values.remember(mask, real)
        assert not mask.all()
        assert mask[:, 0].all()
        lengths = mask.sum(dim=1)
        assert lengths.tolist() == [2, 1]
        assert int(lengths.max()) == 2
        assert torch.nonzero(mask).shape == (3, 2)
        padded = torch.zeros(2, 4, dtype=torch.int64, device="meta")
        padded[:, :2] = 1
        assert padded.sum(dim=1).tolist() == [2, 2]
        assert meta(2, 3)[mask].shape == (3,)
    assert recorder.values.asked


def test_values_of_numbers_of_python_are_known() -> None:
    with OperatorRecorder():
        assert torch.tensor([2, 3], device="meta").expand(2, 2).tolist() == [[2, 3], [2, 3]]
        assert torch.tensor([True, True], device="meta")._is_all_true()
        assert torch.tensor([2], device="cpu").tolist() == [2]
        with pytest.raises(TraceError, match="depends on a tensor's values"):
            torch.tensor([0.5], device="meta").tolist()


def test_values_of_memory_never_written_are_not_known() -> None:
    with OperatorRecorder(), pytest.raises(TraceError, match="depends on a tensor's values"):
        int(torch.empty(3, dtype=torch.int64, device="meta").max())


def test_the_same_operator_twice_gives_equal_records() -> None:
    x, weight, bias = meta(3, 5), meta(7, 5), meta(7)
    q, image, kernel = meta(B, H, N, D), meta(1, 4, 9, 11), meta(6, 4, 3, 3)

    def both(run: Callable[[], Any]) -> None:
        with OperatorRecorder() as recorder:
            outs = [run(), run()]
        first, second = recorder.operators
        assert first == second
        assert outs[0] is not outs[1]
        assert len({(o.shape, o.stride(), o.dtype, o.device) for o in outs}) == 1

    both(lambda: F.linear(x, weight, bias))
    both(lambda: x.T + 1)
    both(lambda: x.sum(dim=0, keepdim=True))
    both(lambda: F.conv2d(image, kernel, padding=1))
    both(lambda: F.scaled_dot_product_attention(q, q, q))


def test_the_cache_tells_different_calls_apart() -> None:
    x, row = meta(4, 6), meta(6)
    image, kernel = meta(1, 4, 9, 11), meta(6, 4, 3, 3)

    def different() -> None:
        x + x
        x.float() + x.float()
        x.double()
        row + x
        x.sum(dim=0)
        x.sum(dim=1)
        x.sum(dim=1, keepdim=True)
        F.conv2d(image, kernel)
        F.conv2d(image, kernel, stride=2)

    operators = record(different)
    sums = [o.bytes_written for o in operators if o.name == "sum"]
    assert sums == [6 * HALF, 4 * HALF, 4 * HALF]
    casts = [(o.dtype, o.bytes_written) for o in operators if o.name == "_to_copy"]
    assert casts == [("fp32", 24 * FP32), ("fp32", 24 * FP32), ("fp64", 24 * 8)]
    adds = [(o.dtype, o.bytes_read) for o in operators if o.name == "add"]
    assert adds == [("half", 48 * HALF), ("fp32", 48 * FP32), ("half", 30 * HALF)]
    # 9x11 without padding: 7x9, and 4x5 at stride 2.
    assert [o.flop for o in operators if o.flop] == [2 * 6 * 63 * 36, 2 * 6 * 20 * 36]


def test_what_a_cached_call_returns_is_new_memory() -> None:
    x = meta(4, 6)
    with OperatorRecorder() as recorder:
        for _ in range(2):
            y = x + x
            y.mul_(2)
    assert [o.name for o in recorder.operators] == ["add", "mul_", "add", "mul_"]


def test_kind_holds_what_makes_operators_comparable() -> None:
    q = meta(1, 1, 2, 4)
    operator = only(lambda: F.scaled_dot_product_attention(q, q, q))
    assert operator.kind == (ATTENTION_OPERATOR, ATTENTION, "half", 4)


def test_floor_division_by_a_tensor_is_counted() -> None:
    x = torch.empty(6, dtype=torch.int64, device="meta")
    with OperatorRecorder() as recorder:
        torch.ops.aten.floor_divide.default(x, x)
    assert [(o.name, o.family, o.bytes_written) for o in recorder.operators] == [
        ("floor_divide", "memory", 48)
    ]
