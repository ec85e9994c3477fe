"""Whether a batch of images fits a GPU's memory: one rule for every command.

Both answers are sure ones. It fits where what torch's allocator holds at most, and what a process holds
beside it (the CUDA context, kernels), are no more than the GPU has at least. It does not where tensors and
weights alone are more than the GPU has at most. Between the two it may: how much scratch convolutions take is
cuDNN's choice, and how much of its nominal memory a board offers the driver's. An allocator may need more
than it holds, where what is free lies scattered. Of a model whose peak is not known, too large weights say
that it does not fit; whether it does is not known.

With offloading, what one component needs must fit, not all of them.

Peaks are of one GPU alone and of weights in the precision that is asked for. Of several GPUs, and of
quantised weights, they are an upper bound: what is smaller fits, and nothing surely does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast import data
from joulecast.architecture.workload import LIMITS, Workload, WorkloadColumns
from joulecast.compute.memory import left_beside
from joulecast.compute.output import IMAGE, said_of
from joulecast.compute.profile import BYTES_PER_WEIGHT, ComputeProfile
from joulecast.hardware import Gpu
from joulecast.law.law import LawInput
from joulecast.runtime import MODEL_OFFLOAD, NONE, Runtime
from joulecast.units import BYTES_PER_GIBIBYTE, BYTES_PER_GIGABYTE, gigabytes

if TYPE_CHECKING:
    from joulecast.question.question import Question

BLAS_WORKSPACE, CUDA_CONTEXT, LAZY_CUDA_CONTEXT = "blas_workspace", "cuda_context", "lazy_cuda_context"
DRIVER_RESERVE = "driver_reserve"
YES, PERHAPS, NO, UNKNOWN = "yes", "perhaps", "no", "unknown"
TOO_LARGE = "the batch does not fit the GPU's memory"
MAY_BE_TOO_LARGE = (
    "the batch may not fit the GPU's memory: peak_memory_bytes and the CUDA context may be more"
)
BOUND_IS_TOO_LARGE = (
    "the batch may not fit the GPU's memory: peak_memory_bytes, that of one GPU alone and of weights that "
    "are not quantised, an upper bound, is more"
)
NOT_KNOWN = "whether the batch fits the GPU's memory is not known, for its peak is not"
WOULD_FIT = (
    "the batch would fit with --offload model: components are on the GPU in turn, which takes time and energy"
)
ABOUT_MEMORY = (TOO_LARGE, MAY_BE_TOO_LARGE, BOUND_IS_TOO_LARGE, NOT_KNOWN, WOULD_FIT)
MOST_IMAGES = LIMITS["batch_size"][1]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class MemoryEstimate(NamedTuple):
    """The GPU memory of a batch of images; None where it is not known.

    Attributes
    ----------
    weights_bytes : the weights of all components [byte]; with offloading, the most that are on the GPU at
        once.
    peak_bytes : the most that torch's allocator holds, weights included [byte]; with offloading, those of
        what runs alone.
    least_peak_bytes : the same without scratch that cuDNN may leave out [byte].
    offloaded_peak_bytes : the most with ``enable_model_cpu_offload``, asked for or not.
    needed_bytes : what a GPU must have so that the batch surely fits, see `Needed` [byte].
    fits : ``yes``, ``perhaps``, ``no``, or ``unknown`` where the peak is not known and the weights are not
        too large.
    largest_batch, largest_batch_perhaps : the most images at once that fit, and that may fit; 0 is none.
    is_upper_bound : whether each board needs less than this, of one GPU alone and weights that are not
        quantised; the most that may fit is not known then.
    """

    weights_bytes: int
    peak_bytes: float | None
    least_peak_bytes: float | None
    offloaded_peak_bytes: float | None
    needed_bytes: float | None
    fits: str
    largest_batch: int | None
    largest_batch_perhaps: int | None
    is_upper_bound: bool = False


class Needed(NamedTuple):
    """What a GPU must have at most and at least so that batches fit [byte], each of shape (workloads,).

    `most` is nan where the peak is not known; `least` is that of the weights then.
    """

    most: Floats
    least: Floats


class Offered(NamedTuple):
    """What a board of a nominal memory has for a process at least and at most [byte], of one or of many."""

    least: Floats
    most: Floats


class Fits(NamedTuple):
    """Which batches surely do not fit, which may, and of which it is not known, each (workloads,)."""

    no: Mask
    perhaps: Mask
    unknown: Mask


@cache
def overhead_bytes(name: str) -> int:
    """What a library holds on the GPU, of ``data/memory_overheads.csv`` [byte]."""
    return next(int(row["bytes"]) for row in data.read_table("memory_overheads.csv") if row["name"] == name)


def weight_bytes(profile: ComputeProfile, precision: str, offload: str = NONE) -> int:
    """The weights of all modules, or the most that are on the GPU at once with offloading [byte]."""
    by_module, parts = bytes_by_module(profile, precision), profile.components
    if offload == NONE:
        return sum(by_module.values())
    return max(by_module[part.module] + left_beside(part, parts, by_module) for part in parts)


def bytes_by_module(profile: ComputeProfile, precision: str) -> dict[str, int]:
    """The weights of each module [byte]: as traced, with what a pipeline keeps in fp32 and how an allocator
    rounds; parameters by the bytes of the precision where they were not traced."""
    return {
        part.module: memory.weights
        if (memory := part.memory.get(precision)) is not None
        else part.parameters * BYTES_PER_WEIGHT[precision]
        for part in profile.components
    }


def offered_bytes(memory_bytes: float | Floats) -> Offered:
    """What boards of a nominal memory, 1 GB = 1e9 byte, have for a process.

    At least it without what a driver was seen to keep of it; at most as many GiB as it is GB, for a memory of
    so many GiB is sold as so many GB.
    """
    nominal = np.asarray(memory_bytes, dtype=np.float64)
    most = nominal * (BYTES_PER_GIBIBYTE / BYTES_PER_GIGABYTE)
    return Offered(nominal - overhead_bytes(DRIVER_RESERVE), most)


def peak_bytes(
    profile: ComputeProfile, workloads: WorkloadColumns, precision: str, offload: str = NONE
) -> Floats:
    """The most that torch's allocator holds [byte], nan where it is not known, shape (workloads,)."""
    peak = profile.peak_bytes(workloads, precision, offload)
    return np.full(len(workloads), np.nan) if peak is None else peak + overhead_bytes(BLAS_WORKSPACE)


