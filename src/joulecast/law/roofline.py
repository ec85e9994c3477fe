"""The roofline law: each operator bound by arithmetic or memory, and the board by its power limit.

For one call of a component, over its operators i with FLOP F, bytes B and attention scores S:

    busy time     t0 = sum_i max(F_i / rate, B_i / bandwidth) + launches * kernel_time
    dynamic E     E0 = m * sum_i (e_flop * F_i + e_score * S_i + e_byte * B_i)

Rates are fitted shares of the datasheet's peaks; an fp32 matrix product runs on the CUDA cores, an
fp32 convolution in TF32 (torch's defaults). Convolutions move `convolution_traffic` times their
tensors' bytes. A score is one query-key pair of one head; its softmax costs energy that no FLOP
count shows, which is why small heads cost more per FLOP.

Energy to do one operation follows the chip: m = node^a * (clock / 1.41 GHz)^k * chip effect, where
node is the process's switching energy (hardware.process_nodes), because voltage rises with clock.

The board's power limit P binds (a saturated GPU runs at it): if E0 / t0 exceeds what the limit
leaves over static power, the clock falls by phi = s^(-1/(1+k)), s being the excess. Energy falls as
phi^k (not below the lowest voltage), time grows as 1/phi: time follows from energy. Where the host
cannot launch kernels fast enough, time is what it needs: launch_time for each operator, and
module_time more for those with FLOP, each of which is a call of a Python module. Then

    E = static_power * t + E0 * phi^k        t = busy or launch time, whichever is longer

All parameters but the chip effects are shared by all GPUs: a GPU that nobody measured gets its
prediction from its datasheet. Parameters, units and sources: docs/methodology.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.evaluation import Case, CaseCosts, Evaluation, product
from joulecast.compute.operators import OperatorTable
from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import CATALOGUE, Gpu, process_nodes
from joulecast.law import possible
from joulecast.law.fitted import Decoded, FittedLaw, Gross, Parameters
from joulecast.law.law import Array, Breakdown, GpuColumns

REFERENCE_CLOCK_HZ = 1.41e9  # the A100's, so that its clock factor is 1
REFERENCE_NODE = "TSMC N7"
UNKNOWN_CLOCK_HZ = 1.8e9  # of a GPU file that does not say
# Process of a GPU file that does not say, by its year: the one most GPUs of that time are made in.
PROCESS_BY_YEAR = ((2019, "TSMC 12FFN"), (2021, "TSMC N7"), (2100, "TSMC 4N"))
# How sharply two limits meet, as the power of a norm: operators of one call overlap a little.
HOST_SHARPNESS = 6.0
POWER_SHARPNESS = 12.0

# Operators with FLOP by family and dtype (fp32 and fp64, or less, on tensor cores), and the peak they run
# against; those of one peak stand together.
HALF, TF32, FP32 = range(3)
CLASSES = {
    "gemm": HALF, "convolution": HALF, "attention": HALF, "convolution32": TF32, "gemm32": FP32,
    "attention32": FP32,
}  # fmt: skip
MOST_REMEMBERED = 1024  # cases, and sets of GPUs, whose constants a law keeps
Key = TypeVar("Key")
Value = TypeVar("Value")


class GpuTraits:
    """What the law takes from GPUs' records, each of shape (workloads,), or (1,) where it is one GPU;
    `s_per_flop` by peak."""

    def __init__(self, values: Array, chips: tuple[str, ...], chip_index: NDArray[np.int64]) -> None:
        self._values, self.chips, self.chip_index = values, chips, chip_index
        self.s_per_flop = values[:3]
        self.s_per_byte, self.tdp_w, self.lane_cost, self.log_node, self.log_clock = values[3:]

    @classmethod
    def of(cls, gpus: GpuColumns) -> GpuTraits:
        """Traits of each workload's GPU."""
        return cls.of_distinct(gpus.gpus).take(gpus.index)

    @classmethod
    def of_distinct(cls, gpus: tuple[Gpu, ...]) -> GpuTraits:
        """Traits of each of some GPUs; the same object for the same GPUs."""
        return _traits_of(gpus)

    def take(self, rows: NDArray[np.int64]) -> GpuTraits:
        """The given workloads."""
        if len(self.chip_index) == 1:
            return self
        return GpuTraits(self._values[:, rows], self.chips, self.chip_index[rows])


