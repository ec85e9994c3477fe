"""What the documentation shows is what happens: commands and code are run, generated pages compared.

In README.md and every page of docs/ that people write:

- ```` ```console ````: lines that start with ``$ joulecast`` are run in a fresh folder and must exit
  with 0; if lines follow, they are the exact output.
- ```` ```python ````: run, each block by itself, for a reader may copy any one of them.
- ``<!-- file: NAME -->`` before a block: the block is that file in the fresh folder.

Other fences (```` ```sh ````, ```` ```py ````, which need a GPU or the network, plain ones) are not run here.
"""

from __future__ import annotations

import os
import pkgutil
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from inspect import get_annotations
from pathlib import Path

import pytest
from opentelemetry.trace import INVALID_SPAN

import joulecast
from command import Command as InProcess
from joulecast.cli.help import names
from joulecast.cli.parser import commands as command_parsers
from joulecast.law.load import load_law

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from docs_blocks import BLOCK, Command, arguments_of, commands  # noqa: E402

TOOL = runpy.run_path(str(ROOT / "tools" / "make_docs.py"))
RUN = [page.relative_to(ROOT).as_posix() for page in TOOL["prose"]()]
FITS = re.compile(r"^\$ joulecast (fit|validate) ", re.MULTILINE)  # which takes seconds
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
ROOMS = "|".join(module.name for module in pkgutil.iter_modules(joulecast.__path__))
# `joulecast.units`, `compute.solving.solve`; not `runs.csv`
DOTTED = re.compile(rf"(?:\bjoulecast\.|`(?=(?:{ROOMS})\.))((?:[A-Za-z]\w*\.)*[A-Za-z]\w*)")
FILE_NAME = re.compile(r"\.(?:csv|db|json|md|toml|txt|svg)$")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """(kind, file name or "", text) of every fenced block of a page."""
    for match in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        yield match["kind"], match["file"] or "", match["text"]


def as_process(line: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command as a person starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "joulecast", *arguments_of(line)],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def check(command: Command, done: tuple[int, str, str]) -> None:
    """A command of the documentation must succeed and print what is shown."""
    status, out, errors = done
    assert status == 0, f"{command.line}\n{errors}"
    if command.output:
        shown, printed = command.output.rstrip().splitlines(), out.rstrip().splitlines()
        assert [line.rstrip() for line in printed] == [line.rstrip() for line in shown], command.line


def marks(page: str) -> list[pytest.MarkDecorator]:
    """Slow where the page's commands are."""
    return [pytest.mark.slow] if FITS.search((ROOT / page).read_text(encoding="utf-8")) else []


