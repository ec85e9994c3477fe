"""Make a compute profile: run the pipeline on meta at a few sizes, solve each operator's cost exactly.

Steps: find the pipeline's rules (size grid, text length, guidance, calls); trace it at sample
points; group equal operators; solve each group's FLOP and bytes as polynomials; check against an
untouched trace (without the replay of equal blocks) at a point that was not used.

Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from joulecast.architecture.pipeline_config import PipelineConfig
from joulecast.architecture.workload import PRECISIONS
from joulecast.compute.capture import Call, PipelineCapture, Request
from joulecast.compute.polynomial import Coefficients, ExactFitter, candidate_bases
from joulecast.compute.profile import (
    CallGroup,
    Component,
    ComputeProfile,
    Defaults,
    GuidanceRule,
    OperatorTable,
    SizeRule,
    TextRule,
)
from joulecast.compute.tracer import Operator
from joulecast.errors import TraceError

# (batch, height and width in size units, text length) of the sample points. Odd and even sides,
# so that the levels of a U-Net (halved and rounded up) can be told apart; no two in proportion.
SAMPLES = [
    (1, 16, 18, 24), (1, 21, 17, 40), (1, 13, 26, 33), (1, 24, 11, 57), (1, 30, 22, 24),
    (1, 19, 33, 40), (1, 27, 29, 57), (1, 35, 15, 33),
    (2, 17, 16, 29), (3, 22, 19, 43), (2, 29, 12, 61), (4, 15, 27, 22), (3, 13, 31, 61),
    (2, 25, 23, 43), (5, 18, 21, 29), (3, 26, 14, 29), (2, 20, 35, 22), (4, 11, 17, 61),
]  # fmt: skip
CHECK = [(1, 23, 20, 50), (3, 17, 25, 41)]
DEFAULT_PROMPT_TOKENS = 64
LARGEST_PROBE = 4096
MAX_LEVELS = 5

# A component's symbols at one point, and the operators it ran there.
Trace = tuple[dict[str, int], tuple[Operator, ...]]


def make_profile(config: PipelineConfig, facts: Mapping[str, Any] | None = None) -> ComputeProfile:
    """Trace a pipeline and return its profile.

    `facts` are what no config holds: recommended size, steps, guidance, precision, prompt length and
    native sizes (keys ``default_width``, ``default_height``, ``default_steps``, ``default_guidance``,
    ``default_precision``, ``default_text_tokens``, ``min_size``, ``max_size``).

    Raises
    ------
    TraceError
        The pipeline cannot be built, run on meta, or described by polynomials.
    """
    with _collector_off():
        return _Profiler(config, facts or {}).profile()


class _Profiler:
    def __init__(self, config: PipelineConfig, facts: Mapping[str, Any]) -> None:
        self.config, self.facts = config, facts
        self.traced: dict[Any, Any] = {}
        self.capture = PipelineCapture(config, "bf16", traced=self.traced)

    def profile(self) -> ComputeProfile:
        self.native = self._native_size()
        self.roles = self._roles()
        self.unit, off_grid = self._size_unit()
        self.text_knob = self._finds_text()
        guidance = self._guidance()
        calls, exceptions = self._call_groups(guidance)
        denoiser_offset = self._denoiser_offset(calls)
        tables = self._tables()
        components = tuple(
            Component(
                name,
                type(self.capture.modules[name]).__name__,
                role,
                self.capture.parameter_counts[name],
                {passes: groups[name] for passes, groups in calls.items()},
                {precision: by_name[name] for precision, by_name in tables.items()},
            )
            for name, role in self.roles.items()
        )
        profile = ComputeProfile(
            name=self.config.name,
            hub_id=self.config.hub_id,
            pipeline=self.config.pipeline,
            components=components,
            size=SizeRule(self.unit, off_grid, self._largest(), self._bins(), self._native_range()),
            text=self._text_rule(denoiser_offset),
            guidance=guidance,
            defaults=self._defaults(guidance),
            call_exceptions=exceptions,
            made_with=_versions(),
        )
        return profile

    # --- the pipeline's rules -------------------------------------------------------------------

    def _native_size(self) -> tuple[int, int]:
        """Width and height [pixels] of an image when no size is asked for."""
        default = self.facts.get("default_width"), self.facts.get("default_height")
        if all(default):
            return default  # type: ignore[return-value]
        sizes: list[tuple[int, int]] = []
        with _result_shape(self.capture, sizes):
            self.capture.run(Request())
        if not sizes:
            raise TraceError(f"{self.config.pipeline} returns no image that could be measured")
        return sizes[0]

    def _run(self, **request: Any) -> list[Call]:
        width, height = self.native
        return self.capture.run(Request(**({"width": width, "height": height} | request)))

    def _small(self, **request: Any) -> list[Call]:
        """A run at a small size: as telling about calls as a large one, and cheaper."""
        side = 16 * self.unit
        return self._run(**({"width": side, "height": side} | request))

    def _roles(self) -> dict[str, str]:
        """Components by role: what is called for each step denoises; before encodes, after decodes."""
        few, many = self._run(steps=2), self._run(steps=6)
        counts = [Counter(call.component for call in calls) for calls in (few, many)]
        repeated = {name for name in counts[1] if counts[1][name] > counts[0][name]}
        if not repeated:
            raise TraceError(
                f"{self.config.pipeline} calls no component once for each step: no denoiser found"
            )
        order = [call.component for call in few]
        first = min(order.index(name) for name in repeated)
        roles: dict[str, str] = {}
        for index, name in enumerate(order):
            role = "denoiser" if name in repeated else "text_encoder" if index < first else "decoder"
            roles.setdefault(name, role)
        return roles

    def _size_unit(self) -> tuple[int, str]:
        """The smallest step in size that the pipeline follows, and what it does with less."""
        reference = self._shapes(self.native[0])
        off_grid = "refuse"
        for step in (8, 16, 32, 64, 128):
            try:
                shapes = self._shapes(self.native[0] + step)
            except TraceError:
                continue
            if shapes != reference:
                return step, off_grid
            off_grid = "round_down"
        raise TraceError(
            f"{self.config.pipeline} makes images of one size only, or refuses sizes near {self.native}"
        )

    def _shapes(self, width: int) -> list[tuple[tuple[int, ...], ...]]:
        calls = self._run(width=width)
        return [call.shapes for call in calls if self.roles[call.component] != "text_encoder"]

    def _finds_text(self) -> str | None:
        """Which knob changes the text length: the pipeline's maximum, the prompt's own tokens, or none."""
        for knob in ("max_sequence_length", "prompt"):
            if knob == "max_sequence_length" and knob not in self.capture.parameters:
                continue
            try:
                a, b = (self._small(**_text_request(knob, tokens)) for tokens in (96, 101))
            except TraceError:
                continue
            if [call.shapes for call in a] != [call.shapes for call in b]:
                return knob
        return None

    def _guidance(self) -> GuidanceRule:
        parameter = self.capture.guidance_parameter()
        single = self._denoiser_batch(self._small())
        if parameter is None or self._denoiser_batch(self._small(guided=True)) == single:
            return GuidanceRule(None)
        arguments = {"guided": False, "arguments": {parameter: 4.0}}
        without_negative = self._denoiser_batch(self._small(**arguments))
        return GuidanceRule(parameter, needs_negative_prompt=without_negative == single)

    def _denoiser_batch(self, calls: Sequence[Call]) -> int:
        return sum(_batch_of(call) for call in calls if self.roles[call.component] == "denoiser")

    def _call_groups(
        self, guidance: GuidanceRule
    ) -> tuple[dict[int, dict[str, tuple[CallGroup, ...]]], dict[int, int]]:
        """Call groups by denoiser passes and component, and exceptions for few steps."""
        modes = {1: False} | ({2: True} if guidance.parameter else {})
        groups = {passes: self._groups(guided) for passes, guided in modes.items()}
        exceptions = {}
        denoiser = next(name for name, role in self.roles.items() if role == "denoiser")
        per_step = sum(g.per_step for g in groups[1][denoiser])
        for steps in (1, 2, 3):
            made = sum(call.component == denoiser for call in self._small(steps=steps))
            surplus = made - sum(g.fixed + g.per_step * steps for g in groups[1][denoiser])
            if surplus:
                exceptions[steps] = surplus // per_step
        return groups, exceptions

    def _groups(self, guided: bool) -> dict[str, tuple[CallGroup, ...]]:
        text = 96
        short, long = (self._small(**self._text(text), steps=steps, guided=guided) for steps in (5, 9))
        shifted = self._small(**self._text(text + 1), steps=5, guided=guided)
        pairs = self._small(**self._text(text), steps=5, guided=guided, batch=2)
        self._check_batches(short, pairs)
        offsets = self._text_offsets(short, shifted, text)
        out = {}
        for name in self.roles:
            few = Counter(self._group_key(call, offsets) for call in short if call.component == name)
            many = Counter(self._group_key(call, offsets) for call in long if call.component == name)
            out[name] = tuple(
                CallGroup(
                    fixed=few[key] - 5 * ((many[key] - few[key]) // 4),
                    per_step=(many[key] - few[key]) // 4,
                    batch_factor=key[0],
                    text_offset=key[1],
                )
                for key in few
            )
        return out

    def _check_batches(self, one: Sequence[Call], two: Sequence[Call]) -> None:
        for a, b in zip(one, two, strict=True):
            if _batch_of(b) != 2 * _batch_of(a):
                raise TraceError(f"{self.config.pipeline} does not batch its calls of {a.component}")

    def _text_offsets(self, calls: Sequence[Call], shifted: Sequence[Call], text: int) -> dict[Any, int]:
        """Each call's own text length relative to the knob, by its input shapes."""
        offsets = {}
        self.text_place = getattr(self, "text_place", {})
        for call, moved in zip(calls, shifted, strict=True):
            place = self.text_place.get(call.component) or _first_difference(call.shapes, moved.shapes)
            if place is not None:
                self.text_place[call.component] = place
                offsets[call.component, call.shapes] = call.shapes[place[0]][place[1]] - text
                if moved.shapes[place[0]][place[1]] != call.shapes[place[0]][place[1]] + 1:
                    raise TraceError(f"the text length of {call.component} does not follow the prompt's")
        return offsets

    def _group_key(self, call: Call, offsets: Mapping[Any, int]) -> tuple[int, int]:
        return _batch_of(call), offsets.get((call.component, call.shapes), 0)

    def _denoiser_offset(self, calls: Mapping[int, Mapping[str, tuple[CallGroup, ...]]]) -> int:
        denoiser = next(name for name, role in self.roles.items() if role == "denoiser")
        return calls[1][denoiser][0].text_offset if denoiser in self.text_place else 0

    def _text(self, tokens: int) -> dict[str, Any]:
        return _text_request(self.text_knob, tokens)

    def _text_rule(self, denoiser_offset: int) -> TextRule:
        if self.text_knob is None:
            encoder = next((c for c in self._small() if self.roles[c.component] == "text_encoder"), None)
            return TextRule(default=encoder.shapes[0][-1] if encoder else 1, adjustable=False)
        padded = self.text_knob == "max_sequence_length"
        default = (
            self.capture.parameters[self.text_knob].default + denoiser_offset
            if padded
            else DEFAULT_PROMPT_TOKENS
        )
        return TextRule(
            default=self.facts.get("default_text_tokens") or default,
            adjustable=True,
            denoiser_offset=denoiser_offset,
            largest=self._longest_text(),
            padded=padded,
        )

    def _longest_text(self) -> int | None:
        """The largest text length the pipeline takes, among those in use."""
        accepted = None
        for tokens in (128, 256, 300, 512, 1024, 4096):
            try:
                self._small(**self._text(tokens))
            except TraceError:
                return accepted
            accepted = tokens
        return None

    def _largest(self) -> int | None:
        """The largest side the pipeline accepts [pixels], None when it takes the largest that is tried."""
        accepted, refused = min(self.native) // self.unit, LARGEST_PROBE // self.unit
        if self._accepts(refused * self.unit):
            return None
        while refused - accepted > 1:
            middle = (accepted + refused) // 2
            accepted, refused = (middle, refused) if self._accepts(middle * self.unit) else (accepted, middle)
        return accepted * self.unit

    def _accepts(self, side: int) -> bool:
        try:
            self._run(width=16 * self.unit, height=side, arguments={"output_type": "latent"})
        except TraceError:
            return False
        return True

    def _bins(self) -> tuple[tuple[float, int, int], ...]:
        """The aspect-ratio table the pipeline maps every size to, as its own module holds it."""
        binning = self.capture.parameters.get("use_resolution_binning")
        if binning is None or not binning.default:
            return ()
        module = vars(sys.modules[type(self.capture.pipeline).__mro__[1].__module__])
        width, height = self.native
        for name, table in module.items():
            if not name.startswith("ASPECT_RATIO") or not isinstance(table, dict):
                continue
            bins = tuple((float(ratio), int(h), int(w)) for ratio, (h, w) in table.items())
            if any((h, w) == (height, width) for _, h, w in bins) and self._is_binned_by(bins):
                return bins
        raise TraceError(f"{self.config.pipeline} bins resolutions by a table that was not found")

    def _is_binned_by(self, bins: tuple[tuple[float, int, int], ...]) -> bool:
        """Whether a wide request really is generated at the size the table gives."""
        width, height = 24 * self.unit, 10 * self.unit
        rule = SizeRule(self.unit, "refuse", bins=bins)
        (w,), (h,) = rule.rendered(np.array([width]), np.array([height]))
        binned = self._run(width=width, height=height, arguments={"use_resolution_binning": True})
        direct = self._run(width=int(w), height=int(h))
        return [call.shapes for call in binned] == [call.shapes for call in direct]

    def _native_range(self) -> tuple[int, int] | None:
        low, high = self.facts.get("min_size"), self.facts.get("max_size")
        return None if low is None or high is None else (int(low), int(high))

    def _defaults(self, guidance: GuidanceRule) -> Defaults:
        parameters, facts = self.capture.parameters, self.facts
        parameter = guidance.parameter or "guidance_scale"
        stated = parameters[parameter].default if parameter in parameters else None
        return Defaults(
            width=self.native[0],
            height=self.native[1],
            steps=facts.get("default_steps") or parameters["num_inference_steps"].default,
            guidance=facts.get("default_guidance", stated),
            precision=facts.get("default_precision") or "fp16",
        )

    # --- operators ------------------------------------------------------------------------------

    def _tables(self) -> dict[str, dict[str, tuple[OperatorTable, ...]]]:
        """Operator tables by precision and component; equal ones are the same object."""
        out: dict[str, dict[str, tuple[OperatorTable, ...]]] = {}
        solved: dict[Any, tuple[OperatorTable, ...]] = {}
        untouched: dict[Any, Any] = {}
        for precision in sorted(PRECISIONS, key=lambda p: p != self.capture.precision):
            if precision != self.capture.precision:
                self.capture = PipelineCapture(self.config, precision, traced=self.traced)
            traces = self._all_samples()
            checks: PipelineCapture | None = None
            out[precision] = {}
            for name in self.roles:
                key = name, tuple(operators for _, operators in traces[name])
                if key not in solved:
                    solved[key] = _solve(name, traces[name], self._native_units())
                    checks = checks or PipelineCapture(
                        self.config, precision, repeat_blocks=False, traced=untouched
                    )
                    self._verify(name, solved[key], checks)
                out[precision][name] = solved[key]
        return {precision: out[precision] for precision in PRECISIONS}

    def _native_units(self) -> tuple[int, int]:
        return self.native[1] // self.unit, self.native[0] // self.unit

    def _all_samples(self) -> dict[str, list[Trace]]:
        """Traces at the sample points, and at the model's own size where modules take a shorter way there."""
        height, width = self._native_units()
        native = [(batch, height, width, text) for batch, _, _, text in (*SAMPLES[:4], *SAMPLES[8:14])]
        traces = self._sample(SAMPLES)
        own = self._sample([native[0], native[-1]])
        if any(not _sequences(own[name]) <= _sequences(traces[name]) for name in self.roles):
            own = self._sample(native)
        return {
            name: [*traces[name], *(t for t in own[name] if t not in traces[name])] for name in self.roles
        }

    def _sample(
        self, samples: Sequence[tuple[int, int, int, int]], capture: PipelineCapture | None = None
    ) -> dict[str, list[Trace]]:
        """For each component, its local symbols and operators at each sample point, without repeats."""
        traces: dict[str, dict[tuple[int, ...], Any]] = defaultdict(dict)
        for batch, height, width, text in samples:
            request: dict[str, Any] = {
                "batch": batch,
                "height": height * self.unit,
                "width": width * self.unit,
            }
            calls = (capture or self.capture).run(Request(**request, **self._text(text + 40)))
            for call in calls:
                place = self.text_place.get(call.component)
                symbols = {
                    "batch": _batch_of(call),
                    "frames": 1,
                    "height": height,
                    "width": width,
                    "text": call.shapes[place[0]][place[1]] if place else 0,
                }
                if self.roles[call.component] == "text_encoder":
                    symbols |= {"height": 0, "width": 0}
                traces[call.component].setdefault(tuple(symbols.values()), (symbols, call.operators))
        return {name: list(points.values()) for name, points in traces.items()}

    def _verify(self, name: str, tables: tuple[OperatorTable, ...], capture: PipelineCapture) -> None:
        """Compare with a trace in which every block really ran, at points the fit never saw."""
        from joulecast.compute.polynomial import evaluate_monomials

        for symbols, operators in self._sample(CHECK, capture)[name]:
            table = next(t for t in tables if all(symbols[s] == v for s, v in t.condition.items()))
            arrays = {symbol: np.array([value]) for symbol, value in symbols.items()}
            matrix = evaluate_monomials(table.monomials, arrays)
            found = [float((matrix @ m).sum()) for m in (table.flop, table.bytes_read, table.bytes_written)]
            fresh = [sum(getattr(o, k) for o in operators) for k in ("flop", "bytes_read", "bytes_written")]
            if [*found, table.launches.sum()] != [*fresh, len(operators)]:
                raise TraceError(
                    f"the profile of {name} differs from a fresh trace at {symbols}: {found}, not {fresh}"
                )