@lru_cache(maxsize=256)
def _traits_of(gpus: tuple[Gpu, ...]) -> GpuTraits:
    values = [
        (
            1 / half_peak(gpu),
            1 / (gpu.tf32_flop_per_s or _fp32_peak(gpu)),
            1 / _fp32_peak(gpu),
            1 / gpu.bandwidth_byte_per_s,
            gpu.tdp_w,
            _lane_cost(gpu),
            _log_node(gpu),
            math.log(_clock_hz(gpu) / REFERENCE_CLOCK_HZ),
        )
        for gpu in gpus
    ]
    chips = tuple(dict.fromkeys(gpu.chip for gpu in gpus))
    index = np.array([chips.index(gpu.chip) for gpu in gpus], dtype=np.int64)
    return GpuTraits(np.array(values, dtype=np.float64).T.copy(), chips, index)


class Work(NamedTuple):
    """The operators of calls: coefficients, or values; the last axis is monomials or workloads.

    Attributes
    ----------
    classes : of each group with FLOP, its place in CLASSES, rising; shape (groups,).
    of_call : 1 where a group is of a call, shape (calls, groups).
    flop, bytes : of each group, shape (groups, last axis).
    scores, memory_bytes : scores of attention, and bytes of all groups without FLOP, (calls, last axis).
    launches, modules : operators launched, and those of them with FLOP, (calls, 1 or workloads).
    """

    classes: NDArray[np.int64]
    of_call: Array
    flop: Array
    bytes: Array
    scores: Array
    memory_bytes: Array
    launches: Array
    modules: Array

    def take(self, rows: NDArray[np.int64]) -> Work:
        """The given workloads."""
        values = (self.flop, self.bytes, self.scores, self.memory_bytes, self.launches, self.modules)
        return Work(self.classes, self.of_call, *(table[:, rows] for table in values))

    @classmethod
    def of(cls, case: Case) -> Work:
        """The coefficients of one call of each kind that a case makes."""
        tables = [call.table for call in case.calls]
        classes = np.array([_class(t, i) for t in tables for i in t.arithmetic], dtype=np.int64)
        heads = np.array([t.head_dims[i] for t in tables for i in t.arithmetic], dtype=np.float64)
        per_flop = np.divide(1, 4 * heads, out=np.zeros(len(heads)), where=heads > 0)
        order = np.argsort(classes, kind="stable")
        return cls(
            classes[order],
            case.call_of_groups[:, order],
            case.flop[order],
            case.bytes[order],
            (case.call_of_groups * per_flop) @ case.flop,
            case.memory_bytes,
            np.array([[float(t.launches.sum())] for t in tables]).reshape(-1, 1),
            np.array([[float(t.launches[t.arithmetic].sum())] for t in tables]).reshape(-1, 1),
        )


def _class(table: OperatorTable, group: int) -> int:
    is_32 = table.dtypes[group] in ("fp32", "fp64")
    return _PLACES[table.families[group] + "32" * is_32]


_PLACES = {name: place for place, name in enumerate(CLASSES)}


class Weighed(NamedTuple):
    """Work with the law's constants in it, and nothing of a GPU; linear in the work.

    Attributes
    ----------
    table : shape (rows, last axis of the work): of each group the FLOP over the share of their peak and
        the bytes over that of the bandwidth; of each call the bytes of all groups without FLOP, the
        energy on tensor cores of usual cost [J], and all other dynamic energy [J].
    of_call : 1 where a group is of a call, shape (calls, groups).
    peaks : places of the groups that run against each peak.
    kernel_s, host_s : time of a call that its number of launches decides, on GPU and host.
    """

    table: Array
    of_call: Array
    peaks: Mapping[int, slice]
    kernel_s: Array
    host_s: Array


