"""The blocks of documentation pages and the commands in them, for the tool that writes them and for tests."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>[\w.-]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Command(NamedTuple):
    """One ``$`` line of a console block, and the output shown under it, if any."""

    line: str
    output: str


def commands(text: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif found:
            found[-1] = found[-1]._replace(output=found[-1].output + line + "\n")
    return found


def arguments_of(line: str) -> list[str]:
    """What follows `joulecast`."""
    program, *arguments = shlex.split(line)
    if program != "joulecast":
        raise ValueError(f"only joulecast is run, not: {line}")
    return arguments
