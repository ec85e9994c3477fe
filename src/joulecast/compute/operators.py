"""What a component runs: its operators, grouped by cost, and the calls that a pipeline makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.peaks import Memory
from joulecast.compute.polynomial import applies
from joulecast.records import Record, equal_with_arrays

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
MEMORY = "memory"  # the family of operators without FLOP
ATTENTION = "attention"  # that of scaled dot products
TEXT_ENCODER, IMAGE_ENCODER, DENOISER, DECODER = "text_encoder", "image_encoder", "denoiser", "decoder"
ROLES = (TEXT_ENCODER, IMAGE_ENCODER, DENOISER, DECODER)
METHOD = "."  # between a module and which of its ways it is called by: vae.encode
# How a component is given the images of a batch.
BATCHED, ONE_BY_ONE, ONCE = "batched", "one_by_one", "once"
IMAGES = (BATCHED, ONE_BY_ONE, ONCE)
BATCH = "batch"  # the symbol of a number of images
NEVER, OF_SEVERAL, ALWAYS = "never", "several", "always"
COPIED = (NEVER, OF_SEVERAL, ALWAYS)
NEGATIVE = 2  # what a negative prompt adds to the mode of a request


class OperatorTable(Record):
    """Operators of one call of a component, equal ones grouped.

    Attributes
    ----------
    condition : symbols that must have these values for the table to apply (``{"batch": 1}``:
        at batch 1 some copies become views), or others of `joulecast.compute.polynomial.Condition`;
        empty for every other workload.
    monomials : column names of the three coefficient matrices.
    names, families, dtypes : of each group, shape (groups,). ``half`` stands for fp16 or bf16.
    head_dims : width of an attention head, 0 for other operators, shape (groups,).
    launches, flop, bytes_read, bytes_written : coefficients of the operators in the group and of their
        costs together, each of shape (monomials, groups). Launches rise where a component works
        in a loop: on some frames after the others.
    """

    condition: Mapping[str, int]
    monomials: tuple[str, ...]
    names: tuple[str, ...]
    families: tuple[str, ...]
    dtypes: tuple[str, ...]
    head_dims: Array
    launches: Array
    flop: Array
    bytes_read: Array
    bytes_written: Array

    def __eq__(self, other: object) -> bool:
        return equal_with_arrays(self, other)

    def applies(self, symbols: Mapping[str, int]) -> bool:
        """Whether its condition holds at one workload."""
        return applies(self.condition, symbols)

    @cached_property
    def arithmetic(self) -> Integers:
        """The groups that have FLOP."""
        return np.flatnonzero([family != MEMORY for family in self.families])

    @cached_property
    def bytes(self) -> Array:
        """Coefficients of the bytes read and written, shape (monomials, groups)."""
        return self.bytes_read + self.bytes_written

    @cached_property
    def memory_bytes(self) -> Array:
        """Coefficients of the bytes of all groups without FLOP, shape (monomials,)."""
        total = self.bytes.sum(axis=1) - self.bytes[:, self.arithmetic].sum(axis=1)
        return np.asarray(total)

    @cached_property
    def all_launches(self) -> Array:
        """Coefficients of the operators launched, shape (monomials,)."""
        return np.asarray(self.launches.sum(axis=1))

    @cached_property
    def arithmetic_launches(self) -> Array:
        """Coefficients of those of them that have FLOP, shape (monomials,)."""
        return np.asarray(self.launches[:, self.arithmetic].sum(axis=1))

    @cached_property
    def attention(self) -> Integers:
        """The groups that are attention."""
        return np.flatnonzero([family == ATTENTION for family in self.families])

    @cached_property
    def attention_launches(self) -> Array:
        """Coefficients of the operators that are attention, shape (monomials,)."""
        return np.asarray(self.launches[:, self.attention].sum(axis=1))

    @property
    def joins_text(self) -> bool:
        """Whether the text's tokens attend to each other, and so are changed with those of an image."""
        squares = np.array(["text^2" in monomial for monomial in self.monomials], dtype=bool)
        return bool(self.flop[squares][:, self.attention].any())