def weigh(work: Work, p: Mapping[str, float]) -> Weighed:
    """Put the law's constants into work."""
    share, per_flop_j, traffic = _class_constants(p)[:, work.classes]
    peak = np.array(list(CLASSES.values()))[work.classes]
    on_tensor_cores = work.of_call * np.where(peak == FP32, 0.0, per_flop_j)
    on_cuda_cores = work.of_call * np.where(peak == FP32, per_flop_j, 0.0)
    moved = (work.of_call * traffic) @ work.bytes + work.memory_bytes
    bandwidth = p["bandwidth_efficiency"]
    rows = (
        work.flop / share[:, None],
        work.bytes * (traffic / bandwidth)[:, None],
        work.memory_bytes / bandwidth,
        on_tensor_cores @ work.flop,
        on_cuda_cores @ work.flop + p["energy_per_byte_j"] * moved + p["energy_per_score_j"] * work.scores,
    )
    ends = np.searchsorted(peak, [HALF, TF32, FP32, FP32 + 1])
    return Weighed(
        table=np.concatenate(rows),
        of_call=work.of_call,
        peaks={p: slice(*ends[p : p + 2]) for p in (HALF, TF32, FP32) if ends[p] < ends[p + 1]},
        kernel_s=p["kernel_time_s"] * work.launches,
        host_s=p["launch_time_s"] * work.launches + p["module_time_s"] * work.modules,
    )


def _class_constants(p: Mapping[str, float]) -> Array:
    """(share of the peak, energy per FLOP [J], traffic factor) of each class, shape (3, classes)."""
    flop_j, traffic = p["energy_per_flop_j"], p["convolution_traffic"]
    convolution_j, fp32_j = p["convolution_energy"] * flop_j, p["energy_per_fp32_flop_j"]
    constants = {
        "gemm": (p["gemm_efficiency"], flop_j, 1.0),
        "convolution": (p["convolution_efficiency"], convolution_j, traffic),
        "attention": (p["attention_efficiency"], flop_j, 1.0),
        "convolution32": (p["convolution_efficiency"], 2 * convolution_j, traffic),
        "gemm32": (p["fp32_efficiency"], fp32_j, 1.0),
        "attention32": (p["fp32_efficiency"], fp32_j, 1.0),
    }
    return np.array([constants[name] for name in CLASSES]).T


class Demand(NamedTuple):
    """What work asks: GPU busy time [s], dynamic energy at full clock [J], host time [s]."""

    busy_s: Array
    energy_j: Array
    host_s: Array


def demand(weighed: Weighed, values: Array, traits: GpuTraits) -> Array:
    """The three of a `Demand` before the power limit and without the chip's factor, (3, calls, workloads).

    `values` is `weighed.table` at the workloads; it is overwritten.
    """
    calls, groups = weighed.of_call.shape
    flop, moved, energies = values[:groups], values[groups : 2 * groups + calls], values[2 * groups + calls :]
    for peak, place in weighed.peaks.items():
        flop[place] *= traits.s_per_flop[peak]
    moved *= traits.s_per_byte
    np.maximum(flop, moved[:groups], out=flop)
    out = np.empty((3, calls, values.shape[1]))
    np.add(product(weighed.of_call, flop), moved[groups:], out=out[0])
    out[0] += weighed.kernel_s
    np.multiply(energies[:calls], traits.lane_cost, out=out[1])
    out[1] += energies[calls:]
    out[2] = weighed.host_s
    return out


def chip_factor(traits: GpuTraits, p: Mapping[str, float], effects: Mapping[str, float]) -> Array:
    """Energy of one operation at full clock relative to the reference chip's, shape (workloads,)."""
    log = p["node_exponent"] * traits.log_node + p["clock_exponent"] * traits.log_clock
    effect = np.array([effects.get(chip, 0.0) for chip in traits.chips])[traits.chip_index]
    factor: Array = np.exp(log + effect)
    return factor


