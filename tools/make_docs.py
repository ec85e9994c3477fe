"""Regenerate docs/cli.md from the command line's own parsers, docs/api.md from the docstrings, the
list of tables in docs/data.md and the row counts in their README.md from the packaged tables, and the
outputs that README.md and the pages of docs/ show under a command marked ``<!-- output: ... -->``.

    python tools/make_docs.py

With the versions in `constraints.txt`; a test holds that the pages have not drifted.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import joulecast
from joulecast import data
from joulecast.cli.help import names, usage
from joulecast.cli.parser import commands, parser
from joulecast.runs import columns

DOCS = Path(__file__).parents[1] / "docs"
PACKAGED = DOCS.parent / "src" / "joulecast" / "data"
MADE_BY = "<!-- made by tools/make_docs.py: do not edit -->"
MOST_SIGNATURE = 100
PROPERTIES = (property, cached_property)
MANY_OPTIONS = 5  # of one command that another has as well
FILE = re.compile(r"^<!-- file: ([\w.-]+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COUNTED = re.compile(r"^(\*\*`([\w./-]+\.csv)`\*\* \()\d+( rows)", re.MULTILINE)
OUTPUT = re.compile(
    r"^(?P<head><!-- output: \w+ -->\n```console\n)(?P<command>\$ joulecast [^\n]*)\n.*?^```$",
    re.MULTILINE | re.DOTALL,
)


def main() -> None:
    """Write the generated pages."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    for page in prose():
        page.write_text(with_outputs(page.read_text(encoding="utf-8")), encoding="utf-8")
    readme = PACKAGED / "README.md"
    readme.write_text(with_counts(readme.read_text(encoding="utf-8")), encoding="utf-8")


def prose() -> list[Path]:
    """README.md and the pages of docs/ that people write."""
    written = [page for page in sorted(DOCS.glob("*.md")) if MADE_BY not in page.read_text(encoding="utf-8")]
    return [DOCS.parent / "README.md", *written]


def with_counts(text: str) -> str:
    """A page with the number of rows of each packaged table after its name in bold."""
    return COUNTED.sub(lambda match: f"{match[1]}{len(data.read_table(match[2]))}{match[3]}", text)


def with_outputs(text: str) -> str:
    """A page with what its marked commands print now; files it marks are there when they run."""
    if not OUTPUT.search(text):
        return text
    with tempfile.TemporaryDirectory() as folder:
        for name, content in FILE.findall(text):
            Path(folder, name).write_text(content, encoding="utf-8")

        def shown(match: re.Match[str]) -> str:
            command = match["command"].removeprefix("$ joulecast ")
            done = subprocess.run(
                [sys.executable, "-m", "joulecast", *shlex.split(command)],
                cwd=folder,
                env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
                capture_output=True,
                encoding="utf-8",
                check=True,
            )
            output = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
            return f"{match['head']}{match['command']}\n{output}\n```" if output else match[0]

        return OUTPUT.sub(shown, text)


def pages() -> dict[str, str]:
    """The generated pages by file name."""
    return {"cli.md": _page(_cli()), "api.md": _page(_api()), "data.md": _data()}


