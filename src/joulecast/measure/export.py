"""From a store to files that fits and people read: runs, all repeats, components, environments."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.files.paths import shown_path, write_whole
from joulecast.files.tables import inert
from joulecast.hardware import Gpu, catalogued
from joulecast.measure.records import EAGER, RANDOM, TF32_DEFAULT, TaskResult, TaskSpec
from joulecast.measure.rows import StoredRepeat, StoredResult
from joulecast.measure.store import Store
from joulecast.measure.task import WHOLE
from joulecast.question.gpus import gpu as find_gpu
from joulecast.runs import REFERENCE_ENGINE, MeasuredRun, RunTable

Row: TypeAlias = Mapping[str, object]  # of a CSV file, by column

BOUNDARIES: Final = ("gross", "dynamic", "both")
DRY: Final = "dry run on a replayed trace: not a measurement"
REPEAT_COLUMNS: Final = (
    "run_id", "attempt", "in_result", "part", "number", "calls", "energy_j", "duration_s", "offset_s",
    "measured_at", "environment",
)  # fmt: skip
STEP_COLUMNS: Final = ("run_id", "step", "calls", "duration_s", "denoiser_s", "energy_j", "is_resolved")
COMPONENT_COLUMNS: Final = (
    "run_id", "component", "role", "kind", "calls", "energy_j", "dynamic_j", "duration_s", "share",
    "is_resolved", "shapes", "problem",
)  # fmt: skip


def runs_of(store: Store, *, boundary: str = "gross", gpu: str | None = None) -> RunTable:
    """The finished tasks as a table of runs, one row each, or one for each boundary.

    `gpu` names the GPU where the driver's name for it is not in the catalogue.

    Raises UnknownNameError when the GPU is unknown, or the boundary.
    """
    if boundary not in BOUNDARIES:
        raise UnknownNameError("boundary", boundary, BOUNDARIES, f"known: {', '.join(BOUNDARIES)}")
    kinds = ("gross", "dynamic") if boundary == "both" else (boundary,)
    found = [
        _run(store.facts().get("name", "own"), result, kind, gpu, suffix=boundary == "both")
        for result in store.results()
        for kind in kinds
    ]
    return RunTable(run for run in found if run is not None)


def _run(name: str, stored: StoredResult, boundary: str, gpu: str | None, suffix: bool) -> MeasuredRun | None:
    spec, result, environment = stored.spec, stored.result, stored.environment
    batch_energy = result.energy_j if boundary == "gross" else result.dynamic_j
    if batch_energy is None:
        return None
    device, software = device_of(environment.gpu, gpu), environment.software
    libraries = ", ".join(f"{name} {version}" for name, version in software.libraries.items())
    return MeasuredRun(
        run_id=run_id(name, spec, device.name) + (f"-{boundary}" if suffix else ""),
        model=spec.model,
        checkpoint=None if spec.weights == RANDOM else spec.weights,
        gpu=device.name,
        gpu_stated=environment.gpu,
        batch_size=spec.batch_size,
        width=spec.width,
        height=spec.height,
        frames=spec.frames,
        steps=spec.steps,
        passes=spec.passes,
        text_tokens=spec.text_tokens,
        negative_prompt=spec.negative_prompt,
        precision=spec.precision,
        energy_j=batch_energy / spec.batch_size,
        boundary=boundary,
        duration_s=result.duration_s,
        engine=REFERENCE_ENGINE,
        compile=spec.runtime != EAGER,
        tf32=spec.tf32,
        attention=software.attention,
        software=", ".join(filter(None, [libraries, f"driver {environment.driver}".strip()])) or None,
        source="joulecast campaign " + name if environment.is_real else DRY,
        note="; ".join(_notes(result, software.weights)) or None,
        is_invented=not environment.is_real,
    )


def device_of(stated: str, gpu: str | None) -> Gpu:
    """The GPU that the driver named, or, where the catalogue does not know that name, `gpu`.

    Raises InputError when the driver's is not known and there is no other, UnknownNameError when the other
    is not known either.
    """
    found = catalogued(stated)
    if found is not None:
        return found
    if gpu is None:
        raise InputError(
            f"the catalogue does not know the GPU of these runs, {shown(stated)}: say which it is with "
            "--gpu, a name of `joulecast gpus` or a GPU file (.toml)"
        )
    return find_gpu(gpu)


def runtime_of(spec: TaskSpec) -> str:
    """The runtime as a file of predictions states it; TF32 is part of it, as it changes the rate."""
    return spec.runtime if spec.tf32 == TF32_DEFAULT else f"{spec.runtime}, tf32 {spec.tf32}"


def run_id(name: str, spec: TaskSpec, gpu: str) -> str:
    """A readable name of a task's run, unique within a store."""
    text = ("" if spec.text_tokens is None else f"-t{spec.text_tokens}") + "-neg" * spec.negative_prompt
    frames = "" if spec.frames == 1 else f"-{spec.frames}f"
    return (
        f"{name}-{spec.model}-{gpu.casefold()}-{spec.width}x{spec.height}{frames}-s{spec.steps}"
        f"-p{spec.passes}-b{spec.batch_size}{text}-{spec.precision}"
        + ("" if spec.tf32 == TF32_DEFAULT else f"-tf32-{spec.tf32}")
        + ("" if spec.runtime == EAGER else f"-{spec.runtime}")
        + ("-parts" if spec.components else "")
        + ("" if spec.weights == RANDOM else "-" + re.sub(r"[^\w.]+", "-", spec.weights).strip("-"))
    )


