"""What offloading costs beside the work: weights that go to the GPU and back, once for each batch.

With diffusers' ``enable_model_cpu_offload`` (accelerate's ``cpu_offload_with_hook``) a component goes to the
GPU when it is first called, stays there in the loop over the steps, and goes back when the next one runs, the
last when the pipeline returns. In between nothing moves, and while it moves nothing is computed: its time is
added to the work's. No run of it was measured; ``data/offloading.csv`` has the rates and powers that are
assumed, with their ranges, whose ends are added to the ends of the law's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast import data
from joulecast.compute.profile import BYTES_PER_WEIGHT, ComputeProfile
from joulecast.forecast.memory import bytes_by_module, weight_bytes, weights_fit
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law.fitted import SO_WIDER
from joulecast.law.law import LawInput
from joulecast.runtime import MODEL_OFFLOAD, NONE, Runtime
from joulecast.uncertainty import Interval
from joulecast.units import BYTES_PER_GIGABYTE, gigabytes

TABLE = "offloading.csv"
TO_GPU, TO_HOST, LINK_SHARE, WAITING_POWER = "to_gpu", "to_host", "link_share", "waiting_power"

Floats = NDArray[np.float64]


class Ends(NamedTuple):
    """A quantity of each workload and its range, each of shape (workloads,)."""

    low: Floats
    value: Floats
    high: Floats

    def __add__(self, other: Ends) -> Ends:  # type: ignore[override]
        """The sum of two whose errors may go the same way."""
        return Ends(self.low + other.low, self.value + other.value, self.high + other.high)


class Moving(NamedTuple):
    """What moving the weights takes.

    Attributes
    ----------
    duration_s : for one batch [s].
    gross_j, dynamic_j : gross energy of one output, and without idle power [J].
    shares : of each component in it.
    """

    duration_s: Ends
    gross_j: Ends
    dynamic_j: Ends
    shares: Mapping[str, float]


def moving(asked: LawInput, idle_power_w: Floats) -> Moving:
    """What moving the weights takes beside the work, where `idle_power_w` is that of each workload's GPU."""
    moved = moved_bytes(asked.profile, asked.precision, asked.runtime)
    size, batch = sum(moved.values()), asked.workloads.batch_size
    seconds = _columns([moving_s(size, gpu) for gpu in asked.gpus.gpus], asked.gpus.index)
    watts = _columns([moving_w(gpu, asked.runtime) for gpu in asked.gpus.gpus], asked.gpus.index)
    pairs = tuple(zip(seconds, watts, strict=True))
    return Moving(
        seconds,
        Ends(*(s * w / batch for s, w in pairs)),
        Ends(*(s * np.maximum(w - idle_power_w, 0.0) / batch for s, w in pairs)),
        _shares(asked.profile, moved),
    )


def moved_bytes(profile: ComputeProfile, precision: str, runtime: Runtime) -> dict[str, float]:
    """The weights of each module, which go to the GPU and back once for each batch [byte]."""
    found: dict[str, float] = dict(bytes_by_module(profile, precision))
    if runtime.weight_bits:
        bits = 8 * BYTES_PER_WEIGHT[precision]
        for name in profile.denoising_modules:
            module = next(part.module for part in profile.components if part.name == name)
            found[module] *= min(1.0, runtime.weight_bits / bits)
    return found


def moving_s(size: float, gpu: Gpu) -> Interval:
    """Time in which so many bytes go to a GPU and back [s]."""
    to_gpu, to_host = (_rate(name, gpu) for name in (TO_GPU, TO_HOST))
    ends = zip(*((rate.high, rate.value, rate.low) for rate in (to_gpu, to_host)), strict=True)
    return Interval(*(size / there + size / back for there, back in ends))


def moving_w(gpu: Gpu, runtime: Runtime) -> Interval:
    """Power of a board while weights are copied [W]: from idle to its limit."""
    least, most = idle_power_w(gpu), runtime.lowered_limit_w(gpu.tdp_w) or gpu.tdp_w
    share = assumed(WAITING_POWER)
    return Interval(*(max(least, min(most, x * gpu.tdp_w)) for x in (share.low, share.value, share.high)))


def offloading_words(profile: ComputeProfile, gpu: Gpu, precision: str, runtime: Runtime) -> str:
    """What was assumed of offloading."""
    size = sum(moved_bytes(profile, precision, runtime).values())
    seconds, watts = moving_s(size, gpu), moving_w(gpu, runtime)
    return (
        f"no run with offloading was measured: the {gigabytes(size)} of weights were assumed to go to "
        f"{gpu.name} and back once a batch in {seconds.low:.2g} to {seconds.high:.2g} s, at {watts.low:.0f} "
        f"to {watts.high:.0f} W, {SO_WIDER}"
    )


def in_turn(profile: ComputeProfile, gpu: Gpu, precision: str, runtime: Runtime) -> str:
    """Of weights that do not fit a GPU: that they are those at once, or how many would be with offloading."""
    if runtime.offload != NONE:
        return f"with offload {runtime.offload}, at once"
    offloaded = replace(runtime, offload=MODEL_OFFLOAD)
    if not runtime.may_offload or not weights_fit(profile, gpu.memory_bytes, precision, offloaded):
        return ""
    return (
        f"{gigabytes(weight_bytes(profile, precision, MODEL_OFFLOAD))} at once with offload {MODEL_OFFLOAD}"
    )


@cache
def assumed(name: str) -> Interval:
    """A figure of ``data/offloading.csv``, in SI units."""
    row = next(row for row in data.read_table(TABLE) if row["name"] == name)
    factor = BYTES_PER_GIGABYTE if row["unit"] == "GB/s" else 1.0
    return Interval(*(float(row[end]) * factor for end in ("low", "value", "high")))


def _rate(name: str, gpu: Gpu) -> Interval:
    """Rate of copies of pageable memory in a direction, no faster than the GPU's link [byte/s].

    A link to other GPUs stands for that to the host: where it is NVLink, it is beyond what pageable memory
    reaches, as PCIe is beside it.
    """
    rate = assumed(name)
    if gpu.link_byte_per_s is None:
        return rate
    link = assumed(LINK_SHARE) * gpu.link_byte_per_s
    return Interval(min(rate.low, link.low), min(rate.value, link.value), min(rate.high, link.high))


def _columns(of_gpus: list[Interval], index: NDArray[np.int64]) -> Ends:
    """A quantity of each GPU -> of each workload's."""
    return Ends(*np.array([(x.low, x.value, x.high) for x in of_gpus]).T[:, index])


def _shares(profile: ComputeProfile, moved: Mapping[str, float]) -> dict[str, float]:
    """The share of each component: of its module, once; of what takes over from a denoiser, that one's."""
    total, left = sum(moved.values()), dict(moved)
    shares = dict.fromkeys((part.name for part in profile.components), 0.0)
    for part in profile.components:
        name = part.name if part.is_called else profile.denoisers[0].name
        shares[name] += left.pop(part.module, 0.0) / total
    return shares
