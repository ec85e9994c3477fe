"""What the roofline law takes from GPUs' records, and what it assumes where they do not say."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.hardware import CATALOGUE, Gpu, process_nodes
from joulecast.law.law import Array, GpuColumns
from joulecast.runtime import Runtime
from joulecast.units import BYTES_PER_GIGABYTE

REFERENCE_CLOCK_HZ = 1.41e9  # the A100's, so that its clock factor is 1
REFERENCE_NODE = "TSMC N7"
REFERENCE_DENSITY = 2048.0  # FLOP of the A100's tensor cores a multiprocessor and clock
UNKNOWN_CLOCK_HZ = 1.8e9  # of a GPU file that does not say
# Process of a GPU file that does not say, by its year: the one most GPUs of that time are made in.
PROCESS_BY_YEAR = ((2019, "TSMC 12FFN"), (2021, "TSMC N7"), (2100, "TSMC 4N"))
UNKNOWN_LINK_BYTE_PER_S = 31e9  # PCIe 4 x16, one direction
EXPONENTIALS_PER_CLOCK = 16  # that a multiprocessor's special function units make, since Volta


class _Traits(NamedTuple):
    s_per_half_flop: float
    s_per_tf32_flop: float
    s_per_fp32_flop: float
    s_per_byte: float
    s_per_exponential: float
    s_per_link_byte: float
    tdp_w: float
    lane_cost: float
    log_node: float
    log_clock: float
    density: float
    fp8_gain: float
    int8_gain: float
    is_hopper: float


class GpuTraits:
    """Traits of GPUs, each of shape (workloads,), or (1,) where it is one GPU.

    Attributes
    ----------
    s_per_flop : by peak: 16 bits, TF32, fp32 [s], shape (3, ...).
    s_per_byte, s_per_exponential, s_per_link_byte : of memory, special function units, the link [s].
    tdp_w : power limit [W].
    lane_cost : energy of a tensor-core FLOP where the rate with fp32 accumulation is cut, over the chip's.
    log_node, log_clock : of the process's switching energy and the clock, relative to the reference chip's.
    density : tensor-core FLOP a multiprocessor and clock, relative to the reference chip's.
    eight_bit_gain : by format: rate of 8-bit arithmetic over that of 16 bits; 1 where the GPU has none.
    is_hopper : 1 of the generation that FlashAttention 3 is made for.
    chips, chip_index : distinct chips, and each workload's.
    """

    def __init__(self, values: Array, chips: tuple[str, ...], chip_index: NDArray[np.int64]) -> None:
        self._values, self.chips, self.chip_index = values, chips, chip_index
        named = dict(zip(_Traits._fields, values, strict=True))
        self.s_per_flop = values[:3]
        self.s_per_byte, self.s_per_exponential = named["s_per_byte"], named["s_per_exponential"]
        self.s_per_link_byte, self.tdp_w = named["s_per_link_byte"], named["tdp_w"]
        self.lane_cost, self.density = named["lane_cost"], named["density"]
        self.log_node, self.log_clock = named["log_node"], named["log_clock"]
        self.eight_bit_gain = {"fp8": named["fp8_gain"], "int8": named["int8_gain"]}
        self.is_hopper = named["is_hopper"]

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
    chips = tuple(dict.fromkeys(gpu.chip for gpu in gpus))
    index = np.array([chips.index(gpu.chip) for gpu in gpus], dtype=np.int64)
    return GpuTraits(np.array([_traits(gpu) for gpu in gpus], dtype=np.float64).T.copy(), chips, index)


def _traits(gpu: Gpu) -> _Traits:
    clock = clock_hz(gpu)
    multiprocessors = gpu.sm_count or half_peak(gpu) / (clock * REFERENCE_DENSITY)
    density = half_peak(gpu) / (clock * multiprocessors) / REFERENCE_DENSITY
    return _Traits(
        s_per_half_flop=1 / half_peak(gpu),
        s_per_tf32_flop=1 / (gpu.tf32_flop_per_s or fp32_peak(gpu)),
        s_per_fp32_flop=1 / fp32_peak(gpu),
        s_per_byte=1 / gpu.bandwidth_byte_per_s,
        s_per_exponential=1 / (EXPONENTIALS_PER_CLOCK * multiprocessors * clock),
        s_per_link_byte=1 / (gpu.link_byte_per_s or UNKNOWN_LINK_BYTE_PER_S),
        tdp_w=gpu.tdp_w,
        lane_cost=_lane_cost(gpu),
        log_node=_log_node(gpu),
        log_clock=math.log(clock / REFERENCE_CLOCK_HZ),
        density=density,
        fp8_gain=max(1.0, (gpu.fp8_flop_per_s or 0.0) / half_peak(gpu)),
        int8_gain=max(1.0, (gpu.int8_op_per_s or 0.0) / half_peak(gpu)),
        is_hopper=float(gpu.generation == "Hopper"),
    )


def half_peak(gpu: Gpu) -> float:
    """Peak of 16-bit arithmetic [FLOP/s]; where a GPU file states none, that of fp32."""
    return gpu.fp16_flop_per_s or gpu.bf16_flop_per_s or fp32_peak(gpu)


def fp32_peak(gpu: Gpu) -> float:
    """CUDA-core peak [FLOP/s]; where a GPU file states none, a sixteenth of the 16-bit peak."""
    return gpu.fp32_flop_per_s or (gpu.fp16_flop_per_s or gpu.bf16_flop_per_s or 0.0) / 16


def clock_hz(gpu: Gpu) -> float:
    """The boost clock [Hz], or the usual one of a GPU file that states none."""
    return gpu.boost_clock_hz or UNKNOWN_CLOCK_HZ


def assumed(gpu: Gpu, precision: str, runtime: Runtime) -> str:
    """What the law assumes of a GPU whose file does not say, in words; empty where it says all."""
    found = []
    if gpu.boost_clock_hz is None:
        found.append(("boost_clock_mhz", f"{clock_hz(gpu) / 1e6:.0f} MHz"))
    if gpu.process is None:
        found.append(("process", _process(gpu)))
    if precision == "fp32" and gpu.fp32_flop_per_s is None:
        found.append(("fp32_tflops", "a sixteenth of the 16-bit peak"))
    if precision == "fp32" and gpu.tf32_flop_per_s is None and gpu.origin != CATALOGUE:
        found.append(("tf32_tflops", "the fp32 peak, for convolutions"))
    if runtime.gpus > 1 and gpu.link_byte_per_s is None:
        found.append(("link_gb_per_s", f"{UNKNOWN_LINK_BYTE_PER_S / BYTES_PER_GIGABYTE:g} GB/s"))
    if not found:
        return ""
    keys, values = zip(*found, strict=True)
    return f"{gpu.name} states no {' and no '.join(keys)}: taken as {' and '.join(values)}"


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
