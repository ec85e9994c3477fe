"""Held-out error of every law, computed anew: whole sources, models and GPUs left out of the fit."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.cli.laws import check_forms, one_thread, read_runs
from joulecast.cli.options import ASKED, OR_STDIN, OUTPUT, json_option, print_json, say
from joulecast.errors import FitError, InputError, check_extras, shown
from joulecast.units import counted

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
    add(
        "--paper",
        action="store_true",
        help="only the paper beside our laws: its fits redone, its three GPUs, what binds its models",
    )
    output = command.add_argument_group(OUTPUT)
    output.add_argument("--report", metavar="FOLDER", help="write tables and pictures there (extra `plot`)")
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Print the errors of laws, held out or on given runs."""
    one_thread()
    if options.paper:
        return _beside_paper(options)
    return _hold_out(options) if options.runs is None else _validate_on(options)


def _hold_out(options: argparse.Namespace) -> int:
    from joulecast.compute.profile_file import packaged_profile
    from joulecast.law.calibration import packaged_law
    from joulecast.law.forms import find_form, known_forms
    from joulecast.law.hold_out import validate
    from joulecast.law.load import load_law
    from joulecast.law.own_runs import fitted_runs
    from joulecast.law.reproduction import reproduction
    from joulecast.report.validation.findings import held_out_report
    from joulecast.report.validation.text import held_out_text

    forms = tuple(dict.fromkeys(options.law or known_forms()))
    check_forms(forms)
    if options.report:
        check_extras("holding out and drawing it", "fit", "plot")
    else:
        check_extras("holding out", "fit")
    _check_report(options.report)
    runs, left_out = {}, {}
    for form in forms:
        runs[form], left_out[form] = fitted_runs(find_form(form))
    of_paper = fitted_runs(find_form("paper"))[0]
    is_slow = any(known_forms()[form].is_slow for form in forms)
    workers = min(os.cpu_count() or 1, 4) if is_slow else 1
    fewest, most = min(map(len, runs.values())), max(map(len, runs.values()))
    told = f"{fewest} to {most}" if fewest < most else f"{most}"
    say(f"holding out sources, models, GPUs and runtimes of {told} runs, {counted(len(forms), 'law')}")
    held = validate(forms, None, packaged_profile, workers, say)
    law = load_law() if len(forms) > 1 else packaged_law(forms[0], held[forms[0]])
    reproduced = reproduction(of_paper, packaged_profile, load_law())
    report = held_out_report(held, left_out, law, packaged_profile, reproduced)
    if options.report:
        from joulecast.report.validation.page import write_folder

        written = write_folder(Path(options.report), report, held, law)
        say(f"wrote {written[0]} and {len(written) - 1} more files beside it")
    return print_json(report.to_dict()) if options.json else _print(held_out_text(report))


def _beside_paper(options: argparse.Namespace) -> int:
    from joulecast.compute.profile_file import packaged_profile
    from joulecast.law.forms import find_form
    from joulecast.law.load import load_law
    from joulecast.law.own_runs import fitted_runs
    from joulecast.law.paper_gpus import on_three_gpus, what_sets_the_time
    from joulecast.law.reproduction import reproduction
    from joulecast.law.roofline import RooflineLaw
    from joulecast.report.validation.paper_text import paper_data, paper_text

    others = {"--runs": options.runs, "--law": options.law, "--report": options.report}
    if given := [name for name, value in others.items() if value is not None]:
        raise InputError(f"--paper is of the packaged runs and laws: leave {given[0]} out")
    check_extras("redoing the paper's fits", "fit")
    runs, law = fitted_runs(find_form("paper"))[0], load_law()
    roofline = law if isinstance(law, RooflineLaw) else load_law(RooflineLaw.form)
    assert isinstance(roofline, RooflineLaw)
    found = (
        reproduction(runs, packaged_profile, law),
        tuple(on_three_gpus(runs, packaged_profile, roofline)),
        tuple(what_sets_the_time(roofline)),
    )
    return print_json(paper_data(*found)) if options.json else _print(paper_text(*found))


def _validate_on(options: argparse.Namespace) -> int:
    from joulecast.law.dataset import Dataset
    from joulecast.law.own_runs import load_run_profile, named, usable
    from joulecast.law.score_runs import on_runs
    from joulecast.report.validation.findings import own_runs_report
    from joulecast.report.validation.text import own_runs_text

    if options.report:
        raise InputError("--report shows hold-outs and cannot go with --runs; --json gives the same as data")
    laws = _laws(options.law)
    runs = named(read_runs(options.runs))
    results, left_out = [], {}
    for law in laws:
        own, left_out[law.name] = usable(runs, law.knows_runtimes)
        if len(own):
            results.append(on_runs(law, Dataset.build(own, load_run_profile)))
    if not results:
        raise FitError("there are no runs that these laws are made for" + _reasons(left_out))
    report = own_runs_report(results, left_out)
    return print_json(report.to_dict()) if options.json else _print(own_runs_text(report))


def _laws(names: Sequence[str] | None) -> list[FittedLaw]:
    from joulecast.law.load import law_names, load_law

    laws = [load_law(name) for name in dict.fromkeys(names or law_names())]
    twice = [law.name for law in laws if sum(law.name == other.name for other in laws) > 1]
    if twice:
        raise InputError(f"two laws are named {shown(twice[0])}; rename a law file to tell them apart")
    return laws


def _reasons(left_out: Mapping[str, Mapping[str, int]]) -> str:
    """Why runs are left out, the first few, as the end of a sentence."""
    reasons = dict.fromkeys(why for by_reason in left_out.values() for why in by_reason)
    return "".join(f"; {why}" for why in list(reasons)[:3])


def _check_report(folder: str | None) -> None:
    """Find out before the long work whether the pictures can be drawn and the folder made."""
    if folder is None:
        return
    from joulecast.report.page import check_folder

    check_folder(Path(folder))


def _print(text: str) -> int:
    print(text)
    return 0
