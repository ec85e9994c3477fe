"""What runtimes are made of, as known by name, and on what evidence the default law predicts each part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from joulecast import data
from joulecast.law.law import UNSEEN_RUNTIME
from joulecast.law.load import load_law
from joulecast.law.own_runs import usable
from joulecast.law.roofline import RooflineLaw
from joulecast.law.scores import LEVEL
from joulecast.question.engines import engine_toml
from joulecast.records import Record
from joulecast.runs import MeasuredRun, packaged_runs
from joulecast.runtime import CACHE, ENGINE, LEFT, OFFLOAD, QUANTIZATION, SPLIT, Part, Runtime, find, parts

# That are asked for; attention kernels come with engines.
KINDS = (ENGINE, QUANTIZATION, CACHE, OFFLOAD, SPLIT)


class ErrorHeldOut(Record):
    """How far off a law was on runs whose runtime it had not seen, in absolute per cent."""

    runs: int
    median: float
    p90: float


class KnownPart(Record):
    """A part of runtimes and what is known of it.

    Attributes
    ----------
    kind, name, title, source : as of `joulecast.runtime.Part`.
    runs : of the law's fit, that have it.
    models, gpus : of those runs.
    gpu_counts : GPUs that shared the work in them.
    energy, time : errors on runs whose runtime was held out of the fit, None where there are none.
    """

    kind: str
    name: str
    title: str
    source: str
    runs: int
    models: tuple[str, ...]
    gpus: tuple[str, ...]
    gpu_counts: tuple[int, ...]
    energy: ErrorHeldOut | None
    time: ErrorHeldOut | None

    @property
    def is_fitted(self) -> bool:
        """Whether the law was fitted on runs of it."""
        return self.runs > 0


def known_parts() -> tuple[KnownPart, ...]:
    """Every part that may be asked for, with what the default law knows of it."""
    law = load_law(None)
    seen = usable(packaged_runs(), law.knows_runtimes)[0]
    held = _held_out(law.name)
    return tuple(_known(part, seen, held) for kind in KINDS for part in parts(kind).values())


def engine_file(name: str) -> str:
    """An engine known by name as a file to change, with the shares that the roofline law has of it."""
    engine, law = find(ENGINE, name), load_law(RooflineLaw.form)
    assert isinstance(law, RooflineLaw)
    how = law.conduct(Runtime(engine.name))
    left = (how.arithmetic_time, how.memory, how.kernels, how.host)
    return engine_toml(engine, {key: float(share[0, 0]) for key, share in zip(LEFT, left, strict=True)})


def _held_out(law: str) -> list[tuple[MeasuredRun, float | None, float | None]]:
    """Runs whose runtime was held out, with the law's errors of energy and of time, absolute per cent."""
    runs = {run.run_id: run for run in packaged_runs()}
    return [
        (
            runs[row["run_id"]],
            _error(row["energy_j"], runs[row["run_id"]].energy_j),
            _error(row["duration_s"], runs[row["run_id"]].duration_s),
        )
        for row in data.read_table("held_out.csv")
        if (row["law"], row["holdout"]) == (law, UNSEEN_RUNTIME) and row["run_id"] in runs
    ]


def _error(predicted: str, measured: float | None) -> float | None:
    return None if not predicted or not measured else abs(float(predicted) / measured - 1) * 100


def _known(
    part: Part,
    seen: Sequence[MeasuredRun],
    held: Sequence[tuple[MeasuredRun, float | None, float | None]],
) -> KnownPart:
    own = [run for run in seen if _has(run, part)]
    tested = [(energy, time) for run, energy, time in held if _has(run, part)]
    return KnownPart(
        kind=part.kind,
        name=part.name,
        title=part.title,
        source=part.source,
        runs=len(own),
        models=tuple(sorted({run.model for run in own})),
        gpus=tuple(sorted({run.gpu for run in own})),
        gpu_counts=tuple(sorted({run.gpu_count for run in own})),
        energy=_summary([energy for energy, _ in tested if energy is not None]),
        time=_summary([time for _, time in tested if time is not None]),
    )


def _has(run: MeasuredRun, part: Part) -> bool:
    """Whether a run's runtime has a part."""
    runtime = run.runtime
    values = {
        ENGINE: {runtime.engine},
        QUANTIZATION: {runtime.quantization},
        CACHE: {runtime.cache},
        OFFLOAD: {runtime.offload},
        SPLIT: {way for way, degree in runtime.parallel if degree > 1},
    }
    return part.name in values[part.kind]


def _summary(errors: Sequence[float]) -> ErrorHeldOut | None:
    if not errors:
        return None
    return ErrorHeldOut(len(errors), float(np.median(errors)), float(np.quantile(errors, LEVEL)))
