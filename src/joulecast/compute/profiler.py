"""Make a compute profile: run the pipeline on meta at a few sizes, solve each operator's cost exactly.

Steps: find the pipeline's rules (`joulecast.compute.rules`); trace it at sample points; group equal
operators and solve each group's FLOP and bytes as polynomials (`joulecast.compute.solving`); check
against an untouched trace (without the replay of equal blocks) at a point that was not used.

Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from joulecast.architecture.pipeline_config import PipelineConfig
from joulecast.architecture.workload import PRECISIONS
from joulecast.compute.capture import PipelineCapture
from joulecast.compute.linears import with_linears
from joulecast.compute.loops import Trace
from joulecast.compute.operators import (
    DENOISER,
    CallGroup,
    Component,
    OperatorTable,
    batches_of,
    module_of,
)
from joulecast.compute.peak_tracing import PeakTraces
from joulecast.compute.points import (
    CHECK,
    CHECK_BATCH_TABLES,
    COARSE,
    COARSE_TOKENS,
    COARSE_UNITS,
    IMAGE_ATTEMPTS,
    SINGLE,
    VIDEO_ATTEMPTS,
    Point,
)
from joulecast.compute.polynomial import evaluate_monomials
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.rules import PipelineRules
from joulecast.compute.samples import Samples
from joulecast.compute.second_process import aside
from joulecast.compute.solving import (
    BATCHES,
    IrregularError,
    OperatorsChangeError,
    hints_of,
    solve,
)
from joulecast.errors import JoulecastError, TraceError, kind_in_short

Tables = dict[str, tuple[OperatorTable, ...]]
FIRST_PRECISION = "bf16"
MOST_OFF_THE_COARSE_GRID = 0.1


def make_profile(
    config: PipelineConfig,
    facts: Mapping[str, Any] | None = None,
    progress: Callable[[str], object] = lambda words: None,
    processes: int = 1,
) -> ComputeProfile:
    """Trace a pipeline and return its profile. `progress` is told what is done next.

    With two `processes` a copy of this one, made by fork, does a part of the work.

    `facts` are what no config holds: recommended size, frames and their rate, steps, guidance, negative
    prompt, precision, prompt length and native sizes (keys ``default_width``, ``default_height``,
    ``default_frames``, ``default_frame_rate``, ``default_steps``, ``default_guidance_scale``,
    ``default_true_cfg_scale``, ``default_negative_prompt``, ``default_precision``, ``default_text_tokens``,
    ``min_size``, ``max_size``), and the arguments that an image is given for where it could be left out
    (``input_images``).

    Raises
    ------
    TraceError
        The pipeline cannot be built, run on meta, or described by polynomials.
    """
    with _collector_off():
        try:
            return _Profiler(config, facts or {}, progress, processes).profile()
        except JoulecastError:
            raise
        except Exception as error:
            raise TraceError(f"{config.pipeline} cannot be profiled: {kind_in_short(error)}") from error


class _Profiler:
    def __init__(
        self,
        config: PipelineConfig,
        facts: Mapping[str, Any],
        progress: Callable[[str], object],
        processes: int,
    ) -> None:
        self.config, self.progress, self.processes = config, progress, processes
        progress(f"{config.name}: building {config.pipeline} without weights, asking it for its rules")
        self.traced: dict[Any, Any] = {}
        capture = PipelineCapture(config, FIRST_PRECISION, traced=self.traced)
        self.rules = PipelineRules(capture, facts)
        self.peaks = PeakTraces()
        self.samples = Samples(capture, self.rules, self.peaks)
        # What each component was solved from: operators by point, and the tables.
        self.solved: dict[str, list[tuple[dict[Any, Any], tuple[OperatorTable, ...]]]] = defaultdict(list)

    def profile(self) -> ComputeProfile:
        rules, first = self.rules, self.samples.capture
        tables = self._tables()
        components = tuple(
            Component(
                name,
                type(first.modules[module_of(name)]).__name__,
                role,
                first.parameter_counts[module_of(name)],
                {passes: groups[name] for passes, groups in rules.calls.by_mode.items()},
                {precision: by_name[name] for precision, by_name in tables.items()},
                self.peaks.memory(name),
            )
            for name, role in rules.roles.items()
        )
        made = ComputeProfile(
            name=self.config.name,
            hub_id=self.config.hub_id,
            revision=self.config.revision,
            pipeline=self.config.pipeline,
            components=self._with_twins(components),
            size=rules.size,
            text=rules.text,
            frames=rules.frames,
            images=rules.images_rule,
            guidance=rules.guidance,
            defaults=rules.defaults,
            call_exceptions=rules.calls.exceptions,
            made_with=_versions(),
            notes=(*rules.notes, *self.peaks.notes()),
        )
        return with_linears(made, first)

    def _with_twins(self, components: Sequence[Component]) -> tuple[Component, ...]:
        """Each component followed by those that are called in its place, part of the way."""
        out = []
        for part in components:
            twins = [name for name, other in self.samples.capture.twins.items() if other == part.name]
            never: dict[int, tuple[CallGroup, ...]] = dict.fromkeys(part.calls, ())
            out += [part, *(dataclasses.replace(part, name=name, calls=never) for name in twins)]
        return tuple(out)

    def _tables(self) -> dict[str, Tables]:
        """Operator tables by precision and component; equal ones are the same object."""
        further = [precision for precision in PRECISIONS if precision != FIRST_PRECISION]
        here, there = further[:1], further[1:]
        first = self._solve({})
        out = {FIRST_PRECISION: first}
        with aside(lambda: self._further_ones(there, first), self.processes) as rest:
            self._verify(first, CHECK)
            self._note_what_is_not_exact(first)
            out |= {precision: self._further(precision, first) for precision in here}
            tables_there, peaks = rest()
            self.peaks.join(peaks, there)
            for precision, tables in tables_there.items():
                out[precision] = {name: _shared(mine, out.values(), name) for name, mine in tables.items()}
        return {precision: out[precision] for precision in PRECISIONS}

    def _further_ones(self, precisions: Sequence[str], alike: Tables) -> tuple[dict[str, Tables], PeakTraces]:
        """Tables in further precisions, and the memory found in all."""
        return {p: self._further(p, alike) for p in precisions}, self.peaks.result()

    def _further(self, precision: str, alike: Tables) -> Tables:
        """Tables in another precision than the first, of which `alike` are."""
        known = {id(tables) for solved in self.solved.values() for _, tables in solved}
        capture = self.samples.capture = PipelineCapture(self.config, precision, traced=self.traced)
        capture.in_several_calls = self.rules.capture.in_several_calls
        capture.arguments.unguided_scale = self.rules.guidance.threshold
        capture.arguments.inputs = self.rules.images_rule.arguments
        capture.arguments.image_side = self.rules.images_rule.side
        tables = self._solve(alike)
        self._verify({name: new for name, new in tables.items() if id(new) not in known}, CHECK[:1])
        return tables

    def _solve(self, alike: Tables) -> Tables:
        """Tables of every component; `alike` are those of another precision."""
        attempts = IMAGE_ATTEMPTS if self.rules.frames is None else VIDEO_ATTEMPTS
        irregular: IrregularError | None = None
        for samples, grid in attempts[0 if alike else 1 :]:
            hopeless = self.samples.grid or isinstance(irregular, OperatorsChangeError)
            if hopeless and not grid:
                continue
            self.samples.grid, capture = grid, self.samples.capture
            self.peaks.start(capture)
            words = f" on a {grid} grid" if grid else ""
            self.progress(f"{self.config.name}: {capture.precision} at {len(samples)} sizes{words}")
            try:
                tables = {
                    name: self._solve_component(name, traces, alike.get(name, ()))
                    for name, traces in self.samples.by_component(samples).items()
                }
                self.peaks.solve(tables)
                return tables
            except IrregularError as error:
                irregular = error
        raise irregular or AssertionError("no attempt was made")

    def _solve_component(
        self, name: str, traces: Sequence[Trace], alike: Sequence[OperatorTable]
    ) -> tuple[OperatorTable, ...]:
        points = {tuple(symbols.values()): operators for symbols, operators in traces}
        for known, tables in self.solved[name]:
            if points.items() <= known.items():
                return tables
        lengths = self.rules.lengths[name]
        native = dict(zip(("height", "width"), self.samples.native_units(), strict=True))
        if (steps := self.samples.native_steps()) is not None and self.rules.roles[name] == DENOISER:
            native["frames"] = steps
        tables = solve(name, traces, native, hints_of(alike), lengths)
        self.solved[name].append((points, tables))
        return tables

    def _note_what_is_not_exact(self, tables: Tables) -> None:
        if _has_batches(tables):
            self.rules.notes.append(
                f"{self.config.pipeline} makes images of a batch one after the other, in part: this profile "
                f"is exact for {', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]} at once, interpolated "
                "between those, and in proportion above"
            )
        if self.samples.grid == COARSE:
            self.rules.notes.append(self._off_the_coarse_grid(tables))
        if self.rules.guided_apart:
            self.rules.notes.append(
                f"{self.config.pipeline} lays its inputs out in another way with guidance: this profile is "
                "exact with it, and for one video at a time; without it launches and bytes of several are "
                "slightly off"
            )
        if self.samples.one_at_once:
            width, height = self.rules.native
            self.rules.notes.append(
                f"{self.config.pipeline} fails with several videos at once of its own size, "
                f"{width}x{height}: figures for several of that size or a larger one are those of a pipeline "
                "that would not"
            )
        for name in sorted(self.samples.parted | self.samples.parted_alone):
            much = "a video of its own size" if name in self.samples.parted_alone else "several videos"
            self.rules.notes.append(
                f"{name} does its work in parts where there is much at once, as of {much}: FLOP are "
                "as told there, and launches and bytes somewhat more"
            )

    def _verify(self, tables: Tables, points: Sequence[Point]) -> None:
        """Compare with a trace in which every block really ran, at points the fit never saw."""
        if _has_batches(tables):
            points = CHECK_BATCH_TABLES
        if not tables:
            return
        self.samples.capture.replay = False
        try:
            traces = self.samples.at(points, unseen=True)
        finally:
            self.samples.capture.replay = True
        for name in tables:
            for symbols, operators in traces[name]:
                self.peaks.verify(name, symbols)
                found, fresh = _costs(name, tables[name], symbols), _traced_costs(operators)
                if found != fresh:
                    raise TraceError(
                        f"the profile of {name} differs from a fresh trace at {symbols}: {found}, not {fresh}"
                    )

    def _off_the_coarse_grid(self, tables: Tables) -> str:
        """How far the polynomials are off between the points of the coarse grid, in words.

        A text counts as padded to the grid; with sizes there is no such choice.
        """
        rules, largest = self.rules, 0.0
        rules.text = dataclasses.replace(rules.text, multiple=max(COARSE_TOKENS, rules.texts.multiple))
        for name, traces in self.samples.at(SINGLE, grid="").items():
            for symbols, operators in traces:
                symbols["text"] = COARSE_TOKENS * -(-symbols["text"] // COARSE_TOKENS)
                found, fresh = _costs(name, tables[name], symbols), _traced_costs(operators)
                off = [abs(a / b - 1) for a, b in zip(found[:3], fresh[:3], strict=True) if b]
                largest = max(largest, *off, 0.0)
        if largest > MOST_OFF_THE_COARSE_GRID:
            raise TraceError(
                f"{self.config.pipeline} pads or divides its work so that no polynomial in its size comes "
                f"within {MOST_OFF_THE_COARSE_GRID:.0%} of it"
            )
        return (
            f"{self.config.pipeline} pads its tokens: this profile is exact for sides that are multiples of "
            f"{COARSE_UNITS * rules.unit} pixels and texts that are multiples of {COARSE_TOKENS} tokens; "
            f"between them FLOP and bytes were found to be off by up to {100 * largest:.2g} %"
        )


def _shared(
    tables: tuple[OperatorTable, ...], known: Iterable[Tables], name: str
) -> tuple[OperatorTable, ...]:
    """Tables of a component as the object that another precision has of the same."""
    return next((same for by_name in known if (same := by_name[name]) == tables), tables)


def _has_batches(tables: Tables) -> bool:
    """Whether some component has its tables by the number of images."""
    return any(batches_of(table.condition for table in some) for some in tables.values())


def _costs(name: str, tables: Sequence[OperatorTable], symbols: Mapping[str, int]) -> list[float]:
    """FLOP, bytes read, bytes written and launches of a component by its tables."""
    table = next((t for t in tables if t.applies(symbols)), None)
    if table is None:
        raise TraceError(f"the profile of {name} holds for no batch of {symbols['batch']}")
    matrix = evaluate_monomials(table.monomials, {s: np.array([value]) for s, value in symbols.items()})
    costs = (table.flop, table.bytes_read, table.bytes_written, table.launches)
    return [float((matrix @ cost).sum()) for cost in costs]


def _traced_costs(operators: Sequence[Any]) -> list[float]:
    kinds = ("flop", "bytes_read", "bytes_written", "launches")
    return [float(sum(getattr(o, kind) for o in operators)) for kind in kinds]


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    """Without Python's cycle collector, which spends a fifth of the time walking millions of live modules."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _versions() -> dict[str, str]:
    import diffusers
    import torch
    import transformers

    return {
        "torch": str(torch.__version__).split("+")[0],
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }
