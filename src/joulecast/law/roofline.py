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

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import DECODER, DENOISER, TEXT_ENCODER, ComputeProfile, OperatorCosts
from joulecast.hardware import CATALOGUE, Gpu, process_nodes
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

# (family, dtype class) of operators with FLOP; everything but fp32 and fp64 runs on tensor cores.
CLASSES = ("gemm", "convolution", "attention", "gemm32", "convolution32", "attention32")


@dataclass(frozen=True)
class GpuTraits:
    """What the law takes from a GPU's record, each of shape (workloads, 1)."""

    half_flop_per_s: Array
    tf32_flop_per_s: Array
    fp32_flop_per_s: Array
    bandwidth_byte_per_s: Array
    tdp_w: Array
    lane_cost: Array
    log_node: Array
    log_clock: Array
    chip: tuple[str, ...]
    chip_index: Any

    @classmethod
    def of(cls, gpus: GpuColumns) -> GpuTraits:
        """Traits of each workload's GPU."""

        def column(value: Any) -> Array:
            return gpus.column(value)[:, None]

        chips = tuple(dict.fromkeys(gpu.chip for gpu in gpus.gpus))
        return cls(
            half_flop_per_s=column(half_peak),
            tf32_flop_per_s=column(lambda g: g.tf32_flop_per_s or _fp32_peak(g)),
            fp32_flop_per_s=column(_fp32_peak),
            bandwidth_byte_per_s=column(lambda g: g.bandwidth_byte_per_s),
            tdp_w=column(lambda g: g.tdp_w),
            lane_cost=column(_lane_cost),
            log_node=column(_log_node),
            log_clock=column(lambda g: np.log(_clock_hz(g) / REFERENCE_CLOCK_HZ)),
            chip=chips,
            chip_index=np.array([chips.index(gpu.chip) for gpu in gpus.gpus])[gpus.index],
        )

    def take(self, rows: Any) -> GpuTraits:
        """The given workloads."""
        columns = {name: getattr(self, name)[rows] for name in _TRAIT_COLUMNS}
        return GpuTraits(**columns, chip=self.chip, chip_index=self.chip_index[rows])


_TRAIT_COLUMNS = tuple(f.name for f in dataclasses.fields(GpuTraits) if not f.name.startswith("chip"))


@dataclass(frozen=True)
class Work:
    """The operators of one call, by class: FLOP and bytes, each of shape (workloads, groups).

    `scores` (of attention), `memory_bytes`, `launches` and `modules` (launches with FLOP) are sums
    over all its operators, and `calls` how often it is made for one batch of images; (workloads,).
    """

    classes: Mapping[str, tuple[Array, Array]]
    scores: Array
    memory_bytes: Array
    launches: Array | float
    modules: Array | float
    calls: Array | float = 1.0

    def take(self, rows: Any) -> Work:
        """The given workloads, of work whose every part is an array."""
        classes = {name: (flop[rows], moved[rows]) for name, (flop, moved) in self.classes.items()}
        scores, memory, launches, modules = (
            np.asarray(total)[rows] for total in (self.scores, self.memory_bytes, self.launches, self.modules)
        )
        return Work(classes, scores, memory, launches, modules, self.calls)

    @classmethod
    def of(cls, costs: OperatorCosts) -> Work:
        """The work of a call in `costs`, and how often it is made."""
        classes = {
            name: (costs.flop[:, columns], costs.bytes[:, columns])
            for name, columns in _classes_of(costs).items()
        }
        head = costs.table.head_dims[costs.arithmetic]
        per_flop = np.divide(1, 4 * head, out=np.zeros(len(head)), where=head > 0)
        scores = (costs.flop @ per_flop.astype(costs.flop.dtype)).astype(np.float64)
        return cls(
            classes, scores, costs.memory_bytes, costs.launches, costs.arithmetic_launches, costs.calls
        )


@dataclass(frozen=True)
class Demand:
    """What work asks: GPU busy time [s], dynamic energy at full clock [J], host time [s]; (workloads,)."""

    busy_s: Array
    energy_j: Array
    host_s: Array

    def __add__(self, other: Demand) -> Demand:
        return Demand(self.busy_s + other.busy_s, self.energy_j + other.energy_j, self.host_s + other.host_s)


def demand(work: Work, traits: GpuTraits, p: Mapping[str, float]) -> Demand:
    """Busy time and dynamic energy of `work`, before the power limit and without the chip's factor."""
    bandwidth = p["bandwidth_efficiency"] * traits.bandwidth_byte_per_s
    busy = work.memory_bytes / bandwidth[:, 0] + p["kernel_time_s"] * work.launches
    energy = p["energy_per_byte_j"] * work.memory_bytes + p["energy_per_score_j"] * work.scores
    for name, (flop, moved) in work.classes.items():
        rate, per_flop, traffic = class_constants(name, traits, p)
        kind, ones = flop.dtype, np.ones(flop.shape[1], flop.dtype)
        seconds = np.maximum(flop * (1 / rate).astype(kind), moved * (traffic / bandwidth).astype(kind))
        busy = busy + seconds @ ones
        energy = energy + per_flop * (flop @ ones) + p["energy_per_byte_j"] * traffic * (moved @ ones)
    host = np.zeros_like(busy) + p["launch_time_s"] * work.launches + p["module_time_s"] * work.modules
    return Demand(busy * work.calls, energy * work.calls, host * work.calls)


