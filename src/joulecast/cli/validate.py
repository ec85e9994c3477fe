"""Held-out error of every law, computed anew: whole sources, models and GPUs left out of the fit."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.cli.laws import check_forms, one_thread, read_runs
from joulecast.cli.options import ASKED, OR_STDIN, OUTPUT, json_option, print_json, say
from joulecast.errors import InputError, check_extras, shown

if TYPE_CHECKING:
    from joulecast.law.fitted import FittedLaw


def add_options(command: argparse.ArgumentParser) -> None:
    """What `validate` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add(
        "--runs",
        metavar="FILE",
        help="how laws do on these runs as they are, without fitting again" + OR_STDIN,
    )
    add(
        "--law",
        metavar="LAW",
        action="append",
        help="only this law; may be repeated; with --runs also a law file",
    )
    output = command.add_argument_group(OUTPUT)
    output.add_argument("--report", metavar="FOLDER", help="write tables and pictures there (extra `plot`)")
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Print the errors of laws, held out or on given runs."""
    one_thread()
    return _hold_out(options) if options.runs is None else _validate_on(options)


def _hold_out(options: argparse.Namespace) -> int:
    from joulecast.compute.profile_file import packaged_profile
    from joulecast.law.calibration import packaged_law
    from joulecast.law.forms import known_forms
    from joulecast.law.hold_out import validate
    from joulecast.law.load import load_law
    from joulecast.law.own_runs import usable
    from joulecast.law.reproduction import reproduction
    from joulecast.report.validation.findings import held_out_report
    from joulecast.report.validation.text import held_out_text
    from joulecast.runs import packaged_runs

    forms = tuple(dict.fromkeys(options.law or known_forms()))
    check_forms(forms)
    if options.report:
        check_extras("holding out and drawing it", "fit", "plot")
    _check_report(options.report)
    runs, left_out = usable(packaged_runs())
    is_slow = any(known_forms()[form].is_slow for form in forms)
    workers = min(os.cpu_count() or 1, 4) if is_slow else 1
    say(f"holding out sources, models and GPUs of {len(runs)} runs, {len(forms)} laws")
    held = validate(forms, runs, packaged_profile, workers, say)
    law = load_law() if len(forms) > 1 else packaged_law(forms[0], held[forms[0]])
    reproduced = reproduction(packaged_runs(), packaged_profile, load_law())
    report = held_out_report(held, left_out, law, packaged_profile, reproduced)
    if options.report:
        from joulecast.report.validation.page import write_folder

        written = write_folder(Path(options.report), report, held, law)
        say(f"wrote {written[0]} and {len(written) - 1} more files beside it")
    return print_json(report.to_dict()) if options.json else _print(held_out_text(report))


def _validate_on(options: argparse.Namespace) -> int:
    from joulecast.law.dataset import Dataset
    from joulecast.law.own_runs import load_run_profile, named, usable
    from joulecast.law.score_runs import on_runs
    from joulecast.report.validation.findings import own_runs_report
    from joulecast.report.validation.text import own_runs_text

    if options.report:
        raise InputError("--report shows hold-outs and cannot go with --runs; --json gives the same as data")
    laws = _laws(options.law)
    runs, left_out = usable(named(read_runs(options.runs)))
    dataset = Dataset.build(runs, load_run_profile)
    report = own_runs_report([on_runs(law, dataset) for law in laws], left_out)
    return print_json(report.to_dict()) if options.json else _print(own_runs_text(report))


def _laws(names: Sequence[str] | None) -> list[FittedLaw]:
    from joulecast.law.load import law_names, load_law

    laws = [load_law(name) for name in dict.fromkeys(names or law_names())]
    twice = [law.name for law in laws if sum(law.name == other.name for other in laws) > 1]
    if twice:
        raise InputError(f"two laws are named {shown(twice[0])}; rename a law file to tell them apart")
    return laws


def _check_report(folder: str | None) -> None:
    """Find out before the long work whether the pictures can be drawn and the folder made."""
    if folder is None:
        return
    from joulecast.report.page import check_folder

    check_folder(Path(folder))


def _print(text: str) -> int:
    print(text)
    return 0
