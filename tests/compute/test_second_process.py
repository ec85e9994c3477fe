"""Work in a copy of the process: its result, its errors, and a copy that dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

pytest.importorskip("torch")

from joulecast.compute.second_process import _received, aside, processors
from joulecast.errors import FileFormatError, TraceError

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.first,  # before Ray's tests: a copy of a process in which Ray ran may crash
    pytest.mark.trace,
    pytest.mark.skipif(sys.platform != "linux", reason="a process is copied on Linux alone"),
]


def test_there_are_processors() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_result_is_the_works(processes: int) -> None:
    here = {"seen": False}

    def work() -> int:
        here["seen"] = True
        return os.getpid()

    with aside(work, processes) as result:
        place = result()
    assert here["seen"] == (processes == 1)  # a copy changes nothing here
    assert (place == os.getpid()) == (processes == 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [(FileFormatError("it is damaged"), "it is damaged"), (KeyError("x"), "KeyError: 'x'")],
)
def test_an_error_of_the_copy_is_told(error: Exception, words: str) -> None:
    def work() -> None:
        raise error

    with aside(work, 2) as result, pytest.raises(TraceError, match=words):
        result()


def test_a_copy_that_is_killed_is_replaced() -> None:
    first = os.getpid()

    def work() -> str:
        if os.getpid() != first:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done here"

    with aside(work, 2) as result:
        assert result() == "done here"


@pytest.mark.parametrize("error", [EOFError, OSError("got end of file during message")])
def test_a_copy_that_dies_while_it_sends_is_replaced(error: Exception) -> None:
    connection = Mock(recv=Mock(side_effect=error))
    assert _received(connection, lambda: "done here") == "done here"


SCRIPT = """
import os, sys, time
from joulecast.compute.second_process import aside

def work():
    open("copy.pid", "w").write(str(os.getpid()))
    time.sleep(float(sys.argv[1]))
    return b"x" * 10_000_000  # more than a pipe holds

with aside(work, 2) as result:
    while not (os.path.exists("copy.pid") and os.path.getsize("copy.pid")):
        time.sleep(0.01)
    print("working", flush=True)
    result()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "seconds"), [(signal.SIGKILL, 1.0), (signal.SIGKILL, 60.0), (signal.SIGINT, 60.0)]
)
def test_the_copy_ends_with_its_process(number: int, seconds: float, tmp_path: Path) -> None:
    """Killed, or interrupted as a terminal does it, both at once. The copy says nothing of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(seconds)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert "ForkProcess" not in errors
    copy, patience = Path(tmp_path, "copy.pid").read_text(), time.monotonic() + 20
    while Path("/proc", copy).exists() and Path("/proc", copy, "stat").read_text().split()[2] != "Z":
        assert time.monotonic() < patience, "the copy lives on"
        time.sleep(0.1)


def test_a_copy_that_nobody_waits_for_ends() -> None:
    with pytest.raises(ZeroDivisionError), aside(lambda: time.sleep(60), 2):
        raise ZeroDivisionError
    assert not multiprocessing.active_children()
