"""What a validation found: records for the text and the pictures, and JSON by their `to_dict`.

Scores are those of `joulecast.law.scores.Score`: `median`, `p90`, `worst`, `bias` and `coverage`
in per cent, `width` the factor between an interval's end and its middle, `r2` of the logarithm.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.law.calibration import RULE, choose_default
from joulecast.law.dataset import Load
from joulecast.law.fitted import FittedLaw
from joulecast.law.groups import breakdowns
from joulecast.law.hold_out import HeldOut
from joulecast.law.law import FAMILIARITY
from joulecast.law.reproduction import Row
from joulecast.law.score_runs import OnRuns, within_groups
from joulecast.law.scores import Scores
from joulecast.runs import RunTable
from joulecast.runtime import REFERENCE_STRATUM


@dataclass(frozen=True)
class LeftOut:
    """How many runs were not used, and why."""

    runs: int
    why: str


@dataclass(frozen=True)
class RunsUsed:
    """How many runs were used, what they are of, their number by source, and which were left out."""

    used: int
    energies: int
    times: int
    models: tuple[str, ...]
    gpus: tuple[str, ...]
    sources: Mapping[str, int]
    left_out: tuple[LeftOut, ...]

    @classmethod
    def of(cls, runs: RunTable, left_out: Mapping[str, int]) -> RunsUsed:
        """Of the runs that were used, and the number of the others by reason."""
        return cls(
            used=len(runs),
            energies=sum(run.energy_j is not None for run in runs),
            times=sum(run.duration_s is not None for run in runs),
            models=tuple(sorted({run.model for run in runs})),
            gpus=tuple(sorted({run.gpu for run in runs})),
            sources=dict(Counter(run.source or "unknown" for run in runs)),
            left_out=tuple(LeftOut(count, why) for why, count in left_out.items()),
        )


@dataclass(frozen=True)
class GroupScores:
    """Scores of the runs whose `dimension` (model, chip, ...) is `value`."""

    dimension: str
    value: str
    scores: Scores

    def to_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {"dimension": self.dimension, "value": self.value, **self.scores.to_dict()}


@dataclass(frozen=True)
class HeldOutScores(GroupScores):
    """The same under one hold-out."""

    holdout: str

    def to_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {"holdout": self.holdout, **super().to_dict()}


@dataclass(frozen=True)
class DefaultLaw:
    """The law that is used where none is named, the rule that chose it, and what it chooses here."""

    name: str
    form: str
    rule: str
    best_here: str


@dataclass(frozen=True)
class HeldOutReport:
    """Everything a validation found.

    Attributes
    ----------
    runs : by form: laws that know runtimes have more of them.
    laws : scores by form and hold-out, of the runs of the reference runtime, which all laws know.
    breakdowns : of the default law and all its runs, by model, GPU, chip, batch size, source and runtime.
    within_groups_r2 : see `joulecast.law.score_runs.within_groups`.
    """

    runs: Mapping[str, RunsUsed]
    default_law: DefaultLaw
    laws: Mapping[str, Mapping[str, Scores]]
    breakdowns: tuple[HeldOutScores, ...]
    within_groups_r2: Mapping[str, float]
    reproduction: tuple[Row, ...]

    def to_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "runs": _by_law(self.runs),
            "default_law": dataclasses.asdict(self.default_law),
            "laws": {
                form: {holdout: scores.to_dict() for holdout, scores in by_holdout.items()}
                for form, by_holdout in self.laws.items()
            },
            "breakdowns": [group.to_dict() for group in self.breakdowns],
            "within_groups_r2": dict(self.within_groups_r2),
            "reproduction": [dataclasses.asdict(row) for row in self.reproduction],
        }


@dataclass(frozen=True)
class PredictedRun:
    """What was measured and predicted of a run, and whether the interval holds it; None where unknown."""

    run_id: str
    model: str
    gpu: str
    measured_energy_j: float | None
    predicted_energy_j: float
    energy_covered: bool | None
    measured_duration_s: float | None
    predicted_duration_s: float
    duration_covered: bool | None


@dataclass(frozen=True)
class OwnRunsReport:
    """How laws as they are do on a user's runs: by law its runs, scores and every prediction.

    A law that is made for none of the runs has no scores.
    """

    runs: Mapping[str, RunsUsed]
    laws: Mapping[str, tuple[GroupScores, ...]]
    predictions: Mapping[str, tuple[PredictedRun, ...]]

    def to_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "runs": _by_law(self.runs),
            "laws": {law: [group.to_dict() for group in groups] for law, groups in self.laws.items()},
            "predictions": {
                law: [dataclasses.asdict(run) for run in runs] for law, runs in self.predictions.items()
            },
        }


def held_out_report(
    held: Mapping[str, Mapping[str, HeldOut]],
    left_out: Mapping[str, Mapping[str, int]],
    law: FittedLaw,
    load: Load,
    reproduced: Sequence[Row],
) -> HeldOutReport:
    """Everything a validation found.

    Parameters
    ----------
    held : by law and hold-out.
    left_out : by law, runs that were not used, by reason.
    law : the default law, fitted on all runs; its errors are broken down if `held` has its form.
    load : finds the profile of a model.
    reproduced : rows of the reproduction table.
    """
    runs = runs_by_law(held)
    return HeldOutReport(
        runs={form: RunsUsed.of(own, left_out.get(form, {})) for form, own in runs.items()},
        default_law=DefaultLaw(law.name, law.form, RULE, choose_default(held)),
        laws={
            form: {holdout: _of_reference(one).rounded() for holdout, one in by_holdout.items()}
            for form, by_holdout in held.items()
        },
        breakdowns=tuple(_breakdowns(held[law.form])) if law.form in held else (),
        within_groups_r2=within_groups(law, runs.get(law.form, next(iter(runs.values()))), load),
        reproduction=tuple(reproduced),
    )


def runs_by_law(held: Mapping[str, Mapping[str, HeldOut]]) -> dict[str, RunTable]:
    """The runs that each law was held out on."""
    return {form: next(iter(by_holdout.values())).runs for form, by_holdout in held.items()}


def every_run(held: Mapping[str, Mapping[str, HeldOut]]) -> RunTable:
    """The runs that any law was held out on, each once."""
    return RunTable({run.run_id: run for own in runs_by_law(held).values() for run in own}.values())


def own_runs_report(results: Sequence[OnRuns], left_out: Mapping[str, Mapping[str, int]]) -> OwnRunsReport:
    """How laws as they are do on a user's runs; `left_out` has, by law, those it cannot use, by reason."""
    used = {result.law: result.runs for result in results}
    return OwnRunsReport(
        runs={law: RunsUsed.of(used.get(law, RunTable()), without) for law, without in left_out.items()},
        laws={result.law: tuple(_own_scores(result)) for result in results},
        predictions={result.law: tuple(_predictions(result)) for result in results},
    )


def _by_law(runs: Mapping[str, RunsUsed]) -> dict[str, dict[str, object]]:
    return {law: dataclasses.asdict(used) for law, used in runs.items()}


def _of_reference(held: HeldOut) -> Scores:
    return held.scores(held.in_stratum(REFERENCE_STRATUM))


def _breakdowns(held: Mapping[str, HeldOut]) -> Iterator[HeldOutScores]:
    for holdout, one in held.items():
        for dimension, value, rows in breakdowns(one.runs):
            yield HeldOutScores(dimension, value, one.scores(rows).rounded(), holdout)


def _own_scores(result: OnRuns) -> Iterator[GroupScores]:
    """Scores of all runs, of what the law knew (of energies), and as `breakdowns` has them."""
    everything = np.ones(len(result.runs), dtype=bool)
    groups = [("familiarity", "all", everything)]
    for known in FAMILIARITY:
        groups.append(("familiarity", known, np.array([k == known for k in result.familiarity])))
    for dimension, value, rows in [*groups, *breakdowns(result.runs)]:
        if rows.any():
            yield GroupScores(dimension, value, result.scores(rows).rounded())


def _predictions(result: OnRuns) -> Iterator[PredictedRun]:
    """A row a run."""
    energy, duration = (_covered(result, quantity) for quantity in ("energy_j", "duration_s"))
    for place, run in enumerate(result.runs):
        yield PredictedRun(
            run_id=run.run_id,
            model=run.model,
            gpu=run.gpu,
            measured_energy_j=run.energy_j,
            predicted_energy_j=float(result.energy_j[place]),
            energy_covered=energy[place],
            measured_duration_s=run.duration_s,
            predicted_duration_s=float(result.duration_s[place]),
            duration_covered=duration[place],
        )


def _covered(result: OnRuns, quantity: str) -> list[bool | None]:
    return [None if np.isnan(held) else bool(held) for held in result.covered(quantity)]