def class_constants(
    name: str, traits: GpuTraits, p: Mapping[str, float]
) -> tuple[Array, Array | float, float]:
    """(rate [FLOP/s], energy per FLOP [J], traffic factor) of a class of operators."""
    tensor_flop_j = p["energy_per_flop_j"] * traits.lane_cost[:, 0]
    if name == "convolution32":
        rate = p["convolution_efficiency"] * traits.tf32_flop_per_s
        return rate, 2 * tensor_flop_j * p["convolution_energy"], p["convolution_traffic"]
    if name.endswith("32"):
        return p["fp32_efficiency"] * traits.fp32_flop_per_s, p["energy_per_fp32_flop_j"], 1.0
    rate = p[f"{name}_efficiency"] * traits.half_flop_per_s
    if name == "convolution":
        return rate, tensor_flop_j * p["convolution_energy"], p["convolution_traffic"]
    return rate, tensor_flop_j, 1.0


def chip_factor(traits: GpuTraits, p: Mapping[str, float], effects: Mapping[str, float]) -> Array:
    """Energy of one operation at full clock relative to the reference chip's, shape (workloads,)."""
    log = p["node_exponent"] * traits.log_node[:, 0] + p["clock_exponent"] * traits.log_clock[:, 0]
    effect = np.array([effects.get(chip, 0.0) for chip in traits.chip])[traits.chip_index]
    factor: Array = np.exp(log + effect)
    return factor


def settle(total: Demand, traits: GpuTraits, p: Mapping[str, float]) -> tuple[Array, Array, Array]:
    """Where the board settles: (duration [s], dynamic energy factor, static power [W]); (workloads,).

    `total.energy_j` includes the chip's factor. The dynamic energy is ``total.energy_j`` times the factor.
    """
    k, tdp = p["clock_exponent"], traits.tdp_w[:, 0]
    static = p["static_power_share"] * tdp
    room = p["power_limit_share"] * tdp - static
    excess = _smooth_maximum(total.energy_j / total.busy_s / room, 1.0, POWER_SHARPNESS)
    lowest = p["lowest_clock"]
    clock = excess ** (-1 / (1 + k))
    factor = np.maximum(clock, lowest) ** k
    slowdown = np.where(clock >= lowest, 1 / clock, excess * lowest**k)
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

    def gross(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Gross:
        """See `FittedLaw.gross`; wider where the host's launch time, which varies most, decides."""
        p = self.parameters.shared
        size = len(workloads)
        traits = GpuTraits.of(gpus)
        factor = chip_factor(traits, p, self.parameters.chip_effects)
        asked = demands(profile, workloads, precision, traits, p, (DENOISER, DECODER))
        # A text encoder knows nothing of sizes and steps: few workloads differ for it.
        rows, places = _distinct(workloads, gpus)
        for name, once in demands(
            profile, workloads.take(rows), precision, traits.take(rows), p, (TEXT_ENCODER,)
        ).items():
            asked[name] = Demand(once.busy_s[places], once.energy_j[places], once.host_s[places])
        parts = {component.name: asked[component.name] for component in profile.components}
        level = self.parameters.level
        by_component = {
            name: Demand(d.busy_s * level, d.energy_j * factor * level, d.host_s) for name, d in parts.items()
        }
        total = sum(by_component.values(), Demand(np.zeros(size), np.zeros(size), np.zeros(size)))
        duration, dynamic, static = settle(total, traits, p)
        share = {name: d.busy_s / total.busy_s for name, d in by_component.items()}
        parts_j = {
            name: (static * duration * share[name] + d.energy_j * dynamic) / workloads.batch_size
            for name, d in by_component.items()
        }
        host = host_share(total, duration)
        static_share = static * duration / (static * duration + total.energy_j * dynamic)
        spread = self.parameters.host_spread
        return Gross(parts_j, duration, spread * host * static_share, spread * host)

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

    def launch_bound(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Array:
        """See `FittedLaw.launch_bound`."""
        return self.gross(profile, workloads, precision, gpus).duration_spread / self.parameters.host_spread


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


def demands(
    profile: ComputeProfile,
    workloads: WorkloadColumns,
    precision: str,
    traits: GpuTraits,
    p: Mapping[str, float],
    roles: Collection[str],
) -> dict[str, Demand]:
    """What each component of these roles asks for one batch, without the chip's factor."""
    size = len(workloads)
    sums = {c.name: [np.zeros(size) for _ in range(3)] for c in profile.components if c.role in roles}
    for costs in profile.costs(workloads, precision, np.float32, roles):
        one = demand(Work.of(costs), traits if len(costs.rows) == size else traits.take(costs.rows), p)
        for total, value in zip(
            sums[costs.component.name], (one.busy_s, one.energy_j, one.host_s), strict=True
        ):
            total[costs.rows] += value
    return {name: Demand(*totals) for name, totals in sums.items()}


def _distinct(workloads: WorkloadColumns, gpus: GpuColumns) -> tuple[Any, Any]:
    """Rows that differ in batch, passes, text or GPU, and the place of each workload among them."""
    code = gpus.index
    for column in (workloads.passes, workloads.text_tokens, workloads.batch_size):
        code = code * (int(column.max()) + 2) + column + 1
    _, rows, places = np.unique(code, return_index=True, return_inverse=True)
    return rows, places


def _classes_of(costs: OperatorCosts) -> dict[str, Any]:
    """Columns of the groups with FLOP, by class; remembered on the table."""
    known = costs.table.__dict__.get("_roofline_classes")
    if known is None:
        names = [
            costs.table.families[i] + ("32" if costs.table.dtypes[i] in ("fp32", "fp64") else "")
            for i in costs.arithmetic
        ]
        known = {name: np.flatnonzero([n == name for n in names]) for name in CLASSES if name in names}
        costs.table.__dict__["_roofline_classes"] = known
    return dict(known)


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