def least_peak_bytes(
    profile: ComputeProfile, workloads: WorkloadColumns, precision: str, offload: str = NONE
) -> Floats:
    """The same without scratch that cuDNN may leave out [byte]."""
    use = profile.memory(workloads, precision)
    return np.full(len(workloads), np.nan) if use is None else use.least_peak(offload)


def needed_bytes(
    profile: ComputeProfile, workloads: WorkloadColumns, precision: str, offload: str = NONE
) -> Needed:
    """The allocator's peak and the CUDA context; the weights where the peak is not known."""
    least = least_peak_bytes(profile, workloads, precision, offload)
    weights = weight_bytes(profile, precision, offload)
    return Needed(
        peak_bytes(profile, workloads, precision, offload) + overhead_bytes(CUDA_CONTEXT),
        np.where(np.isnan(least), weights, least) + overhead_bytes(LAZY_CUDA_CONTEXT),
    )


def judged(needed: Needed, memory_bytes: float | Floats) -> Fits:
    """Whether batches fit boards of a nominal memory [byte], of one or of each batch's own."""
    offered = offered_bytes(memory_bytes)
    no, unknown = needed.least > offered.most, np.isnan(needed.most)
    return Fits(no, ~no & ~unknown & (needed.most > offered.least), ~no & unknown)


def at_most(needed: Needed, runtime: Runtime) -> Needed:
    """The same where it is an upper bound: nothing is known of what is needed at least."""
    return needed._replace(least=np.zeros_like(needed.least)) if runtime.memory_is_bound else needed


def weights_fit(
    profile: ComputeProfile, memory_bytes: float | Floats, precision: str, runtime: Runtime
) -> Mask:
    """Whether boards of a nominal memory may hold at least the weights that are on them at once, or their
    share of them; of one or of many."""
    needed = 0 if runtime.memory_is_bound else weight_bytes(profile, precision, runtime.offload)
    return np.asarray(needed <= offered_bytes(memory_bytes).most)


def memory_caveats(asked: LawInput) -> dict[str, Mask]:
    """Batches that do not fit, may not, or of which it is not known; where the weights alone do not, other
    words say so."""
    profile, workloads, precision, gpus, runtime = asked
    memory = gpus.column(lambda gpu: gpu.memory_bytes)
    told_already = ~weights_fit(profile, memory, precision, runtime)
    fits = judged(at_most(needed_bytes(profile, workloads, precision, runtime.offload), runtime), memory)
    too_large = fits.no | fits.perhaps | told_already
    return {
        TOO_LARGE: fits.no & ~told_already,
        BOUND_IS_TOO_LARGE if runtime.memory_is_bound else MAY_BE_TOO_LARGE: fits.perhaps & ~told_already,
        NOT_KNOWN: fits.unknown & ~told_already,
        WOULD_FIT: too_large & _would_fit(profile, workloads, precision, memory, runtime, too_large),
    }


