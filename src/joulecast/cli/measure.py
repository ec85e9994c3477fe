"""The commands that measure one run, and compare two: `measure` and `compare`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.errors import InputError, MeasureError

if TYPE_CHECKING:
    from joulecast.measure.campaign import Progress
    from joulecast.measure.meter import Meter
    from joulecast.measure.records import TaskSpec
    from joulecast.measure.replay import Trace
    from joulecast.measure.task import Subject

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
    from joulecast.report.measured_text import measured_text

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
        print(json.dumps(result.to_dict(), indent=2, allow_nan=False))
    else:
        print(measured_text(result))
    return 0


def _check(spec: TaskSpec) -> None:
    from joulecast.compute.profile_file import packaged_profile

    packaged_profile(spec.model).check(spec.workload)


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
    from joulecast.report.measured_text import INVENTED, describe

    with Store(options.store, create=False) as store:
        found, is_dry_run = compare(store, options.a, options.b), store.is_dry_run
    if options.json:
        answer = {**found.to_dict(), "is_dry_run": is_dry_run}
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
