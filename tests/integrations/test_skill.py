"""The skill for agents: its head is what agents read, its commands run and have the keys that it names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from command import Command
from joulecast.agents.tools import TOOLS

PATH = Path(__file__).parents[2] / "integrations" / "skill" / "SKILL.md"
TEXT = PATH.read_text(encoding="utf-8")
BLOCK = re.compile(r"^(?:<!-- file: ([\w.]+) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_its_head_names_and_describes_it() -> None:
    _, head, body = TEXT.split("---\n", 2)
    known = yaml.safe_load(head)
    assert known["name"] == "joulecast"
    assert re.fullmatch(r"[a-z0-9-]{1,64}", known["name"])
    assert 50 < len(known["description"]) <= 1024
    assert body.count("\n") < 100
    assert f"the tools {', '.join(TOOLS)}" in body.replace("\n", " ")


@pytest.mark.slow
def test_its_commands_run(run: Command) -> None:
    commands = 0
    for file, kind, text in BLOCK.findall(TEXT):
        if file:
            Path(file).write_text(text, encoding="utf-8")
        elif kind == "console":
            for line in text.splitlines():
                program, *arguments = shlex.split(line.removeprefix("$ "))
                assert program == "joulecast"
                done = run(*arguments)
                assert done.status == 0, (line, done.err)
                commands += 1
    assert commands == 7
    asked = ("estimate", "sdxl", "--gpu", "L40S", "--steps", "30", "--region", "FR", "--json")
    answer = json.loads(run(*asked).out)
    for name in re.findall(
        r"`([a-z]+(?:_[a-z]+)*(?:\.[a-z_]+)*)`", TEXT.split("`energy_j`", 1)[1].split("##")[0]
    ):
        found = answer
        for part in name.split("."):
            found = found[part]
        assert found is not None, name
