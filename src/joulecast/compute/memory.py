"""The most memory that making a batch of images takes, from the peaks of the components' calls.

It is reached while some component runs: the weights that are on the GPU then, what the call has in use, what
the pipeline keeps between calls, and what libraries keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.cases import test_of
from joulecast.compute.evaluation import Polynomials, product
from joulecast.compute.operators import (
    BATCH,
    BATCHED,
    DECODER,
    DENOISER,
    IMAGE_ENCODER,
    ONCE,
    ONE_BY_ONE,
    TEXT_ENCODER,
    CallGroup,
    Component,
    Integers,
    batches_of,
)
from joulecast.compute.peaks import Peak
from joulecast.compute.polynomial import ROWS, Array, parse_condition
from joulecast.errors import UnknownNameError
from joulecast.records import Record
from joulecast.runtime import MODEL_OFFLOAD, NONE, OFFLOAD

# How often a pipeline keeps what its denoiser takes and returns: before and after it casts, joins, steps it.
KEPT = 2


class MemoryUse(Record):
    """Memory of a batch of images by component, in the order of `names` [byte].

    Attributes
    ----------
    names : of the components.
    on_gpu : the weights on the GPU while each component runs, by way of offloading, shape (components, 1).
    alive : what its calls have in use beside weights at most, (components, workloads).
    least : the same without the scratch that libraries may leave out.
    held : what the pipeline keeps between calls, shape (workloads,).
    """

    names: tuple[str, ...]
    on_gpu: Mapping[str, Array]
    alive: Array
    least: Array
    held: Array

    def while_running(self, offload: str = NONE) -> Array:
        """Memory while each component runs, at most, shape (components, workloads)."""
        return self._weights(offload) + self.alive + self.held

    def least_peak(self, offload: str = NONE) -> Array:
        """What is in use at once at least: tensors and weights alone, shape (workloads,)."""
        return np.asarray((self._weights(offload) + self.least).max(axis=0))

    def peak(self, offload: str = NONE) -> Array:
        """The most that is in use at once: with all scratch that libraries may take, shape (workloads,)."""
        return np.asarray(self.while_running(offload).max(axis=0))

    def _weights(self, offload: str) -> Array:
        if offload not in self.on_gpu:
            raise UnknownNameError(OFFLOAD, offload, self.on_gpu, f"known: {', '.join(self.on_gpu)}")
        return self.on_gpu[offload]


class _Option(NamedTuple):
    """A peak of a call, where several have conditions; `batch` is the number of images it was traced with,
    where every peak of the call has one."""

    group: CallGroup  # as its polynomials see it
    peak: Peak
    batch: int | None

    def holds(self, group: CallGroup, symbols: Array, batch: Array) -> NDArray[np.bool_]:
        """Whether its condition does at workloads of which the call takes so many images, (workloads,)."""
        found = np.ones(symbols.shape[1], dtype=bool) if self.batch is None else batch == self.batch
        at = dict(zip(ROWS, symbols, strict=True))
        for text, value in self.peak.condition.items():
            if self.batch is None or text != BATCH:
                test = test_of(group, text, value)
                found = found & (
                    parse_condition(test[0]).holds(at, test[1]) if isinstance(test, tuple) else test
                )
        return found


class _PeakCall(NamedTuple):
    """A kind of call: the place of its component, whether that denoises, and its peaks."""

    place: int
    is_denoiser: bool
    group: CallGroup
    options: tuple[_Option, ...]

    def of_option(self, values: Array, symbols: Array) -> Array:
        """Of values of options, (3, options, workloads), those of the first that holds; nan of none.

        Where each is of a number of images, the next larger one stands for what is between, and of the second
        value, what is in use at least, the next smaller one; above the largest it rises in proportion.
        """
        if len(self.options) == 1 and not self.options[0].peak.condition:
            return np.asarray(values[:, 0])
        images = symbols[ROWS.index(BATCH)]
        asked = self.group.batch_factor * (images if self.group.images == BATCHED else np.ones_like(images))
        traced = sorted({option.batch for option in self.options if option.batch is not None})
        if not traced:
            return self._first_holding(values, symbols, asked)
        ladder = np.array(traced, dtype=float)
        above = ladder[np.minimum(ladder.searchsorted(asked), len(ladder) - 1)]
        below = ladder[np.maximum(ladder.searchsorted(asked, side="right") - 1, 0)]
        out = self._first_holding(values, symbols, above)
        out[1] = self._first_holding(values, symbols, below)[1]
        return np.asarray(out * np.maximum(asked / ladder[-1], 1.0))

    def _first_holding(self, values: Array, symbols: Array, batch: Array) -> Array:
        """The values of the first option that holds with so many images, (3, workloads)."""
        holds = np.array([option.holds(self.group, symbols, batch) for option in self.options])
        chosen = np.take_along_axis(values, holds.argmax(axis=0)[None, None], axis=1)[:, 0]
        return np.where(holds.any(axis=0), chosen, np.nan)


class PeakCase(Polynomials):
    """The peaks of all calls that a pipeline makes in one mode, prepared for many workloads."""

    def __init__(self, components: Sequence[Component], precision: str, mode: int) -> None:
        self.calls = tuple(
            _PeakCall(place, part.role == DENOISER, group, _options(group, part.memory[precision].peaks))
            for place, part in enumerate(components)
            for group in part.calls.get(mode, ())
        )
        options = [option for call in self.calls for option in call.options]
        super().__init__([(option.peak.monomials, option.group) for option in options])
        self._most, self._needed = (_Largest(self, options, name) for name in ("alive", "least"))
        self._held = self.stacked([option.peak.held[:, None] for option in options])
        places = [call.place for call in self.calls]
        self._called = sorted(set(places))  # places of components that are
        self._starts = [places.index(place) for place in self._called]
        self._components = len(components)
        self._denoisers = [k for k, call in enumerate(self.calls) if call.is_denoiser]

    def at(self, symbols: Array) -> tuple[Array, Array, Array]:
        """What components have in use at most and at least, nothing where they are not called, each of shape
        (components, workloads), and what the pipeline keeps between calls, (workloads,)."""
        of_calls = self._of_calls(symbols)
        found = np.zeros((2, self._components, symbols.shape[1]))
        found[:, self._called] = np.maximum.reduceat(of_calls[:2], self._starts, axis=1)
        return found[0], found[1], KEPT * of_calls[2, self._denoisers].max(axis=0, initial=0.0)

    def _of_calls(self, symbols: Array) -> Array:
        """What each kind of call has in use at most, and at least, and what is kept of it; (3, calls,
        workloads). Images made one by one are all kept."""
        monomials = self.monomials(symbols)
        values = np.array(
            [self._most.at(monomials), self._needed.at(monomials), product(self._held, monomials)]
        )
        images, start = symbols[ROWS.index(BATCH)], 0
        out = np.empty((3, len(self.calls), symbols.shape[1]))
        for place, call in enumerate(self.calls):
            end = start + len(call.options)
            out[:, place] = call.of_option(values[:, start:end], symbols)
            if call.group.images == ONE_BY_ONE:
                out[0, place] += out[2, place] * (images - 1)
                out[2, place] *= images
            start = end
        return out


class _Largest:
    """The largest term of each option."""

    def __init__(self, polynomials: Polynomials, options: Sequence[_Option], name: str) -> None:
        terms = [getattr(option.peak, name) for option in options]
        self._terms = polynomials.stacked([some.T for some in terms])
        self._starts = np.cumsum([0, *map(len, terms)])[:-1]

    def at(self, monomials: Array) -> Array:
        """Shape (options, workloads)."""
        return np.asarray(np.maximum.reduceat(product(self._terms, monomials), self._starts, axis=0))


def _options(group: CallGroup, peaks: Sequence[Peak]) -> tuple[_Option, ...]:
    """The peaks of a call; where every one is of a number of images, this stands in their polynomials."""
    if not batches_of(peak.condition for peak in peaks):
        return tuple(_Option(group, peak, None) for peak in peaks)
    return tuple(
        _Option(replace(group, batch_factor=peak.condition[BATCH], images=ONCE), peak, peak.condition[BATCH])
        for peak in peaks
    )


def left_beside(part: Component, components: Sequence[Component], weights: Mapping[str, int]) -> int:
    """The weights that model offloading leaves on the GPU beside those of a component that runs [byte].

    A module goes when the next of the pipeline's ``model_cpu_offload_seq`` runs. What runs before its turn,
    as a decoder that encodes an input image, waits for it on the GPU; so does a ControlNet, which has no
    turn, until the images are made.
    """
    per_step = [one.module for one in components if any(group.per_step for group in one.calls[1])]
    decoders = {one.module for one in components if one.role == DECODER}
    early = {one.module for one in components if one.role == IMAGE_ENCODER and one.module in decoders}
    if part.role == DECODER:
        beside = set(per_step[:-1])
    elif part.role == IMAGE_ENCODER and part.module in early:
        return max((weights[one.module] for one in components if one.role == TEXT_ENCODER), default=0)
    else:
        beside = early | (set(per_step) if part.module in per_step else set())
    return sum(weights[module] for module in beside - {part.module})


class PeakCases:
    """The memory of a profile in one precision; its modes are prepared when a workload is first of them."""

    def __init__(self, components: Sequence[Component], precision: str) -> None:
        self.components, self.precision = components, precision
        known = [memory for part in components if (memory := part.memory.get(precision)) is not None]
        self.is_known = len(known) == len(components) and all(memory.peaks for memory in known)
        called, resting = (np.array([[float(getattr(m, n))] for m in known]) for n in ("called", "weights"))
        modules = {part.module: memory.weights for part, memory in zip(components, known, strict=False)}
        beside = [left_beside(part, components, modules) for part in components] if self.is_known else [0]
        self.on_gpu = {
            NONE: called + sum(modules.values()) - resting,
            MODEL_OFFLOAD: called + np.array(beside)[:, None],
        }
        self._cases: dict[int, PeakCase] = {}

    def use(self, symbols: Array, modes: Integers) -> MemoryUse | None:
        """The memory at workloads of symbols, whose rows are ROWS, and modes; None where it is not known."""
        if not self.is_known:
            return None
        names, distinct = tuple(part.name for part in self.components), set(modes.tolist())
        if len(distinct) == 1:
            return MemoryUse(names, self.on_gpu, *self._case(distinct.pop()).at(symbols))
        alive, least = np.zeros((2, len(names), len(modes)))
        held = np.zeros(len(modes))
        for mode in distinct:
            rows = np.flatnonzero(modes == mode)
            alive[:, rows], least[:, rows], held[rows] = self._case(mode).at(symbols[:, rows])
        return MemoryUse(names, self.on_gpu, alive, least, held)

    def _case(self, mode: int) -> PeakCase:
        if mode not in self._cases:
            self._cases[mode] = PeakCase(self.components, self.precision, mode)
        return self._cases[mode]
