"""The measuring commands, dry: `measure`, `campaign`, `compare`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Done, refused
from command import exit_status as run
from joulecast.measure.store import Store
from joulecast.report.measured_text import steadiness, within
from joulecast.runs import RunTable

PLAN = '[[grid]]\nmodel = "sd2"\nsize = ["256x256", "512x512"]\nsteps = [5, 10]\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


def test_measure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--size", "512x512", "--steps", "10", "--batch", "2", "--components", "--dry-run"]
    assert run("measure", "flux", *arguments, "--gpu", "H200", "--out", "one.csv") == 0
    shown = capsys.readouterr().out
    assert "flux.1-dev: 512x512, 10 steps, bf16, batch 2 on dry run" in shown
    for words in ("energy per image", "idle power", "denoiser", "Dry run", "95 %", "drift"):
        assert words in shown
    assert len(RunTable.read(folder / "one.csv")) == 1


def test_measure_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("measure", "sd2", "--dry-run", "--json", "--window", "2s", "--repeats", "6") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["content"]["energy_j"] > 0
    assert answer["environment"]["protocol"]["repeats"] == 6


def test_a_campaign_from_plan_to_comparison(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("campaign", "run", "plan.toml", "--dry-run", "--store", "runs.db", "--budget", "40s") == 1
    assert "pending" in capsys.readouterr().out
    assert run("campaign", "run", "plan.toml", "--dry-run", "--store", "runs.db") == 0
    told = capsys.readouterr()
    assert told.out == "4 done\n"
    assert "[4/4, about 0 ms left]" in told.err
    assert run("campaign", "status", "runs.db") == 0
    status = capsys.readouterr().out
    assert "plan: 4 done" in status
    assert status.endswith("  Dry run: replayed numbers, not a measurement.\n")
    for result in (status.splitlines()[1], told.err.splitlines()[-1]):  # with every result
        for words in ("J per image (95 %: +-", "repeats differ by", "drift", "idle 75.0 W"):
            assert words in result
    assert run("campaign", "status", "runs.db", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["done"] == 4
    assert run("campaign", "export", "runs.db", "--gpu", "H100", "--out", "out.csv") == 0
    assert capsys.readouterr().out.splitlines()[0] == "wrote out.csv"
    assert run("compare", "runs.db", "--a", "steps=5", "--b", "steps=10") == 0
    compared = capsys.readouterr().out
    assert "2 pairs: a clear change" in compared
    assert compared.endswith("  Dry run: replayed numbers, not a measurement.\n")
    assert run("compare", "runs.db", "--a", "steps=5", "--b", "steps=10", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["is_clear"]
    assert answer["is_dry_run"]


def test_what_cannot_be_written_is_told_before_measuring(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulecast.measure.campaign.run_campaign", None)  # it would be called
    for more in (["--out", "x.txt"], ["--out", "x.csv"]):
        assert run("measure", "sd2", "--dry-run", *more) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_an_interval_of_rounding_errors_is_no_number() -> None:
    assert within(200.0, 1.0) == "95 %: +-0.5 %"
    assert within(1.0, 3e-16) == "95 %: within 0.001 %"


def test_one_repeat_has_no_spread() -> None:
    assert steadiness(None, 0.0) == "one repeat alone: its spread is unknown"
    assert steadiness(0.0123, -0.02).startswith("repeats differ by 1.2 %")


def test_steps_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("measure", "flux", "--steps", "10", "--components", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "denoising step" in shown
    assert "1 to 10         transformer" in shown
    assert "time rises evenly over the steps to 0.0 %" in shown


def test_a_runs_weights_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--dry-run", "--store", "runs.db"]
    assert run("campaign", "run", "plan.toml", *more) == 0
    assert run("campaign", "run", "plan.toml", *more, "--weights", "trained") == 0
    assert "[8/8" in capsys.readouterr().err
    assert run("campaign", "status", "runs.db") == 0
    assert capsys.readouterr().out.count(", weights trained: ") == 4
    assert run("compare", "runs.db", "--a", "weights=random", "--b", "weights=trained") == 0
    assert "4 pairs: " in capsys.readouterr().out


def test_dry_runs_and_measurements_do_not_mix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("campaign", "run", "plan.toml", "--dry-run", "--store", "runs.db")
    assert run("campaign", "run", "plan.toml", "--store", "runs.db") == 2
    assert "the store holds dry run results" in capsys.readouterr().err


def test_a_store_without_results_is_of_no_kind_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("campaign", "run", "plan.toml", "--store", "runs.db") == 2  # no GPU here
    assert run("campaign", "run", "plan.toml", "--store", "runs.db", "--dry-run") == 0
    assert run("campaign", "status", "runs.db") == 0
    assert "Dry run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["measure", "sd2", "--trace", "x.csv"], "add --dry-run"),
        (["measure", "sd2", "--dry-run", "--size", "333x512"], "sd2 refuses 333x512"),
        (["measure", "sd2", "--dry-run", "--steps", "few"], "steps must be a whole number, not 'few'"),
        (["measure", "sd2", "--dry-run", "--weights", ""], "the name of a folder or hub id"),
        (["measure", "sd2", "--dry-run", "--out", "x.txt"], "written as CSV"),
        (["measure", "sd2", "--dry-run", "--out", "no/x.csv"], "there is no folder 'no'"),
        (
            ["measure", "sd2", "--dry-run", "--out", "x.csv"],
            "does not know the GPU of these runs, 'dry run': say which it is with --gpu",
        ),
        (["campaign", "export", "none.db", "--out", "x.txt"], "there is no store"),
        (["measure", "sd2", "--dry-run", "--passes", "3"], "passes must be between"),
        (["measure", "flux", "--dry-run", "--runtime", "quick"], "unknown runtime"),
        (["campaign", "start", "plan.toml"], "unknown action 'start'"),
        (["campaign", "run", "paper-swep"], "did you mean paper-sweep"),
        (["campaign", "run", "plan.toml", "--dry-run", "--budget", "later"], "no length of time"),
        (["campaign", "status", "none.db"], "there is no store"),
        (["compare", "none.db", "--a", "steps=1", "--b", "steps=2"], "there is no store"),
    ],
)
def test_errors_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    refused(Done(run(*arguments), *capsys.readouterr()), message)


def test_without_nvidia_ml_py_the_extra_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert run("measure", "sd2") == 2
    assert "needs the extra `measure`: pip install -e '" in capsys.readouterr().err


CAMPAIGN = ("campaign", "run", "plan.toml", "--dry-run", "--store", "runs.db")


@pytest.mark.parametrize("step", ["claim", "record", "finish", "counts"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_is_never_another_worker(
    step: str, moment: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it comes; what was recorded stays, and the same command goes on."""
    real, calls = getattr(Store, step), iter(range(10**6))

    def interrupted(self: Store, *arguments: Any, **options: Any) -> Any:
        place = next(calls)
        if place == 2 and moment == "before":
            raise KeyboardInterrupt
        found = real(self, *arguments, **options)
        if place == 2:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Store, step, interrupted)
        assert run(*CAMPAIGN) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "error: interrupted"
    monkeypatch.setattr("joulecast.measure.store.is_dead", lambda worker: True)  # it was this process
    assert run(*CAMPAIGN) == 0
    assert capsys.readouterr().out == "4 done\n"


