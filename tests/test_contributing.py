"""The recipes of CONTRIBUTING.md work, on a copy of the package; what it names is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import joulecast

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = Path(joulecast.__file__).parent
GPU = "My card 48GB,NVIDIA,Ada AD102,Ada,TSMC 4N,2024,My card;mycard,\n"
FIGURES = {
    "tdp": "320,W",
    "fp16": "180,TFLOP/s",
    "fp32": "45,TFLOP/s",
    "memory": "48,GB",
    "bandwidth": "900,GB/s",
}
DEMAND = """[[services]]
name = "pictures"
images_per_day = 2400
[[services.configurations]]
model = "sdxl"
[[gpus]]
name = "mycard"
[[regions]]
name = "FR"
"""
# Runs each command of the arguments in one process, as separate processes would take seconds.
RUNNER = """import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from joulecast.cli import main

for arguments in json.loads(sys.argv[1]):
    out, errors = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            main(arguments)
        except SystemExit as ended:
            status = ended.code or 0
    print(json.dumps([status, out.getvalue(), errors.getvalue()]))
"""

Run = Callable[..., list[tuple[int, str, str]]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package's own data, to be added to."""
    shutil.copytree(PACKAGE, tmp_path / "joulecast", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "joulecast" / "data"


@pytest.fixture
def run(copy: Path, tmp_path: Path) -> Run:
    def running(*commands: str) -> list[tuple[int, str, str]]:
        done = subprocess.run(
            [sys.executable, "-c", RUNNER, json.dumps([command.split() for command in commands])],
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]

    return running


def test_a_gpu_of_a_few_rows_is_found_by_every_door(copy: Path, run: Run, tmp_path: Path) -> None:
    with (copy / "gpus.csv").open("a") as file:
        file.write(GPU)
    with (copy / "gpu_figures.csv").open("a") as file:
        file.writelines(
            f"My card 48GB,{name},{cell},a datasheet,datasheet,\n" for name, cell in FIGURES.items()
        )
    (tmp_path / "w.csv").write_text("model,gpu,width,height,steps\nsdxl,My card 48GB,1024,1024,20\n")
    (tmp_path / "demand.toml").write_text(DEMAND)
    commands = [
        "gpus",
        "estimate sdxl --gpu mycard --region FR",
        "predict w.csv",
        "what-if sdxl --gpu L4 --to gpu=mycard",
        "pareto sdxl --gpu mycard,L4 --batch 1,4 --all",
        "budget check w.csv --max-g-per-image 1000 --region FR",
        "plan demand.toml",
        "measure sdxl --dry-run --gpu mycard --steps 5 --out run.csv",
        "campaign predict calibrate --gpu mycard --out predictions.csv",
    ]
    for command, (status, out, errors) in zip(commands, run(*commands), strict=True):
        assert status == 0, (command, errors)
        files = re.findall(r"--out (\S+)", command)
        assert "My card 48GB" in "".join([out, *((tmp_path / name).read_text() for name in files)]), command


def test_a_model_without_its_profile_says_what_makes_it(copy: Path, run: Run) -> None:
    entry = json.loads((copy / "architectures/sd1.5.json").read_text())
    entry |= {"name": "my-model", "hub_id": "me/my-model", "aliases": ["mine"]}
    (copy / "architectures/my-model.json").write_text(json.dumps(entry))
    listed, listed_too, asked, by_alias, other, typo = run(
        "models",
        "models --json",
        "estimate my-model --gpu H100",
        "estimate me/my-model --gpu H100",
        "estimate sd1.5 --gpu H100",
        "estimate my-modle --gpu H100",
    )
    assert listed[0] == listed_too[0] == other[0] == 0
    assert len(json.loads(listed_too[1])) == len(joulecast.models())
    for status, _, errors in (asked, by_alias):
        assert status == 2
        assert errors == "error: no profile of my-model: python tools/make_profiles.py my-model\n"
    assert "did you mean my-model?" in typo[2]
    shutil.copy(copy / "profiles/sd1.5.json", copy / "profiles/my-model.json")
    assert len(json.loads(run("models --json")[0][1])) == len(joulecast.models()) + 1


MARKED = """import pytest

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.slow
@pytest.mark.every_model
def test_every(): pass

def test_plain(): pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("", {"slow", "plain"}),
        ("slow", {"slow"}),
        ("not slow", {"plain"}),
        ("every_model", {"every"}),
        ("slow or every_model", {"slow", "every"}),
    ],
)
def test_every_model_is_asked_for_by_name(expression: str, chosen: set[str], tmp_path: Path) -> None:
    """Whatever else `-m` says."""
    (tmp_path / "test_marked.py").write_text(MARKED)
    asked = ["--collect-only", "-c", str(ROOT / "pyproject.toml"), "-p", "conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked, "-m", expression, str(tmp_path)],
        cwd=ROOT / "tests", env=os.environ | {"PYTHONPATH": f"{PACKAGE.parent}:{ROOT / 'tests'}"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"::test_(\w+)", done.stdout)) == chosen


def test_what_the_page_names_is_there() -> None:
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.\w+|scripts/\w+)", PAGE)
    assert len(paths) > 12
    for path in paths:
        assert (ROOT / path).exists() or (PACKAGE / path).exists() or "NAME" in path, path
    for room in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE):
        for name in re.findall(r"\w+", room):
            assert (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file(), name
    tracer = (PACKAGE / "compute/tracer.py").read_text()
    assert "\n_MEMORY_BOUND_NAMES = " in tracer
    assert "\ndef _mm(" in tracer


def test_the_page_is_a_page() -> None:
    assert len(PAGE.splitlines()) < 120
    assert max(map(len, PAGE.splitlines())) <= 132
    for page in ("README.md", "docs/index.md"):
        assert "CONTRIBUTING.md" in (ROOT / page).read_text(encoding="utf-8")


def test_a_commit_is_checked_as_the_script_does() -> None:
    hooks = re.findall(r"^ *entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    script = (ROOT / "scripts/check").read_text().splitlines()
    assert hooks == [line for line in script if line.startswith(".venv-test/bin/")]
