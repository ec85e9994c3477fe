"""What the documentation shows is what happens: commands and code are run, generated pages compared.

In README.md and docs/quickstart.md:

- ```` ```console ````: lines that start with ``$ joulecast`` are run in a fresh folder and must exit
  with 0; if lines follow, they are the exact output.
- ```` ```python ````: run, the blocks of one page in one namespace.
- ``<!-- file: NAME -->`` before a block: the block is that file in the fresh folder.

Other fences (```` ```sh ````, plain ones) are not run.
"""

from __future__ import annotations

import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from inspect import get_annotations
from pathlib import Path
from typing import NamedTuple

import pytest

import joulecast
from command import Command as InProcess

ROOT = Path(__file__).parents[1]
RUN = [
    "README.md",
    "docs/quickstart.md",
    "docs/footprint.md",
    "docs/planning.md",
    "docs/measuring.md",
    "docs/validation.md",
]
SLOW = [pytest.mark.slow]  # fits a law
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>[\w.-]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
ROOMS = "|".join(module.name for module in pkgutil.iter_modules(joulecast.__path__))
# `joulecast.units`, `compute.solving.solve`; not `runs.csv`
DOTTED = re.compile(rf"(?:\bjoulecast\.|`(?=(?:{ROOMS})\.))((?:[A-Za-z]\w*\.)*[A-Za-z]\w*)")
FILE_NAME = re.compile(r"\.(?:csv|db|json|md|toml|txt|svg)$")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


class Command(NamedTuple):
    """One ``$`` line of a console block, and the output shown under it, if any."""

    line: str
    output: str


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """(kind, file name or "", text) of every fenced block of a page."""
    for match in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        yield match["kind"], match["file"] or "", match["text"]


def commands(text: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif found:
            found[-1] = found[-1]._replace(output=found[-1].output + line + "\n")
    return found


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


def arguments_of(line: str) -> list[str]:
    """What follows `joulecast`."""
    program, *arguments = shlex.split(line)
    assert program == "joulecast", f"only joulecast is run, not: {line}"
    return arguments


def check(command: Command, done: tuple[int, str, str]) -> None:
    """A command of the documentation must succeed and print what is shown."""
    status, out, errors = done
    assert status == 0, f"{command.line}\n{errors}"
    if command.output:
        shown, printed = command.output.rstrip().splitlines(), out.rstrip().splitlines()
        assert [line.rstrip() for line in printed] == [line.rstrip() for line in shown], command.line


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=SLOW if page == "docs/validation.md" else ()) for page in RUN]
)
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
    namespace: dict[str, object] = {}
    for kind, file, text in blocks(page):
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
        elif kind == "python":
            exec(compile(text, page, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_names_of_modules_and_functions_exist(page: str) -> None:
    for match in DOTTED.finditer((ROOT / page).read_text(encoding="utf-8")):
        if not FILE_NAME.search(match[1]):
            assert is_there(f"joulecast.{match[1]}"), match[0]


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
    tool = runpy.run_path(str(ROOT / "tools" / "make_docs.py"))
    for name, text in tool["pages"]().items():
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is out of date: python tools/make_docs.py"
    readme = (tool["PACKAGED"] / "README.md").read_text(encoding="utf-8")
    assert tool["with_counts"](readme) == readme, "row counts are out of date: python tools/make_docs.py"
    assert tool["with_counts"]("**`gpus.csv`** (0 rows)") != "**`gpus.csv`** (0 rows)"


def test_every_command_is_in_the_quickstart() -> None:
    shown = " ".join((ROOT / page).read_text(encoding="utf-8") for page in RUN)
    for line in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## joulecast "):
            assert line[3:] in shown, f"no page shows `{line[3:]}`"


def test_blocks_and_commands_are_found() -> None:
    text = "$ joulecast models\nsd1.5\n$ joulecast gpus\n"
    assert commands(text) == [Command("joulecast models", "sd1.5\n"), Command("joulecast gpus", "")]
    found = list(blocks("README.md"))
    assert {"console", "python", "csv"} <= {kind for kind, _, _ in found}
    assert ("csv", "workloads.csv") in {(kind, file) for kind, file, _ in found}
