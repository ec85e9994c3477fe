"""Fit a law on your runs, with the packaged ones: the packaged law adapted to your GPU and software."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.cli.laws import check_forms, forms_in_words, one_thread, read_runs
from joulecast.cli.options import ASKED, OR_STDIN, OUTPUT, json_option, print_json, say
from joulecast.errors import InputError, one_line, shown

if TYPE_CHECKING:
    from joulecast.law.adapt import Adaptation


def add_options(command: argparse.ArgumentParser) -> None:
    """What `fit` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add(
        "runs",
        metavar="RUNS",
        help="CSV of measured runs; models by name or profile file" + OR_STDIN,
    )
    add(
        "--law",
        metavar="FORM",
        help=f"{forms_in_words()}; by default the package's own law",
    )
    add("--alone", action="store_true", help="fit on these runs only, without the packaged ones")
    output = command.add_argument_group(OUTPUT)
    output.add_argument("--out", metavar="FILE", required=True, help="law file to write (.json)")
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Write the law that is fitted, and print how it does."""
    if not options.out.casefold().endswith(".json"):
        raise InputError(f"--out {shown(options.out)}: a law file ends in .json, e.g. my-law.json")
    one_thread()
    from joulecast.files.paths import check_output
    from joulecast.law.adapt import fit
    from joulecast.law.forms import find_form
    from joulecast.law.law_file import write_law
    from joulecast.law.load import default_law
    from joulecast.report.fit_text import adaptation_report, adaptation_text

    form = options.law or default_law()
    check_forms([form])
    runs = read_runs(options.runs)
    find_form(form).check_extras()
    check_output(Path(options.out))  # before the long work
    name = one_line(Path(options.out).stem, "the law's name, from --out,")
    done = fit(runs, form, name, alone=options.alone, say=say)
    write_law(done.law, Path(options.out))
    if options.json:
        return print_json(adaptation_report(done))
    print(adaptation_text(done))
    print(f"\nwrote {options.out}; now: {_example(done, options.out)}")
    return 0


def _example(done: Adaptation, out: str) -> str:
    run = done.after.runs[0]
    return f"joulecast estimate {run.model} --gpu {_quoted(run.gpu)} --law {_quoted(out)}"


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