def settle(total: Demand, traits: GpuTraits, p: Mapping[str, float]) -> tuple[Array, Array, Array]:
    """Where the board settles: (duration [s], dynamic energy factor, static power [W]); (workloads,).

    `total.energy_j` includes the chip's factor. The dynamic energy is ``total.energy_j`` times the factor.
    """
    k, tdp = p["clock_exponent"], traits.tdp_w
    static = p["static_power_share"] * tdp
    room = (p["power_limit_share"] - p["static_power_share"]) * tdp
    excess = _smooth_maximum(total.energy_j / total.busy_s / room, 1.0, POWER_SHARPNESS)
    lowest = p["lowest_clock"]
    clock = excess ** (-1 / (1 + k))
    factor = np.maximum(clock, lowest) ** k
    slowdown = np.maximum(1 / clock, excess * lowest**k)  # the latter where the clock would fall too low
    duration = _smooth_maximum(total.busy_s * slowdown, total.host_s, HOST_SHARPNESS)
    return duration, factor, static


def host_share(total: Demand, duration_s: Array) -> Array:
    """How far the duration follows the host's time: d log(duration) / d log(host time), 0 to 1."""
    share: Array = (total.host_s / duration_s) ** HOST_SHARPNESS
    return np.minimum(share, 1.0)


@dataclass(frozen=True)
class RooflineParameters(Parameters):
    """What the law is fitted by.

    Attributes
    ----------
    shared : by name, see docs/methodology.md.
    chip_effects : log factor of the dynamic energy, by chip.
    level : the mean energy level of the sources.
    host_spread : the spread (log) of host times between software stacks.
    """

    shared: Mapping[str, float]
    chip_effects: Mapping[str, float]
    level: float
    host_spread: float


