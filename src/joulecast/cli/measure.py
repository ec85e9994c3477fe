"""The commands that measure one run, and compare two: `measure` and `compare`."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.errors import InputError, MeasureError

if TYPE_CHECKING:
    from joulecast.measure.campaign import Progress
    from joulecast.measure.meter import Meter
    from joulecast.measure.replay import Trace
    from joulecast.measure.task import Subject

INVENTED = "  Dry run: replayed numbers, not a measurement."
LEAST_PERCENT = 0.001  # narrower intervals are shown as within it

Commands = dict[str, tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]]


def register(commands: Commands) -> None:
    """Add this module's commands to the table of the command line."""
    commands["measure"] = (_measure, _measure_options)
    commands["compare"] = (_compare, _compare_options)


# --- measure --------------------------------------------------------------------------------------


def _measure_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("model", metavar="MODEL", help="name, alias or hub id (see `joulecast models`)")
    add("--size", metavar="WIDTHxHEIGHT", help="pixels; by default the model's")
    add("--steps", type=_whole, help="denoising steps; by default the model's")
    add("--precision", help="fp16, bf16 or fp32; by default the model's")
    add("--passes", type=_whole, help="denoiser passes a step: 1, or 2 with guidance")
    add("--batch", type=_whole, default=1, help="images generated together; 1 by default")
    add(
        "--text-tokens",
        type=_whole,
        metavar="TOKENS",
        help="text tokens; by default the model's",
    )
    add("--runtime", default="eager", help="eager (default) or compiled")
    add("--tf32", help="TF32 in fp32 work: on, off or default (torch's: convolutions, not matrix products)")
    add("--components", action="store_true", help="measure each component alone as well")
    add("--window", type=_seconds, metavar="TIME", help="shortest window; 1s by default")
    add("--repeats", type=_whole, help="windows at least; 5 by default")
    add("--out", metavar="FILE", help="also write the run (.csv), its repeats and environment")
    add("--json", action="store_true", help="print JSON instead of text")
    add_source(command)


def _measure(options: argparse.Namespace) -> int:
    """Energy of one image, measured on this computer's GPU: real pipeline, random weights, repeats."""
    from joulecast.measure.campaign import run_campaign
    from joulecast.measure.campaign_plan import make_spec
    from joulecast.measure.export import check_target, device_of, export
    from joulecast.measure.protocol import Settings
    from joulecast.measure.store import NewTask, Store

    asked = {
        "model": options.model,
        "size": options.size,
        "steps": options.steps,
        "precision": options.precision,
        "passes": options.passes,
        "batch_size": options.batch,
        "text_tokens": options.text_tokens,
        "runtime": options.runtime,
        "tf32": options.tf32,
        "components": options.components,
        "weights": options.weights,
    }
    spec = make_spec({name: value for name, value in asked.items() if value is not None})
    _check(spec)
    given = {"window_s": options.window, "repeats": options.repeats}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    told: list[Progress] = []
    if options.out:
        check_target(options.out)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "one.db") as store:
        store.note("name", "measure")
        store.add([NewTask(spec)])
        subject, meter = source(options)
        try:
            if options.out:
                device_of(meter.device.gpu, options.gpu)  # or nothing could be written afterwards
            while store.counts()["pending"] and not told:
                run_campaign(store, subject, meter, settings, on_progress=told.append)
        finally:
            meter.close()
        if not store.results():
            raise MeasureError(told[-1].outcome)
        result = store.results()[0]
        if options.out:
            export(store, options.out, gpu=options.gpu)
    if options.json:
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        print(measured_text(result))
    return 0


def _check(spec: Mapping[str, Any]) -> None:
    from joulecast.compute.profile_file import packaged_profile
    from joulecast.measure.campaign_plan import workload_of

    packaged_profile(spec["model"]).check(workload_of(spec))