def _page(lines: Iterator[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join([MADE_BY, "", *lines])).rstrip() + "\n"


# --- command line -------------------------------------------------------------------------------


def _cli() -> Iterator[str]:
    yield from ("# Command line", "", str(parser().description), "")
    yield from (
        "Exit status: 0; 1 when rows of a file could not be done, something is over its budget or tasks of a "
        "campaign are left; 2 for an error, told in one line.",
        "",
    )
    told: dict[tuple[str, str], str] = {}
    for name, command in commands().items():
        yield from (f"## joulecast {name}", "", f"    {usage(command)}", "", str(command.description), "")
        yield from _option_tables(name, command, told)


def _option_tables(
    name: str, command: argparse.ArgumentParser, told: dict[tuple[str, str], str]
) -> Iterator[str]:
    """A table for each group of options; what every command has is left out.

    Many options that were described with an earlier command are one row that leads there; `told` has
    the command that described an option first, by names and meaning.
    """
    for group in command._action_groups:
        options = [(names(a), _cell(a.help or "")) for a in group._group_actions if a.dest != "help"]
        if not options:
            continue
        yield from (f"| {group.title} | meaning |", "|---|---|")
        for first in dict.fromkeys(told.setdefault(option, name) for option in options):
            same = [option for option in options if told[option] == first]
            if first != name and len(same) >= MANY_OPTIONS:
                listed = ", ".join(f"`{option}`" for option, _ in same)
                yield f"| {listed} | as with [joulecast {first}](#joulecast-{first.replace(' ', '-')}) |"
            else:
                yield from (f"| `{option}` | {meaning} |" for option, meaning in same)
        yield ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("%%", "%").replace("|", "\\|").strip()


# --- Python -------------------------------------------------------------------------------------


def _api() -> Iterator[str]:
    yield from (
        "# Python API",
        "",
        "What `import joulecast` offers. Shapes and units are in the docstrings.",
        "",
    )
    for name in joulecast.__all__:
        item = getattr(joulecast, name)
        if not name.startswith("__"):
            yield from (f"## {name}", "", *_described(name, item))
            for method, function in _methods(item):
                yield from (f"### {name}.{method}", "", *_described(method, function))


def _described(name: str, item: Any) -> Iterator[str]:
    if not (isinstance(item, PROPERTIES) or _is_error(item)):
        yield from ("```python", _signature(name, item), "```", "")
    yield from (_markdown(inspect.getdoc(item) or ""), "")


def _methods(item: Any) -> Iterator[tuple[str, Any]]:
    """Documented public methods and properties that the class itself defines."""
    if not isinstance(item, type) or _is_error(item):
        return
    for name, value in vars(item).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if not name.startswith("_") and (inspect.isfunction(function) or isinstance(function, PROPERTIES)):
            yield name, function


def _is_error(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, Exception)


def _signature(name: str, item: Any) -> str:
    signature = inspect.signature(item)
    parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    signature = signature.replace(parameters=parameters)
    text = f"{name}{signature}"
    return _QUOTED.sub(r"\1\2", text if len(text) <= MOST_SIGNATURE else _on_many_lines(name, signature))


_QUOTED = re.compile(r"(: |-> )'([^']*)'")  # an annotation, as Python before 3.14 shows it


def _on_many_lines(name: str, signature: inspect.Signature) -> str:
    lines, star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            lines.append("    *,")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        lines.append(f"    {parameter},")
    result = str(signature.replace(parameters=[])).removeprefix("()")
    return "\n".join([f"{name}(", *lines, f"){result}"])


def _markdown(docstring: str) -> str:
    """A numpy-style docstring as Markdown: sections in bold, their items as a list."""
    lines = docstring.replace("``", "`").splitlines()
    out: list[str] = []
    in_section = False
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if following and not following.strip("-") and line and not line.startswith(" "):
            in_section = True
            out += [f"**{line}**", ""]
        elif line and not line.strip("-"):
            continue
        elif in_section and line and not line.startswith(" "):
            term, _, words = f"{line} ".partition(" : ")
            out.append(f"- `{term.strip()}`" + (f": {words.strip()}" if words.strip() else ""))
        elif in_section and line:
            out[-1] += (": " if out[-1].endswith("`") else " ") + line.strip()
        else:
            out.append(line)
    return "\n".join(out)


# --- tables -------------------------------------------------------------------------------------

_TABLES = re.compile(r"(<!-- tables: .* -->\n).*(<!-- end of tables -->)", re.DOTALL)


def _data() -> str:
    """The data page with its list of tables as they are now."""
    listed = "\n".join(_tables())
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    return _TABLES.sub(lambda match: f"{match[1]}{listed}\n{match[2]}", page)


def _tables() -> Iterator[str]:
    yield from ("| table | rows | columns |", "|---|---|---|")
    for path in sorted(PACKAGED.rglob("*.csv")):
        name = path.relative_to(PACKAGED).as_posix()
        rows = data.read_table(name)
        header = list(rows[0]) if rows else []
        of_runs = "run_id" in header and set(header) <= set(columns())
        shown = "those of `runs/columns.csv`" if of_runs else ", ".join(header)
        yield f"| `{name}` | {len(rows)} | {shown} |"
    yield from ("", "| folder | files |", "|---|---|")
    for folder in sorted({path.parent for path in PACKAGED.rglob("*.json")} - {PACKAGED}):
        yield f"| `{folder.relative_to(PACKAGED).as_posix()}` | {len(list(folder.glob('*.json')))} |"


if __name__ == "__main__":
    main()