class RooflineLaw(FittedLaw):
    """See the module's docstring."""

    form = "roofline"
    parameters: RooflineParameters

    @classmethod
    def parameters_of(cls, value: Decoded) -> RooflineParameters:
        """See `FittedLaw.parameters_of`."""
        return RooflineParameters(**value)

    def check(self) -> None:
        """See `FittedLaw.check`."""
        super().check()
        p = self.parameters
        possible.check_roofline(p.shared, p.chip_effects, p.level, p.host_spread)

    def gross(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Gross:
        """See `FittedLaw.gross`; wider where the host's launch time, which varies most, decides."""
        p = self.parameters.shared
        distinct = GpuTraits.of_distinct(gpus.gpus)
        traits = distinct.take(gpus.index)
        asked = demands(profile.evaluation(workloads, precision), traits, self._weighed)
        scales = self._scales(distinct)
        asked *= scales if len(gpus.gpus) == 1 else scales[:, :, gpus.index]
        total = Demand(*np.add.reduce(asked, axis=1))
        duration, dynamic, static = settle(total, traits, p)
        static_j, dynamic_j = static * duration, total.energy_j * dynamic
        by_component = asked[0] * (static_j / total.busy_s)
        by_component += asked[1] * dynamic
        by_component /= workloads.batch_size
        names = [component.name for component in profile.components]
        spread = self.parameters.host_spread * host_share(total, duration)
        energy_spread = spread * (static_j / (static_j + dynamic_j))
        return Gross(dict(zip(names, by_component, strict=True)), duration, energy_spread, spread)

    def _weighed(self, case: Case) -> Weighed:
        """A case's work with this law's constants in it."""
        return _remembered(self._cases, case, lambda: weigh(Work.of(case), self.parameters.shared))

    def _scales(self, traits: GpuTraits) -> Array:
        """What the sources' level and the chip make of a `Demand` of each GPU, shape (3, 1, GPUs)."""
        return _remembered(self._known_scales, traits, lambda: self._scales_of(traits))

    def _scales_of(self, traits: GpuTraits) -> Array:
        p = self.parameters
        factor = chip_factor(traits, p.shared, p.chip_effects)
        one = np.ones_like(factor)
        return np.array([[p.level * one], [p.level * factor], [one]])

    @cached_property
    def _cases(self) -> dict[Case, Weighed]:
        return {}

    @cached_property
    def _known_scales(self) -> dict[GpuTraits, Array]:
        return {}

    def outside(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Mapping[str, NDArray[np.bool_]]:
        """See `Law.outside`; and what is assumed of GPUs whose files do not say."""
        found = dict(super().outside(profile, workloads, precision, gpus))
        for place, gpu in enumerate(gpus.gpus):
            if words := assumed(gpu, precision):
                found[words] = gpus.index == place
        return found

    def breakdown(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Breakdown:
        """See `FittedLaw.breakdown` and `joulecast.law.breakdown`."""
        from joulecast.law.breakdown import breakdown  # which needs this module

        return breakdown(self, profile, workloads, precision, gpus)

    def host_share(self, gross: Gross) -> Array:
        """See `FittedLaw.host_share`."""
        return gross.duration_spread / self.parameters.host_spread


def _remembered(known: dict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    """What is known of a key, made when it is first asked for."""
    found = known.get(key)
    if found is None:
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        found = known[key] = make()
    return found


def assumed(gpu: Gpu, precision: str) -> str:
    """What the law assumes of a GPU whose file does not say, in words; empty where it says all."""
    found = []
    if gpu.boost_clock_hz is None:
        found.append(("boost_clock_mhz", f"{_clock_hz(gpu) / 1e6:.0f} MHz"))
    if gpu.process is None:
        found.append(("process", _process(gpu)))
    if precision == "fp32" and gpu.fp32_flop_per_s is None:
        found.append(("fp32_tflops", "a sixteenth of the 16-bit peak"))
    if precision == "fp32" and gpu.tf32_flop_per_s is None and gpu.origin != CATALOGUE:
        found.append(("tf32_tflops", "the fp32 peak, for convolutions"))
    if not found:
        return ""
    keys, values = zip(*found, strict=True)
    return f"{gpu.name} states no {' and no '.join(keys)}: taken as {' and '.join(values)}"


def demands(evaluation: Evaluation, traits: GpuTraits, weighed_of: Callable[[Case], Weighed]) -> Array:
    """What each component asks for one batch, as of `demand`; shape (3, components, workloads)."""
    return evaluation.gathered(_asked(part, traits, weighed_of(part.case)) for part in evaluation.parts)


def _asked(part: CaseCosts, traits: GpuTraits, weighed: Weighed) -> Array:
    here = traits if isinstance(part.rows, slice) else traits.take(part.rows)
    one = demand(weighed, product(weighed.table, part.monomials), here)
    one *= part.weights
    return np.asarray(part.case.by_component @ one)


def _smooth_maximum(a: Any, b: Any, sharpness: float) -> Array:
    high, low = np.maximum(a, b), np.minimum(a, b)
    result: Array = high * (1 + (low / high) ** sharpness) ** (1 / sharpness)
    return result


def half_peak(gpu: Gpu) -> float:
    """Peak of 16-bit arithmetic [FLOP/s]; where a GPU file states none, that of fp32."""
    return gpu.fp16_flop_per_s or gpu.bf16_flop_per_s or _fp32_peak(gpu)


def _fp32_peak(gpu: Gpu) -> float:
    """CUDA-core peak; where a GPU file states none, a sixteenth of the 16-bit peak."""
    return gpu.fp32_flop_per_s or (gpu.fp16_flop_per_s or gpu.bf16_flop_per_s or 0.0) / 16


def _lane_cost(gpu: Gpu) -> float:
    """Energy of a tensor-core FLOP on a card whose rate with fp32 accumulation is cut, over the chip's own.

    GeForce cards issue at half the rate of their chip, and run at their power limit all the same.
    """
    if gpu.fp16_accumulate_flop_per_s is None or gpu.fp16_flop_per_s is None:
        return 1.0
    return max(1.0, gpu.fp16_accumulate_flop_per_s / gpu.fp16_flop_per_s)


def _log_node(gpu: Gpu) -> float:
    nodes = process_nodes()
    return float(np.log(nodes[_process(gpu)] / nodes[REFERENCE_NODE]))


def _process(gpu: Gpu) -> str:
    return gpu.process or next(p for year, p in PROCESS_BY_YEAR if (gpu.year or 2100) <= year)


def _clock_hz(gpu: Gpu) -> float:
    return gpu.boost_clock_hz or UNKNOWN_CLOCK_HZ
