"""Whether a profile that was read can be true: a right form and a right checksum say nothing of that.

Names are one line, numbers in the range of what there is, and at workloads all over the profile's range no
call and no operator costs less than nothing, the whole costs something, and more images, pixels or steps
never cost less.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np

from joulecast.architecture.workload import LIMITS, Workload, WorkloadColumns
from joulecast.compute.evaluation import CaseCosts
from joulecast.compute.operators import Component, OperatorTable, mode_of
from joulecast.compute.polynomial import ROWS
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import ONLY
from joulecast.errors import InputError, one_line, shown
from joulecast.files.numbers import within

MOST_PARAMETERS: Final = 1e13
MOST_WEIGHTS: Final = 16 * MOST_PARAMETERS  # [byte]
MOST_TOKENS: Final = LIMITS["text_tokens"][1]
MOST_STEPS: Final = LIMITS["steps"][1]
MOST_SIDE: Final = LIMITS["width"][1]
MOST_PARTS: Final = 64  # components, kinds of calls, tables: pipelines in use have 2 to 6
MOST_TESTS: Final = 32  # different conditions of tables: the cases are two to their power
MOST_OPERATORS: Final = 5_000  # kinds of a table; 150 are usual
MOST_WIDTH: Final = 2**20  # numbers in a row of a linear layer
MOST_COST: Final = 1e20  # a coefficient [FLOP or byte]
ROUNDING: Final = 1e-9  # of a cost that is nothing, next to what it is a difference of


def check_profile(profile: ComputeProfile) -> None:
    """Raise InputError where a profile cannot be true."""
    _check_names(profile)
    _check_rules(profile)
    _check_components(profile.components)
    problem = profile.errors(_default(profile).columns())[0]
    if problem:
        raise InputError(f"it refuses its own default: {problem}")
    for precision in profile.components[0].tables:
        _check_costs(profile, precision)


def _check_names(profile: ComputeProfile) -> None:
    one_line(profile.name, "name")
    one_line(profile.pipeline, "pipeline")
    for value in (profile.hub_id, profile.revision, profile.guidance.parameter):
        if value is not None:
            one_line(value, "a name")
    for note in profile.notes:
        one_line(note, "a note", most=2000)
    if not hasattr(profile.made_with, "items"):
        raise InputError(f"made_with is {shown(profile.made_with)}; expected versions by package")
    for package, version in profile.made_with.items():
        one_line(package, "a package")
        one_line(version, "a version")


def _check_rules(profile: ComputeProfile) -> None:
    """The pipeline's rules for sizes, text, guidance and steps."""
    size, text = profile.size, profile.text
    within(size.unit, "size.unit", 1, 4096)
    if size.largest is not None:
        within(size.largest, "size.largest", size.unit, 2**20)
    if size.off_grid == ONLY and len(size.bins) != 1:
        raise InputError(f"size.bins has {len(size.bins)} sizes; expected the only one")
    for ratio, height, width in size.bins:
        within(ratio, "a bin's ratio", 1e-3, 1e3)
        for side in (height, width):
            within(side, "a bin's side", size.unit, MOST_SIDE)
    if size.native is not None:
        low, high = size.native
        within(high, "size.native", within(low, "size.native", 1, MOST_SIDE), MOST_SIDE)
    if profile.frames is not None and profile.frames.largest is not None:
        within(profile.frames.largest, "frames.largest", profile.frames.first, 2**20)
    within(text.default, "text.default", 0, MOST_TOKENS)
    within(text.denoiser_offset, "text.denoiser_offset", -MOST_TOKENS, MOST_TOKENS)
    within(text.multiple, "text.multiple", 1, MOST_TOKENS)
    if text.largest is not None:
        within(text.largest, "text.largest", 1, MOST_TOKENS)
    within(profile.guidance.threshold, "guidance.threshold", -1e3, 1e3)
    for name in ("guidance", "true_cfg_scale"):
        scale = getattr(profile.defaults, name)
        if scale is not None:
            within(scale, f"defaults.{name}", -1e3, 1e3)
    for steps, surplus in profile.call_exceptions.items():
        within(steps, "a step of call_exceptions", 1, MOST_STEPS)
        within(surplus, "a surplus of call_exceptions", -steps, MOST_STEPS)


def _check_components(components: tuple[Component, ...]) -> None:
    within(len(components), "the number of components", 1, MOST_PARTS)
    names = [component.name for component in components]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"component {shown(twice)} is there twice")
    tests: set[tuple[str, int]] = set()
    for component in components:
        one_line(component.name, "a component's name", most=60)
        one_line(component.class_name, "a component's class")
        within(component.parameters, "parameters", 0, MOST_PARAMETERS)
        _check_memory(component)
        _check_calls(component)
        _check_linears(component)
        for table in _tables(component):
            _check_table(table)
            tests |= set(table.condition.items())
    within(len(tests), "the number of different conditions", 0, MOST_TESTS)


def _check_memory(component: Component) -> None:
    for precision, memory in component.memory.items():
        if precision not in component.tables:
            raise InputError(f"memory in {shown(precision)}, of which there are no operators")
        within(memory.weights, "the bytes of weights", 0, MOST_WEIGHTS)
        within(memory.called, "the bytes of weights of a component that runs", memory.weights, MOST_WEIGHTS)
        within(len(memory.peaks), "the number of peaks", 0, MOST_PARTS)
        for peak in memory.peaks:
            terms = np.concatenate([peak.alive, peak.least, peak.held[None]])
            within(len(terms), "the number of terms of a peak", 3, MOST_OPERATORS)
            within(float(np.abs(terms).max(initial=0)), "memory", 0, MOST_COST)


def _check_linears(component: Component) -> None:
    within(len(component.linears), "the number of kinds of linear layers", 0, MOST_OPERATORS)
    for some in component.linears:
        within(some.inputs, "the inputs of a linear layer", 1, MOST_WIDTH)
        within(some.outputs, "the outputs of a linear layer", 1, MOST_WIDTH)
        within(some.count, "the number of linear layers", 1, MOST_OPERATORS)
        for _, coefficient in some.rows:
            within(coefficient, "the rows of a linear layer", -MOST_COST, MOST_COST)


def _check_calls(component: Component) -> None:
    for groups in component.calls.values():
        within(len(groups), "the number of kinds of calls", 0, MOST_PARTS)
        for group in groups:
            within(group.fixed, "fixed calls", -MOST_STEPS, MOST_STEPS)
            within(group.per_step, "calls per_step", 0, 1000)
            within(group.batch_factor, "batch_factor", 1, 64)
            within(group.text_offset, "text_offset", -MOST_TOKENS, MOST_TOKENS)


def _tables(component: Component) -> Iterator[OperatorTable]:
    for tables in {id(tables): tables for tables in component.tables.values()}.values():
        within(len(tables), "the number of tables", 1, MOST_PARTS)
        yield from tables


def _check_table(table: OperatorTable) -> None:
    within(len(table.names), "the number of kinds of operators", 0, MOST_OPERATORS)
    for text in (*table.names, *table.dtypes):
        one_line(text, "an operator", most=100)
    for value in table.condition.values():
        within(value, "a condition", 0, 2**20)
    for values, what, most in (
        (np.abs(table.launches), "launches", 1e8),
        (table.head_dims, "the width of a head", 1e5),
        (np.abs([table.flop, table.bytes_read, table.bytes_written]), "a cost", MOST_COST),
    ):
        if values.size:
            within(float(values.min()), what, 0, most)
            within(float(values.max()), what, 0, most)


# --- costs at workloads ---------------------------------------------------------------------------


def _default(profile: ComputeProfile) -> Workload:
    d = profile.defaults
    within(d.width, "defaults.width", *LIMITS["width"])
    within(d.height, "defaults.height", *LIMITS["height"])
    within(d.steps, "defaults.steps", *LIMITS["steps"])
    return Workload(d.width, d.height, d.steps, precision=d.precision, frames=d.frames)


def _check_costs(profile: ComputeProfile, precision: str) -> None:
    workloads = _everywhere(profile)
    symbols = profile._symbols(workloads)
    text = symbols[ROWS.index("text")]
    if not (text >= 0).all():
        raise InputError("the denoiser's text has less than no tokens at a length that is taken")
    for part in profile.evaluation(workloads, precision).parts:
        _check_part(part)
    _check_peaks(profile, workloads, precision)
    total = profile.total_flop(workloads, precision)
    if not (total > 0).all() or not np.isfinite(total).all():
        raise InputError(f"there is a workload in {precision} of no arithmetic")
    for what, chain in _chains(profile):
        rising = profile.total_flop(chain, precision)
        if (np.diff(rising) < -ROUNDING * rising[:-1]).any():
            raise InputError(f"{what} cost less arithmetic in {precision}")


def _check_peaks(profile: ComputeProfile, workloads: WorkloadColumns, precision: str) -> None:
    """Every call has some memory in use, and no end of it."""
    use = profile.memory(workloads, precision)
    if use is None:
        return
    found = np.concatenate([use.alive, use.least, use.held[None], use.alive - use.least])
    if not np.isfinite(found).all() or (found < 0).any():
        raise InputError(f"memory in {precision} is less than nothing, or no number, at a size that is taken")


def _check_part(part: CaseCosts) -> None:
    """No call happens less than never, and no operator costs less than nothing."""
    if (part.counts < 0).any():
        raise InputError("a component is called less than never at a number of steps")
    for place, call in enumerate(part.case.calls):
        name = call.component.name
        table = call.table
        for cost in (table.launches, table.flop, table.bytes_read, table.bytes_written):
            coefficients = part.case.coefficients(place, cost)
            found = coefficients @ part.monomials
            if not np.isfinite(found).all():
                raise InputError(f"an operator of {shown(name)} costs more than a number can say")
            if (found < -ROUNDING * (np.abs(coefficients) @ np.abs(part.monomials))).any():
                raise InputError(
                    f"an operator of {shown(name)} costs less than nothing at a size that is taken"
                )


def _everywhere(profile: ComputeProfile) -> WorkloadColumns:
    """Workloads at the corners of what the profile takes, and between."""
    sides = _sides(profile)
    sizes = [(s, s) for s in sides] + [(sides[0], sides[-1]), (sides[-1], sides[0])]
    sizes.append((profile.defaults.width, profile.defaults.height))
    steps = {1, 2, profile.defaults.steps, MOST_STEPS, *profile.call_exceptions}
    rows = itertools.product(
        sizes, _frames(profile), (1, 2, 3, 4, 8, 64), _lengths(profile), _modes(profile), sorted(steps)
    )
    return _columns(
        (width, height, count, batch, tokens, mode, frames)
        for (width, height), frames, batch, tokens, mode, count in rows
    )


def _chains(profile: ComputeProfile) -> Iterator[tuple[str, WorkloadColumns]]:
    """Workloads that ask for more and more, one thing at a time."""
    d = profile.defaults
    for mode in _modes(profile):
        batches = (1, 2, 3, 4, 5, 8, 9, 16, 64, 512)
        yield (
            "more images",
            _columns((d.width, d.height, d.steps, batch, -1, mode, d.frames) for batch in batches),
        )
        counts = [s for s in (1, 2, 3, 5, 50, 1000, MOST_STEPS) if s not in profile.call_exceptions]
        yield "more steps", _columns((d.width, d.height, count, 1, -1, mode, d.frames) for count in counts)
        if profile.frames is not None:
            some = _frames(profile)
            yield "more frames", _columns((d.width, d.height, d.steps, 1, -1, mode, n) for n in some)
        if not profile.size.bins:
            sides = _sides(profile)
            yield "more pixels", _columns((s, s, d.steps, 1, -1, mode, d.frames) for s in sides)


def _frames(profile: ComputeProfile) -> list[int]:
    """Numbers of frames that are made, rising: the fewest, all kinds of a few more, and many."""
    rule = profile.frames
    if rule is None:
        return [1]
    found = {rule.of_steps(steps) for steps in (*range(1, 10), 31)} | {profile.defaults.frames}
    return sorted(n for n in found if n <= min(LIMITS["frames"][1], rule.largest or LIMITS["frames"][1]))


def _sides(profile: ComputeProfile) -> list[int]:
    """Sides of squares that are taken, rising: the smallest, the largest and some between."""
    size, d = profile.size, profile.defaults
    most = min(MOST_SIDE, size.largest or MOST_SIDE)
    wished = {*LIMITS["width"], size.unit, 2 * size.unit, 3 * size.unit, 512, d.width, 2 * d.height, most}
    fitting = {max(size.unit, w // size.unit * size.unit, LIMITS["width"][0]) for w in wished}
    sides = np.array(sorted(side for side in fitting if side <= most), dtype=np.int64)
    taken = sides[~size.refused(sides, sides)].tolist()
    return taken or [d.width]


def _lengths(profile: ComputeProfile) -> list[int]:
    """Text lengths that are taken: the default, and where it may be chosen the shortest and a long one."""
    text = profile.text
    if not text.adjustable:
        return [-1]
    longest = text.largest or 4 * max(text.default, 64)
    return [-1, max(text.denoiser_offset + 1, 1), max(text.denoiser_offset + longest, 1)]


def _modes(profile: ComputeProfile) -> list[tuple[int, int]]:
    """Denoiser passes, and 1 with a negative prompt or 0 without, of each mode that has calls."""
    kept = {mode for part in profile.components for mode in part.calls}
    return [
        (passes, negative)
        for negative in (0, 1)
        for passes in (1, 2)
        if mode_of(passes, negative == 1) in kept
    ]


def _columns(rows: Iterable[tuple[Any, ...]]) -> WorkloadColumns:
    """Width, height, steps, images, text tokens, mode and frames of each workload."""
    table = np.array(
        [
            (width, height, steps, passes, batch, tokens, frames, negative)
            for width, height, steps, batch, tokens, (passes, negative), frames in rows
        ],
        dtype=np.int64,
    )
    return WorkloadColumns(*table.T)
