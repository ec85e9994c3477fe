"""The command `campaign`: plans of many runs, predicted, measured, exported and compared."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from joulecast.cli.measure import (
    INVENTED,
    Commands,
    add_source,
    check_trace,
    describe,
    found_text,
    source,
    trace_of,
)
from joulecast.errors import InputError, JoulecastError, UnknownNameError

if TYPE_CHECKING:
    from joulecast.forecast.preregistered import Checked
    from joulecast.law.scores import Score
    from joulecast.measure.campaign import Progress
    from joulecast.measure.protocol import Settings
    from joulecast.measure.store import Store

UNFINISHED = 1
DRY_RUN = "dry run"  # how the source of runs on a replayed trace begins
ACTIONS = ("predict", "run", "status", "export", "check")


def register(commands: Commands) -> None:
    """Add this module's command to the table of the command line."""
    commands["campaign"] = (_campaign, _campaign_options)


def _campaign_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("action", metavar="ACTION", help="predict, run, status, export or check")
    add(
        "file",
        metavar="FILE",
        help="predict, run: a plan (.toml, or calibrate, paper-sweep); status, export: a store (.db); "
        "check: what predict wrote (.csv)",
    )
    add("--store", metavar="FILE", help="run: where results go; by default the plan's name with .db")
    add("--budget", metavar="TIME", help="run: begin nothing that would not end within it, e.g. 9m")
    add(
        "--fleet",
        metavar="ADDRESS",
        help="run: on the GPUs of a Ray cluster: auto, or HOST:PORT",
    )
    add(
        "--out",
        metavar="FILE",
        help="predict, export: file to write (.csv); export: more files beside it",
    )
    add("--boundary", default="gross", help="predict, export: gross (default) or dynamic; export: or both")
    add("--law", help="predict: a packaged law or a law file; by default the package's own")
    add("--runs", metavar="FILE", help="check: the runs that export wrote (.csv)")
    add("--json", action="store_true", help="status, check: print JSON instead of text")
    add_source(command)


def _campaign(options: argparse.Namespace) -> int:
    """Measure a plan of many runs, resumable: predict it, run it, see how far it is, export what was
    found, check the predictions."""
    actions = {
        "predict": _campaign_predict,
        "run": _campaign_run,
        "status": _campaign_status,
        "export": _campaign_export,
        "check": _campaign_check,
    }
    if options.action not in actions:
        raise UnknownNameError("action", options.action, ACTIONS, f"known: {', '.join(ACTIONS)}")
    return actions[options.action](options)


def _campaign_run(options: argparse.Namespace) -> int:
    from joulecast.measure.campaign_plan import parse_duration, read_plan, with_weights
    from joulecast.measure.store import Store

    plan = read_plan(options.file)
    budget = plan.budget_s if options.budget is None else parse_duration(options.budget)
    if options.fleet and options.gpu:
        raise InputError("--gpu names this machine's GPU; the nodes of a fleet tell their own")
    with Store(options.store or f"{plan.name}.db") as store:
        _check_kind(store, options)
        store.note("name", plan.name)
        store.add(with_weights(plan.tasks, options.weights))
        (_run_on_nodes if options.fleet else _run_here)(store, plan.settings, budget, options)
        counts = store.counts()
        print(_counted(counts))
        return UNFINISHED if counts["pending"] else 0


def _run_here(store: Store, settings: Settings, budget_s: float | None, options: argparse.Namespace) -> None:
    from joulecast.measure.campaign import run_campaign, waiting

    subject, meter = source(options)
    try:
        known = _catalogue_name(options.gpu or meter.device.gpu)
        for gpu, count in waiting(store, {known}).items():
            _say(
                f"{count} task{'s' if count > 1 else ''} for a {gpu}; this is {known or meter.device.gpu}: "
                "left pending"
            )
        run_campaign(store, subject, meter, settings, gpu=known, budget_s=budget_s, on_progress=_tell)
    finally:
        meter.close()


def _run_on_nodes(
    store: Store, settings: Settings, budget_s: float | None, options: argparse.Namespace
) -> None:
    from joulecast.measure.fleet import GpuSource, ReplaySource, run_fleet

    if not options.dry_run:
        check_trace(options)
    used = ReplaySource(trace_of(options)) if options.dry_run else GpuSource()
    run_fleet(store, settings, used, options.fleet, budget_s=budget_s, on_progress=_tell, on_news=_say)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _check_kind(store: Store, options: argparse.Namespace) -> None:
    """Dry runs and measurements never share a store."""
    from joulecast.measure.store import DRY_RUN as INVENTED_KIND

    kind = INVENTED_KIND if options.dry_run else "measured"
    known = store.facts().get("kind", kind)
    counts = store.counts()
    is_begun = any(counts[state] for state in ("running", "done", "too_large", "failed")) or store.repeats()
    if known != kind and is_begun:
        raise InputError(f"the store holds {known} results; give --store another file for {kind} ones")
    store.note("kind", kind)


def _catalogue_name(gpu: str) -> str | None:
    from joulecast.hardware import gpu as find_gpu

    try:
        return find_gpu(gpu).name
    except JoulecastError:
        return None


def _tell(progress: Progress) -> None:
    """A line for each task, on standard error, with the time that is left."""
    from joulecast.report import amounts as quantity

    words = progress.outcome if progress.found is None else found_text(progress.found, progress.spec)
    where = f" on {progress.where}" if progress.where else ""
    _say(
        f"[{progress.done}/{progress.total}, about {quantity.duration(progress.left_s)} left] "
        f"{describe(progress.spec)}{where}: {words}"
    )


def _counted(counts: Mapping[str, int]) -> str:
    words = {"too_large": "too large for the GPU", "refused": "refused by the pipeline"}
    return (
        ", ".join(f"{count} {words.get(state, state)}" for state, count in counts.items() if count) or "empty"
    )


def _campaign_status(options: argparse.Namespace) -> int:
    from joulecast.measure.campaign import time_left_s
    from joulecast.measure.store import Store
    from joulecast.report import amounts as quantity

    with Store(options.file, create=False) as store:
        counts, left, tasks = store.counts(), time_left_s(store), store.tasks()
        if options.json:
            print(json.dumps({"counts": counts, "left_s": left, "tasks": tasks}, indent=2))
            return 0
        print(f"{store.facts().get('name', '')}: {_counted(counts)}")
        if counts["pending"] + counts["running"]:
            print(f"about {quantity.duration(left)} left for one GPU")
        for result in store.results():
            print(f"  {describe(result['spec'])}: {found_text(result['content'], result['spec'])}")
        for task in tasks:
            if task["state"] in ("too_large", "failed", "refused"):
                print(f"  {describe(task['spec'])}: {task['message']}")
        if store.is_dry_run:
            print(INVENTED)
    return 0


def _campaign_export(options: argparse.Namespace) -> int:
    from joulecast.measure.export import export
    from joulecast.measure.store import Store

    with Store(options.file, create=False) as store:
        for path in export(store, options.out or "runs.csv", boundary=options.boundary, gpu=options.gpu):
            print(f"wrote {path}")
    return 0


# --- predictions made before, and how they did ----------------------------------------------------


def _campaign_predict(options: argparse.Namespace) -> int:
    from joulecast.forecast.estimate import resolve_law
    from joulecast.forecast.preregistered import predict_plan, write_predictions
    from joulecast.measure.campaign_plan import read_plan, with_weights

    if not options.gpu:
        raise InputError("a prediction is of a GPU: --gpu NAME (see `joulecast gpus`)")
    plan = read_plan(options.file)
    tasks = with_weights(plan.tasks, options.weights)
    columns = predict_plan(plan.name, tasks, options.gpu, resolve_law(options.law), options.boundary)
    out = options.out or "predictions.csv"
    write_predictions(columns, out)
    failed = sum(map(bool, columns["error"]))
    print(f"wrote {out}: {len(columns['error']) - failed} of {len(columns['error'])} runs predicted")
    return 0


def _campaign_check(options: argparse.Namespace) -> int:
    from joulecast.forecast.preregistered import check_predictions
    from joulecast.runs import RunTable

    if not options.runs:
        raise InputError("--runs FILE is missing: the runs that `joulecast campaign export` wrote")
    found = check_predictions(options.file, RunTable.read(options.runs))
    print(json.dumps(found.to_dict(), indent=2, allow_nan=False) if options.json else checked_text(found))
    return 0


def checked_text(found: Checked) -> str:
    """How predictions did, as a table: all runs together, then by model and precision."""
    from joulecast.report.estimate_text import table

    header = ["in %", "runs", "energy median", "9 in 10", "worst", "bias", "held", "time median", "9 in 10"]
    rows = [
        [name, str(energy.runs), *_errors(energy, bias=True), *_errors(time, bias=False)]
        for name, energy, time in found.groups()
    ]
    lines = table(header, rows, right=set(range(1, 9)))
    lines += ["", f"  held: runs within the predicted 90 % interval; R2 of log E {found.energy.r2:.3f}, "
              f"Spearman {found.energy.spearman:.3f}"]  # fmt: skip
    counts = {
        "of another runtime than eager, which the law is not of": found.other_runtime,
        "predicted and not measured": found.unmeasured,
        "measured and not predicted": found.unpredicted,
    }
    lines += [f"  left out: {count} {words}" for words, count in counts.items() if count]
    if any(str(run.source).startswith(DRY_RUN) for run in found.runs):
        lines += ["  Dry run: the runs are invented; nothing follows from them."]
    return "\n".join(lines)


def _errors(score: Score, bias: bool) -> list[str]:
    cells = [f"{score.median:.1f}", f"{score.p90:.1f}"]
    return [*cells, f"{score.worst:.1f}", f"{score.bias:+.1f}", f"{score.coverage:.0f}"] if bias else cells
