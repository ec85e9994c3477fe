"""Did a change save energy? Runs of a store in pairs that differ in nothing but the change."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from joulecast.architecture.workload import parse_size
from joulecast.errors import InputError, did_you_mean, fold, shown
from joulecast.hardware import catalogued
from joulecast.measure.export import is_whole
from joulecast.measure.records import TaskSpec
from joulecast.measure.rows import StoredResult
from joulecast.measure.statistics import half_width_95, standard_deviation, t_95
from joulecast.measure.store import Store


@dataclass(frozen=True)
class Pair:
    """Two runs that differ in the change alone: energy [J] and time [s] of an image, and ln(b/a)
    of the energies with the half width of its 95 % interval from the repeats."""

    spec: TaskSpec
    energy_a_j: float
    energy_b_j: float
    duration_a_s: float
    duration_b_s: float
    log_ratio: float
    log_half_width: float


@dataclass(frozen=True)
class Comparison:
    """Energy of b over that of a: geometric mean over the pairs and its 95 % interval.

    `is_clear` says whether the interval leaves 1 out.
    """

    pairs: tuple[Pair, ...]
    ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def is_clear(self) -> bool:
        """Whether the change is told apart from none."""
        return not self.ratio_low <= 1 <= self.ratio_high

    def to_dict(self) -> dict[str, object]:
        """As one JSON object."""
        pairs = [{**dataclasses.asdict(pair), "spec": pair.spec.to_dict()} for pair in self.pairs]
        return {**dataclasses.asdict(self), "pairs": pairs, "is_clear": self.is_clear}


def compare(store: Store, a: str, b: str) -> Comparison:
    """Compare the runs that `a` and `b` select, e.g. ``"runtime=eager"`` and ``"runtime=compiled"``.

    A selection is ``key=value`` items with blanks between; runs are paired where all other settings
    and the GPU are equal. With one pair the interval comes from its repeats, with more from the pairs.

    Raises InputError when a key is unknown or nothing pairs up.
    """
    results = store.results()
    chosen_a, chosen_b = selection(a), selection(b)
    free = set(chosen_a) | set(chosen_b)
    spreads = _spreads(store)
    sides = [
        {
            _rest(settings_of(result), free): result
            for result in results
            if all(settings_of(result).get(key) == value for key, value in chosen.items())
        }
        for chosen in (chosen_a, chosen_b)
    ]
    met = [_pair(sides[0][key], sides[1][key], spreads) for key in sides[0] if key in sides[1]]
    pairs = [pair for pair in met if pair is not None]
    if not pairs:
        raise InputError(
            f"no two finished runs differ only as {shown(a)} and {shown(b)} do: "
            f"{len(sides[0])} and {len(sides[1])} runs match; see `joulecast campaign status`"
        )
    return summarise(pairs)


def summarise(pairs: Sequence[Pair]) -> Comparison:
    """The pairs' mean log ratio and its interval."""
    logs = [pair.log_ratio for pair in pairs]
    width = half_width_95(logs) if len(logs) > 1 else pairs[0].log_half_width
    middle = fmean(logs)
    return Comparison(
        tuple(pairs), math.exp(middle), math.exp(middle - width), math.exp(min(middle + width, 700))
    )


def selection(text: str) -> dict[str, object]:
    """``"steps=30 size=512x512"`` as values of a specification. Raises InputError."""
    known = (
        "model", "width", "height", "size", "steps", "passes", "batch_size", "precision", "text_tokens",
        "negative_prompt", "frames", "runtime", "tf32", "components", "weights", "gpu",
    )  # fmt: skip
    found: dict[str, object] = {}
    for item in text.replace(",", " ").split():
        key, equals, value = item.partition("=")
        if not equals or key not in known:
            raise InputError(f"{shown(item)} is not key=value; {did_you_mean(key, known)}")
        if key == "size":
            found["width"], found["height"] = parse_size(value)
        elif key in ("gpu", "weights"):
            found[key] = _gpu_name(value) if key == "gpu" else value
        else:
            found[key] = _value(value)
    if not found:
        raise InputError("a selection is empty; expected e.g. runtime=compiled")
    return found


def settings_of(result: StoredResult) -> dict[str, object]:
    """What a selection chooses by: the specification, and the GPU that ran it."""
    return {**dataclasses.asdict(result.spec), "gpu": _gpu_name(result.environment.gpu)}


def _gpu_name(stated: str) -> str:
    """The catalogue's name, or what was stated, without blanks."""
    found = catalogued(stated)
    return fold(stated) if found is None else found.name


def _value(text: str) -> bool | int | str:
    if text.casefold() in ("true", "yes", "false", "no"):
        return text.casefold() in ("true", "yes")
    return int(text) if text.isdigit() else text


def _rest(settings: Mapping[str, object], free: set[str]) -> tuple[tuple[str, object], ...]:
    return tuple((key, value) for key, value in settings.items() if key not in free)


def _spreads(store: Store) -> dict[int, list[float]]:
    """Energies of one call by task."""
    found: dict[int, list[float]] = {}
    for repeat in store.repeats():
        if is_whole(repeat):
            found.setdefault(repeat.task, []).append(repeat.repeat.energy_per_call_j)
    return found


def _pair(a: StoredResult, b: StoredResult, spreads: Mapping[int, list[float]]) -> Pair | None:
    if a.task == b.task:
        return None
    energy_a = a.result.energy_j / a.spec.batch_size
    energy_b = b.result.energy_j / b.spec.batch_size
    return Pair(
        spec=a.spec,
        energy_a_j=energy_a,
        energy_b_j=energy_b,
        duration_a_s=a.result.duration_s / a.spec.batch_size,
        duration_b_s=b.result.duration_s / b.spec.batch_size,
        log_ratio=math.log(energy_b / energy_a),
        log_half_width=log_ratio_half_width(spreads.get(a.task, []), spreads.get(b.task, [])),
    )


def log_ratio_half_width(a: Sequence[float], b: Sequence[float]) -> float:
    """Half of the 95 % interval of ln(mean(b) / mean(a)), to first order; Welch's degrees of freedom."""
    if len(a) < 2 or len(b) < 2:
        return math.inf
    parts = [(standard_deviation(v) / fmean(v)) ** 2 / len(v) for v in (a, b)]
    total = sum(parts)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (a, b), strict=True))
    return t_95(int(freedom)) * math.sqrt(total)