def batches_of(conditions: Iterable[Mapping[str, int]]) -> tuple[int, ...]:
    """The numbers of images that there are tables or peaks for, where the condition of each names one; else
    none."""
    batches = [condition.get(BATCH, 0) for condition in conditions]
    return tuple(sorted(set(batches))) if all(batches) else ()


class CallGroup(Record):
    """Equal calls that the pipeline makes of a component for one batch of images.

    ``count = fixed + per_step * steps``, where steps are the pipeline's ``num_inference_steps``; the
    call's text length is the pipeline's text length plus ``text_offset``. `images` says what several
    images make of the call:

    - ``batched``: the same calls, each with a batch of ``batch_factor`` times the images;
    - ``one_by_one``: the calls for one image after the other, each with a batch of ``batch_factor``;
    - ``once``: the calls of one image, whatever the number of images.
    """

    fixed: int
    per_step: int
    batch_factor: int
    text_offset: int
    images: str = BATCHED


class LinearLayers(Record):
    """Equal linear layers of a component that a LoRA adapts, as far as it computes.

    Attributes
    ----------
    inputs, outputs : numbers of a row before and after.
    count : such layers in one call.
    rows : of one of them, as (monomial, coefficient) pairs.
    copied : when a product without a bias copies its input first, one of `COPIED`: the rows of several images
        may not lie one behind the other.
    """

    inputs: int
    outputs: int
    count: int
    rows: tuple[tuple[str, float], ...]
    copied: str = NEVER


def module_of(name: str) -> str:
    """The module's own name, of a component that is one way of calling it."""
    return name.partition(METHOD)[0]


class Component(Record):
    """A module of the pipeline: its role, size, calls by mode (`mode_of`), operators by precision.

    A module that is called in two ways is two components of one size, ``vae`` and ``vae.encode``. One that
    takes over from another, built as that one is, has no calls: they are counted as the other's. `memory` is
    by precision too; empty in a profile from before memory was traced. `linears` are its layers that a LoRA
    adapts; empty where the pipeline takes none, and in a profile from before they were looked for.
    """

    name: str
    class_name: str
    role: str
    parameters: int
    calls: Mapping[int, tuple[CallGroup, ...]]
    tables: Mapping[str, tuple[OperatorTable, ...]]
    memory: Mapping[str, Memory] = field(default_factory=dict)
    linears: tuple[LinearLayers, ...] = ()

    @property
    def module(self) -> str:
        """The module's own name."""
        return module_of(self.name)

    @property
    def is_called(self) -> bool:
        """Whether calls are counted as its own: those of a twin are another component's."""
        return any(self.calls.values())


def mode_of(passes: int, negative_prompt: bool) -> int:
    """The mode of a request, by which a component's calls are kept: its denoiser passes in a step, and
    two more with a negative prompt where that makes other calls."""
    return passes + NEGATIVE * negative_prompt


class OperatorCosts(NamedTuple):
    """Costs of one call of a component, for the workloads in `rows`.

    Operators bound by memory add up, so they come as one sum; those with FLOP come one by one,
    because each may be bound by arithmetic or by memory.

    Attributes
    ----------
    component : the component that is called.
    rows : places of the workloads, shape (rows,).
    calls : calls of this kind for one batch of images, shape (rows,).
    launches, arithmetic_launches : operators launched in one call, and those of them with FLOP,
        shape (rows,).
    table : the operators; `arithmetic` are the groups with FLOP, shape (groups,).
    flop, bytes : of each group with FLOP, shape (rows, groups).
    memory_bytes : read and written by all other operators, shape (rows,).
    """

    component: Component
    rows: Integers
    calls: Array
    launches: Array
    arithmetic_launches: Array
    table: OperatorTable
    arithmetic: Integers
    flop: Array
    bytes: Array
    memory_bytes: Array
