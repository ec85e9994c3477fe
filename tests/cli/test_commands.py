"""What holds for every command: its module, its options, its help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from command import Command
from joulecast.architecture import workload
from joulecast.boundary import BOUNDARIES
from joulecast.cli import help as layout
from joulecast.cli.campaign import ACTIONS
from joulecast.cli.commands import COMMANDS, load
from joulecast.cli.options import ASKED, CARBON, HOW, LAW_HELP, OUTPUT, WHERE
from joulecast.cli.parser import command_parser
from joulecast.footprint.grid.kinds import ACCOUNTING
from joulecast.law.load import law_names, load_law
from joulecast.measure.campaign_plan import RUNTIMES, TF32
from joulecast.report import card
from joulecast.report.budget_text import ENDS
from joulecast.report.forms import boamps
from joulecast.report.forms.filling import FORMS
from joulecast.report.lines import MOST_WIDTH

TITLES = {"positional arguments", "options", "what changes", ASKED, WHERE, HOW, CARBON, OUTPUT}
OF_A_SITE = ("estimate", "footprint", "budget", "card", "what-if", "pareto", "ledger", "comfy")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_its_modules_docstring(name: str) -> None:
    assert (load(name).__doc__ or "").strip() == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_and_in_a_group(name: str) -> None:
    command = command_parser(name)
    assert {group.title for group in command._action_groups} <= TITLES
    in_no_group = [a for group in command._action_groups[:2] for a in group._group_actions]
    assert [action.dest for action in in_no_group] == ["help"]
    assert all(action.help for action in command._actions)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_the_same_everywhere(name: str) -> None:
    """A number has two spellings wherever it is taken, and a site the same options."""
    spellings = {option for action in command_parser(name)._actions for option in action.option_strings}
    for one, other in (("--batch", "--batch-size"), ("--guidance", "--guidance-scale")):
        assert (one in spellings) == (other in spellings)
    of_a_site = {"--live", "--live-timeout", "--hourly", "--hourly-column", "--at", "--allow-gaps", "--pue"}
    assert of_a_site <= spellings if name in OF_A_SITE else not of_a_site & spellings - {"--at"}


def loaded_by(*arguments: str) -> set[str]:
    """Modules that a command loads in a process of its own, beside those of numpy."""
    code = (
        "import numpy, sys; before = set(sys.modules)\nfrom joulecast.cli import main\n"
        f"try: main({list(arguments)})\nexcept SystemExit: print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_only_the_asked_command_is_loaded() -> None:
    modules = {f"joulecast.cli.{command.module}" for command in COMMANDS.values()}
    assert loaded_by("gpus") & modules == {"joulecast.cli.gpus"}


def test_an_estimate_does_without() -> None:
    """What takes long to load and an estimate has no need of."""
    loaded = loaded_by("estimate", "sdxl", "--gpu", "L4")
    assert "joulecast.forecast.estimate" in loaded
    assert not loaded & {
        "difflib", "importlib.metadata", "importlib.resources", "concurrent.futures", "inspect", "shutil",
        "subprocess", "tempfile", "tomllib", "zipfile", "joulecast.compute.profile_meaning",
        "joulecast.files.columns", "joulecast.files.tables", "joulecast.forecast.predictor",
        "joulecast.question.neighbours",
    }  # fmt: skip


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_what_reads_no_file_loads_no_reader(word: str) -> None:
    loaded = loaded_by(word)
    assert "joulecast.cli.parser" in loaded
    assert not {name for name in loaded if name.startswith("joulecast.files")}


CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("estimate", "--precision"): workload.PRECISIONS,
    ("measure", "--precision"): workload.PRECISIONS,
    ("estimate", "--boundary"): BOUNDARIES,
    ("campaign", "--boundary"): (*BOUNDARIES, "both"),
    ("footprint", "--accounting"): ACCOUNTING,
    ("card", "--format"): (*card.FORMATS, *FORMS),
    ("card", "--infrastructure"): boamps.INFRASTRUCTURES,
    ("budget", "--bound"): tuple(ENDS),
    ("measure", "--runtime"): RUNTIMES,
    ("measure", "--tf32"): TF32,
    ("campaign", "action"): ACTIONS,
    **{(name, "--passes"): ("1", "2") for name in ("estimate", "measure", "pareto")},
}


@pytest.mark.parametrize(("command", "option"), CHOICES)
def test_choices_in_help_are_those_that_are_taken(command: str, option: str) -> None:
    """Written out in the help, so that no command loads what knows them."""
    actions = command_parser(command)._actions
    (metavar,) = (str(one.metavar) for one in actions if option in (*one.option_strings, one.dest))
    assert sorted(metavar.strip("{}").split(",")) == sorted(CHOICES[command, option])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("estimate", "MODEL --gpu GPU [options]"),
        ("gpus", "[NAME ...] [options]"),
        ("runtimes", "[ENGINE] [options]"),
        ("models", "[options]"),
        ("grid", "SERIES ... [options]"),
        ("pareto", "MODEL ... --gpu GPU,... [options]"),
        ("ledger", "FILE ... [options]"),
        ("run", "[options] -- COMMAND ..."),
    ],
)
def test_usage_tells_what_may_be_left_out_and_what_may_be_several(name: str, words: str) -> None:
    assert layout.usage(command_parser(name)) == f"joulecast {name} {words}"


def test_laws_in_help_are_those_that_are_packaged() -> None:
    assert all(name in LAW_HELP for name in law_names())
    assert f"{load_law().name} (the default)" in LAW_HELP


@pytest.mark.parametrize("steps", ["20", "20.0", "2e1", "2_0"])
def test_a_number_is_written_in_any_way_in_any_command(run: Command, steps: str) -> None:
    flux = ("flux.1-schnell", "--gpu", "H100-SXM5-80GB")
    assert json.loads(run("estimate", *flux, "--steps", steps, "--json").out)["workload"]["steps"] == 20
    changed = run("what-if", *flux, "--steps", "4", "--to", f"steps={steps}", "--json")
    assert json.loads(changed.out)["changes"][0]["change"] == {"steps": 20}
    compared = run("pareto", *flux, "--steps", f"4,{steps}", "--json")
    assert {one["steps"] for one in json.loads(compared.out)["settings"]} == {4, 20}
    measured = run("measure", "sd2", "--dry-run", "--steps", steps, "--repeats", "5.0", "--json")
    assert json.loads(measured.out)["spec"]["steps"] == 20


@pytest.mark.parametrize("command", ["estimate", "what-if", "pareto"])
@pytest.mark.parametrize("year", ["2_024", "2,024", "2024.0"])
def test_a_year_is_a_number_like_others(run: Command, command: str, year: str) -> None:
    more = ("--to", "steps=9") if command == "what-if" else ()
    done = run(command, "sdxl", "--gpu", "L4", "--region", "FR", "--year", year, "--json", *more)
    assert done.status == 0, done.err


def test_numbers_in_json_are_numbers(run: Command) -> None:
    asked = ("sdxl", "--gpu", "L4", "--batch-size", "2", "--guidance-scale", "7", "--region", "FR")
    done = run("what-if", *asked, "--pue", "1.2", "--wue", "0.1:0.2", "--to", "batch=4", "--json")
    setting = json.loads(done.out)["setting"]
    assert setting["batch_size"] == 2
    assert (setting["guidance"], setting["pue"], setting["wue"]) == (7, 1.2, "0.1:0.2")
    assert "boundary" not in setting  # what was not given is not made up


def test_changes_of_live_and_hourly_sites(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """One set of rules: a time-out, a column and gaps are taken by every command of a site."""
    monkeypatch.delenv("ELECTRICITYMAPS_API_KEY", raising=False)
    for command, *more in (("what-if", "--to", "steps=9"), ("pareto",)):
        asked = (command, "sdxl", "--gpu", "L4", *more)
        live = run(*asked, "--region", "FR", "--live", "--live-timeout", "2", "--json")
        assert live.status == 0, live.err
        answer = json.loads(live.out)
        setting = answer["setting"] if command == "what-if" else answer["settings"][0]
        assert (setting["region"], setting["intensity"]) == ("FR", 44.18)
        assert "no live intensity of France" in live.out
        assert "--live-timeout needs --live" in run(*asked, "--region", "FR", "--live-timeout", "2").err
        times = [f"2024-06-01T{hour:02}:00Z,{hour},{100 + hour}" for hour in range(24) if hour != 3]
        Path("fr.csv").write_text("\n".join(["datetime,a,b", *times]))
        series = (*asked, "--hourly", "fr.csv", "--at", "12:00", "--json")
        assert "name one of: 'a', 'b'" in run(*series).err
        assert "1 hour missing" in run(*series, "--hourly-column", "b").err
        taken = run(*series, "--hourly-column", "b", "--allow-gaps")
        assert taken.status == 0, taken.err
        assert "carbon_g" in taken.out


def test_options_before_the_command(run: Command) -> None:
    assert "did you mean --version" in run("--versoin", "gpus").err
    assert run("--version", "estimate").out.startswith("joulecast ")


@pytest.mark.parametrize("columns", ["50", "80", "300", "0", "wide"])
def test_help_fits_the_terminal(run: Command, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    width = min(int(columns), MOST_WIDTH) if columns.strip("0").isdigit() else layout.HELP_WIDTH
    for shown in (run("--help").out, run("grid", "--help").out):
        assert max(map(len, shown.splitlines()[1:])) <= width
