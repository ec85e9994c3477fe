"""Commands on laws: ``fit`` on a user's runs, and ``validate``.

`register` adds them to the commands of `joulecast.cli`; exit statuses are those of that module.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.errors import InputError, shown
from joulecast.files.paths import is_path

if TYPE_CHECKING:
    from joulecast.law.adapt import Adaptation
    from joulecast.law.fitted import FittedLaw
    from joulecast.runs import RunTable

DRY_RUN = "dry run"  # how the source of runs on a replayed trace begins
Run = Callable[[argparse.Namespace], int]
Options = Callable[[argparse.ArgumentParser], None]


def register(commands: dict[str, tuple[Run, Options]]) -> None:
    """Add this module's commands."""
    commands["fit"] = _fit, _fit_options
    commands["validate"] = _validate, _validate_options


# --- fit -----------------------------------------------------------------------------------------


def _fit_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("runs", metavar="RUNS", help="CSV of measured runs; models by name or profile file")
    add("--law", metavar="FORM", help=f"{_forms_in_words()}; by default the package's own law")
    add("--out", metavar="FILE", required=True, help="law file to write (.json)")
    add("--alone", action="store_true", help="fit on these runs only, without the packaged ones")
    _add_json(command)


def _forms_in_words() -> str:
    from joulecast.law.forms import known_forms

    *others, last = known_forms()
    return f"{', '.join(others)} or {last}"


def _fit(options: argparse.Namespace) -> int:
    """Fit a law on your runs, with the packaged ones: the packaged law adapted to your GPU and software."""
    if not options.out.casefold().endswith(".json"):
        raise InputError(f"--out {shown(options.out)}: a law file ends in .json, e.g. my-law.json")
    _one_thread()
    from joulecast.files.paths import replacing
    from joulecast.law.adapt import adapt
    from joulecast.law.law_file import write_law
    from joulecast.law.load import default_law
    from joulecast.report.fit_text import adaptation_report, adaptation_text

    form = options.law or default_law()
    _check_forms([form])
    runs = _read(options.runs)
    with replacing(Path(options.out)) as temporary:
        done = adapt(runs, form, Path(options.out).stem, options.alone, _say)
        write_law(done.law, temporary)
    if options.json:
        return _print_json(adaptation_report(done))
    print(adaptation_text(done))
    print(f"\nwrote {options.out}; now: {_example(done, options.out)}")
    return 0


def _example(done: Adaptation, out: str) -> str:
    run = done.after.runs[0]
    return f"joulecast estimate {run.model} --gpu {_quoted(run.gpu)} --law {_quoted(out)}"


# --- validate ------------------------------------------------------------------------------------


def _validate_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--runs", metavar="FILE", help="how laws do on these runs as they are, without fitting again")
    add("--law", metavar="LAW", action="append", help="only this law; may be repeated; with --runs also a "
        "law file")  # fmt: skip
    add("--report", metavar="FOLDER", help="write tables and pictures there (extra `plot`)")
    _add_json(command)


def _validate(options: argparse.Namespace) -> int:
    """Held-out error of every law, computed anew: whole sources, models and GPUs left out of the fit."""
    _one_thread()
    return _validate_on(options) if options.runs else _hold_out(options)


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
    _check_forms(forms)
    _check_report(options.report)
    runs, left_out = usable(packaged_runs())
    is_slow = any(known_forms()[form].is_slow for form in forms)
    workers = min(os.cpu_count() or 1, 4) if is_slow else 1
    _say(f"holding out sources, models and GPUs of {len(runs)} runs, {len(forms)} laws")
    held = validate(forms, runs, packaged_profile, workers, _say)
    law = load_law() if len(forms) > 1 else packaged_law(forms[0], held[forms[0]])
    reproduced = reproduction(packaged_runs(), packaged_profile, load_law())
    report = held_out_report(held, left_out, law, packaged_profile, reproduced)
    if options.report:
        from joulecast.report.validation.page import write_folder

        written = write_folder(Path(options.report), report, held, law)
        _say(f"wrote {written[0]} and {len(written) - 1} more files beside it")
    return _print_json(report.to_dict()) if options.json else _print(held_out_text(report))


def _validate_on(options: argparse.Namespace) -> int:
    from joulecast.law.dataset import Dataset
    from joulecast.law.own_runs import load_run_profile, named, usable
    from joulecast.law.score_runs import on_runs
    from joulecast.report.validation.findings import own_runs_report
    from joulecast.report.validation.text import own_runs_text

    if options.report:
        raise InputError("--report shows hold-outs and cannot go with --runs; --json gives the same as data")
    laws = _laws(options.law)
    runs, left_out = usable(named(_read(options.runs)))
    dataset = Dataset.build(runs, load_run_profile)
    report = own_runs_report([on_runs(law, dataset) for law in laws], left_out)
    return _print_json(report.to_dict()) if options.json else _print(own_runs_text(report))


def _laws(names: Sequence[str] | None) -> list[FittedLaw]:
    from joulecast.law.load import law_names, load_law

    laws = [load_law(name) for name in dict.fromkeys(names or law_names())]
    twice = [law.name for law in laws if sum(law.name == other.name for other in laws) > 1]
    if twice:
        raise InputError(f"two laws are named {shown(twice[0])}; rename a law file to tell them apart")
    return laws


# --- shared --------------------------------------------------------------------------------------


def _check_forms(forms: Sequence[str]) -> None:
    from joulecast.law.forms import find_form, known_forms

    for form in forms:
        if is_path(form, ".json"):
            raise InputError(
                f"--law {shown(form)}: a law file cannot be held out of its own fit; give a form "
                f"({', '.join(known_forms())}), or runs of your own with --runs"
            )
        find_form(form)


def _check_report(folder: str | None) -> None:
    """Find out before the long work whether the pictures can be drawn and the folder made."""
    if folder is None:
        return
    from joulecast.report.page import check_folder

    check_folder(Path(folder))


def _read(path: str) -> RunTable:
    from joulecast.runs import RunTable

    runs = RunTable.read(path)
    if runs.ignored_columns:
        _say(f"ignored columns: {', '.join(runs.ignored_columns)}")
    invented = sum(str(run.source).startswith(DRY_RUN) for run in runs)
    if invented:
        _say(f"warning: {invented} of the runs are of a dry run, invented: nothing follows from them")
    return runs


def _one_thread() -> None:
    """Keep linear algebra to one thread: its problems here are small, and threads only wait for each other.

    Works where numpy is not loaded yet, and in processes that are started from here.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


def _print(text: str) -> int:
    print(text)
    return 0


def _print_json(value: Mapping[str, object]) -> int:
    print(json.dumps(value, indent=2, allow_nan=False))
    return 0
