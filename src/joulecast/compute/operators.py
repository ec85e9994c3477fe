"""What a component runs: its operators, grouped by cost, and the calls that a pipeline makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
MEMORY = "memory"  # the family of operators without FLOP
TEXT_ENCODER, DENOISER, DECODER = "text_encoder", "denoiser", "decoder"
ROLES = (TEXT_ENCODER, DENOISER, DECODER)
# How a component is given the images of a batch.
BATCHED, ONE_BY_ONE, ONCE = "batched", "one_by_one", "once"
IMAGES = (BATCHED, ONE_BY_ONE, ONCE)
NEGATIVE = 2  # what a negative prompt adds to the mode of a request


@dataclass(frozen=True, eq=False)
class OperatorTable:
    """Operators of one call of a component, equal ones grouped.

    Attributes
    ----------
    condition : symbols that must have these values for the table to apply (``{"batch": 1}``:
        at batch 1 some copies become views); empty for every other workload.
    monomials : column names of the three coefficient matrices.
    names, families, dtypes : of each group, shape (groups,). ``half`` stands for fp16 or bf16.
    launches : operators in the group, shape (groups,).
    head_dims : width of an attention head, 0 for other operators, shape (groups,).
    flop, bytes_read, bytes_written : coefficients of the whole group, shape (monomials, groups).
    """

    condition: Mapping[str, int]
    monomials: tuple[str, ...]
    names: tuple[str, ...]
    families: tuple[str, ...]
    dtypes: tuple[str, ...]
    launches: Array
    head_dims: Array
    flop: Array
    bytes_read: Array
    bytes_written: Array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OperatorTable) and all(
            np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
            for mine, theirs in ((getattr(one, part.name) for one in (self, other)) for part in fields(self))
        )

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


@dataclass(frozen=True)
class CallGroup:
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


@dataclass(frozen=True)
class Component:
    """A module of the pipeline: its role, size, calls by mode (`mode_of`), operators by precision."""

    name: str
    class_name: str
    role: str
    parameters: int
    calls: Mapping[int, tuple[CallGroup, ...]]
    tables: Mapping[str, tuple[OperatorTable, ...]]


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
    launches, arithmetic_launches : operators launched in one call, and those of them with FLOP.
    table : the operators; `arithmetic` are the groups with FLOP, shape (groups,).
    flop, bytes : of each group with FLOP, shape (rows, groups).
    memory_bytes : read and written by all other operators, shape (rows,).
    """

    component: Component
    rows: Integers
    calls: Array
    launches: float
    arithmetic_launches: float
    table: OperatorTable
    arithmetic: Integers
    flop: Array
    bytes: Array
    memory_bytes: Array
