"""Completion: the scripts are what each shell reads, and offer what the commands take."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from command import Command, refused
from joulecast import gpus, models
from joulecast.cli.commands import COMMANDS
from joulecast.cli.completion import bash, completed
from joulecast.law.load import law_names
from joulecast.question.gpus import gpu

SHELLS = {"bash": "-n", "zsh": "-n", "fish": "--no-execute"}
COMPLETE = """source ./script
COMP_WORDS=(joulecast {words}) COMP_CWORD={last}
_joulecast
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_that_its_shell_reads(run: Command, shell: str, tmp_path: Path) -> None:
    done = run("completion", shell)
    assert done.status == 0
    assert all(name in done.out for name in COMMANDS)
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(done.out)
    checked = subprocess.run([program, SHELLS[shell], script], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "script"
    path.write_text("\n".join(bash(completed())))
    return path


def named(beginning: str) -> set[str]:
    """The GPUs whose names begin so, a hyphen for a blank."""
    found = {name for known in gpus() if (name := known.name.replace(" ", "-")).startswith(beginning)}
    assert found
    return found


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("est",), {"estimate"}),
        (("p",), {"predict", "profile", "pareto", "plan"}),
        (
            ("estimate", "sdx"),
            {"sdxl", "sdxl-controlnet", "sdxl-img2img", "sdxl-lightning", "sdxl-refiner", "sdxl-turbo"},
        ),
        (("estimate", "sdxl", "--gp"), {"--gpu", "--gpus"}),
        (("estimate", "sdxl", "--gpu", "L4"), named("L4")),
        (("what-if", "sdxl", "--gpu", "RTX-40"), named("RTX-40")),
        (("estimate", "sdxl", "--precision", "b"), {"bf16"}),
        (("gpus", "--vendor", "A"), {"AMD"}),
        (("card", "p.csv", "--format", "hugging"), {"huggingface"}),
        (("budget", "che"), {"check"}),
        (("campaign", "pre"), {"predict"}),
        (("completion", "z"), {"zsh"}),
        (("footprint", "scr"), {"script"}),
        (("plan", "--report", "scr"), {"script"}),
        (("estimate", "nothing-of-the-kind"), {""}),
    ],
)
def test_bash_offers(script: Path, words: tuple[str, ...], offered: set[str]) -> None:
    program = shutil.which("bash")
    if program is None:
        pytest.skip("bash is not installed")
    code = COMPLETE.format(words=" ".join(words), last=len(words))
    done = subprocess.run(
        [program, "-c", code], cwd=script.parent, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert set(done.stdout.removesuffix("\n").split("\n")) == offered


def test_every_option_is_offered() -> None:
    by_name = {command.name: command for command in completed()}
    assert set(by_name) == set(COMMANDS)
    estimate = by_name["estimate"]
    assert {model.name for model in models()} == set(estimate.words)
    values = {spelling: one.values for one in estimate.options for spelling in one.spellings}
    assert values["--law"] == law_names()
    assert values["--boundary"] == ("gross", "dynamic")
    assert values["--json"] == ()


def test_every_gpu_that_is_offered_is_known() -> None:
    offered = next(one.values for one in completed()[0].options if "--gpu" in one.spellings)
    assert [gpu(name).name for name in offered] == [known.name for known in gpus()]


def test_another_shell(run: Command) -> None:
    refused(run("completion", "tcsh"), "bash, zsh, fish")
