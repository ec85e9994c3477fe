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
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
RUN = [
    "README.md",
    "docs/quickstart.md",
    "docs/footprint.md",
    "docs/planning.md",
    "docs/measuring.md",
    "docs/validation.md",
]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>[\w.-]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
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


def run(command: Command, folder: Path) -> None:
    """Run a command of the documentation; it must succeed and print what is shown."""
    program, *arguments = shlex.split(command.line)
    assert program == "joulecast", f"only joulecast is run, not: {command.line}"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "joulecast", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, f"{command.line}\n{done.stderr}"
    if command.output:
        shown, printed = command.output.rstrip().splitlines(), done.stdout.rstrip().splitlines()
        assert [line.rstrip() for line in printed] == [line.rstrip() for line in shown], command.line


@pytest.mark.parametrize("page", RUN)
def test_commands_print_what_the_page_shows(page: str, tmp_path: Path) -> None:
    for kind, file, text in blocks(page):
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
        elif kind == "console":
            for command in commands(text):
                run(command, tmp_path)


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


def test_generated_pages_have_not_drifted() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "make_docs.py"))["pages"]()
    for name, text in made.items():
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is out of date: python tools/make_docs.py"


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