def measured_text(result: Mapping[str, Any]) -> str:
    """A measured task: energy and time of one image with their intervals, idle, repeats, components."""
    from joulecast.report import amounts as quantity
    from joulecast.report.estimate_text import table

    spec, found, environment = result["spec"], result["content"], result["environment"]
    batch = spec["batch_size"]
    energy = found["energy_j"] / batch
    rows = [
        ["energy per image", quantity.energy(energy), quantity.energy_wh(energy), within(found, "energy")],
        [
            "time per image" if batch == 1 else f"time per batch of {batch}",
            quantity.duration(found["duration_s"]),
            "",
            within(found, "duration"),
        ],
        ["average power", quantity.power(found["energy_j"] / found["duration_s"]), "", ""],
    ]
    if found["idle_power_w"] is not None:
        rows.append(["idle power", quantity.power(found["idle_power_w"]), "", "before and after"])
    if found["dynamic_j"] is not None:
        rows.append(["dynamic energy", quantity.energy(found["dynamic_j"] / batch), "", "gross minus idle"])
    lines = [
        f"{describe(spec)} on {environment['gpu']}, weights: {environment['weights']}",
        "",
        *table(rows[0], rows[1:], right={1, 2}),
        "",
        f"  {steadiness(found)}; {environment['reading']}"
        + (f", driver {environment['driver']}" if environment["driver"] else ""),
    ]
    if found.get("components"):
        lines += ["", *_components(found, batch)]
    if found.get("steps"):
        lines += ["", *_steps(found, batch)]
    lines += [f"  Warning: {words}" for words in found["warnings"]]
    if not environment["is_real"]:
        lines += [INVENTED]
    return "\n".join(lines)


def steadiness(found: Mapping[str, Any]) -> str:
    """How the repeats spread and drift."""
    spread = found["spread"]
    if spread is None or not math.isfinite(spread):
        return "one repeat alone: its spread is unknown"
    return f"repeats differ by {100 * spread:.1f} % (standard deviation), drift {100 * found['drift']:+.1f} %"