def _solve(name: str, traces: Sequence[Trace], native: tuple[int, int]) -> tuple[OperatorTable, ...]:
    """Tables for a component: one, or several where its operators differ at batch 1 or its own size."""
    parts: list[tuple[dict[str, int], Sequence[Trace]]] = [({}, traces)]
    at_native = {"height": native[0], "width": native[1]}
    for condition in (at_native, {"batch": 1}):
        parts = [part for old in parts for part in _divide(*old, condition)]
    return tuple(_solve_one(name, condition, some) for condition, some in parts)


def _divide(
    condition: dict[str, int], traces: Sequence[Trace], further: Mapping[str, int]
) -> list[tuple[dict[str, int], Sequence[Trace]]]:
    """Split traces by a further condition, if their operator sequences differ by it."""
    inside = [t for t in traces if all(t[0][symbol] == value for symbol, value in further.items())]
    outside = [t for t in traces if not all(t[0][symbol] == value for symbol, value in further.items())]
    if not inside or not outside or _sequences(inside) <= _sequences(outside):
        return [(condition, traces)]
    return [(condition | dict(further), inside), (condition, outside)]


def _sequences(traces: Sequence[Trace]) -> set[Any]:
    return {tuple(o.kind for o in operators) for _, operators in traces}


def _solve_one(name: str, condition: Mapping[str, int], traces: Sequence[Trace]) -> OperatorTable:
    if len(_sequences(traces)) != 1:
        raise TraceError(f"the operators of {name} change with its size")
    points = [symbols for symbols, _ in traces]
    fitter = _LazyFitter(points)
    groups: Counter[Any] = Counter()
    for column in zip(*(operators for _, operators in traces), strict=True):
        costs = tuple(
            tuple(getattr(o, key) for o in column) for key in ("flop", "bytes_read", "bytes_written")
        )
        groups[column[0].kind, costs] += 1
    rows = []
    for (kind, costs), count in groups.items():
        try:
            rows.append((kind, count, [fitter.fit(values) for values in costs]))
        except TraceError as error:
            raise TraceError(f"{name}, operator {kind[0]}: {error}") from error
    return _table(condition, rows)