def _would_fit(
    profile: ComputeProfile,
    workloads: WorkloadColumns,
    precision: str,
    memory_bytes: Floats | float,
    runtime: Runtime,
    of_interest: Mask,
) -> Mask:
    """Which batches surely fit with offloading, where it may be asked for and some are `of_interest`."""
    if not runtime.may_offload or not of_interest.any():
        return np.zeros(len(workloads), dtype=bool)
    needed = needed_bytes(profile, workloads, precision, MODEL_OFFLOAD)
    return np.asarray(needed.most <= offered_bytes(memory_bytes).least)


def memory_estimate(
    profile: ComputeProfile, workload: Workload, gpu: Gpu, runtime: Runtime
) -> MemoryEstimate:
    """The memory of a workload on a GPU, or on each of those that share it."""
    columns, precision, offload = workload.columns(), workload.precision, runtime.offload
    needed = at_most(needed_bytes(profile, columns, precision, offload), runtime)
    is_known = not np.isnan(needed.most[0])
    largest = largest_batches(profile, workload, gpu.memory_bytes, offload) if is_known else (None, None)
    surely, perhaps = largest
    return MemoryEstimate(
        weights_bytes=weight_bytes(profile, precision, offload),
        peak_bytes=_known(peak_bytes(profile, columns, precision, offload)),
        least_peak_bytes=_known(least_peak_bytes(profile, columns, precision, offload)),
        offloaded_peak_bytes=_known(peak_bytes(profile, columns, precision, MODEL_OFFLOAD)),
        needed_bytes=_known(needed.most),
        fits=_word(judged(needed, gpu.memory_bytes)),
        largest_batch=surely,
        largest_batch_perhaps=None if runtime.memory_is_bound else perhaps,
        is_upper_bound=runtime.memory_is_bound,
    )


def fits_of(questions: Sequence[Question]) -> list[str]:
    """Whether the batch of each question fits its GPU: ``yes``, ``perhaps``, ``no`` or ``unknown``."""
    found = [UNKNOWN] * len(questions)
    groups: dict[tuple[int, str, str, bool], list[int]] = {}
    for place, asked in enumerate(questions):
        runtime, precision = asked.runtime, asked.workload.precision
        kind = id(asked.profile), precision, runtime.offload, runtime.memory_is_bound
        groups.setdefault(kind, []).append(place)
    for (_, precision, offload, _), places in groups.items():
        first, here = questions[places[0]], [questions[place] for place in places]
        columns = WorkloadColumns.from_values(_values([asked.workload for asked in here]))
        needed = at_most(needed_bytes(first.profile, columns, precision, offload), first.runtime)
        fits = judged(needed, np.array([asked.gpu.memory_bytes for asked in here]))
        for row, place in enumerate(places):
            found[place] = _word(fits, row)
    return found


def _values(workloads: Sequence[Workload]) -> dict[str, list[int]]:
    """Workloads in columns; text tokens that are not given are -1."""
    tokens = [-1 if w.text_tokens is None else w.text_tokens for w in workloads]
    names = [field.name for field in dataclasses.fields(WorkloadColumns) if field.name != "text_tokens"]
    return {"text_tokens": tokens, **{name: [getattr(w, name) for w in workloads] for name in names}}


def _known(value: Floats) -> float | None:
    """The one number, None where it is not known."""
    return None if np.isnan(value[0]) else float(value[0])


def _word(fits: Fits, row: int = 0) -> str:
    """The answer of one batch."""
    answers = zip((NO, PERHAPS, UNKNOWN), fits, strict=True)
    return next((word for word, holds in answers if holds[row]), YES)


def memory_by_component(profile: ComputeProfile, workload: Workload, offload: str = NONE) -> dict[str, float]:
    """The most that the allocator holds while each component runs [byte]; without those not known."""
    use = profile.memory(workload.columns(), workload.precision)
    if use is None:
        return {}
    held = use.while_running(offload)[:, 0] + overhead_bytes(BLAS_WORKSPACE)
    return {name: size for name, size in zip(use.names, held.tolist(), strict=True) if not np.isnan(size)}


def largest_batches(
    profile: ComputeProfile, workload: Workload, memory_bytes: float, offload: str = NONE
) -> tuple[int, int]:
    """The most images at once that fit, and that may fit, up to what may be asked for; 0 where none does."""
    needed = _needed_by_batch(profile, dataclasses.replace(workload, batch_size=1, steps=1), offload)
    offered = offered_bytes(memory_bytes)
    surely = np.searchsorted(needed.most, offered.least, side="right")
    return int(surely), int(np.searchsorted(needed.least, offered.most, side="right"))


