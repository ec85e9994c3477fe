"""The GitHub Action and the pre-commit hook: their files are read, their shell is run, as on a runner."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]

from command import Command
from joulecast.cli.parser import command_parser

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
INSTALL, HOLD = ACTION["runs"]["steps"]
WORKLOADS = "model,gpu,steps\nsdxl,L4,30\nflux.1-dev,L4,50\n"


class Job(NamedTuple):
    """What a step of a job left behind."""

    status: int
    out: str
    err: str
    summary: str
    outputs: str


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runner's folders: work, temporary files with joulecast in its place, programs that note calls."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary files/joulecast/bin").mkdir(parents=True)
    program(tmp_path / "temporary files/joulecast/bin/joulecast", f'exec {sys.executable} -m joulecast "$@"')
    (tmp_path / "bin").mkdir()
    (tmp_path / "workloads.csv").write_text(WORKLOADS, encoding="utf-8")
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def step(runner: Path, what: dict[str, Any], **inputs: str) -> Job:
    """Run a step of the action as a runner does, with the inputs that a workflow gives and the defaults."""
    known = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
    assert set(inputs) <= {name.replace("-", "_") for name in known}
    given = {**known, **{name.replace("_", "-"): value for name, value in inputs.items()}}
    env = {
        **os.environ,
        "PATH": f"{runner / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(runner / "temporary files"),
        "GITHUB_ACTION_PATH": "/the/action",
        "GITHUB_STEP_SUMMARY": str(runner / "summary.md"),
        "GITHUB_OUTPUT": str(runner / "outputs"),
        **{name: evaluated(text, given) for name, text in what.get("env", {}).items()},
    }
    (runner / "step.sh").write_text(what["run"], encoding="utf-8")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "step.sh"],
        env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    left = {name: runner / name for name in ("summary.md", "outputs")}
    read = [path.read_text(encoding="utf-8") if path.exists() else "" for path in left.values()]
    return Job(done.returncode, done.stdout, done.stderr, *read)


def evaluated(expression: str, inputs: dict[str, str]) -> str:
    """What `${{ inputs.NAME }}` stands for."""
    assert expression.startswith("${{ inputs."), expression
    return inputs[expression.removeprefix("${{ inputs.").removesuffix(" }}")]


def test_it_is_a_composite_action_whose_inputs_are_the_commands() -> None:
    assert {"name", "description", "inputs", "runs"} <= set(ACTION)
    assert ACTION["runs"]["using"] == "composite"
    assert all(one["shell"] == "bash" for one in (INSTALL, HOLD))
    options = {option for a in command_parser("budget")._actions for option in a.option_strings}
    assert {f"--{name}" for name in ACTION["inputs"] if name != "file"} <= options
    used = {text.removeprefix("${{ inputs.").removesuffix(" }}") for text in HOLD["env"].values()}
    assert used == set(ACTION["inputs"])
    assert all(one["description"] for one in (*ACTION["inputs"].values(), *ACTION["outputs"].values()))


def test_no_input_is_a_part_of_the_script() -> None:
    assert "${{" not in INSTALL["run"] + HOLD["run"]


def test_joulecast_is_installed_from_the_action_itself(runner: Path) -> None:
    program(runner / "bin/python3", 'echo "python3 $*" >> calls')
    program(runner / "temporary files/joulecast/bin/python", 'echo "own $*" >> calls')
    done = step(runner, INSTALL)
    assert done.status == 0, done.err
    _, made, installed = (runner / "calls").read_text(encoding="utf-8").splitlines()
    assert made == f"python3 -m venv {runner}/temporary files/joulecast"
    assert installed == "own -m pip install --quiet /the/action"


def test_an_old_python_is_told(runner: Path) -> None:
    program(runner / "bin/python3", "exit 1")
    done = step(runner, INSTALL)
    assert done.status == 2
    assert done.out == (
        "::error::joulecast needs Python 3.11 or newer: put actions/setup-python before this step\n"
    )


@pytest.mark.slow
def test_a_job_passes_fails_and_says_why_in_its_summary(runner: Path) -> None:
    passed = step(runner, HOLD, file="workloads.csv", max_wh_per_image="50")
    assert (passed.status, passed.outputs) == (0, "status=0\n"), passed.err
    assert passed.out in passed.summary
    assert (
        "**all 2 within the budget: 50 Wh of the GPU an image, held against the central value.**"
        in passed.out
    )
    assert "| 1 | sdxl | L4 |" in passed.summary
    (runner / "summary.md").unlink()
    over = step(runner, HOLD, file="workloads.csv", max_g_per_image="0.5", region="FR", bound="high")
    assert over.status == 1
    assert over.outputs.endswith("status=1\n")
    assert "over the budget: 0.5 g CO2e an image, held against the range's high end" in over.summary
    assert "OVER |" in over.summary
    (runner / "summary.md").unlink()
    wrong = step(runner, HOLD, file="nothing.csv", max_wh_per_image="5")
    assert wrong.status == 2
    assert "'nothing.csv' does not exist" in wrong.err
    assert "    error: 'nothing.csv' does not exist" in wrong.summary


@pytest.mark.slow
def test_inputs_are_never_run(runner: Path) -> None:
    for name in ("$(touch pwned).csv", "`touch pwned`.csv", '"; touch pwned; ".csv', "--help"):
        done = step(runner, HOLD, file=name, max_wh_per_image="5", region_column="$(touch pwned)")
        assert done.status == 2
        assert not (runner / "pwned").exists()


def test_the_hook_is_the_command(run: Command) -> None:
    (hook,) = HOOKS
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert (hook["language"], hook["pass_filenames"]) == ("python", False)
    Path("workloads.csv").write_text(WORKLOADS, encoding="utf-8")
    program, *arguments = shlex.split(hook["entry"])
    assert program == "joulecast"
    assert run(*arguments, "workloads.csv", "--max-wh-per-image", "50").status == 0
    assert run(*arguments, "workloads.csv", "--max-wh-per-image", "0.1").status == 1


def test_markdown_is_the_same_as_the_text(run: Command) -> None:
    Path("p.csv").write_text(
        'model,gpu,energy_j,engine,warning\nsdxl,L4,3600,sglang,"<b>|[x](//y)"\nsd2,L4,36,,\n',
        encoding="utf-8",
    )
    asked = ("budget", "check", "p.csv", "--max-wh-per-image", "0.5")
    told = run(*asked, "--markdown")
    assert told.status == 1
    assert told.out.splitlines()[:6] == [
        "**1 of 2 over the budget: 0.5 Wh of the GPU an image, held against the central value.**",
        "",
        "| row | model | GPU | runtime | energy |  |",
        "| --- | --- | --- | --- | --- | --- |",
        "| 1 | sdxl | L4 | sglang | 1.00 Wh | OVER |",
        "| 2 | sd2 | L4 |  | 0.0100 Wh | ok |",
    ]
    assert "<b>" not in told.out
    assert run(*asked).out.splitlines()[-1].strip() in told.out.replace("*", "")
    assert "--json or --markdown, not both" in run(*asked, "--markdown", "--json").err