class _LazyFitter:
    """Tries bases with more and more U-Net levels, and remembers what it solved."""

    def __init__(self, points: Sequence[Mapping[str, int]]) -> None:
        self.points = points
        self.known: dict[tuple[int, ...], Coefficients] = {}
        self.fitters: dict[int, ExactFitter] = {}

    def fit(self, values: tuple[int, ...]) -> Coefficients:
        if values not in self.known:
            self.known[values] = self._fit(values)
        return self.known[values]

    def _fit(self, values: tuple[int, ...]) -> Coefficients:
        for levels in (0, 3, MAX_LEVELS):
            try:
                return self._fitter(levels).fit(values)
            except TraceError:
                if levels == MAX_LEVELS:
                    raise
        raise AssertionError

    def _fitter(self, levels: int) -> ExactFitter:
        if levels not in self.fitters:
            bases = candidate_bases(
                has_image=any(p["height"] for p in self.points),
                has_text=len({p["text"] for p in self.points}) > 1,
                batch_varies=len({p["batch"] for p in self.points}) > 1,
                levels=levels,
            )
            self.fitters[levels] = ExactFitter(self.points, bases)
        return self.fitters[levels]


def _table(
    condition: Mapping[str, int], rows: Sequence[tuple[Any, int, list[Coefficients]]]
) -> OperatorTable:
    """Gather solved groups; groups of one kind with equal polynomials in all costs are merged already."""
    monomials = tuple(dict.fromkeys(m for _, _, costs in rows for cost in costs for m in cost)) or ("1",)
    place = {monomial: index for index, monomial in enumerate(monomials)}
    matrices = np.zeros((3, len(monomials), len(rows)))
    for column, (_, count, costs) in enumerate(rows):
        for kind, cost in enumerate(costs):
            for monomial, coefficient in cost.items():
                matrices[kind, place[monomial], column] = coefficient * count
    return OperatorTable(
        condition=dict(condition),
        monomials=monomials,
        names=tuple(kind[0] for kind, _, _ in rows),
        families=tuple(kind[1] for kind, _, _ in rows),
        dtypes=tuple(kind[2] for kind, _, _ in rows),
        launches=np.array([float(count) for _, count, _ in rows]),
        head_dims=np.array([float(kind[3]) for kind, _, _ in rows]),
        flop=matrices[0],
        bytes_read=matrices[1],
        bytes_written=matrices[2],
    )