@lru_cache(maxsize=1024)
def _needed_by_batch(profile: ComputeProfile, workload: Workload, offload: str) -> Needed:
    """What 1, 2, 3, ... images at once need; of more images never less."""
    columns = workload.columns()
    fixed = {field.name: getattr(columns, field.name)[0] for field in dataclasses.fields(columns)}
    batches = WorkloadColumns.from_values(fixed | {"batch_size": np.arange(1, MOST_IMAGES + 1)})
    needed = needed_bytes(profile, batches, workload.precision, offload)
    return Needed(*map(np.maximum.accumulate, needed))


def does_not_fit(profile: ComputeProfile, workload: Workload, gpu: Gpu, runtime: Runtime) -> str:
    """That a batch does not fit, that it may not, or that it is not known: what it needs, the largest that
    fits. Its figures are those of `MemoryEstimate`, without the CUDA context."""
    found = memory_estimate(profile, workload, gpu, runtime)
    one = said_of(profile.output, "an image")
    images = f"a batch of {workload.batch_size}" if workload.batch_size > 1 else one
    batch = f"{images} of {_made_by(profile, workload)}"
    if found.fits == UNKNOWN:
        return _not_known(batch, profile, workload, gpu, runtime)
    told = f"{batch} {'does' if found.fits == NO else 'may'} not fit {_board(gpu)}"
    if found.peak_bytes is not None and found.is_upper_bound:
        return f"{told}: {bound_words(runtime)}, it takes up to {gigabytes(found.peak_bytes)} at its peak"
    if found.peak_bytes is None or found.least_peak_bytes is None:
        return (
            f"{told}: its weights take {gigabytes(found.weights_bytes)}, and the CUDA context is beside them"
        )
    return (
        f"{told}: it takes up to {gigabytes(found.peak_bytes)} at its peak, "
        f"{gigabytes(found.least_peak_bytes)} at least, and the CUDA context beside; "
        f"{_fitting(profile, workload, gpu, runtime)}"
    )


def bound_words(runtime: Runtime) -> str:
    """As if of what the memory of a runtime is known, where that is an upper bound."""
    of = (["of one GPU"] if runtime.gpus > 1 else []) + (["not quantised"] if runtime.weight_bits else [])
    return f"as if it were {' and '.join(of)}, an upper bound"


def in_full(words: str, profile: ComputeProfile, workload: Workload, gpu: Gpu, runtime: Runtime) -> str:
    """A caveat about memory with the batches that fit, which many settings share; others as they are."""
    if words == BOUND_IS_TOO_LARGE:
        return does_not_fit(profile, workload, gpu, runtime)
    batch = f"the batch of {_made_by(profile, workload)}"
    if words == NOT_KNOWN:
        return _not_known(batch, profile, workload, gpu, runtime)
    if words not in (TOO_LARGE, MAY_BE_TOO_LARGE):
        return words
    may = "does" if words == TOO_LARGE else "may"
    return (
        f"the batch {may} not fit {_board(gpu)}: of {_made_by(profile, workload)}, "
        f"{_fitting(profile, workload, gpu, runtime)}"
    )


def _not_known(batch: str, profile: ComputeProfile, workload: Workload, gpu: Gpu, runtime: Runtime) -> str:
    weights = gigabytes(weight_bytes(profile, workload.precision, runtime.offload))
    return (
        f"whether {batch} fits {_board(gpu)} is not known: its weights take {weights}, its peak is not known"
    )


def _made_by(profile: ComputeProfile, workload: Workload) -> str:
    return f"{workload.width}x{workload.height} by {profile.name} in {workload.precision}"


def _board(gpu: Gpu) -> str:
    return f"the {gpu.memory_bytes / BYTES_PER_GIGABYTE:g} GB of {gpu.name}"


def _fitting(profile: ComputeProfile, workload: Workload, gpu: Gpu, runtime: Runtime) -> str:
    largest = largest_batches(profile, workload, gpu.memory_bytes, runtime.offload)
    return fitting_words(*largest, profile.output)


def fitting_words(surely: int, perhaps: int | None, output: str = IMAGE) -> str:
    """The largest batches that fit and that may fit, in words; None where nobody knows how many may."""
    if perhaps is None:
        fit = f"batches of up to {surely} fit, and more may" if surely > 1 else "one image fits, and more may"
        return said_of(output, fit if surely else "one image may fit")
    if not perhaps:
        return said_of(output, "not one image fits")
    fit = f"batches of up to {surely} fit" if surely > 1 else "one image fits" if surely else ""
    may = f"up to {perhaps} may" if surely else f"batches of up to {perhaps} may fit"
    return said_of(output, ", ".join(filter(None, (fit, may if perhaps > surely else ""))))