@pytest.mark.slow
@pytest.mark.parametrize("lines", [0, 1, 5, 20])
def test_an_interrupted_process_says_so(lines: int, tmp_path: Path) -> None:
    """When its store is there, and after so many of its lines."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from joulecast.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "campaign", "run", "paper-sweep", "--dry-run", "--store", "s.db"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        wait_for((tmp_path / "s.db").exists)
        told = [process.stderr.readline().rstrip("\n") for _ in range(lines)]
        process.send_signal(signal.SIGINT)
        told += process.stderr.read().splitlines()
    assert process.returncode == 130
    assert told[-1] == "error: interrupted"
    assert all(line.startswith("[") for line in told[:lines])
    assert not any("Traceback" in line or "another worker" in line for line in told)


def wait_for(condition: Callable[[], bool]) -> None:
    """Until a condition holds, at most a minute."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize("step", ["add", "claim", "record", "finish", "environment"])
def test_a_full_disk_is_an_error_and_not_a_campaign_unfinished(
    step: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(Store, step)

    def full(self: Store, *arguments: Any, **options: Any) -> Any:
        [(pages,)] = self._db.rows("pragma page_count")
        self._db.change(f"pragma max_page_count = {pages}")
        for _ in range(10_000):  # until there is no room left
            self.note(os.urandom(16).hex(), "x" * 500)
        return real(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Store, step, full)
        assert run(*CAMPAIGN) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: the store 'runs.db' cannot be used (")
    assert "full" in last
    monkeypatch.setattr("joulecast.measure.store.is_dead", lambda worker: True)  # it was this process
    assert run(*CAMPAIGN) == 0
    assert "4 done" in capsys.readouterr().out


@pytest.mark.parametrize("budget", ["9", "9s", "0.1m"])
def test_a_budget_too_short_for_anything_is_explained(
    budget: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*CAMPAIGN, "--budget", budget) == 1
    told = capsys.readouterr()
    assert told.out == "4 pending\n"
    assert "the budget was " + ("6.00 s" if budget == "0.1m" else "9.00 s") in told.err
    assert "the shortest task left may take " in told.err


@pytest.mark.parametrize(
    "command", [("measure", "sd2", "--dry-run"), ("measure", "sd2", "--dry-run", "--json"), CAMPAIGN]
)
def test_a_gpu_that_is_none_is_refused(
    command: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--gpu", "H1000") == 2
    assert "unknown GPU 'H1000'; did you mean H100" in capsys.readouterr().err