@pytest.mark.parametrize("page", [pytest.param(page, marks=marks(page)) for page in RUN])
def test_commands_print_what_the_page_shows(
    page: str, run: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of README.md in processes of their own; the others in this one, which saves sixty starts."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    for kind, file, text in blocks(page):
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
        elif kind == "console":
            for command in commands(text):
                own = page == "README.md"
                check(command, as_process(command.line) if own else run(*arguments_of(command.line)))


@pytest.mark.parametrize("page", RUN)
def test_python_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, file, text in blocks(page):
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
        elif kind == "python":
            exec(compile(text, page, "exec"), {})


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, place in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        assert not place or place in anchors(file.read_text(encoding="utf-8")), f"{target}#{place}"


def anchors(text: str) -> set[str]:
    """What links can name the headings of a page by, as GitHub makes it of their words."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(BLOCK.sub("", text))
    }


def test_places_of_a_page_are_named_by_its_headings() -> None:
    text = "# What is it?\n```sh\n# not a heading\n```\n## `joulecast.estimate`, again\n"
    assert anchors(text) == {"what-is-it", "joulecastestimate-again"}


@pytest.mark.parametrize("page", PAGES)
def test_names_of_modules_and_functions_exist(page: str) -> None:
    for match in DOTTED.finditer((ROOT / page).read_text(encoding="utf-8")):
        if not FILE_NAME.search(match[1]):
            assert f"joulecast.{match[1]}" in on_spans() or is_there(f"joulecast.{match[1]}"), match[0]


@cache
def on_spans() -> frozenset[str]:
    """The attributes of spans, which begin as names of Python do."""
    doubtful = joulecast.estimate("flux.1-dev", "RTX 4060")
    assert doubtful.warnings
    return frozenset(joulecast.annotate_span(doubtful, INVALID_SPAN))


def is_there(name: str) -> bool:
    """Whether a module, function, class or attribute has this dotted name."""
    try:
        pkgutil.resolve_name(name)
    except AttributeError:
        owner, _, attribute = name.rpartition(".")
        return attribute in get_annotations(pkgutil.resolve_name(owner))
    return True


def test_no_page_names_what_is_private() -> None:
    for page in {*PAGES} - {"CONTRIBUTING.md"}:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not re.findall(r"`(?:\w+\.)*_[a-z]\w*`", text), page


def test_generated_pages_have_not_drifted() -> None:
    for name, text in TOOL["pages"]().items():
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is out of date: python tools/make_docs.py"
    readme = (TOOL["PACKAGED"] / "README.md").read_text(encoding="utf-8")
    assert TOOL["with_counts"](readme) == readme, "row counts are out of date: python tools/make_docs.py"
    assert TOOL["with_counts"]("**`gpus.csv`** (0 rows)") != "**`gpus.csv`** (0 rows)"


def test_what_is_worked_out_once_is_documented_too() -> None:
    assert "### Estimate.memory" in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_option_is_in_its_commands_section() -> None:
    """By name; what several commands share is described once and led to."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## joulecast ([\w -]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for name, command in command_parsers().items():
        for action in command._actions:
            if action.dest != "help":
                assert f"`{names(action)}`" in sections[name], f"{name} {names(action)}"
    assert page.count("facility energy over IT energy") == 1


def test_the_readme_begins_with_two_commands_a_picture_and_an_estimate() -> None:
    """And is short, and leads to every page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    order = [text.index(mark) for mark in ("scripts/demo", "scripts/test", "![", "$ joulecast estimate")]
    assert order == sorted(order)
    assert text[: order[-1]].count("\n") < 25
    assert text.count("\n") <= 120
    for page in {*PAGES} - {"README.md"}:
        assert f"]({page})" in text, page


@pytest.mark.parametrize("page", ["choose-a-gpu", "report-carbon", "your-script", "fit-a-law"])
def test_a_page_for_each_role(page: str) -> None:
    """On a page or two, with outputs that are made, words explained, and what to doubt."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert text.startswith("# I ")
    assert "\n<!-- output: " in text
    assert "](nomenclature.md#words)" in text
    assert text.count("\n") < 230


@pytest.mark.parametrize("page", RUN)
def test_an_output_that_is_made_is_of_one_command(page: str) -> None:
    """And has a name of its own on its page: what follows the first command of a block is made anew."""
    text = (ROOT / page).read_text(encoding="utf-8")
    made = re.findall(r"^<!-- output: (\w+) -->\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(made) == text.count("<!-- output: ")
    assert len({name for name, _ in made}) == len(made)
    for _, block in made:
        assert block.startswith("```console\n$ joulecast ")
        assert block.count("\n$ ") == 1


def test_the_contents_lead_to_every_page() -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert page.name == "index.md" or f"]({page.name})" in text, page.name


def test_every_command_is_on_a_page() -> None:
    shown = " ".join((ROOT / page).read_text(encoding="utf-8") for page in RUN)
    for line in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## joulecast "):
            assert line[3:] in shown, f"no page shows `{line[3:]}`"


def test_blocks_and_commands_are_found() -> None:
    text = "$ joulecast models\nsd1.5\n$ joulecast gpus\n"
    assert commands(text) == [Command("joulecast models", "sd1.5\n"), Command("joulecast gpus", "")]
    found = list(blocks("docs/quickstart.md"))
    assert {"console", "python", "csv"} <= {kind for kind, _, _ in found}
    assert ("csv", "workloads.csv") in {(kind, file) for kind, file, _ in found}


def test_errors_told_in_prose_are_the_laws_own() -> None:
    errors = load_law().errors
    seen, unseen = errors["seen"], errors["unseen_gpu"].energy
    assert seen.energy
    assert seen.duration
    assert unseen
    covered = f"{seen.energy.coverage:.0f} % of {seen.energy.runs} energies and "
    covered += f"{seen.duration.coverage:.0f} % of times"
    for name in ("README.md", "docs/choose-a-gpu.md"):
        assert covered in " ".join((ROOT / name).read_text(encoding="utf-8").split()), name
    off = f"off by {unseen.median:.0f} % in the median, and 9 in 10 by {unseen.p90:.0f} % or less"
    assert off in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
