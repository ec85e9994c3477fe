"""From a store to files that fits and people read: runs, all repeats, components, environments."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.files.paths import shown_path, write_whole
from joulecast.hardware import Gpu
from joulecast.hardware import gpu as find_gpu
from joulecast.measure.campaign_plan import RANDOM
from joulecast.measure.store import Store, canonical
from joulecast.measure.task import WHOLE
from joulecast.runs import MeasuredRun, RunTable

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


def _run(
    name: str, result: Mapping[str, Any], boundary: str, gpu: str | None, suffix: bool
) -> MeasuredRun | None:
    spec, content, environment = result["spec"], result["content"], result["environment"]
    batch_energy = content["energy_j" if boundary == "gross" else "dynamic_j"]
    if batch_energy is None:
        return None
    known = device_of(environment["gpu"], gpu)
    libraries = ", ".join(f"{k} {v}" for k, v in environment.get("libraries", {}).items())
    weights = environment.get("weights")
    return MeasuredRun(
        run_id=run_id(name, spec, known.name) + (f"-{boundary}" if suffix else ""),
        model=spec["model"],
        checkpoint=None if weights_of(spec) == RANDOM else weights_of(spec),
        gpu=known.name,
        gpu_stated=environment["gpu"],
        batch_size=spec["batch_size"],
        width=spec["width"],
        height=spec["height"],
        steps=spec["steps"],
        passes=spec["passes"],
        text_tokens=spec["text_tokens"],
        precision=spec["precision"],
        energy_j=batch_energy / spec["batch_size"],
        boundary=boundary,
        duration_s=content["duration_s"],
        runtime=runtime_of(spec),
        attention=environment.get("attention"),
        software=", ".join(filter(None, [libraries, f"driver {environment['driver']}".strip()])) or None,
        source="joulecast campaign " + name if environment["is_real"] else DRY,
        note="; ".join(_notes(content, weights)) or None,
    )


def device_of(stated: str, gpu: str | None) -> Gpu:
    """The GPU that the driver named, or, where the catalogue does not know that name, `gpu`.

    Raises InputError when the driver's is not known and there is no other, UnknownNameError when the other
    is not known either.
    """
    try:
        return find_gpu(stated)
    except UnknownNameError:
        if gpu is None:
            raise InputError(
                f"the catalogue does not know the GPU of these runs, {shown(stated)}: say which it is with "
                "--gpu, a name of `joulecast gpus` or a GPU file (.toml)"
            ) from None
        return find_gpu(gpu)


def runtime_of(spec: Mapping[str, Any]) -> str:
    """The runtime as a run table states it; TF32 is part of it, as it changes the rate."""
    return f"{spec['runtime']}{'' if spec['tf32'] == 'default' else ', tf32 ' + spec['tf32']}"


def weights_of(spec: Mapping[str, Any]) -> str:
    """Which weights a task was run with."""
    return str(spec.get("weights", RANDOM))


def run_id(name: str, spec: Mapping[str, Any], gpu: str) -> str:
    """A readable name of a task's run, unique within a store."""
    text = "" if spec["text_tokens"] is None else f"-t{spec['text_tokens']}"
    return (
        f"{name}-{spec['model']}-{gpu.casefold()}-{spec['width']}x{spec['height']}-s{spec['steps']}"
        f"-p{spec['passes']}-b{spec['batch_size']}{text}-{spec['precision']}"
        + ("" if spec["tf32"] == "default" else f"-tf32-{spec['tf32']}")
        + ("" if spec["runtime"] == "eager" else f"-{spec['runtime']}")
        + ("-parts" if spec["components"] else "")
        + ("" if weights_of(spec) == RANDOM else "-" + re.sub(r"[^\w.]+", "-", weights_of(spec)).strip("-"))
    )


def _notes(content: Mapping[str, Any], weights: Any) -> Iterable[str]:
    width, energy = content["energy_half_width_j"], content["energy_j"]
    if width is not None:
        yield f"95 % interval of the mean +-{100 * width / energy:.2f} %"
    if content["idle_power_w"] is not None:
        yield f"idle {content['idle_power_w']:.1f} W"
    if weights:
        yield f"weights: {weights}"
    yield from content["warnings"]


def repeats_of(store: Store, gpu: str | None = None) -> list[dict[str, Any]]:
    """Every repeat ever recorded, telemetry flattened; also those of attempts that did not finish."""
    environments, name = store.environments(), store.facts().get("name", "own")
    rows = []
    for repeat in store.repeats():
        content = dict(repeat["content"])
        telemetry = content.pop("telemetry")
        device = device_of(environments[repeat["environment"]]["gpu"], gpu).name
        rows.append({"run_id": run_id(name, repeat["spec"], device), **repeat, **content, **telemetry})
    return rows


def components_of(store: Store, gpu: str | None = None) -> list[dict[str, Any]]:
    """Components measured alone, for one batch; `share` is of the whole pipeline's gross energy."""
    name = store.facts().get("name", "own")
    rows = []
    for result in store.results():
        device = device_of(result["environment"]["gpu"], gpu).name
        whole = result["content"]["energy_j"]
        for part in result["content"].get("components", ()):
            share = part["energy_j"] / whole if part["is_resolved"] else None
            identity = run_id(name, result["spec"], device)
            rows.append({**part, "run_id": identity, "component": part["name"], "share": share})
    return rows


def steps_of(store: Store, gpu: str | None = None) -> list[dict[str, Any]]:
    """Denoising steps, for one batch: their denoiser calls, time, and energy where it is resolved."""
    name = store.facts().get("name", "own")
    rows = []
    for result in store.results():
        identity = run_id(name, result["spec"], device_of(result["environment"]["gpu"], gpu).name)
        for step in result["content"].get("steps", ()):
            rows.append({**step, "run_id": identity, "calls": " ".join(step["calls"])})
    return rows


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
    telemetry = sorted({key for row in repeats for key in row} - set(REPEAT_COLUMNS) - _INTERNAL)
    written.append(_write(target, "repeats", _csv(repeats, (*REPEAT_COLUMNS, *telemetry))))
    if components:
        written.append(_write(target, "components", _csv(components, COMPONENT_COLUMNS)))
        written.append(_write(target, "steps", _csv(steps_of(store, gpu), STEP_COLUMNS)))
    environments = {key: json.loads(canonical(facts)) for key, facts in sorted(store.environments().items())}
    text = json.dumps(environments, indent=1, sort_keys=True) + "\n"
    written.append(_write(target, "environments", text, ".json"))
    return written


_INTERNAL: Final = frozenset({"task", "spec", "content"})


def _csv(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(target: Path, what: str, text: str, suffix: str = ".csv") -> Path:
    path = target.with_name(f"{target.stem}-{what}{suffix}")
    write_whole(path, text)
    return path


def is_whole(repeat: Mapping[str, Any]) -> bool:
    """Whether a repeat is of the whole pipeline and belongs to a result."""
    return bool(repeat["in_result"]) and repeat["part"] == WHOLE