def found_text(found: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """A result in one line: energy and time, spread, drift, idle power, and what is doubtful."""
    from joulecast.report import amounts as quantity

    energy = quantity.energy(found["energy_j"] / spec["batch_size"])
    idle = found["idle_power_w"]
    parts = [
        " ".join(filter(None, [energy, "per image", within(found, "energy")])),
        quantity.duration(found["duration_s"]) + ("" if spec["batch_size"] == 1 else " a batch"),
        steadiness(found),
        "idle not measured" if idle is None else f"idle {quantity.power(idle)}",
        *found["warnings"],
    ]
    return "; ".join(parts)


def within(found: Mapping[str, Any], name: str) -> str:
    """The 95 % interval of ``energy`` or ``duration`` in a few words."""
    unit = "j" if name == "energy" else "s"
    width = found[f"{name}_half_width_{unit}"]
    if width is None or not math.isfinite(width):
        return ""
    percent = 100 * width / found[f"{name}_{unit}"]
    words = f"+-{percent:.2g}" if percent >= LEAST_PERCENT else f"within {LEAST_PERCENT:g}"
    return f"95 %: {words} %"


def _components(found: Mapping[str, Any], batch: int) -> list[str]:
    from joulecast.report import amounts as quantity
    from joulecast.report.estimate_text import table

    rows = [
        [
            part["name"],
            part["role"].replace("_", " "),
            str(part["calls"]),
            quantity.duration(part["duration_s"]) if part["is_resolved"] else "",
            quantity.energy(part["energy_j"] / batch) if part["is_resolved"] else "unresolved",
            quantity.share(part["energy_j"], found["energy_j"]) if part["is_resolved"] else "",
        ]
        for part in found["components"]
    ]
    return table(["measured alone", "role", "calls", "time", "energy", "of whole"], rows, right={2, 3, 4, 5})


def _steps(found: Mapping[str, Any], batch: int) -> list[str]:
    """Denoising steps that make the same calls in one row, with their mean time and energy of an image."""
    from joulecast.report import amounts as quantity
    from joulecast.report.estimate_text import table

    rows = []
    for calls, members in itertools.groupby(found["steps"], key=lambda step: step["calls"]):
        group = list(members)
        first, last = group[0]["step"], group[-1]["step"]
        times = [step["duration_s"] for step in group]
        longest = max(times) / (sum(times) / len(times)) - 1
        energy = group[0]["energy_j"]  # the same for all: each kind of call is measured once
        rows.append(
            [
                f"{first}" if first == last else f"{first} to {last}",
                " ".join(calls),
                quantity.duration(sum(times) / len(times)),
                f"+{100 * longest:.1f} %",
                "unresolved" if energy is None else quantity.energy(energy / batch),
            ]
        )
    lines = table(["denoising step", "calls", "time each", "longest", "energy each"], rows, right={2, 3, 4})
    return [*lines, f"  time rises evenly over the steps to {100 * found['steps_departure']:.1f} %"]


def describe(spec: Mapping[str, Any]) -> str:
    """A task in a few words."""
    passes = f" x {spec['passes']} passes" if spec["passes"] != 1 else ""
    batch = f", batch {spec['batch_size']}" if spec["batch_size"] != 1 else ""
    runtime = "" if spec["runtime"] == "eager" else f", {spec['runtime']}"
    weights = "" if spec.get("weights", "random") == "random" else f", weights {spec['weights']}"
    tf32 = "" if spec["tf32"] == "default" else f" (tf32 {spec['tf32']})"
    return (
        f"{spec['model']}: {spec['width']}x{spec['height']}, {spec['steps']} steps{passes}, "
        f"{spec['precision']}{tf32}{batch}{runtime}{weights}"
    )


# --- compare --------------------------------------------------------------------------------------


def _compare_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("store", metavar="FILE", help="a campaign's store (.db)")
    add("--a", required=True, metavar="SETTINGS", help='e.g. "runtime=eager"')
    add("--b", required=True, metavar="SETTINGS", help='e.g. "runtime=compiled"')
    add("--json", action="store_true", help="print JSON instead of text")


def _compare(options: argparse.Namespace) -> int:
    """Did a change save joules? Runs that differ in nothing else, in pairs, with a 95 % interval."""
    from joulecast.measure.compare import compare
    from joulecast.measure.store import Store
    from joulecast.report import amounts as quantity

    with Store(options.store, create=False) as store:
        found, is_dry_run = compare(store, options.a, options.b), store.is_dry_run
    if options.json:
        answer = {**dataclasses.asdict(found), "is_clear": found.is_clear, "is_dry_run": is_dry_run}
        print(json.dumps(answer, indent=2, allow_nan=False))
        return 0
    for pair in found.pairs:
        print(
            f"  {describe(pair.spec)}: {quantity.energy(pair.energy_a_j)} -> "
            f"{quantity.energy(pair.energy_b_j)} per image"
        )
    change = 100 * (found.ratio - 1)
    low, high = 100 * (found.ratio_low - 1), 100 * (found.ratio_high - 1)
    verdict = "a clear change" if found.is_clear else "not told apart from no change"
    pairs = f"{len(found.pairs)} pair" + ("s" if len(found.pairs) != 1 else "")
    print(f"energy of b over a: {change:+.1f} % (95 %: {low:+.1f} to {high:+.1f} %), {pairs}: {verdict}")
    if is_dry_run:
        print(INVENTED)
    return 0


# --- what is measured, and by what ----------------------------------------------------------------


def add_source(command: argparse.ArgumentParser) -> None:
    """The options that say what is measured, and by what."""
    add = command.add_argument
    add(
        "--weights",
        metavar="FOLDER",
        help="trained weights: a folder, a hub id, or `trained` for the catalogue's; random ones without it",
    )
    add("--gpu", help="name of the GPU in the catalogue, where the driver's name is not in it")
    add("--dry-run", action="store_true", help="no GPU and no pipeline: a virtual clock and a replayed trace")
    add("--trace", metavar="FILE", help="trace to replay in a dry run (.csv); an invented one without it")


def source(options: argparse.Namespace) -> tuple[Subject, Meter]:
    """What runs the work, and the meter beside it."""
    if options.dry_run:
        from joulecast.measure.replay import ReplayMeter, VirtualClock
        from joulecast.measure.virtual import VirtualSubject

        clock = VirtualClock()
        return VirtualSubject(clock), ReplayMeter(trace_of(options), clock)
    check_trace(options)
    from joulecast.measure.pipelines import PipelineSubject, gpu_meter

    meter = gpu_meter()
    return PipelineSubject("cuda"), meter


def trace_of(options: argparse.Namespace) -> Trace:
    """What a dry run replays."""
    from joulecast.measure.replay import packaged_trace, read_trace

    return read_trace(options.trace) if options.trace else packaged_trace()


def check_trace(options: argparse.Namespace) -> None:
    """Refuse a trace outside a dry run."""
    if options.trace:
        raise InputError("--trace is replayed in dry runs only; add --dry-run")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _seconds(text: str) -> float:
    from joulecast.measure.campaign_plan import parse_duration

    try:
        return parse_duration(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
