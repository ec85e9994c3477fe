"""`joulecast run`: a command measured by a stand-in for NVML, and refused where nothing can measure."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Command, refused
from fake_nvml import FakeNvml

PYTHON = sys.executable
LEAVES_A_TRACE = (PYTHON, "-c", "open('started', 'w').close()")
LONG_ENOUGH = (PYTHON, "-c", "import time; print('made'); time.sleep(1.05)")
Use = Callable[..., FakeNvml]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)

    def install(**settings: Any) -> FakeNvml:
        fake = FakeNvml(**settings)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


def test_a_command_is_measured(run: Command, use: Use) -> None:
    """The stand-in draws 500 W all the time: all of it is idle power."""
    fake = use()
    done = run("run", "--idle", "0.2s", "--out", "one.json", "--", *LONG_ENOUGH)
    assert (done.status, done.out) == (0, "")
    for words in (
        "on NVIDIA H200: exit status 0",
        "energy",
        "500 W",
        "idle share",
        "gross",
        "wrote one.json",
    ):
        assert words in done.err
    answer = json.loads(Path("one.json").read_text())
    assert answer["energy_j"] == pytest.approx(500 * answer["duration_s"], rel=0.02)
    assert answer["idle_share"] == pytest.approx(1, rel=0.05)
    assert (answer["status"], answer["boundary"], answer["command"]) == (0, "gross", list(LONG_ENOUGH))
    assert answer["gpus"][0]["reading"] == "energy counter"
    assert fake.shut == 1


def test_a_table_has_a_row_for_each_gpu(run: Command, use: Use) -> None:
    fake = use(gpus=2, names=("NVIDIA H200", "NVIDIA L4"))
    done = run("run", "--idle", "0", "--out", "one.csv", "--", *LONG_ENOUGH)
    assert done.status == 0, done.err
    first, second = csv.DictReader(Path("one.csv").read_text().splitlines())
    assert (first["gpu"], second["gpu"]) == ("NVIDIA H200", "NVIDIA L4")
    assert float(first["energy_j"]) > 500
    assert first["idle_power_w"] == ""
    assert "2 GPUs" in done.err
    assert "idle" not in done.err.replace("idle power included", "")
    assert fake.shut == 2


@pytest.mark.parametrize(
    ("shown", "order", "is_told"),
    [("1", None, True), ("1", "PCI_BUS_ID", False), (None, None, False), ("GPU-fake", None, False)],
)
def test_numbers_that_cuda_may_read_otherwise_are_told(
    run: Command,
    use: Use,
    monkeypatch: pytest.MonkeyPatch,
    shown: str | None,
    order: str | None,
    is_told: bool,
) -> None:
    use(gpus=2, names=("NVIDIA H200", "NVIDIA L4"))
    for name, value in (("CUDA_VISIBLE_DEVICES", shown), ("CUDA_DEVICE_ORDER", order)):
        if value is not None:
            monkeypatch.setenv(name, value)
    done = run("run", "--idle", "0", "--", PYTHON, "-c", "")
    assert ("CUDA_DEVICE_ORDER=PCI_BUS_ID" in done.err) == is_told


def test_a_short_command_has_no_number_and_its_own_status(run: Command, use: Use) -> None:
    use()
    done = run("run", "--idle", "0", "--out", "one.json", PYTHON, "-c", "raise SystemExit(5)")
    assert done.status == 5
    assert "too short to measure" in done.err
    assert " J" not in done.err
    assert json.loads(Path("one.json").read_text())["energy_j"] is None


def test_one_that_a_signal_ends(run: Command, use: Use) -> None:
    use()
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    done = run("run", "--idle", "0", "--", PYTHON, "-c", code)
    assert done.status == 128 + signal.SIGTERM
    assert "exit status 143" in done.err


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    run: Command, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = use(gpus=2, names=("NVIDIA H200", "NVIDIA L4"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    done = run("run", "--dry-run", "--idle", "7s", "--out", "one.csv", "--", *LEAVES_A_TRACE)
    assert (done.status, done.err) == (0, "")
    told = " ".join(done.out.split())
    for words in (
        "would be measured on 2 GPUs; nothing was started",
        "GPU 0 (NVIDIA H200) energy counter, which moves every 0.1 s",
        "GPU 1 (NVIDIA L4) energy counter, which moves every 0.1 s",
        "for 7 s before the command and 7 s after it, each after a pause of 1 s",
        "ends within 1 s has no energy",
        "Writes: one.csv; what was measured",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
    ):
        assert words in told
    assert list(Path().iterdir()) == []
    assert fake.shut == 2


def test_a_dry_run_of_sampled_power_without_idle(run: Command, use: Use) -> None:
    use(counter=False)
    Path("one.json").write_text("kept")
    done = run("run", "--dry-run", "--idle", "0", "--out", "one.json", "--", *LEAVES_A_TRACE)
    assert done.status == 0
    told = " ".join(done.out.split())
    assert "sampled power, which moves every 0.02 s" in told
    assert "Idle: not measured" in told
    assert "ends within 0.2 s" in told
    assert "one.json, in place of the file that is there" in told
    assert Path("one.json").read_text() == "kept"
    assert "no file; what was measured" in " ".join(run("run", "--dry-run", "--", PYTHON).out.split())


@pytest.mark.parametrize(
    ("settings", "arguments", "status", "words"),
    [
        ({"gpus": 0}, ("--", *LEAVES_A_TRACE), 2, "finds no GPU"),
        ({}, ("--", "no-such-program"), 127, "there is no command no-such-program"),
        ({}, ("--", "."), 126, "is not executable"),
        ({}, ("--",), 2, "there is no command to run"),
        ({}, ("--idle", "2h", "--", *LEAVES_A_TRACE), 2, "idle_s must be between"),
        ({}, ("--out", "one.xlsx", "--", *LEAVES_A_TRACE), 2, "end it in .csv"),
    ],
)
def test_a_dry_run_ends_as_the_run_would(
    run: Command, use: Use, settings: Any, arguments: tuple[str, ...], status: int, words: str
) -> None:
    use(**settings)
    dry, real = run("run", "--dry-run", *arguments), run("run", *arguments)
    assert (dry.status, dry.out, dry.err) == (real.status, real.out, real.err)
    assert dry.status == status
    assert words in dry.err
    assert not Path("started").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"init": "Driver Not Loaded"}, "an NVIDIA GPU and its driver are needed"),
        ({"gpus": 0}, "finds no GPU"),
        ({"mig": True}, "split by MIG"),
        ({"counter": False, "power": False}, "ask for access"),
    ],
)
def test_without_a_gpu_nothing_is_started(run: Command, use: Use, settings: Any, words: str) -> None:
    use(**settings)
    done = run("run", "--", *LEAVES_A_TRACE)
    refused(done, words, "the command was not started", "joulecast estimate")
    assert "--dry-run" not in done.err
    assert not Path("started").exists()


def test_without_nvidia_ml_py_nothing_is_started(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    refused(run("run", "--", *LEAVES_A_TRACE), "[measure]")
    assert not Path("started").exists()


@pytest.mark.parametrize("arguments", [(), ("--",), ("--idle", "1s"), ("--idle", "1s", "--")])
def test_no_command(run: Command, arguments: tuple[str, ...]) -> None:
    refused(
        run("run", *arguments), "there is no command to run; give one after --", "joulecast run -- python"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "one.xlsx", "--"), "end it in .csv or .parquet; or in .json"),
        (("--out", "none/one.json", "--"), "there is no folder"),
        (("--idle", "-1", "--"), "no length of time"),
        (("--idle", "2h", "--"), "idle_s must be between 0 and 600"),
        (("--iddle", "1s", "--"), "did you mean --idle?"),
    ],
)
def test_what_cannot_be_done_is_told_before(
    run: Command, use: Use, arguments: tuple[str, ...], words: str
) -> None:
    use()
    refused(run("run", *arguments, *LEAVES_A_TRACE), words)
    assert not Path("started").exists()


def test_commands_that_cannot_be_started_end_as_in_a_shell(run: Command, use: Use) -> None:
    use()
    Path("script").write_text("print(1)\n")
    Path("damaged").write_bytes(b"\0\1\2")
    Path("damaged").chmod(0o755)
    for program, status, words in (
        ("no-such-program", 127, "there is no command no-such-program"),
        ("./none", 127, "there is no command ./none"),
        ("no-such program", 127, "is it installed, and on the PATH?"),
        (f"{PYTHON} -V", 127, "give it without quotes around it all"),
        ("", 127, "there is no command"),
        ("./script", 126, "name its interpreter"),
        (".", 126, "is not executable"),
        ("./damaged", 126, "cannot be started"),
    ):
        done = run("run", "--idle", "0", "--", program)
        assert (done.status, done.out, done.err.count("\n")) == (status, "", 1), done
        assert done.err.startswith("error: ")
        assert words in done.err


def test_all_after_the_command_is_its_own(run: Command, use: Use) -> None:
    use()
    code = "import json, sys; json.dump(sys.argv[1:], open('argv.json', 'w'))"
    for before in ((), ("--",)):
        given = ["--out", "x.csv", "--", "--help", "-h"]
        assert run("run", "--idle", "0", *before, PYTHON, "-c", code, *given).status == 0
        assert json.loads(Path("argv.json").read_text()) == given


def test_ctrl_c_ends_the_command_and_tells_what_it_drew(tmp_path: Path) -> None:
    code = "import time; print('made', flush=True); open('ready', 'w').close(); time.sleep(60)"
    ours = (
        "import sys\nfrom fake_nvml import FakeNvml\nsys.modules['pynvml'] = FakeNvml()\n"
        "from joulecast.cli import main\nmain(sys.argv[1:])"
    )
    started = subprocess.Popen(
        [PYTHON, "-c", ours, "run", "--idle", "0.1s", "--", PYTHON, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "ready").exists():
        assert started.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        started.communicate(timeout=1.1)
    started.send_signal(signal.SIGINT)
    out, told = started.communicate(timeout=30)
    assert (started.returncode, out) == (130, "made\n")  # standard output is the command's alone
    assert "exit status 130" in told
    assert "KeyboardInterrupt" in told  # the command's own
    assert "average power" in told