def _batch_of(call: Call) -> int:
    """The batch a call works on: the first dimension of its first tensor that has two or more."""
    return next(shape[0] for shape in call.shapes if len(shape) >= 2)


def _first_difference(a: Any, b: Any) -> tuple[int, int] | None:
    """(tensor, dimension) where two calls' shapes first differ."""
    for tensor, (one, other) in enumerate(zip(a, b, strict=True)):
        for dimension, (x, y) in enumerate(zip(one, other, strict=True)):
            if x != y:
                return tensor, dimension
    return None


def _text_request(knob: str | None, tokens: int) -> dict[str, Any]:
    return {} if knob is None else {"text": tokens, "text_knob": knob}


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


class _result_shape:  # noqa: N801 - reads as a verb phrase where it is used
    """Collects (width, height) of the images a pipeline returns, from its decoder's output."""

    def __init__(self, capture: PipelineCapture, sizes: list[tuple[int, int]]) -> None:
        self.pipeline, self.sizes = capture.pipeline, sizes

    def __enter__(self) -> None:
        self.original = self.pipeline.image_processor.postprocess
        self.pipeline.image_processor.postprocess = self._collect

    def _collect(self, image: Any, *args: Any, **kwargs: Any) -> Any:
        self.sizes.append((int(image.shape[-1]), int(image.shape[-2])))
        return self.original(image, *args, **kwargs)

    def __exit__(self, *details: Any) -> None:
        self.pipeline.image_processor.postprocess = self.original


def _versions() -> dict[str, str]:
    import diffusers
    import torch
    import transformers

    return {
        "torch": str(torch.__version__).split("+")[0],
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }
