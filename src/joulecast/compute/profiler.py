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
from joulecast.compute.capture import PipelineCapture, Request
from joulecast.compute.operators import TEXT_ENCODER, Component, OperatorTable
from joulecast.compute.polynomial import evaluate_monomials
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.rules import PipelineRules
from joulecast.compute.second_process import aside
from joulecast.compute.solving import (
    BATCHES,
    IrregularError,
    OperatorsChangeError,
    Trace,
    depends_on_batch,
    hints_of,
    sequences,
    solve,
)
from joulecast.errors import JoulecastError, TraceError, kind_in_short

Point = tuple[int, int, int, int]  # batch, height and width in size units, text length
Tables = dict[str, tuple[OperatorTable, ...]]

# Sample points. Odd and even sides, so that the levels of a U-Net (halved and rounded up) can be
# told apart; no two in proportion. The first of each kind are enough for most pipelines.
SINGLE: list[Point] = [
    (1, 16, 18, 24), (1, 21, 17, 40), (1, 13, 26, 33), (1, 24, 11, 57), (1, 30, 22, 24),
    (1, 19, 33, 40), (1, 27, 29, 57), (1, 35, 15, 33),
]  # fmt: skip
SEVERAL: list[Point] = [
    (2, 17, 16, 29), (3, 22, 19, 43), (2, 29, 12, 61), (4, 15, 27, 22), (3, 13, 31, 61),
    (2, 25, 23, 43), (5, 18, 21, 29), (3, 26, 14, 29), (2, 20, 35, 22), (4, 11, 17, 61),
]  # fmt: skip
HINTED = [*SINGLE[:4], *SEVERAL[:4]]  # where another precision is solved already
FEW, ALL = [*SINGLE[:6], *SEVERAL[:6]], [*SINGLE, *SEVERAL]
CHECK: list[Point] = [(3, 17, 25, 41), (1, 23, 20, 50)]
CHECK_BATCH_TABLES: list[Point] = [(2, 17, 25, 41), (1, 23, 20, 50)]
SHORTEST_TEXT = 40  # added to every sample's text: some pipelines drop a template's tokens
# Where modules pad their tokens to a multiple, costs are polynomials between multiples of so many
# size units and tokens only.
COARSE_UNITS, COARSE_TOKENS = 8, 32
MOST_OFF_THE_COARSE_GRID = 0.1
FIRST_PRECISION = "bf16"


def make_profile(
    config: PipelineConfig,
    facts: Mapping[str, Any] | None = None,
    progress: Callable[[str], object] = lambda words: None,
    processes: int = 1,
) -> ComputeProfile:
    """Trace a pipeline and return its profile. `progress` is told what is done next.

    With two `processes` a copy of this one, made by fork, does a part of the work.

    `facts` are what no config holds: recommended size, steps, guidance, negative prompt, precision, prompt
    length and native sizes (keys ``default_width``, ``default_height``, ``default_steps``,
    ``default_guidance_scale``, ``default_true_cfg_scale``, ``default_negative_prompt``,
    ``default_precision``, ``default_text_tokens``, ``min_size``, ``max_size``).

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
        self.capture = PipelineCapture(config, FIRST_PRECISION, traced=self.traced)
        self.rules = PipelineRules(self.capture, facts)
        self.coarse = False
        # What each component was solved from: operators by point, and the tables.
        self.solved: dict[str, list[tuple[dict[Any, Any], tuple[OperatorTable, ...]]]] = defaultdict(list)

    def profile(self) -> ComputeProfile:
        rules, first = self.rules, self.capture
        tables = self._tables()
        components = tuple(
            Component(
                name,
                type(first.modules[name]).__name__,
                role,
                first.parameter_counts[name],
                {passes: groups[name] for passes, groups in rules.calls.items()},
                {precision: by_name[name] for precision, by_name in tables.items()},
            )
            for name, role in rules.roles.items()
        )
        return ComputeProfile(
            name=self.config.name,
            hub_id=self.config.hub_id,
            pipeline=self.config.pipeline,
            components=components,
            size=rules.size,
            text=rules.text,
            guidance=rules.guidance,
            defaults=rules.defaults,
            call_exceptions=rules.call_exceptions,
            made_with=_versions(),
            notes=tuple(rules.notes),
        )

    def _tables(self) -> dict[str, Tables]:
        """Operator tables by precision and component; equal ones are the same object."""
        further = [precision for precision in PRECISIONS if precision != FIRST_PRECISION]
        here, there = further[:1], further[1:]
        first = self._solve({})
        out = {FIRST_PRECISION: first}
        with aside(lambda: {p: self._further(p, first) for p in there}, self.processes) as rest:
            self._verify(first, CHECK)
            self._note_what_is_not_exact(first)
            out |= {precision: self._further(precision, first) for precision in here}
            for precision, tables in rest().items():
                out[precision] = {name: _shared(mine, out.values(), name) for name, mine in tables.items()}
        return {precision: out[precision] for precision in PRECISIONS}

    def _further(self, precision: str, alike: Tables) -> Tables:
        """Tables in another precision than the first, of which `alike` are."""
        known = {id(tables) for solved in self.solved.values() for _, tables in solved}
        self.capture = PipelineCapture(self.config, precision, traced=self.traced)
        self.capture.unguided_scale = self.rules.guidance.threshold
        tables = self._solve(alike)
        self._verify({name: new for name, new in tables.items() if id(new) not in known}, CHECK[:1])
        return tables

    def _solve(self, alike: Tables) -> Tables:
        """Tables of every component; `alike` are those of another precision."""
        attempts = [(HINTED, False), (FEW, False), (ALL, False), (ALL, True)]
        irregular: IrregularError | None = None
        for samples, coarse in attempts[0 if alike else 1 :]:
            hopeless = self.coarse or isinstance(irregular, OperatorsChangeError)
            if hopeless and not coarse:
                continue
            self.coarse = coarse
            grid = " on a coarse grid" if coarse else ""
            self.progress(f"{self.config.name}: {self.capture.precision} at {len(samples)} sizes{grid}")
            try:
                return {
                    name: self._solve_component(name, traces, alike.get(name, ()))
                    for name, traces in self._all_samples(samples).items()
                }
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
        tables = solve(name, traces, self._native_units(), hints_of(alike))
        self.solved[name].append((points, tables))
        return tables

    def _note_what_is_not_exact(self, tables: Tables) -> None:
        if any(map(_is_by_batch, tables.values())):
            self.rules.notes.append(
                f"{self.config.pipeline} makes images of a batch one after the other, in part: this profile "
                f"is exact for {', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]} at once, interpolated "
                "between those, and in proportion above"
            )
        if self.coarse:
            self.rules.notes.append(self._off_the_coarse_grid(tables))

    def _native_units(self) -> tuple[int, int]:
        width, height = self.rules.native
        return height // self.rules.unit, width // self.rules.unit

    def _all_samples(self, samples: Sequence[Point]) -> dict[str, list[Trace]]:
        """Traces at the sample points, and at the model's own size where modules take a shorter way there.

        Components whose operators depend on the number of images are traced for each of `BATCHES`.
        """
        height, width = self._native_units()
        native = [(batch, height, width, text) for batch, _, _, text in (*SINGLE[:4], *SEVERAL[:6])]
        traces, own = self._sample(samples), self._sample([native[0], native[-1]])
        if any(not sequences(own[name]) <= sequences(traces[name]) for name in self.rules.roles):
            own = self._sample(native)
        traces = {name: [*found, *(t for t in own[name] if t not in found)] for name, found in traces.items()}
        dependent = [name for name, found in traces.items() if depends_on_batch(found)]
        if dependent:
            more = self._sample([(batch, h, w, text) for batch in BATCHES for _, h, w, text in ALL[:10]])
            traces |= {name: more[name] for name in dependent}
        return traces

    def _sample(self, samples: Sequence[Point], coarse: bool | None = None) -> dict[str, list[Trace]]:
        """For each component, its local symbols and operators at each sample point, without repeats."""
        rules, coarse = self.rules, self.coarse if coarse is None else coarse
        traces: dict[str, dict[tuple[int, ...], Trace]] = defaultdict(dict)
        for batch, height, width, text in (_on_coarse_grid(p) if coarse else p for p in samples):
            request = Request(
                batch=batch,
                height=height * rules.unit,
                width=width * rules.unit,
                **rules.text_request(text + (0 if coarse else SHORTEST_TEXT)),
            )
            for call in self.capture.run(request):
                place = rules.text_place.get(call.component)
                encodes = rules.roles[call.component] == TEXT_ENCODER
                symbols = {
                    "batch": rules.batch(call),
                    "frames": 1,
                    "height": 0 if encodes else height,
                    "width": 0 if encodes else width,
                    "text": call.shapes[place[0]][place[1]] if place else 0,
                }
                traces[call.component].setdefault(tuple(symbols.values()), (symbols, call.operators))
        return {name: list(points.values()) for name, points in traces.items()}

    def _verify(self, tables: Tables, points: Sequence[Point]) -> None:
        """Compare with a trace in which every block really ran, at points the fit never saw."""
        if any(map(_is_by_batch, tables.values())):
            points = CHECK_BATCH_TABLES
        if not tables:
            return
        self.capture.replay = False
        try:
            traces = self._sample(points)
        finally:
            self.capture.replay = True
        for name in tables:
            for symbols, operators in traces[name]:
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
        rules.text = dataclasses.replace(rules.text, multiple=max(COARSE_TOKENS, rules.text_multiple))
        for name, traces in self._sample(SINGLE, coarse=False).items():
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


def _is_by_batch(tables: Sequence[OperatorTable]) -> bool:
    return all("batch" in table.condition for table in tables)


def _on_coarse_grid(point: Point) -> Point:
    batch, height, width, text = point
    return (
        batch,
        COARSE_UNITS * -(-height // 4),
        COARSE_UNITS * -(-width // 4),
        COARSE_TOKENS * -(-(text + SHORTEST_TEXT) // COARSE_TOKENS),
    )


def _costs(name: str, tables: Sequence[OperatorTable], symbols: Mapping[str, int]) -> list[float]:
    """FLOP, bytes read, bytes written and launches of a component by its tables."""
    table = next((t for t in tables if all(symbols[s] == v for s, v in t.condition.items())), None)
    if table is None:
        raise TraceError(f"the profile of {name} holds for no batch of {symbols['batch']}")
    matrix = evaluate_monomials(table.monomials, {s: np.array([value]) for s, value in symbols.items()})
    costs = [float((matrix @ m).sum()) for m in (table.flop, table.bytes_read, table.bytes_written)]
    return [*costs, float(table.launches.sum())]


def _traced_costs(operators: Sequence[Any]) -> list[float]:
    costs = [sum(getattr(o, k) for o in operators) for k in ("flop", "bytes_read", "bytes_written")]
    return [*map(float, costs), float(len(operators))]


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