def _notes(result: TaskResult, weights: str) -> Iterable[str]:
    if result.energy_half_width_j is not None:
        yield f"95 % interval of the mean +-{100 * result.energy_half_width_j / result.energy_j:.2f} %"
    if result.idle_power_w is not None:
        yield f"idle {result.idle_power_w:.1f} W"
    if weights:
        yield f"weights: {weights}"
    yield from result.warnings


def repeats_of(store: Store, gpu: str | None = None) -> list[Row]:
    """Every repeat ever recorded, telemetry flattened; also those of attempts that did not finish."""
    environments, name = store.environments(), store.facts().get("name", "own")
    rows: list[Row] = []
    for stored in store.repeats():
        values = dataclasses.asdict(stored.repeat)
        device = device_of(environments[stored.environment].gpu, gpu).name
        rows.append(
            {
                "run_id": run_id(name, stored.spec, device),
                "attempt": stored.attempt,
                "in_result": int(stored.in_result),
                "part": stored.part,
                "number": stored.number,
                "measured_at": stored.measured_at,
                "environment": stored.environment,
                **values.pop("telemetry"),
                **values,
            }
        )
    return rows


def components_of(store: Store, gpu: str | None = None) -> list[Row]:
    """Components measured alone, for one batch; `share` is of the whole pipeline's gross energy."""
    rows: list[Row] = []
    for identity, result in _identified(store, gpu):
        for part in result.components:
            measured = part.measured
            rows.append(
                {
                    "run_id": identity,
                    "component": part.name,
                    "role": part.role,
                    "kind": part.kind,
                    "calls": part.calls,
                    "energy_j": measured and measured.energy_j,
                    "dynamic_j": measured and measured.dynamic_j,
                    "duration_s": measured and measured.duration_s,
                    "share": measured and measured.energy_j / result.energy_j,
                    "is_resolved": part.is_resolved,
                    "shapes": part.shapes,
                    "problem": part.problem,
                }
            )
    return rows


def steps_of(store: Store, gpu: str | None = None) -> list[Row]:
    """Denoising steps, for one batch: their denoiser calls, time, and energy where it is resolved."""
    return [
        {
            "run_id": identity,
            "step": step.step,
            "calls": " ".join(step.calls),
            "duration_s": step.duration_s,
            "denoiser_s": step.denoiser_s,
            "energy_j": step.energy_j,
            "is_resolved": step.is_resolved,
        }
        for identity, result in _identified(store, gpu)
        for step in result.steps
    ]


def _identified(store: Store, gpu: str | None) -> Iterator[tuple[str, TaskResult]]:
    """Every result, with the name of its run."""
    name = store.facts().get("name", "own")
    for stored in store.results():
        device = device_of(stored.environment.gpu, gpu).name
        yield run_id(name, stored.spec, device), stored.result


def check_target(out: str | os.PathLike[str]) -> Path:
    """Where runs are to be written. Raises InputError when its name does not end in .csv, or its
    folder is not there."""
    target = Path(out)
    if target.suffix.casefold() != ".csv":
        raise InputError(f"--out {shown_path(out)}: runs are written as CSV, e.g. runs.csv")
    if not target.parent.is_dir():
        raise InputError(f"--out {shown_path(out)}: there is no folder {shown_path(target.parent)}")
    return target


def export(
    store: Store, out: str | os.PathLike[str], *, boundary: str = "gross", gpu: str | None = None
) -> list[Path]:
    """Write ``NAME.csv`` (the runs), ``NAME-repeats.csv``, ``NAME-components.csv`` and
    ``NAME-steps.csv`` where components were measured, and ``NAME-environments.json``; returns their
    paths.

    Raises
    ------
    InputError
        Nothing is finished yet, or a file cannot be written.
    UnknownNameError
        The GPU is not in the catalogue and `gpu` is not given.
    """
    target = check_target(out)
    runs = runs_of(store, boundary=boundary, gpu=gpu)
    if not runs:
        raise InputError(
            f"{shown_path(store.path)} holds no finished run yet; see `joulecast campaign status`"
        )
    runs.write(target)
    written = [target]
    repeats, components = repeats_of(store, gpu), components_of(store, gpu)
    telemetry = sorted({key for row in repeats for key in row} - set(REPEAT_COLUMNS))
    written.append(_write(target, "repeats", _csv(repeats, (*REPEAT_COLUMNS, *telemetry))))
    if components:
        written.append(_write(target, "components", _csv(components, COMPONENT_COLUMNS)))
        written.append(_write(target, "steps", _csv(steps_of(store, gpu), STEP_COLUMNS)))
    environments = {key: json.loads(facts.to_json()) for key, facts in sorted(store.environments().items())}
    text = json.dumps(environments, indent=1, sort_keys=True) + "\n"
    written.append(_write(target, "environments", text, ".json"))
    return written


def _csv(rows: Iterable[Row], columns: tuple[str, ...]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: inert(cell) for key, cell in row.items()} for row in rows)
    return text.getvalue()


def _write(target: Path, what: str, text: str, suffix: str = ".csv") -> Path:
    path = target.with_name(f"{target.stem}-{what}{suffix}")
    write_whole(path, text)
    return path


def is_whole(repeat: StoredRepeat) -> bool:
    """Whether a repeat is of the whole pipeline and belongs to a result."""
    return repeat.in_result and repeat.part == WHOLE
