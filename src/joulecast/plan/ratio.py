"""How far off a law is on the ratio of two workloads: held-out predictions, pair by pair.

The errors of two predictions of one law share most of their causes, so the ratio of the two is known
better than either. How much better is not assumed but counted: every two held-out runs of one source
whose measured ratio is known say how far off the predicted ratio was. Models count the same however many
runs of them were published, and few models widen the answer as they do in `joulecast.law.hold_out`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from joulecast import data
from joulecast.law.groups import chip
from joulecast.law.law import FAMILIARITY
from joulecast.law.scores import LEVEL
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, packaged_runs

FEWEST = 20  # pairs, for a 90 % quantile with two of them above it
FEWEST_MODELS = 3


@dataclass(frozen=True)
class Facts:
    """What two workloads may differ in; a power limit only where it is below the board's own."""

    model: str
    gpu: str
    size: tuple[int, int]
    steps: int
    passes: int
    precision: str
    batch_size: int
    frames: int
    runtime: str
    power_limit_w: float | None

    def differing(self, other: Facts) -> tuple[str, ...]:
        """The names of what is not the same."""
        return tuple(kind for kind in KINDS if getattr(self, kind) != getattr(other, kind))


KINDS = tuple(field.name for field in fields(Facts))


@dataclass(frozen=True)
class RatioError:
    """Nine in ten ratios lie within ``exp(+-log_half_width)`` of the predicted one.

    `pairs` pairs of held-out runs of `models` models say so; they differ in the kinds asked for and in at
    most `more` others.
    """

    log_half_width: float
    pairs: int = 0
    models: int = 0
    more: int = 0

    @property
    def factor(self) -> float:
        """What the ratio may be off by, to either side."""
        return math.exp(self.log_half_width)


@dataclass(frozen=True)
class Pair:
    """Two held-out runs of one source: the kinds in which they differ, the models, the ratio's log error."""

    kinds: frozenset[str]
    models: frozenset[str]
    log_error: float


def ratio_error(
    law: str, familiarity: str, quantity: str, kinds: Collection[str], without_model: str | None = None
) -> RatioError | None:
    """The error of a packaged law on the ratio of two workloads that differ in `kinds`.

    Parameters
    ----------
    law : name of a packaged law.
    familiarity : the lesser of the two workloads', one of `joulecast.law.law.FAMILIARITY`.
    quantity : ``energy_j`` or ``duration_s``.
    kinds : of KINDS; anything else, or too few pairs, has no answer: None.
    without_model : leave out the pairs of a model, to check the answer on them.

    Pairs that differ in exactly these kinds are asked; where they are fewer than FEWEST, or of fewer than
    FEWEST_MODELS, also those that differ in one more, and so on: what differs in more is predicted worse.
    """
    wanted = frozenset(kinds)
    if not wanted:
        return RatioError(0.0)
    found = [
        p for p in pairs(law, familiarity, quantity) if wanted <= p.kinds and without_model not in p.models
    ]
    for more in range(len(KINDS)):
        asked = [pair for pair in found if len(pair.kinds - wanted) <= more]
        models = {model for pair in asked for model in pair.models}
        if len(asked) >= FEWEST and len(models) >= FEWEST_MODELS:
            width = _quantile(asked) * math.sqrt(1 + 1 / len(models))
            return RatioError(width, len(asked), len(models), more)
    return None


def known_ratio_error(law: str, familiarity: str, quantity: str, kinds: Collection[str]) -> RatioError | None:
    """`ratio_error`; where sources held out leave too few pairs for what is seen, that of models held out.

    Less is known of those.
    """
    found = ratio_error(law, familiarity, quantity, kinds)
    if found is None and familiarity == "seen":
        return ratio_error(law, "unseen_model", quantity, kinds)
    return found


def held(law: str, familiarity: str, quantity: str, kinds: Collection[str]) -> tuple[float, int]:
    """The share of a model's pairs that lie within the width that pairs of other models give.

    The mean over models, and how many there are: what a user's own model may expect. (nan, 0) where the
    ratio has no answer.
    """
    wanted = frozenset(kinds)
    answer = ratio_error(law, familiarity, quantity, wanted)
    shares = []
    for model in {m for p in pairs(law, familiarity, quantity) for m in p.models} if answer else ():
        others = ratio_error(law, familiarity, quantity, wanted, without_model=model)
        own = [
            pair.log_error
            for pair in pairs(law, familiarity, quantity)
            if model in pair.models
            and wanted <= pair.kinds
            and answer
            and len(pair.kinds - wanted) <= answer.more
        ]
        if others is not None and own:
            shares.append(float(np.mean(np.array(own) <= others.log_half_width)))
    return (float(np.mean(shares)) if shares else math.nan), len(shares)


def _quantile(asked: Sequence[Pair]) -> float:
    """The error that LEVEL of the pairs stay within, each set of models counting the same."""
    errors = np.array([pair.log_error for pair in asked])
    count = Counter(pair.models for pair in asked)
    weight = np.array([1 / count[pair.models] for pair in asked])
    order = np.argsort(errors)
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(errors[order][np.searchsorted(reached, LEVEL * (1 - 1e-12))])


@cache
def pairs(law: str, familiarity: str, quantity: str) -> tuple[Pair, ...]:
    """All pairs of held-out runs of one source, boundary and scope, with both quantities measured."""
    runs = {run.run_id: run for run in packaged_runs()}
    known: list[tuple[MeasuredRun, Facts, float]] = []
    for row in data.read_table("held_out.csv"):
        run = runs[row["run_id"]]
        measured = getattr(run, quantity)
        if (row["law"], row["holdout"]) == (law, familiarity) and measured and row[quantity]:
            known.append((run, _facts(run), math.log(float(row[quantity]) / measured)))
    found = []
    for (a, facts_a, error_a), (b, facts_b, error_b) in itertools.combinations(known, 2):
        if (a.source, a.boundary, a.scope) == (b.source, b.boundary, b.scope):
            kinds = frozenset(facts_a.differing(facts_b))
            found.append(Pair(kinds, frozenset((a.model, b.model)), abs(error_a - error_b)))
    return tuple(found)


def lesser(a: str, b: str) -> str:
    """The familiarity that promises less of two; of a model and a GPU unseen, both."""
    if {a, b} == {"unseen_model", "unseen_gpu"}:
        return "unseen_both"
    return max(a, b, key=FAMILIARITY.index)


def _facts(run: MeasuredRun) -> Facts:
    return Facts(
        model=run.model,
        gpu=chip(run),
        size=(run.width, run.height),
        steps=run.steps,
        passes=run.passes,
        precision=run.precision,
        batch_size=run.batch_size,
        frames=run.frames,
        runtime=run.runtime.kind.label,
        power_limit_w=run.runtime.lowered_limit_w(gpu(run.gpu).tdp_w),
    )
