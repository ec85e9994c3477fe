"""The operators of calls as the roofline law sees them, and what they ask of a GPU under a runtime.

Everything is linear in the operators' costs until `demand`, so that a law's constants are put into a case's
coefficients once (`weigh`) and every workload is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.evaluation import Case, product
from joulecast.compute.operators import DENOISER as DENOISER_ROLE
from joulecast.compute.operators import OperatorTable
from joulecast.law.conduct import DENOISER, OTHER, Conduct
from joulecast.law.law import Array
from joulecast.law.traits import GpuTraits

# Operators with FLOP by family and dtype (fp32 and fp64, or less, on tensor cores), and the peak they run
# against.
HALF, TF32, FP32 = range(3)
CLASSES = {
    "gemm": HALF, "convolution": HALF, "attention": HALF, "convolution32": TF32, "gemm32": FP32,
    "attention32": FP32,
}  # fmt: skip
_PLACES = {name: place for place, name in enumerate(CLASSES)}
_PEAKS = np.array(list(CLASSES.values()))
_ATTENTION = np.array([name.startswith("attention") for name in CLASSES])
_ATTENTION_2 = _PLACES["attention"]
_FP32_GEMM = _PLACES["gemm32"]
_QUANTISED = _PLACES["gemm"]  # the class that a quantised denoiser runs in another format
ROLES = 2
BYTES_OF_FP32, BYTES_OF_HALF = 4, 2


class Work(NamedTuple):
    """The operators of calls: coefficients, or values; the last axis is monomials or workloads.

    Attributes
    ----------
    kinds : of each group with FLOP ``role * len(CLASSES) + class``, rising; shape (groups,).
    roles : of each call, `conduct.DENOISER` or `conduct.OTHER`, shape (calls,).
    of_call : 1 where a group is of a call, shape (calls, groups).
    flop, bytes : of each group, shape (groups, last axis).
    scores : attention scores of the groups of attention, in their order, shape (groups of these, last axis).
    memory_bytes : bytes of all groups without FLOP, (calls, last axis).
    launches, modules, attentions : operators launched, those of them with FLOP, and of attention, the same.
    weight_bytes : of the weights of a call's component, (calls, 1) or (calls, workloads).
    text_flop, text_fp32_flop : of matrix products with the text's own tokens, on tensor cores and in fp32;
        text_bytes : of groups without FLOP, of the same tokens; (calls, last axis).
    """

    kinds: NDArray[np.int64]
    roles: NDArray[np.int64]
    of_call: Array
    flop: Array
    bytes: Array
    scores: Array
    memory_bytes: Array
    launches: Array
    modules: Array
    attentions: Array
    weight_bytes: Array
    text_flop: Array
    text_fp32_flop: Array
    text_bytes: Array

    @property
    def attention(self) -> NDArray[np.int64]:
        """Places of the groups of attention."""
        return np.flatnonzero(_ATTENTION[self.kinds % len(CLASSES)])

    def take(self, rows: NDArray[np.int64]) -> Work:
        """The given workloads, of values; groups that none of them has are left out."""
        flop, moved = self.flop[:, rows], self.bytes[:, rows]
        kept: NDArray[np.bool_] = np.any((flop > 0) | (moved > 0), axis=1)
        return Work(
            self.kinds[kept],
            self.roles,
            self.of_call[:, kept],
            flop[kept],
            moved[kept],
            self.scores[kept[self.attention]][:, rows],
            *(table[:, rows] for table in self[6:]),
        )

    @classmethod
    def of(cls, case: Case, precision: str) -> Work:
        """The coefficients of one call of each kind that a case makes."""
        calls = case.calls
        roles = np.array(
            [DENOISER if call.component.role == DENOISER_ROLE else OTHER for call in calls], dtype=np.int64
        )
        tables = [call.table for call in calls]
        kinds = np.array(
            [
                role * len(CLASSES) + _class(table, group)
                for role, table in zip(roles, tables, strict=True)
                for group in table.arithmetic
            ],
            dtype=np.int64,
        )
        heads = np.array([table.head_dims[i] for table in tables for i in table.arithmetic], dtype=np.float64)
        order = np.argsort(kinds, kind="stable")
        kinds, heads, flop = kinds[order], heads[order], case.flop[order]
        of_call = case.call_of_groups[:, order]
        attention = np.flatnonzero(_ATTENTION[kinds % len(CLASSES)])
        of_text = case.of_text
        gemm, gemm32 = (of_call * (kinds % len(CLASSES) == _PLACES[name]) for name in ("gemm", "gemm32"))
        a_weight = BYTES_OF_FP32 if precision == "fp32" else BYTES_OF_HALF
        return cls(
            kinds=kinds,
            roles=roles,
            of_call=of_call,
            flop=flop,
            bytes=case.bytes[order],
            scores=flop[attention] / (4 * np.maximum(heads[attention, None], 1)),
            memory_bytes=case.memory_bytes,
            launches=case.launches,
            modules=case.arithmetic_launches,
            attentions=case.attention_launches,
            weight_bytes=np.array([[float(call.component.parameters * a_weight)] for call in calls]),
            text_flop=gemm @ flop * of_text,
            text_fp32_flop=gemm32 @ flop * of_text,
            text_bytes=case.memory_bytes * of_text,
        )


def _class(table: OperatorTable, group: int) -> int:
    is_32 = table.dtypes[group] in ("fp32", "fp64")
    return _PLACES[table.families[group] + "32" * is_32]


def kinds_of_groups(work: Work, monomials: Array, calls: Array) -> Iterator[tuple[int, Array]]:
    """Each kind of groups that there is, and FLOP, bytes and scores of its groups at workloads, each call
    made as often as `calls` says; shape (3, groups, workloads)."""
    often = work.of_call.T @ calls
    flop, moved = (cost @ monomials * often for cost in (work.flop, work.bytes))
    scores = np.zeros_like(flop)
    scores[work.attention] = work.scores @ monomials * often[work.attention]
    for kind in np.unique(work.kinds):
        here = work.kinds == kind
        yield int(kind), np.array([flop[here], moved[here], scores[here]])


class Weighed(NamedTuple):
    """Work with the law's constants in it, and nothing of a GPU or a runtime; linear in the work.

    Attributes
    ----------
    table : shape (rows, last axis of the work): of each group its FLOP, and its bytes over the share of the
        bandwidth; the scores of attention over the share of their rate; and SUMS rows of each call.
    weight_bytes, of_call, roles : as of `Work`.
    attention, attention_roles : places of the groups of attention, and their roles.
    kinds : places of the groups of each kind that there are.
    """

    table: Array
    weight_bytes: Array
    of_call: Array
    roles: NDArray[np.int64]
    attention: NDArray[np.int64]
    attention_roles: NDArray[np.int64]
    kinds: Mapping[int, slice]


# Rows of each call: memory-bound bytes; energy of matrix products that may be quantised, of others on tensor
# cores, and of all else but traffic [J]; bytes of arithmetic; launches on the GPU [s] and on the host [s];
# and what only some runtimes ask for: bytes of those matrix products, bytes and launches of attention, and
# FLOP, fp32 FLOP and bytes of the text's own tokens.
SUMS = 13
PLAIN_SUMS = 7  # without the last


# The constants that `weigh` puts into work; with these the same, so is what it returns.
WEIGHED_BY = (
    "energy_per_flop_j", "energy_per_score_j", "energy_per_fp32_flop_j", "convolution_energy",
    "convolution_traffic", "bandwidth_efficiency", "exponential_efficiency", "kernel_time_s", "launch_time_s",
    "module_time_s",
)  # fmt: skip


def weigh(work: Work, p: Mapping[str, float]) -> Weighed:
    """Put the law's constants, those of WEIGHED_BY, into work."""
    classes = work.kinds % len(CLASSES)
    per_flop_j, traffic = _energies(p)[:, classes]
    peak = _PEAKS[classes]
    quantised = work.of_call * ((classes == _QUANTISED) & (work.kinds < len(CLASSES)))
    attention = work.of_call * _ATTENTION[classes]
    on_tensor_cores = (work.of_call - quantised) * np.where(peak == FP32, 0.0, per_flop_j)
    on_cuda_cores = work.of_call * np.where(peak == FP32, per_flop_j, 0.0)
    scores = work.of_call[:, work.attention] @ work.scores
    rows = (
        work.flop,
        work.bytes * (traffic / p["bandwidth_efficiency"])[:, None],
        work.scores / p["exponential_efficiency"],
        work.memory_bytes,
        (quantised * per_flop_j) @ work.flop,
        on_tensor_cores @ work.flop,
        on_cuda_cores @ work.flop + p["energy_per_score_j"] * scores,
        (work.of_call * traffic) @ work.bytes,
        p["kernel_time_s"] * work.launches,
        p["launch_time_s"] * work.launches + p["module_time_s"] * work.modules,
        quantised @ work.bytes,
        attention @ work.bytes,
        work.attentions,
        work.text_flop,
        work.text_fp32_flop,
        work.text_bytes,
    )
    ends = np.searchsorted(work.kinds, np.arange(ROLES * len(CLASSES) + 1))
    spans = (slice(*ends[kind : kind + 2]) for kind in range(len(ends) - 1))
    return Weighed(
        table=np.concatenate(rows),
        weight_bytes=work.weight_bytes,
        of_call=work.of_call,
        roles=work.roles,
        attention=work.attention,
        attention_roles=work.kinds[work.attention] // len(CLASSES),
        kinds={kind: span for kind, span in enumerate(spans) if span.start < span.stop},
    )


def plain(weighed: Weighed) -> Array:
    """The table without the rows that only runtimes unlike the reference ask for."""
    calls = len(weighed.roles)
    return weighed.table[: len(weighed.table) - (SUMS - PLAIN_SUMS) * calls]


def _energies(p: Mapping[str, float]) -> Array:
    """(energy per FLOP [J], traffic factor) of each class, shape (2, classes)."""
    flop_j, traffic = p["energy_per_flop_j"], p["convolution_traffic"]
    convolution_j, fp32_j = p["convolution_energy"] * flop_j, p["energy_per_fp32_flop_j"]
    constants = {
        "gemm": (flop_j, 1.0),
        "convolution": (convolution_j, traffic),
        "attention": (flop_j, 1.0),
        "convolution32": (2 * convolution_j, traffic),
        "gemm32": (fp32_j, 1.0),
        "attention32": (fp32_j, 1.0),
    }
    return np.array([constants[name] for name in CLASSES]).T


class Rates(NamedTuple):
    """How fast GPUs do arithmetic under runtimes.

    Attributes
    ----------
    s_per_flop : of each kind of groups [s], shape (kinds, workloads).
    s_per_score : of attention, by role [s], shape (ROLES, workloads).
    quantised_energy : of a FLOP of matrix products that may be quantised, over that in 16 bits, (workloads,).
    """

    s_per_flop: Array
    s_per_score: Array
    quantised_energy: Array

    def take(self, rows: NDArray[np.int64]) -> Rates:
        """The given GPUs, by place; where there is but one, it is everyone's."""
        if len(self.quantised_energy) == 1:
            return self
        return Rates(*(table[..., rows] for table in self))


def rates(traits: GpuTraits, how: Conduct, p: Mapping[str, float], slowness: Array) -> Rates:
    """The rates at the fitted shares of GPUs' peaks; `slowness` (log) is the chips' own.

    The shares are those of the reference chip's tensor cores. What keeps these from their peak is how fast a
    multiprocessor can feed them, so that denser ones (more FLOP a multiprocessor and clock) reach less of it:
    ``1 / share = 1 + (1 / reference share - 1) * density``. FlashAttention 2, which torch and engines take
    unless they bring another, is made of the reference generation's instructions: what denser tensor cores
    have more, it leaves idle.
    """
    shares = np.array([p[_SHARES[name]] for name in CLASSES])[:, None]
    lost = (1 / shares - 1) * np.where(_PEAKS[:, None] == HALF, traits.density, 1.0)
    lost[_ATTENTION_2] = np.maximum(traits.density, 1.0) / p["attention_efficiency"] - 1
    slow = np.exp(slowness) * how.arithmetic_time
    overlapped = 1 + (p["attention_3_time"] - 1) * how.attention * traits.is_hopper
    gain = _eight_bit_gain(traits, how)
    found = (traits.s_per_flop[_PEAKS] * (1 + lost))[None] * slow[:, None, :]
    reached = np.where(gain > 1, gain * p["eight_bit_efficiency"], 1.0)
    in_16_bits = (how.is_fp8 + how.is_int8 > 0) & (gain == 1)  # a GPU without such arithmetic
    found[DENOISER, _QUANTISED] *= np.where(in_16_bits, 1.0, how.quantised_time) / reached
    found[:, _ATTENTION_2] *= overlapped
    return Rates(
        s_per_flop=found.reshape(ROLES * len(CLASSES), -1),
        s_per_score=traits.s_per_exponential * slow * overlapped,
        quantised_energy=1 / gain,
    )


def _eight_bit_gain(traits: GpuTraits, how: Conduct) -> Array:
    """The peak of the arithmetic over that of 16 bits; 1 where it is not quantised or the GPU has no such."""
    fp8, int8 = traits.eight_bit_gain["fp8"], traits.eight_bit_gain["int8"]
    gain: Array = 1 + how.is_fp8 * (fp8 - 1) + how.is_int8 * (int8 - 1)
    return gain


_SHARES = {
    "gemm": "gemm_efficiency", "convolution": "convolution_efficiency", "attention": "attention_efficiency",
    "convolution32": "convolution_efficiency", "gemm32": "fp32_efficiency", "attention32": "fp32_efficiency",
}  # fmt: skip


class Demand(NamedTuple):
    """What work asks: GPU busy time [s], dynamic energy at full clock [J], host time [s], waiting time [s].

    Times are of one of the GPUs that share the work, energies of all together; a GPU waits, as part of its
    busy time, while it exchanges with others.
    """

    busy_s: Array
    energy_j: Array
    host_s: Array
    waiting_s: Array


class Setup(NamedTuple):
    """On what, and how, workloads run: traits, conduct and rates, the last axis (workloads,) or (1,)."""

    traits: GpuTraits
    how: Conduct
    rate: Rates

    def take(self, rows: NDArray[np.int64]) -> Setup:
        """The given workloads, or GPUs by place."""
        return Setup(self.traits.take(rows), self.how.take(rows), self.rate.take(rows))


def demand(weighed: Weighed, values: Array, setup: Setup, p: Mapping[str, float]) -> Array:
    """The four of a `Demand` before the power limit and without the chip's factor, (4, calls, workloads).

    `values` is `weighed.table` at the workloads, without the rows that only some runtimes ask for where all
    are like the reference; it is overwritten.
    """
    calls, groups = weighed.of_call.shape
    traits, how, rate = setup
    ends = 2 * groups + len(weighed.attention)
    flop, moved, scores = values[:groups], values[groups : 2 * groups], values[2 * groups : ends]
    sums = values[ends:].reshape(-1, calls, values.shape[1])
    memory, quantised_j, tensor_j, other_j, traffic, kernel_s, host_s = sums[:PLAIN_SUMS]
    for kind, place in weighed.kinds.items():
        flop[place] *= rate.s_per_flop[kind]
    if len(scores):
        scores *= rate.s_per_score[weighed.attention_roles]
        flop[weighed.attention] = np.maximum(flop[weighed.attention], scores)
    moved *= traits.s_per_byte
    np.maximum(flop, moved, out=flop)
    out = np.empty((4, calls, values.shape[1]))
    busy = product(weighed.of_call, flop)
    if len(sums) == PLAIN_SUMS:
        out[0] = busy + memory * (traits.s_per_byte / p["bandwidth_efficiency"]) + kernel_s
        tensor_j += quantised_j
        traffic += memory
        out[1] = tensor_j * traits.lane_cost + other_j + p["energy_per_byte_j"] * traffic
        out[2], out[3] = host_s, 0.0
        return out
    quantised_bytes, attention_bytes, attentions, text_flop, text_fp32, text_bytes = sums[PLAIN_SUMS:]
    is_denoiser = (weighed.roles == DENOISER)[:, None]
    role = weighed.roles
    memory = memory * how.memory[role]
    expanded = is_denoiser * how.dequantising * weighed.weight_bytes
    scaled = is_denoiser * how.quantising * quantised_bytes
    s_per_byte = traits.s_per_byte / p["bandwidth_efficiency"]
    sent = how.exchanged * traits.s_per_link_byte / p["link_efficiency"] + how.copied * s_per_byte
    exchanges = is_denoiser * how.exchanges * attentions
    out[3] = is_denoiser * sent * attention_bytes + exchanges * p["exchange_time_s"]
    out[0] = busy * how.share[role] + s_per_byte * ((memory + scaled) * how.share[role] + expanded)
    again = is_denoiser * how.text_again
    text_bytes = again * how.memory[role] * text_bytes
    text_flop, text_fp32 = again * text_flop, again * text_fp32
    out[0] += kernel_s * how.kernels[role]
    out[0] += text_flop * rate.s_per_flop[_QUANTISED] + text_fp32 * rate.s_per_flop[_FP32_GEMM]
    out[0] += text_bytes * s_per_byte
    out[3] += is_denoiser * how.waiting * out[0]
    out[0] += out[3]
    arithmetic_j = (quantised_j * rate.quantised_energy + tensor_j) * traits.lane_cost + other_j
    out[1] = arithmetic_j + p["energy_per_byte_j"] * (traffic + memory + expanded + scaled)
    out[1] *= how.total[role]
    text_j = p["energy_per_flop_j"] * rate.quantised_energy * traits.lane_cost * text_flop
    text_j += p["energy_per_fp32_flop_j"] * text_fp32 + p["energy_per_byte_j"] * text_bytes
    out[1] += text_j * how.gpus
    out[2] = host_s * how.host[role] + exchanges * p["exchange_host_s"]
    out *= how.calls[role]
    return out
