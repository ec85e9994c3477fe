"""Measure a plan of many runs, resumable: predict it, run it, see how far it is, export, check."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from joulecast.cli.options import ASKED, LAW_HELP, OUTPUT, print_json, say
from joulecast.cli.source import check_trace, source, source_options, trace_of
from joulecast.errors import InputError, UnknownNameError
from joulecast.units import counted

if TYPE_CHECKING:
    from joulecast.measure.campaign import Progress
    from joulecast.measure.protocol import Settings
    from joulecast.measure.store import Store

UNFINISHED = 1
ACTIONS = ("predict", "run", "status", "export", "check")


def add_options(command: argparse.ArgumentParser) -> None:
    """What `campaign` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("action", metavar="{predict,run,status,export,check}", help="the step to do")
    add(
        "file",
        metavar="FILE",
        help="predict, run: a plan (.toml, or calibrate, paper-sweep); status, export: a store (.db); "
        "check: what predict wrote (.csv)",
    )
    add("--budget", metavar="TIME", help="run: begin nothing that would not end within it, e.g. 9m")
    add(
        "--boundary",
        default="gross",
        metavar="{gross,dynamic,both}",
        help="predict, export: gross by default; both: export only",
    )
    add("--law", help=f"predict: {LAW_HELP}")
    add("--runs", metavar="FILE", help="check: the runs that export wrote (.csv)")
    source_options(command).add_argument(
        "--fleet", metavar="ADDRESS", help="run: on the GPUs of a Ray cluster: auto, or HOST:PORT"
    )
    add = command.add_argument_group(OUTPUT).add_argument
    add("--store", metavar="FILE", help="run: where results go; by default the plan's name with .db")
    add("--out", metavar="FILE", help="predict, export: file to write (.csv); export: more files beside it")
    add("--json", action="store_true", help="print JSON instead of text")


def run(options: argparse.Namespace) -> int:
    """Do one step of a campaign."""
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
        if options.json:
            print_json({"store": options.store or f"{plan.name}.db", "counts": counts})
        else:
            print(_counted(counts))
        if counts["pending"] and budget is not None:
            _tell_budget(store, budget)
        return UNFINISHED if counts["pending"] else 0


def _run_here(store: Store, settings: Settings, budget_s: float | None, options: argparse.Namespace) -> None:
    from joulecast.measure.campaign import run_campaign, waiting
    from joulecast.measure.node import gpu_name
    from joulecast.question.gpus import gpu as find_gpu

    named = None if options.gpu is None else find_gpu(options.gpu).name
    subject, meter = source(options)
    try:
        known = named or gpu_name(meter.device.gpu)
        for gpu, count in waiting(store, {known}).items():
            say(f"{counted(count, 'task')} for a {gpu}; this is {known or meter.device.gpu}: left pending")
        run_campaign(store, subject, meter, settings, gpu=known, budget_s=budget_s, on_progress=_tell)
    finally:
        meter.close()


def _run_on_nodes(
    store: Store, settings: Settings, budget_s: float | None, options: argparse.Namespace
) -> None:
    from joulecast.measure.fleet import run_fleet
    from joulecast.measure.node import GpuSource, ReplaySource

    if not options.dry_run:
        check_trace(options)
    used = ReplaySource(trace_of(options)) if options.dry_run else GpuSource()
    run_fleet(store, settings, used, options.fleet, budget_s=budget_s, on_progress=_tell, on_news=say)


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


def _tell(progress: Progress) -> None:
    """A line for each task, on standard error, with the time that is left."""
    from joulecast.report import amounts as quantity
    from joulecast.report.measured_text import describe, found_text

    result = progress.result
    words = progress.outcome if result is None else found_text(result, progress.spec)
    where = f" on {progress.where}" if progress.where else ""
    say(
        f"[{progress.done}/{progress.total}, about {quantity.duration(progress.left_s)} left] "
        f"{describe(progress.spec)}{where}: {words}"
    )


def _tell_budget(store: Store, budget_s: float) -> None:
    """Why tasks are left: none is begun that may not end in time."""
    from joulecast.measure.campaign import shortest_s
    from joulecast.report import amounts as quantity

    say(
        f"the budget was {quantity.duration(budget_s)}, and nothing is begun that may not end within it: "
        f"the shortest task left may take {quantity.duration(shortest_s(store))}; the same command goes on "
        "from here"
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
    from joulecast.report.measured_text import INVENTED, describe, found_text

    with Store(options.file, create=False) as store:
        counts, left, tasks = store.counts(), time_left_s(store), store.tasks()
        if options.json:
            return print_json({"counts": counts, "left_s": left, "tasks": [task.to_dict() for task in tasks]})
        print(f"{store.facts().get('name', '')}: {_counted(counts)}")
        if counts["pending"] + counts["running"]:
            print(f"about {quantity.duration(left)} left for one GPU")
        for result in store.results():
            print(f"  {describe(result.spec)}: {found_text(result.result, result.spec)}")
        for task in tasks:
            if task.state in ("too_large", "failed", "refused"):
                print(f"  {describe(task.spec)}: {task.message}")
        if store.is_dry_run:
            print(INVENTED)
    return 0


def _campaign_export(options: argparse.Namespace) -> int:
    from joulecast.measure.export import export
    from joulecast.measure.store import Store

    with Store(options.file, create=False) as store:
        written = export(store, options.out or "runs.csv", boundary=options.boundary, gpu=options.gpu)
        if options.json:
            return print_json({"wrote": [str(path) for path in written]})
        for path in written:
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
    if options.json:
        from joulecast.files.json_rows import json_rows

        return print_json({"out": str(out), "failed": failed, "rows": list(json_rows(dict(columns)))})
    runs = len(columns["error"])
    print(f"wrote {out}: {runs - failed} of {counted(runs, 'run')} predicted")
    return 0


def _campaign_check(options: argparse.Namespace) -> int:
    from joulecast.forecast.preregistered import check_predictions
    from joulecast.report.measured_text import checked_text
    from joulecast.runs import RunTable

    if not options.runs:
        raise InputError("--runs FILE is missing: the runs that `joulecast campaign export` wrote")
    found = check_predictions(options.file, RunTable.read(options.runs))
    if options.json:
        return print_json(found.to_dict())
    print(checked_text(found))
    return 0
